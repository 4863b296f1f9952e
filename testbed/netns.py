"""Runs a command in a new network namespace that only has the loopback interface.

Some controllers listen on fixed ports of all addresses. Inside such a namespace they cause no conflicts and are not
reachable from outside, and several test beds can run in parallel. The test runner must be inside as well, so it is the
command to run. There is no network access inside: build first.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from testbed.process import TestbedError

MARK = "CONCERTMASTER_TESTBED_NETNS"

_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def inside() -> bool:
    """Whether this process was started by `enter`."""
    return os.environ.get(MARK) == "1"


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _new_namespace() -> None:
    """Create a network namespace; without permission, inside a new user namespace with this user as root."""
    try:
        _unshare(_CLONE_NEWNET)
        return
    except PermissionError:
        pass  # the normal case for unprivileged users
    user, group = os.getuid(), os.getgid()
    _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def enter(command: Sequence[str]) -> NoReturn:
    """Replace this process by `command` in a new network namespace, or in the current one if it is one of the test bed.

    Raises TestbedError if the kernel rejects it or the command does not exist.
    """
    program = shutil.which(command[0])
    if program is None:
        raise TestbedError(f"{command[0]} is not an executable on PATH")
    if not inside():
        try:
            _new_namespace()
            _bring_up_loopback()
        except OSError as error:
            raise TestbedError(
                f"the kernel refuses a network namespace ({error}). Run as root, or allow user namespaces "
                "(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)."
            ) from error
    os.execve(program, list(command), {**os.environ, MARK: "1"})
