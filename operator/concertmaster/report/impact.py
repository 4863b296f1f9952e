"""The impact of a recommendation as one line of a status, and read back from it.

``41 run-hours (35 to 47), 3 failed runs (1 to 5), 12.5 USD (10 to 15) a month``: what is saved or avoided, with the 90%
interval. A status holds no floating-point numbers, so that this line is what ranks recommendations of different workflows.
"""

from __future__ import annotations

import re
from dataclasses import replace

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.core.model import Impact, Interval
from concertmaster.core.text import number

NOTHING = "not measured"
_MONTHLY = " a month"
UNITS = {"run_minutes": "run-minutes/month", "failed_runs": "failed runs/month"}  # of intervals; else a currency
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_PART = re.compile(rf"{_NUMBER} (run-hours?|run-minutes?|failed runs?|[A-Z]{{3}})(?: \({_NUMBER} to {_NUMBER}\))?")
_HOUR = 60.0  # minutes


def line(impact: Impact, currency: str) -> str:
    """The impact in words; ``NOTHING`` when no amount is predicted."""
    return f"{amounts}{_MONTHLY}" if (amounts := monthly(impact, currency)) != NOTHING else NOTHING


def monthly(impact: Impact, currency: str) -> str:
    """The same below a header that names the month: ``41 run-hours (35 to 47)``."""
    parts = []
    if impact.run_minutes is not None:
        hours = impact.run_minutes.likely >= 2 * _HOUR
        parts.append(_amount(impact.run_minutes, "run-hour" if hours else "run-minute", 1 / _HOUR if hours else 1.0))
    if impact.failed_runs is not None:
        parts.append(_amount(impact.failed_runs, "failed run"))
    if impact.money is not None:
        parts.append(_amount(impact.money, currency))
    return ", ".join(parts) or NOTHING


def parse(words: object) -> Impact:
    """The impact in a status line; an empty one for anything else."""
    if not isinstance(words, str) or not words.endswith(_MONTHLY):
        return Impact()
    minutes = failed = money = None
    for likely, unit, low, high in _PART.findall(words):
        values = [float(v) for v in (low or likely, likely, high or likely)]
        if unit.startswith("run-"):
            factor = _HOUR if "hour" in unit else 1.0
            minutes = Interval(*(v * factor for v in values))
        elif unit.startswith("failed"):
            failed = Interval(*values)
        else:
            money = Interval(*values)
    return Impact(minutes, failed, money)


def of_entry(entry: ListEntry) -> Impact:
    """The impact of an entry: the measure that it is about with its interval, the others as likely."""
    amounts, about = entry.impact, entry.interval
    likely = (amounts.run_minutes_per_month, amounts.failed_runs_per_month, amounts.money_per_month)
    impact = Impact(*(Interval(value, value, value) if value is not None else None for value in likely))
    if about is None:
        return impact
    measure = next((name for name, unit in UNITS.items() if unit == about.unit), "money")
    return replace(impact, **{measure: Interval(about.low, about.likely, about.high)})


def currency(words: object) -> str | None:
    """The currency that a line names."""
    return next((unit for _, unit, _, _ in _PART.findall(str(words)) if unit.isupper()), None)


def _amount(amount: Interval, unit: str, factor: float = 1.0) -> str:
    low, likely, high = (number(max(0.0, v) * factor) for v in (amount.low, amount.likely, amount.high))
    return counted(likely, unit) + (f" ({low} to {high})" if low != high else "")


def counted(amount: str, unit: str) -> str:
    """``1 run-hour``, ``41 run-hours``, ``12.5 USD``."""
    return f"{amount} {unit}{'' if unit.isupper() or amount == '1' else 's'}"
