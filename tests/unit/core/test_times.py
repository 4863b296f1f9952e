"""Durations in the notations that Go and Prometheus share."""

from __future__ import annotations

import pytest

from concertmaster.core.times import parse_duration


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


@pytest.mark.parametrize("text", ["", "30", "x5s", "5s ", "1 h", "1w", "-5s", "1h" * 51])
def test_everything_else_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None
