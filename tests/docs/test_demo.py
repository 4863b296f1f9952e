"""``make demo`` from start to end, as a newcomer would see it, and the README's output against it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?( UTC|Z)?")


def scrub(line: str) -> str:
    """What changes from run to run: times, ages, column widths."""
    line = TIME.sub("<time>", line.rstrip())
    line = re.sub(r"(True|False|Unknown) +\d+[smh]\d*s? ", r"\1 <age> ", line)
    line = re.sub(r"\b(\d+m)\d\ds\b", r"\1<s>", line)  # which pods a scrape just catches moves a percentile by a second
    return re.sub(r" {2,}", "  ", line)


@pytest.fixture(scope="module")
def demo() -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "testbed.demo", "--no-keep"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
        timeout=400,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    return answer.stdout


@pytest.mark.timeout(420)
def test_it_shows_every_profile_with_advice(demo: str) -> None:
    for name in ("cronjob-align-reads", "sra-search", "wftmpl-blast-search"):
        assert f"=== kubectl describe wfp -n demo {name}" in demo
    assert "every profile has advice" in demo
    found = re.search(r"first advice (\d+) s after the parts were there", demo)
    assert found is not None


def _advice(demo: str) -> list[str]:
    """The lines below Status.Advice of every described profile."""
    lines: list[str] = []
    inside = False
    for line in demo.splitlines():
        if line == "  Advice:":
            inside = True
        elif inside and line.startswith("    "):
            lines.append(line.strip())
        else:
            inside = False
    return lines


def test_every_advice_line_has_number_unit_window_reason_command_and_consequence(demo: str) -> None:
    lines = _advice(demo)
    assert len(lines) >= 8
    for line in lines:
        assert re.search(r"\d", line), line
        assert re.search(r"\d+ ?(%|Mi|Gi|m\b|s\b|cores?\b|runs?\b|executions\b)", line), line
        assert re.search(r"\b\d+[dh]\b", line), line  # the span the runs stand for
        assert ". Why: " in line, line
        assert " Expected: " in line, line
        assert " If nothing is done, " in line, line
        assert re.search(r" Command: kubectl \S+", line), line


def test_the_drawn_regression_is_found_dated_and_attributed(demo: str) -> None:
    (line,) = [found for found in _advice(demo) if found.startswith("Find out what changed in search")]
    factor = re.search(r"\+(\d+) %\)", line)
    assert factor is not None
    assert 24 <= int(factor[1]) <= 36  # drawn: 1.3 times (examples/demo/data/NOTICE.md)
    assert "blast:2.14 to registry.example/blast:2.15" in line


def test_the_readme_shows_this_output(demo: str, request: pytest.FixtureRequest) -> None:
    text = README.read_text()
    if request.config.getoption("--update-golden"):
        text = _updated(text, demo)
        README.write_text(text)
    shown = {scrub(line) for line in demo.splitlines()}
    for block in re.findall(r"```console\n\$ kubectl (?:get|describe) wfp.*?```", text, re.DOTALL):
        for line in block.splitlines()[1:-1]:
            if line and not line.startswith("$"):
                assert scrub(line) in shown, line


@pytest.mark.timeout(420)
def test_on_a_terminal_it_stays_up_until_ctrl_c_and_leaves_nothing_behind() -> None:
    leader, follower = pty.openpty()
    # Tests that run in the background of a script inherit an ignored SIGINT; nobody's terminal does.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed.demo"],
        cwd=ROOT,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, inherited)
    os.close(follower)
    seen = b""
    while b"concertmaster list -n demo" not in seen:
        seen += os.read(leader, 65536)
    text = seen.decode(errors="replace")
    config = re.search(r"export KUBECONFIG=(\S+)", text)
    prometheus = re.search(r"Prometheus +(http://\S+)", text)
    assert config is not None
    assert prometheus is not None
    assert Path(config[1]).is_file()
    with urllib.request.urlopen(f"{prometheus[1]}/-/ready", timeout=10) as answer:
        assert answer.status == 200
    os.killpg(process.pid, signal.SIGINT)
    threading.Thread(target=_drain, args=(leader,), daemon=True).start()
    assert process.wait(60) == 0
    assert not Path(config[1]).exists()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{prometheus[1]}/-/ready", timeout=10)


def _drain(leader: int) -> None:
    """Read what is still written, so that the writer is not blocked."""
    try:
        while os.read(leader, 65536):
            pass
    except OSError:
        pass


def _updated(text: str, demo: str) -> str:
    """The README with its two kubectl blocks taken from the demo: the table, and the advice of one profile."""
    table = re.search(r"=== kubectl get wfp -A\n(.*?)\n\n", demo, re.DOTALL)
    advice = re.search(
        r"describe wfp -n demo wftmpl-blast-search\n.*?(Status:\n  Advice:\n.*?)  Conditions:", demo, re.DOTALL
    )
    assert table is not None
    assert advice is not None
    text = re.sub(
        r"(```console\n\$ kubectl get wfp -A\n).*?(```)", lambda m: m[1] + table[1] + "\n" + m[2], text, flags=re.DOTALL
    )
    return re.sub(
        r"(```console\n\$ kubectl describe wfp -n demo wftmpl-blast-search\n).*?(```)",
        lambda m: m[1] + advice[1] + m[2],
        text,
        flags=re.DOTALL,
    )
