"""TCP ports for servers, of which no two processes of the test bed are given the same one."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

from testbed.process import TestbedError

# Below the kernel's default range of ephemeral ports (32768 and up): a restarted server needs its port again, and any
# client connection in between could be assigned an ephemeral one.
_PORTS = range(20000, 32000)
# A server may load history for long before it listens: until then nothing but the lock says that its port is taken, and the
# server of another process would answer in its place.
_BLOCK = 400
_left: list[int] = []
_locks: list[IO[str]] = []  # held as long as this process lives


def free_port() -> int:
    """An unused TCP port on 127.0.0.1, which this process is given once, and no other one while it lives. Raises
    TestbedError without one."""
    while True:
        if not _left:
            _left.extend(_claimed())
        port = _left.pop()
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _claimed() -> list[int]:
    """A block of ports that no other process has, in any order."""
    directory = Path(tempfile.gettempdir()) / f"concertmaster-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    for begin in random.sample(_PORTS[::_BLOCK], len(_PORTS) // _BLOCK):
        file = (directory / str(begin)).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _locks.append(file)
        return random.sample(range(begin, begin + _BLOCK), _BLOCK)
    held = f"every block of ports between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1 is held by a process of the test bed"
    raise TestbedError(f"{held} (locks in {directory}): end those that are not needed")
