"""The same work on many items, in as many processes as there are cores."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from concertmaster.net import cgroup

T = TypeVar("T")
R = TypeVar("R")

_MIN_ITEMS = 40  # items for which starting processes pays
_PARTS = 8  # of the work of one process: those that are done early take from the others
_in_child: Callable[[int], Any]


def in_processes(call: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``call`` of every item, in their order; raises what it raises.

    The processes are forked and share what ``call`` refers to, so only results need to pickle. Where a fork is not safe
    (anywhere but on Linux) the work is done here.
    """
    cores = cgroup.cores() if sys.platform == "linux" else 1
    if cores < 2 or len(items) < _MIN_ITEMS:
        return [call(item) for item in items]
    with multiprocessing.get_context("fork").Pool(cores, _begin, (call, items)) as pool:
        return pool.map(_work, range(len(items)), chunksize=max(1, len(items) // (cores * _PARTS)))


def _begin(call: Callable[[Any], Any], items: Sequence[Any]) -> None:
    global _in_child
    _in_child = lambda number: call(items[number])  # noqa: E731


def _work(number: int) -> Any:
    return _in_child(number)
