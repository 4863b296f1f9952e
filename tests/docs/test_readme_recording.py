"""What the README shows of the recorded facts is what the commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
# A command on the recording, and the lines it is shown to print.
SHOWN = re.compile(r"^\$ (concertmaster [^\n]*--facts [^\n]*\|[^\n]*)\n((?:(?!\$|```)[^\n]*\n)+)", re.MULTILINE)


def printed(command: str) -> str:
    with_module = command.replace("concertmaster ", f"{sys.executable} -m concertmaster ", 1)
    answer = subprocess.run(
        ["bash", "-o", "pipefail", "-c", with_module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PYTHONUNBUFFERED": "1"},
        timeout=120,
        check=False,
    )
    assert answer.stdout, answer.stderr
    return answer.stdout


@pytest.mark.timeout(240)
def test_commands_on_the_recording_print_what_the_readme_shows(request: pytest.FixtureRequest) -> None:
    text = README.read_text()
    found = SHOWN.findall(text)
    assert [command.split()[1] for command, _ in found] == ["compare", "report"]
    now = [printed(command) for command, _ in found]
    if request.config.getoption("--update-golden"):
        for (_, shown), output in zip(found, now, strict=True):
            text = text.replace(shown, output)
        README.write_text(text)
    else:
        assert now == [shown for _, shown in found]
