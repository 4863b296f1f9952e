"""Rows of runs by key are the same whether they are put together anew or moved on with the window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.runs.grouping import Grouping

Row = tuple[str, int]


def plain(runs: list[list[Row]]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for rows in runs:
        for row in rows:
            found.setdefault(row[0], []).append(row)
    return found


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=5), max_size=12),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=6),
)
def test_a_window_that_moves_gives_what_one_would_that_is_new(
    runs: list[list[Row]], windows: list[tuple[int, int, bool]]
) -> None:
    grouping = Grouping[Row](())
    seen: list[tuple[Grouping[Row], list[list[Row]]]] = []
    for start, count, copied in windows:
        window = [list(rows) if copied else rows for rows in runs[start : start + count]]
        grouping = grouping.moved_on(window)
        seen.append((grouping, window))
    for before, window in seen:  # also those of the time before stay as they were
        assert {key: list(rows) for key, rows in before.by_key.items()} == plain(window)
        assert list(before.by_key) == list(plain(window))
