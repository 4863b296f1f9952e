"""How the process treats memory. What is free is returned to the system after a cycle: an idle operator should not keep the
peak of its last cycle.

The C library returns every free page of its heap, wherever it lies. Python's own allocator returns only arenas of 1 MiB
that are free as a whole, and one object that stays is enough to hold one; so the image switches it off
(``PYTHONMALLOC=malloc``): a quarter less memory once the past was read, for 6% more CPU.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

_GC_THRESHOLD = 10_000  # objects; Python's 700 are two runs
_COLLECTED_WITH = 20  # all garbage is collected once a workflow in so many was analysed
_M_ARENA_MAX = -8  # of glibc's malloc.h


def _c_library() -> Any:
    """glibc, or None: another C library has nothing of what is called here."""
    try:
        library = ctypes.CDLL(None)
        library.malloc_trim.argtypes = [ctypes.c_size_t]
        library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY = _c_library()


def collect_seldom() -> None:
    """Run the cyclic garbage collector less often: an analysis creates some 20,000 objects that stay until it ends, and
    examining them again and again took a fifth of its time. Reference counts free nearly all garbage."""
    gc.set_threshold(_GC_THRESHOLD, 20, 20)


@contextmanager
def collect_afterwards() -> Iterator[None]:
    """Defer the cyclic garbage collector: an analysis of two weeks of runs creates 30,000 objects that are all gone at
    its end. What others leave is counted; a higher threshold kept 3 to 9 MiB more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def share_one_heap() -> None:
    """Make all threads allocate from one heap. Call before any thread is started: with a heap for each thread, memory
    freed by one cannot be reused by the next."""
    if _LIBRARY is not None:
        _LIBRARY.mallopt(_M_ARENA_MAX, 1)


def leave_out_what_stays() -> None:
    """Exclude all existing objects from garbage collection. Call once everything is imported: most objects of a small
    operator are its code."""
    _release_replaced_classes()
    gc.collect()
    gc.freeze()


def _release_replaced_classes() -> None:
    """``dataclass(slots=True)`` makes a second class, with slots; of a frozen one the methods that refuse to set and to
    delete fields keep the first alive: 1 MiB for the few hundred of an operator. Let them refer to the class they are in.
    """
    for kind in [o for o in gc.get_objects() if isinstance(o, type) and "__slots__" in vars(o)]:
        for name in ("__setattr__", "__delattr__"):
            method = vars(kind).get(name)
            if isinstance(method, FunctionType) and "__dataclass_fields__" in vars(kind):
                for variable, cell in zip(method.__code__.co_freevars, method.__closure__ or (), strict=True):
                    if variable == "cls":
                        cell.cell_contents = kind


def give_back(*, worked: bool, complete: bool = True) -> None:
    """Return free memory to the system where the C library can. After a cycle that ``worked``, reference cycles are
    collected first: events and requests leave some, and an idle process would never collect them. Unless ``complete``, only
    among what is new since the last time: with 10,000 workflows examining all takes about half as long as a quiet cycle."""
    if worked:
        gc.collect(2 if complete else 1)
    if _LIBRARY is not None:
        _LIBRARY.malloc_trim(0)


class FreeMemory:
    """Gives memory back after each cycle. All garbage is collected once a twentieth of the workflows was analysed."""

    def __init__(self) -> None:
        self._analyzed = 0

    def __call__(self, analyzed: int, workflows: int) -> None:
        """``analyzed``: workflows that the cycle analysed, of ``workflows``."""
        self._analyzed += analyzed
        complete = self._analyzed * _COLLECTED_WITH >= workflows
        give_back(worked=analyzed > 0, complete=complete)
        if complete:
            self._analyzed = 0
