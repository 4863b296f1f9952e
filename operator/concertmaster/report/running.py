"""Runs in progress as a status shows them. Moments are rounded, so that a status is written when a forecast has moved by
something people would notice, not in every cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.running.forecast import RunForecast
from concertmaster.core.times import iso, parse_time
from concertmaster.core.units import HOUR

MAX_RUNS = 5
_SHARE = 0.1  # of the run's expected duration: the unit of its moments
_MIN_ROUNDING = 60.0  # seconds


def document(forecasts: Sequence[RunForecast]) -> list[dict[str, Any]]:
    """The runs that are late first, then those that started first; at most ``MAX_RUNS``."""
    chosen = sorted(forecasts, key=lambda f: (not f.late, f.start, f.run))[:MAX_RUNS]
    return [_entry(f) for f in chosen]


def _entry(forecast: RunForecast) -> dict[str, Any]:
    unit = max(_MIN_ROUNDING, _rounding_unit(_SHARE * (forecast.end - forecast.start)))
    entry = {
        "deadline": iso(forecast.deadline),
        "earliestEnd": iso(unit * (forecast.low // unit)),
        "expectedEnd": iso(unit * round(forecast.end / unit)),
        "late": forecast.late,
        "latestEnd": iso(unit * -(-forecast.high // unit)),
        "name": forecast.run,
        "startTime": iso(forecast.start),
        "step": forecast.by[:63] or None,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _rounding_unit(seconds: float) -> float:
    """A whole number of minutes that divides an hour, or of hours."""
    for minutes in (1, 2, 5, 10, 15, 30):
        if seconds < 60.0 * minutes:
            return 60.0 * minutes
    return HOUR * max(1.0, round(seconds / HOUR))


def late_sentence(entry: Mapping[str, Any]) -> str:
    """The message of the Event for a late run."""
    step = f", held up by {entry['step']}" if entry.get("step") else ""
    end, deadline = str(entry.get("expectedEnd")), str(entry.get("deadline"))
    try:
        beyond = parse_time(end) - parse_time(deadline)
    except ValueError:
        beyond = 0.0
    by = f" ({text.duration(beyond)} late)" if beyond > 0 else ""
    return f"run {entry.get('name')} is expected to end {end}{by}; its deadline is {deadline}{step}"
