"""Work shared by processes gives what one would give."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest

from concertmaster.cli.processes import in_processes


def _cores(count: int) -> set[int]:
    return set(range(count))


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 39, 40, 1001])
def test_results_come_in_the_order_of_the_items(cores: int, items: int) -> None:
    offset = 7  # nothing of the call needs to pickle
    with patch.object(os, "sched_getaffinity", lambda _: _cores(cores), create=True):
        assert in_processes(lambda n: n + offset, range(items)) == [n + offset for n in range(items)]


def test_many_items_are_shared_by_processes_and_few_are_not() -> None:
    with patch.object(os, "sched_getaffinity", lambda _: _cores(2)):
        assert os.getpid() not in in_processes(lambda _: os.getpid(), range(100))
        assert set(in_processes(lambda _: os.getpid(), range(10))) == {os.getpid()}


def test_what_the_work_raises_is_raised_here() -> None:
    def fails(n: int) -> int:
        if n == 77:
            raise ValueError("77 is no workflow")
        return n

    with patch.object(os, "sched_getaffinity", lambda _: _cores(2), create=True), pytest.raises(ValueError, match="77"):
        in_processes(fails, range(100))
