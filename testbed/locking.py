"""File locks between processes that share the test bed's cache."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NOTICE_SECONDS = 4.0


@contextmanager
def locked(path: Path, what: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the exclusive lock on `path`; reports every few seconds that it waits for another process' `what`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    started = reported = time.monotonic()
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = time.monotonic()
                if now - reported >= NOTICE_SECONDS:
                    reported = now
                    progress(f"waiting for {what}, which another process prepares ({now - started:.0f} s)")
                time.sleep(0.25)
        yield


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a shared lock on `path`: any number of processes may, and `try_exclusive` fails meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def try_exclusive(path: Path) -> Iterator[bool]:
    """Yield whether the exclusive lock on `path` was free; it is held until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
