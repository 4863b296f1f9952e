"""Supervised processes: stopped with all they started, cleaned up after a parent that was killed, honest when they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import process
from testbed.ports import free_port
from testbed.process import Process, TemporaryDirectory, TestbedError, http_get, http_ok
from testbed.services.cluster import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def until(probe: Callable[[], bool], timeout: float = 30.0) -> bool:
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def shell(tmp_path: Path, text: str) -> Process:
    return Process("sample", ["/bin/sh", "-c", text], log=tmp_path / "log")


def number_in(path: Path) -> int:
    assert until(lambda: path.exists() and path.read_text().strip() != "")
    return int(path.read_text())


def test_stopping_ends_the_whole_group_even_when_it_ignores_the_request(tmp_path: Path) -> None:
    process = shell(tmp_path, f"trap '' TERM; sleep 100 & echo $! > {tmp_path}/pid; wait; wait").start()
    grandchild = number_in(tmp_path / "pid")
    own = process.pid
    process.stop(timeout=0.3)
    assert until(lambda: not alive(own) and not alive(grandchild))
    assert not process.running
    process.stop()


def test_a_process_can_be_started_again_and_appends_to_its_log(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo round; sleep 100")
    for expected in ("round", "round\nround"):
        process.start()
        with pytest.raises(TestbedError, match="sample is already running"):
            process.start()
        assert until(lambda expected=expected: process.tail() == expected)
        process.stop()


def test_an_early_end_is_reported_with_code_and_last_lines(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo cannot bind; exit 3").start()
    with pytest.raises(TestbedError, match=r"(?s)sample ended with code 3 before it was ready.*cannot bind"):
        process.wait_ready(lambda: False, timeout=5)


def test_waiting_too_long_is_reported_with_last_lines(tmp_path: Path) -> None:
    process = shell(tmp_path, "echo still loading; sleep 100").start()
    try:
        assert until(lambda: "loading" in process.tail())
        with pytest.raises(TestbedError, match=r"(?s)sample was not ready after 0 s.*still loading"):
            process.wait_ready(lambda: False, timeout=0.2)
    finally:
        process.stop()


@pytest.mark.parametrize("how", ["killed", "left", "gone at once", "killed with a living fork"])
def test_children_and_directories_do_not_outlive_their_parent(tmp_path: Path, how: str) -> None:
    script = textwrap.dedent(
        f"""
        import os, time
        from pathlib import Path
        from testbed.process import Process, TemporaryDirectory
        scratch = TemporaryDirectory()
        command = ["/bin/sh", "-c", "sleep 100 & echo $! > {tmp_path}/grandchild; wait"]
        child = Process("c", command, log=scratch.path / "log").start()
        if {how!r} == "killed with a living fork" and os.fork() == 0:
            time.sleep(4)
            os._exit(0)
        Path("{tmp_path}/said").write_text(f"{{child.pid}} {{scratch.path}}")
        if {how!r} == "gone at once":  # before the helper had time to start
            os._exit(0)
        time.sleep(100 if {how!r} != "left" else 0.5)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    assert until((tmp_path / "said").exists)
    assert until(lambda: (tmp_path / "said").read_text() != "")
    child, directory = (tmp_path / "said").read_text().split(" ", 1)
    # Gone at once, the child may be killed before it has a child of its own.
    grandchild = int(child) if how == "gone at once" else number_in(tmp_path / "grandchild")
    if "killed" in how:
        parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert until(lambda: not alive(int(child)) and not alive(grandchild))
    assert until(lambda: not Path(directory).exists())


def test_a_slow_command_is_reported_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.PROGRESS_SECONDS < 5
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0.2)
    lines: list[str] = []
    answer = process.run(["/bin/sh", "-c", "echo out; sleep 1; echo err >&2; exit 4"], "sleeping", lines.append)
    assert (answer.returncode, answer.stdout, answer.stderr) == (4, "out\n", "err\n")
    assert len(lines) >= 2 and all(line.startswith("sleeping (") for line in lines)


def test_a_command_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PROGRESS_SECONDS", 0.1)
    with pytest.raises(TestbedError, match="sleeping was not done after 0 s"):
        process.run(["/bin/sleep", "100"], "sleeping", lambda _: None, timeout=0.3)


def test_a_temporary_directory_goes_with_its_context() -> None:
    with TemporaryDirectory() as path:
        (path / "file").write_text("x")
    assert not path.exists()


def test_a_failed_request_names_the_url() -> None:
    url = f"http://127.0.0.1:{free_port()}/x"
    assert not http_ok(url)
    with pytest.raises(TestbedError, match=f"GET {url} failed"):
        http_get(url)


def test_cluster_state_can_be_saved_and_attached(tmp_path: Path) -> None:
    cluster = Cluster(
        tmp_path, "https://127.0.0.1:1", tmp_path / "ca", {"admin": "t"}, Path("/k"), {"prometheus": "http://x"}
    )
    cluster.save(tmp_path / "state.json")
    assert Cluster.attach(tmp_path / "state.json") == cluster
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0, "it holds tokens"


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"server": 1}'])
def test_a_missing_or_broken_state_file_is_refused(tmp_path: Path, text: str | None) -> None:
    state = tmp_path / "state.json"
    if text is not None:
        state.write_text(text)
    with pytest.raises(TestbedError, match="does not describe a running test bed"):
        Cluster.attach(state)


def run_testbed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testbed", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("netns",), "give the command to run"),
        (("netns", "--", "no-such-command"), "no-such-command is not an executable"),
        (("build", "etdc"), "unknown component 'etdc'"),
    ],
)
def test_mistakes_on_the_command_line_are_answered_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    answer = run_testbed(*arguments)
    assert answer.returncode == 1
    assert words in answer.stderr and "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_doctor_says_what_is_missing_and_how_long_it_takes(tmp_path: Path) -> None:
    answer = run_testbed("doctor", CONCERTMASTER_TESTBED_CACHE=str(tmp_path))
    assert "to be built" in answer.stdout and "min on two cores" in answer.stdout
    assert f"cache         {tmp_path}" in answer.stdout
