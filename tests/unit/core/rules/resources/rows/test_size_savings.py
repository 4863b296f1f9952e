"""What all rows save together in each run: whichever containers a run has, nothing is lost or counted for another run."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from concertmaster.core.rules.resources.rows.request_row import RowSaving
from concertmaster.core.rules.resources.rows.size_savings import _of_runs

ENDS = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=8).map(sorted)


def row(times: list[float]) -> RowSaving:
    """A row that saves 1 in each of the runs that ended at these times, and 1000 more for the first of a second."""
    return RowSaving(1.0, 1.0, 1.0, tuple(times), [1.0 if times[:i].count(t) else 1001.0 for i, t in enumerate(times)])


@given(st.lists(ENDS, min_size=1, max_size=4), st.integers(-1, 6).map(float))
@example([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]], -1.0)
@example([[1.0, 2.0], [2.0]], 2.0)
def test_each_run_saves_what_all_rows_save_in_it(rows: list[list[float]], first: float) -> None:
    alike = all(times == rows[0] for times in rows)
    since = -math.inf if alike else first  # rows of the same runs are known since the first of these
    found = _of_runs([row(times) for times in rows], since)
    kept = [[t for t in times if t >= since] for times in rows]
    runs = Counter[float]()
    for times in kept:
        runs |= Counter(times)
    assert len(found) == runs.total()
    assert sum(found) == pytest.approx(sum(len(times) + 1000 * len(set(times)) for times in kept))


def test_runs_with_one_of_two_branches_are_in_order_of_time() -> None:
    """How alike runs that follow each other are widens the interval of their mean."""
    plain, large = (RowSaving(1.0, 1.0, 1.0, times, [own] * 2) for times, own in (((1.0, 3.0), 1.0), ((2.0, 4.0), 3.0)))
    assert _of_runs([plain, large], 0.0) == [1.0, 3.0, 1.0, 3.0]
