"""Runs a command as a user other than root, which some servers require: `python demote.py DIRECTORY COMMAND...`.

Root becomes user 1000 of a new user namespace, where it owns the same files. Without such namespaces it becomes nobody,
after `DIRECTORY` has been given to that user. Any other user runs the command directly.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_INNER = 1000
_NOBODY = 65534


def _own_namespace() -> bool:
    if ctypes.CDLL(None, use_errno=True).unshare(ctypes.c_int(_CLONE_NEWUSER)) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INNER} 0 1")
    Path("/proc/self/gid_map").write_text(f"{_INNER} 0 1")
    return True


def _nobody(directory: str) -> None:
    os.chown(directory, _NOBODY, _NOBODY)
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


if __name__ == "__main__":
    if os.geteuid() == 0 and not _own_namespace():
        _nobody(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
