"""What was seen at times and is over."""

from __future__ import annotations

import pytest

from concertmaster.core.stats.exact import is_over, is_over_beyond_pauses

DAYS = [True] * 6
WEEKEND = [False] * 12


@pytest.mark.parametrize(
    ("since", "over"),
    [(WEEKEND, False), ([False] * 24, False), ([False] * 26, True)],
)
def test_what_comes_back_after_each_weekend_is_over_after_more_than_two_of_them(since: list[bool], over: bool) -> None:
    seen = [*DAYS * 5, *WEEKEND, *DAYS * 5, *since]
    assert is_over(seen)  # by chance alone, one weekend is enough
    assert is_over_beyond_pauses(seen) is over


def test_what_was_never_seen_or_is_still_seen_is_not_over() -> None:
    assert not is_over_beyond_pauses([])
    assert not is_over_beyond_pauses([False] * 50)
    assert not is_over_beyond_pauses([*DAYS, *WEEKEND, True])
