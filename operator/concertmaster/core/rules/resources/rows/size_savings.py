"""What the rows of ``right-size`` save per month, and how well that is known.

Four things are uncertain besides the prices: how long the pods of the runs to come hold what they request, in how many
runs they take part, how full their nodes are, and the size that is set in the end. The first is measured on the sum of all
rows in each run, since what makes one pod of a run take longer mostly prolongs the others as well. On full nodes a lower
CPU request makes pods take longer, and they reserve all they request for that time. The size is not noise: a request may
be written in a rounder figure, and later runs move the proposal. Every size between a little above the largest peak and
the target utilization is one that the rule would leave alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import Interval
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import in_share
from concertmaster.core.rules.resources.rows.request_row import RequestRow, RowSaving
from concertmaster.core.rules.resources.rows.row_parts import MIN_HEADROOM
from concertmaster.core.stats.means import combined, mean_with_interval
from concertmaster.core.units import GIB, HOUR


def priced(evidence: Evidence, row: RequestRow) -> RequestRow:
    """The row with its savings per month and per run; none without a request to compare with."""
    if row.old is None:
        return fast_replace(row, edits=tuple(fast_replace(e, weight=0.0) for e in row.edits))
    container, analysis = row.unit.container, evidence.analysis
    pricing, rate = row.unit.step.pricing, analysis.cost.runs_per_month
    unit, hourly = (GIB, pricing.memory_gib_hour) if row.resource == "memory" else (1.0, pricing.cpu_core_hour)
    present = analysis.presence(row.unit.step, container)
    times, reserved = analysis.held(container)
    hours = sum(reserved) / len(reserved) / HOUR
    less = row.less / unit
    saving = None
    if less and hourly and rate:
        price = hourly * rate * present
        smallest, largest = _as_right(evidence, row, row.old)
        saving = RowSaving(
            less * price * hours,
            (row.less + row.new - largest) / unit * price * hours,
            (row.less + row.new - smallest) / unit * price * hours,
            times,
            [less * price * seconds / HOUR for seconds in reserved],
            row.slower * max(0.0, _hourly(row) - less * hourly) * rate * present * hours,
        )
    weight = max(0.0, saving.likely) if saving is not None else 0.0
    edits = tuple(fast_replace(e, weight=0.0 if "/limits/" in e.pointer else weight) for e in row.edits)
    return fast_replace(row, saving=saving, edits=edits, freed=less * hours * present)


def _hourly(row: RequestRow) -> float:
    """The price of what the row's pod reserves at present, per hour."""
    pricing = row.unit.step.pricing
    return math.fsum(
        (c.cpu_request or 0.0) * pricing.cpu_core_hour
        + (c.memory_request or 0.0) / GIB * pricing.memory_gib_hour
        + (c.gpu_request or 0.0) * pricing.gpu_hour
        for c in row.unit.step.containers
    )


def _as_right(evidence: Evidence, row: RequestRow, old: float) -> tuple[float, float]:
    """The smallest and the largest size that are as right as the proposed one: a little above the largest peak, and the
    target utilization. A bound leaves no choice, and a lowered request stays nearer to the proposal than to what it was.
    Beside init containers, their requests decide how much is freed, as well as its size."""
    if row.bound_by or row.reserves is not None:
        return row.new, row.new
    target = evidence.objectives.efficient_utilization[row.resource == "memory"]
    smallest, largest = min(row.new, MIN_HEADROOM * row.peak), max(row.new, row.peak / target)
    if row.new < old:
        return smallest, min(largest, (row.new + old) / 2)
    return max(smallest, (row.new + old) / 2), largest


def total(evidence: Evidence, sizes: Sequence[RequestRow]) -> Interval | None:
    """The monthly saving of all rows with its 90% interval."""
    parts = [r.saving for r in sizes if r.saving is not None]
    if not parts:
        return None
    likely = math.fsum(p.likely for p in parts)
    counted = [evidence.analysis.since_added(p.times) for p in parts]
    held = _of_runs(parts, max((runs[0].end or -math.inf for runs in counted if runs), default=-math.inf))
    seen = mean_with_interval(held)
    errors = [
        Interval(math.fsum(p.least for p in parts), likely, math.fsum(p.most for p in parts)),
        Interval(likely - math.fsum(p.slowed for p in parts), likely, likely),
    ]
    if seen is not None and seen.likely * likely > 0.0:
        errors.append(seen.scaled(likely / seen.likely))
    of = min(len(runs) for runs in counted)
    return in_share(combined(likely, errors), len(held), of)


def _of_runs(parts: Sequence[RowSaving], first: float) -> list[float]:
    """The saving of all ``parts`` in each run that ended at ``first`` (unix seconds), since when all of them are known, or
    later; in order of time, also where one run has one part and the next another."""
    times = parts[0].times
    if all(part.times == times for part in parts):
        return list(map(sum, zip(*[part.of_runs for part in parts], strict=True)))
    held: dict[tuple[float, int], float] = {}
    for part in parts:
        ended: dict[float, int] = {}  # how many runs at that moment: several may end in the same second
        for time, money in zip(part.times, part.of_runs, strict=True):
            ended[time] = ended.get(time, 0) + 1
            run = time, ended[time]
            held[run] = held.get(run, 0.0) + money
    return [money for (time, _), money in sorted(held.items()) if time >= first]


def shared(rows: Sequence[RequestRow], saving: Interval | None) -> list[RequestRow]:
    """The rows with the share of each edit in the ``saving`` of all. A row without edits keeps its share: whoever makes the
    edits alone does not get that part."""
    if saving is None or not saving.likely:
        return list(rows)
    return [
        fast_replace(
            r,
            edits=tuple(
                fast_replace(e, share=r.saving.likely / saving.likely) if "/requests/" in e.pointer else e
                for e in r.edits
            ),
        )
        if r.saving is not None
        else r
        for r in rows
    ]
