"""Rows of runs by key are the same whether they are put together anew or moved on with the window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.runs.grouping import Grouping

Rows = list[tuple[str, int]]


def plain(runs: list[Rows]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for rows in runs:
        for key, row in rows:
            found.setdefault(key, []).append(row)
    return found


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=5), max_size=12),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=6),
)
def test_a_window_that_moves_gives_what_one_would_that_is_new(
    runs: list[Rows], windows: list[tuple[int, int, bool]]
) -> None:
    grouping = Grouping[str, int](())
    seen: list[tuple[Grouping[str, int], list[Rows]]] = []
    for start, count, copied in windows:
        window = [list(rows) if copied else rows for rows in runs[start : start + count]]
        grouping = grouping.moved_on(window)
        seen.append((grouping, window))
    for before, window in seen:  # also those of the time before stay as they were
        assert {key: list(rows) for key, rows in before.by_key.items()} == plain(window)
        assert list(before.by_key) == list(plain(window))
