"""``concertmaster dashboard`` as a process, with requests for pages and the JSON API."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster.operator_bed import ROOT


@contextmanager
def dashboard(kubeconfig: Path, service: str, *arguments: str) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Run the command; yields a function that gets a page."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "concertmaster", "dashboard", "--no-open", "--operator", f"{service}/concertmaster",
         "--kubeconfig", str(kubeconfig), *arguments],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        match = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", process.stdout.readline())
        assert match is not None
        base, token = match.groups()

        def get(path: str) -> tuple[int, str]:
            request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {token}"})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        yield get
    finally:
        process.terminate()
        process.wait(15)
