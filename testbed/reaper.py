"""Last line of defence against left-over processes: outlives its parent by a moment and clears up after it.

Context managers stop children on every orderly way out, but nothing in a process can react to SIGKILL, and Linux'
parent-death signal fires when the starting *thread* ends and does not reach grandchildren. So one small helper
per Python process is reported about each process group and temporary directory; when its input closes, or its parent
changes, it kills the groups and removes the directories. Run as a script with `-I -S`, hence the bare imports.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time

# The input closes with the parent; the parent's id is compared as well, because a forked child that lives on
# keeps the write end of the pipe open.
CHECK_SECONDS = 1.0


def _clean(groups: set[int], directories: set[str]) -> None:
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # already gone, or its number belongs to someone else by now
    for _ in range(20):
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        if not any(os.path.exists(d) for d in directories):  # noqa: PTH110 - pathlib costs start-up time
            return
        time.sleep(0.1)  # a process that is being killed can still create files


def main() -> None:
    """Read `+g ID`, `-g ID`, `+d PATH`, `-d PATH` lines until the parent is gone, then clean."""
    # The terminal's Ctrl-C is for the parent, which stops its children in order and then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = int(sys.argv[1])
    groups: set[int] = set()
    directories: set[str] = set()
    pending = b""
    while True:
        # Asked before reading: what the parent said before it died has to be read even when it is dead by now.
        orphaned = os.getppid() != parent
        ready, _, _ = select.select([0], [], [], 0 if orphaned else CHECK_SECONDS)
        chunk = os.read(0, 65536) if ready else b""
        if not chunk and (ready or orphaned):
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            verb, _, value = line.decode().partition(" ")
            if verb == "+g":
                groups.add(int(value))
            elif verb == "-g":
                groups.discard(int(value))
            elif verb == "+d":
                directories.add(value)
            elif verb == "-d":
                directories.discard(value)
    _clean(groups, directories)


if __name__ == "__main__":
    main()
