"""Durations over time, with the points at which they changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core import text
from concertmaster.core.model import Outcome
from concertmaster.core.times import parse_time, to_minute
from concertmaster.core.units import DAY
from concertmaster.web.charts.axis import marks

_DATES = 4  # days from which the marks of time are dates, which differ then
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 920, 240, 70, 26, 26


@dataclass(frozen=True, slots=True)
class SeriesChart:
    """Dots (x, y, failed, title), change points (x, title), marks of both axes; ``moments``: of the change points, unix
    seconds."""

    width: float
    height: float
    dots: tuple[tuple[float, float, bool, str], ...]
    changes: tuple[tuple[float, str], ...]
    horizontal: tuple[tuple[float, str], ...]
    vertical: tuple[tuple[float, str], ...]
    moments: tuple[float, ...] = ()
    left: int = _LEFT
    top: int = _TOP
    bottom: float = _HEIGHT - _BOTTOM


def series_chart(
    series: Sequence[tuple[float, float, Outcome]], changes: Sequence[Mapping[str, Any]]
) -> SeriesChart | None:
    """The chart; None below two runs."""
    if len(series) < 2:
        return None
    first, last = series[0][0], series[-1][0]
    span, most = max(1.0, last - first), max(1e-3, *(s[1] for s in series)) * 1.08
    right, floor = _WIDTH - 16.0, _HEIGHT - _BOTTOM

    def x(moment: float) -> float:
        return round(_LEFT + (moment - first) / span * (right - _LEFT), 1)

    def y(seconds: float) -> float:
        return round(floor - seconds / most * (floor - _TOP), 1)

    dots = tuple(
        (x(end), y(seconds), outcome is Outcome.FAILED, f"{to_minute(end)}: {text.duration(seconds)}, {outcome.value}")
        for end, seconds, outcome in series
    )
    points, moments = [], []
    for change in changes:
        try:
            at = parse_time(str(change.get("since")))
        except ValueError:
            continue
        ratio = change.get("ratio")
        if first <= at <= last and isinstance(ratio, int | float):
            points.append((x(at), f"since {to_minute(at)}: {100 * (ratio - 1):+.0f}%"))
            moments.append(at)
    middle, shown = first + span / 2, slice(0, 10) if span >= _DATES * DAY else slice(5, 16)
    return SeriesChart(
        _WIDTH,
        _HEIGHT,
        dots,
        tuple(points),
        tuple((y(at), label) for at, label in marks(most, 4)),
        tuple((x(at), to_minute(at)[shown]) for at in (first, middle, last)),
        tuple(moments),
    )
