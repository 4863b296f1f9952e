"""``concertmaster web``: serves, becomes ready once the cluster answered, and says what is wrong with its options."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import cast

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli.commands import web
from concertmaster.cli.commands.web import command
from concertmaster.web.readers import STALE, ClusterReader, Unavailable
from tests.support.controller.apiserver import serving
from tests.support.web.objects import profile
from tests.support.web.tenants import TwoTenants

ROOT = Path(__file__).resolve().parents[4]


def kubeconfig(file: Path, server: str) -> Path:
    """One cluster without credentials."""
    parts = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "own"}}],
    }
    contexts = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
    file.write_text(yaml.safe_dump({**parts, "contexts": contexts, "current-context": "c", "kind": "Config"}))
    return file


def status(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_serves_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    harness = TwoTenants([profile(0, namespace="team-a")])
    harness.person("alice", "team-a")
    with serving(harness) as (server, _):
        process = subprocess.Popen(
            [sys.executable, "-m", "concertmaster", "web", "--address", "127.0.0.1", "--port", "0", "--kubeconfig",
             str(kubeconfig(tmp_path / "config", server.url))],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        )  # fmt: skip
        try:
            assert process.stderr is not None
            found = re.search(r"127\.0\.0\.1:(\d+) \(HTTP\)", process.stderr.readline())
            assert found is not None
            url = f"http://127.0.0.1:{found[1]}"
            assert status(f"{url}/healthz") == 200
            deadline = time.monotonic() + 60.0
            while status(f"{url}/readyz") != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert status(f"{url}/api/v1/summary", "alice") == 200
            assert status(f"{url}/api/v1/summary", "mallory") == 401
            assert status(f"{url}/api/v1/summary") == 401
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert "alice" not in process.stderr.read(), "tokens are not logged"
        finally:
            process.kill()
            process.wait(10)
            if process.stderr is not None:
                process.stderr.close()


def test_certificate_and_key_belong_together(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    alone = CliRunner().invoke(command, ["--kubeconfig", str(config), "--tls-cert", str(tmp_path / "a")])
    assert "belong together" in str(alone.exception)
    both = ["--tls-cert", str(tmp_path / "a"), "--tls-key", str(tmp_path / "b")]
    assert "cannot be used" in str(CliRunner().invoke(command, ["--kubeconfig", str(config), *both]).exception)


def test_the_list_is_renewed_before_it_is_too_old_to_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to ask for it; a list that cannot be read is tried again."""
    answers = iter([Unavailable("not yet"), None, None, Unavailable("gone"), None])
    asked, pauses = [], []

    class Listed:
        read_once = False

        def fleet(self) -> None:
            asked.append(len(asked))
            problem = next(answers)
            if problem is not None:
                raise problem
            self.read_once = True

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(web._keep_read(cast(ClusterReader, Listed())))
    assert len(asked) == 5
    first, renewed, again, later, _ = pauses
    assert first < later < renewed == again < STALE
