"""Cleanup of left-over processes: outlives its parent briefly and removes what it left.

Context managers stop children in every orderly exit, but no process can react to SIGKILL, and Linux' parent-death
signal fires when the starting *thread* ends and does not reach grandchildren. Therefore each Python process reports its
process groups and temporary directories to one small helper; when the helper's input closes, or its parent changes, it
kills the groups and removes the directories. Run as a script with `-I -S`, hence the bare imports.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time

# The input closes with the parent; the parent's id is compared as well, because a forked child may keep the write end
# of the pipe open.
CHECK_SECONDS = 1.0


def _clean(groups: set[int], directories: set[str]) -> None:
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # already gone, or its number was reused by another user
    for _ in range(20):
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        if not any(os.path.exists(d) for d in directories):  # noqa: PTH110 - pathlib costs start-up time
            return
        time.sleep(0.1)  # a process being killed can still create files


def main() -> None:
    """Read `+g ID`, `-g ID`, `+d PATH`, `-d PATH` lines until the parent has ended, then clean up."""
    # Ctrl-C is for the parent, which stops its children in order and then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = int(sys.argv[1])
    groups: set[int] = set()
    directories: set[str] = set()
    pending = b""
    while True:
        # Checked before reading, so that lines written before the parent's death are still processed.
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
