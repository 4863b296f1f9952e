"""Durations in the notations that Go and Prometheus share, and time outside of spans."""

from __future__ import annotations

import pytest

from concertmaster.core.times import format_duration, parse_duration, seconds_outside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1d12h", 129_600.0),
    ],
)
def test_durations_add_up_their_parts(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0s"), (90.0, "1m30s"), (129_600.0, "1d12h"), (14 * 86400.0, "14d"), (86_399.7, "1d")]
)
def test_a_duration_is_written_as_it_is_read(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == round(seconds)


@pytest.mark.parametrize("text", ["", "30", "x5s", "5s ", "1 h", "1w", "-5s", "1h" * 51])
def test_everything_else_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 100.0),
        ([(-50.0, 10.0), (30.0, 40.0), (95.0, 300.0)], 75.0),
        ([(30.0, 50.0), (20.0, 40.0), (35.0, 38.0)], 70.0),
        ([(-10.0, 500.0)], 0.0),
        ([(200.0, 300.0), (-20.0, -10.0)], 100.0),
    ],
)
def test_what_several_spans_cover_counts_once(spans: list[tuple[float, float]], expected: float) -> None:
    assert seconds_outside(spans, 0.0, 100.0) == expected
    assert seconds_outside(spans, 100.0, 0.0) == 0.0
