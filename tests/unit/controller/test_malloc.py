"""How the process treats memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest

from concertmaster.controller.malloc import collect_afterwards, give_back, leave_out_what_stays

OPERATOR = Path(__file__).resolve().parents[3] / "operator"
HEAPS = """
import ctypes, threading
from concertmaster.controller.malloc import share_one_heap
if {shared}:
    share_one_heap()
kept = []
for _ in range(4):
    thread = threading.Thread(target=lambda: kept.append([bytes(2000 + i) for i in range(2000)]))
    thread.start()
    thread.join()
library = ctypes.CDLL(None)
library.fdopen.restype = ctypes.c_void_p
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.malloc_info(0, ctypes.c_void_p(library.fdopen(1, b"w")))
library.fflush(None)
"""


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


def circle() -> weakref.ref[Circle]:
    """A reference to one that nothing else knows."""
    return weakref.ref(Circle())


@pytest.mark.parametrize("worked", [True, False])
def test_circles_of_garbage_go_after_a_cycle_that_worked(worked: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        garbage = circle()
        give_back(worked=worked)
        assert (garbage() is None) is worked
    finally:
        gc.enable()


@pytest.mark.parametrize("complete", [True, False])
def test_garbage_that_was_long_in_use_goes_once_all_is_collected(complete: bool) -> None:
    kept = Circle()
    old = weakref.ref(kept)
    gc.collect()
    gc.disable()
    try:
        del kept
        new = circle()
        give_back(worked=True, complete=complete)
        assert new() is None
        assert (old() is None) is complete
    finally:
        gc.enable()


def test_what_stays_is_left_out_of_every_search() -> None:
    try:
        leave_out_what_stays()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


def test_classes_replaced_by_some_with_slots_go_and_the_others_stay_frozen() -> None:
    class Plain:
        seconds: float

    frozen = dataclass(frozen=True, slots=True)(Plain)
    first = weakref.ref(Plain)
    del Plain
    gc.collect()
    assert first() is not None, "nothing is left to release: this Python does it itself"
    try:
        leave_out_what_stays()
        assert first() is None
    finally:
        gc.unfreeze()
    value = frozen(1.0)
    with pytest.raises(FrozenInstanceError):
        value.seconds = 2.0
    with pytest.raises(FrozenInstanceError):
        del value.seconds
    with pytest.raises(FrozenInstanceError):
        value.minutes = 2.0


@pytest.mark.parametrize("shared", [True, False])
def test_threads_share_one_heap(shared: bool) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HEAPS.format(shared=shared)],
        env={"PYTHONPATH": str(OPERATOR), "PYTHONMALLOC": "malloc"},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert (ran.stdout.count("<heap nr=") == 1) is shared, ran.stdout


def test_circles_are_looked_for_again_after_an_analysis_that_failed() -> None:
    with pytest.raises(ValueError, match="no analysis"), collect_afterwards():
        assert not gc.isenabled()
        raise ValueError("no analysis")
    assert gc.isenabled()


def test_garbage_made_meanwhile_is_found_afterwards() -> None:
    before = gc.get_threshold()
    gc.set_threshold(1_000)
    try:
        with collect_afterwards():
            circles = [weakref.ref(Circle()) for _ in range(2_000)]
            assert None not in [circle() for circle in circles]
        kept: list[list[int]] = [[] for _ in range(1_001)]  # the next few objects
        assert [circle() for circle in circles] == [None] * 2_000
        del kept
    finally:
        gc.set_threshold(*before)
