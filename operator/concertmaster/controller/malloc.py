"""Returning memory to the system after a cycle: an idle operator should not keep the peak of its last cycle.

The C library keeps freed blocks of its heap for later; parsing a large answer leaves it full of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _trimmer() -> Callable[[int], int] | None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library than glibc: nothing to call
        return None
    trim.argtypes = [ctypes.c_size_t]
    trim.restype = ctypes.c_int
    return trim


_TRIM = _trimmer()


def give_back() -> None:
    """Return free memory to the system where the C library can."""
    if _TRIM is not None:
        _TRIM(0)
