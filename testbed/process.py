"""Supervised child processes, logged and never left behind.

Each child has its own process group and log file. Stopping means SIGTERM, then SIGKILL for the whole group; if this
process itself is killed, `testbed.reaper` does the same.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO


class TestbedError(Exception):
    """An error of the test bed; the message says what failed, where, and what to do."""

    __test__ = False  # keeps pytest from collecting the class by its name


class _Reaper:
    """Connection of this process to `testbed.reaper`, which is started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._pipe: IO[bytes] | None = None

    def send(self, verb: str, value: object) -> None:
        with self._lock:
            if self._owner != os.getpid():  # first use, or the fork of a process that had one
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py")), str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self._pipe = child.stdin
                self._owner = os.getpid()
                child.returncode = 0  # suppresses a warning: it outlives this process and is never waited for
            if self._pipe is None:
                raise TestbedError("the clean-up helper has no input pipe; this is a defect of the test bed")
            try:
                self._pipe.write(f"{verb} {value}\n".encode())
                self._pipe.flush()
            except BrokenPipeError:
                pass  # the helper was killed: orderly stops still work, only the safety net is gone


_reaper = _Reaper()


class TemporaryDirectory:
    """A temporary directory that is removed even after SIGKILL."""

    def __init__(self, prefix: str = "concertmaster-testbed-") -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        _reaper.send("+d", self.path)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        _reaper.send("-d", self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


class Process:
    """One supervised child.

    `argv[0]` is a path; stdout and stderr are appended to `log`, also over restarts. `env` is added to the environment
    of this process.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = [str(part) for part in argv]
        self.log = log
        self.env = dict(env or {})
        self.cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child; raises TestbedError if it was never started."""
        if self._child is None:
            raise TestbedError(f"{self.name} has not been started")
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit code; None while it runs."""
        return None if self._child is None else self._child.poll()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> Process:
        """Start the child; raises TestbedError if it is running already."""
        if self.running:
            raise TestbedError(f"{self.name} is already running as process {self.pid}")
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                cwd=self.cwd,
                start_new_session=True,
            )
        _reaper.send("+g", self._child.pid)
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """Send SIGTERM, wait up to `timeout` seconds, then kill the whole group. Safe to call twice."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self) -> None:
        """Kill the child and its process group immediately."""
        if self._child is None:
            return
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # the group is empty
        self._child.wait()
        _reaper.send("-g", self._child.pid)
        self._child = None

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log, as text."""
        try:
            with self.log.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 65536))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def wait_ready(self, probe: Callable[[], bool], timeout: float = 60.0, interval: float = 0.1) -> None:
        """Wait until `probe` returns True; raises TestbedError with the last log lines if the child ends first or after
        `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not probe():
            problem = None
            if not self.running:
                problem = f"ended with code {self.returncode} before it was ready"
            elif time.monotonic() > deadline:
                problem = f"was not ready after {timeout:.0f} s"
            if problem:
                raise TestbedError(f"{self.name} {problem}; last lines of {self.log}:\n{self.tail()}")
            time.sleep(interval)


PROGRESS_SECONDS = 4.0


def run(
    command: Sequence[str | Path], doing: str, progress: Callable[[str], None], *, timeout: float = 900.0
) -> subprocess.CompletedProcess[str]:
    """Run a slow command to its end; reports every few seconds that it is still `doing` that.

    Raises TestbedError after `timeout` seconds; the caller checks the exit code.
    """
    started = time.monotonic()
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        _reaper.send("+g", child.pid)
        try:
            while True:
                try:
                    output, errors = child.communicate(timeout=PROGRESS_SECONDS)
                    return subprocess.CompletedProcess(child.args, child.returncode, output, errors)
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - started
                    if elapsed > timeout:
                        raise TestbedError(f"{doing} was not done after {timeout:.0f} s") from None
                    progress(f"{doing} ({elapsed:.0f} s)")
        finally:
            child.kill()
            _reaper.send("-g", child.pid)


def http_get(url: str, *, ca_file: Path | None = None, token: str | None = None, timeout: float = 2.0) -> bytes:
    """Body of a GET with a 2xx response; raises TestbedError otherwise. Proxy settings are ignored: everything is
    local."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file)) if ca_file else ssl.create_default_context()
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        with opener.open(request, timeout=timeout) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(1000).decode(errors="replace")
        raise TestbedError(f"GET {url} was answered with {error.code}: {body}") from error
    except (OSError, http.client.HTTPException) as error:
        raise TestbedError(f"GET {url} failed: {error}") from error


def http_ok(url: str, *, ca_file: Path | None = None, token: str | None = None, timeout: float = 2.0) -> bool:
    """Whether a GET returns 2xx; any failure counts as False."""
    try:
        http_get(url, ca_file=ca_file, token=token, timeout=timeout)
    except TestbedError:
        return False
    return True
