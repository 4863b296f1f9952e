"""Daily rows as the tables hold them.

Amounts are stored as whole numbers (milliseconds, millionths of a currency unit), which take SQLite one to five bytes
where a floating-point number takes eight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.analysis.daily.rows import combine
from concertmaster.core.model.daily import DailyRow

# Before the names of largest amounts, beside metrics, whose names have no slash. Others with one are of a later version.
PEAK_PREFIX = "largest/"
_MILLI, _MICRO = 1e3, 1e6
_MAX_INTEGER = 2.0**53  # of a whole number as stored: what users' queries give may be beyond what a database holds
COLUMNS = "day, count, succeeded, failed, timed, seconds, p50, p95, cost, wasted, queue, score, until"


def as_stored(row: DailyRow, before: DailyRow | None) -> DailyRow:
    """The row as it is to be stored, in the precision of the table."""
    if before is None:
        after = row
    elif row.whole:  # largest amounts are those of a profile that analyses fewer runs, where this one has none
        score = row.score if row.score is not None else before.score
        after = replace(row, score=score, largest=row.largest or before.largest)
    elif row.until > before.until:
        after = combine([before, row]) or row
    else:
        after = before
    return row_of(after.step, values_of(after), amounts_of(after))


def amounts_of(row: DailyRow) -> dict[str, float]:
    """Its metrics and largest amounts by the name they are stored under."""
    return {**row.metrics, **{f"{PEAK_PREFIX}{name}": amount for name, amount in row.largest.items()}}


def values_of(row: DailyRow) -> list[Any]:
    """The row in the order of ``COLUMNS``."""
    times = [_whole(v, _MILLI) for v in (row.seconds, row.p50, row.p95)]
    money = [_whole(v, _MICRO) for v in (row.cost, row.wasted)]
    queue = _whole(row.queue, _MILLI)
    counts = [row.day, row.count, row.succeeded, row.failed, row.timed]
    return [*counts, *times, *money, queue, row.score, row.until]


def _whole(value: float | None, scale: float) -> int | None:
    return None if value is None else round(max(-_MAX_INTEGER, min(_MAX_INTEGER, value * scale)))


def row_of(step: str, values: Sequence[Any], metrics: Mapping[str, float]) -> DailyRow:
    """The row of a ``step`` from the ``values`` of ``COLUMNS`` and its stored amounts by name."""
    day, count, succeeded, failed, timed, seconds, p50, p95, cost, wasted, queue, score, until = values
    milli = [None if v is None else v / _MILLI for v in (p50, p95, queue)]
    money = [None if v is None else v / _MICRO for v in (cost, wasted)]
    return DailyRow(
        day, step, count, succeeded, failed, timed, (seconds or 0) / _MILLI,
        p50=milli[0],
        p95=milli[1],
        cost=money[0],
        wasted=money[1],
        queue=milli[2],
        metrics={name: amount for name, amount in metrics.items() if "/" not in name},
        largest={n.removeprefix(PEAK_PREFIX): amount for n, amount in metrics.items() if n.startswith(PEAK_PREFIX)},
        score=score,
        until=until,
    )  # fmt: skip
