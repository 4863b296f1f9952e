"""How the process treats memory. What is free is returned to the system after a cycle: an idle operator should not keep the
peak of its last cycle.

The C library keeps freed blocks of its heap for later; parsing a large answer leaves it full of them.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

_YOUNG = 10_000  # objects; Python's 700 are two runs


def collect_seldom() -> None:
    """Look for circles of garbage less often: an analysis makes some 20,000 objects that stay until it ends, and looking
    through them again and again took a fifth of its time. Nearly all garbage is freed by its reference count."""
    gc.set_threshold(_YOUNG, 20, 20)


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
