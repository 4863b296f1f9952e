"""Why records may stand for samples: with one evaluation missing nothing is uncovered, with two they are not used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.queries.recording_rule import INTERVAL, SPANS, TAIL, covered

NOW = 10 * 86_400


def evaluations(span: int, offset: int, missing: set[int]) -> list[int]:
    """Moments within ``span`` before NOW at which the rule was evaluated."""
    found = [t for t in range(NOW - span + 1, NOW + 1) if t % INTERVAL == offset]
    return [t for n, t in enumerate(found) if n not in missing]


def uncovered(span: int, moments: list[int]) -> set[int]:
    """Seconds of the span that neither a record nor the direct look at the tail covers."""
    rest = set(range(NOW - span + 1, NOW - TAIL + 1))
    for t in moments:
        rest -= set(range(t - 179, t - 59))
    return rest


@given(st.sampled_from(SPANS[:2]), st.integers(0, INTERVAL - 1), st.integers(-1, 400))
def test_with_at_most_one_evaluation_missing_every_second_is_covered(span: int, offset: int, missing: int) -> None:
    moments = evaluations(span, offset, {missing})
    assert covered([(span, len(moments))]) == span
    assert uncovered(span, moments) == set()


@given(st.integers(0, INTERVAL - 1), st.integers(1, 50))
def test_two_neighbours_missing_leave_a_hole_and_are_not_used(offset: int, first: int) -> None:
    moments = evaluations(3600, offset, {first, first + 1})
    assert uncovered(3600, moments)
    assert covered([(3600, len(moments))]) == 0


@pytest.mark.parametrize(
    ("counts", "span"),
    [
        ([], 0),
        ([(3600, 60.0), (21_600, 90.0), (86_400, 90.0)], 3600),  # an hour and a half old
        ([(3600, 60.0), (21_600, 359.0), (86_400, 1000.0)], 21_600),
        ([(3600, 58.0), (21_600, 358.0)], 0),
        ([(3600, 61.0), (21_600, 361.0)], 21_600),  # both ends of the span met one
        ([(3600, 120.0)], 0),  # every 30 s, or two replicas: 60 of them may be missing unseen
        ([(3600, 120.0), (21_600, 360.0)], 0),  # three hours of every 30 s
    ],
)
def test_the_longest_span_without_a_hole(counts: list[tuple[int, float]], span: int) -> None:
    assert covered(counts) == span
