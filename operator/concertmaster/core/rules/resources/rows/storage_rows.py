"""Rows of ``right-size`` for ephemeral storage: requests that lead to evictions, or far exceed use.

A pod above its limit is evicted, and on a full disk the pod furthest above its request goes first. The kubelet's eviction
message is known for live runs only; use is sampled for pods with a request or limit, if the runtime reports it. The operator
does not apply this change: the row has no edits. Sizes respect ResourceQuotas, LimitRanges and the largest node.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from concertmaster.core.known import median
from concertmaster.core.model import Interval, Outcome, StepExecution
from concertmaster.core.model.amounts import STORAGE, quantity
from concertmaster.core.rules.earlier_peaks import EarlierPeak, earlier_peak
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import failed_share
from concertmaster.core.rules.resources.rows.request_row import RequestRow
from concertmaster.core.rules.resources.rows.row_parts import Least
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit, sizing_units
from concertmaster.core.sizing import plain_memory
from concertmaster.core.sizing.oom_kills import ended
from concertmaster.core.stats.means import product
from concertmaster.core.units import GIB, MIB

_EVICTED_ROOM = 1.5  # times the use at eviction: the pod had not finished
_NEAR_LIMIT = 0.9  # of the limit: a larger use may not fit the next time
_OVERSIZED_FACTOR = 4.0  # times the peak: such a request blocks nodes needlessly
_MIN_SAVING = GIB  # bytes; smaller savings are not worth a row
# Kubelet messages: "Container main was using 12Gi, request is 0", "... exceeds the total limit of containers 1Gi"
_USED = re.compile(r"was using ([0-9.]+[KMGT]?i?), request")
_LIMIT = re.compile(r"(?:limit of containers|local ephemeral storage limit) \"?([0-9.]+[KMGT]?i?)")


def storage_rows(evidence: Evidence, least: Least) -> Iterator[RequestRow]:
    """A row for each container whose ephemeral storage request is too small, or far too large."""
    for unit in sizing_units(evidence.analysis, STORAGE):
        row = _row(evidence, unit, least.headroom[STORAGE])
        if row is not None:
            yield row


def _row(evidence: Evidence, unit: SizingUnit, headroom: float) -> RequestRow | None:
    container, runs = unit.container, len(unit.container.runs)
    evicted = _evictions(evidence, unit)
    peaks = container.known("storage_peak")
    current, limit = container.storage_request, container.storage_limit
    peak = max([*peaks, *evicted], default=0.0)
    if evicted:
        row = _sized(evidence, unit, max(_EVICTED_ROOM, headroom) * peak, peak, runs)
        return replace(row, avoided=_avoided(evidence, unit, peaks, peak, row.new)) if row is not None else None
    if len(peaks) < evidence.analysis.options.min_runs or not peak:
        return None
    earlier = earlier_peak(evidence, unit.steps, f"storage/{container.name}", peak)
    peak = peak if earlier is None else earlier.amount
    if limit is not None and peak > _NEAR_LIMIT * limit:
        return _sized(
            evidence, unit, headroom / _NEAR_LIMIT * peak, peak, len(peaks), enough=headroom * peak, earlier=earlier
        )
    if current is not None and current > _OVERSIZED_FACTOR * peak and current - headroom * peak >= _MIN_SAVING:
        return _sized(
            evidence, unit, max(headroom * peak, _MIN_SAVING / 16), peak, len(peaks), clear=False, earlier=earlier
        )
    return None


def _sized(
    evidence: Evidence,
    unit: SizingUnit,
    target: float,
    peak: float,
    runs: int,
    *,
    enough: float = math.inf,
    clear: bool = True,
    earlier: EarlierPeak | None = None,
) -> RequestRow | None:
    """The row for ``target`` (bytes), within what the namespace allows. If that is less than ``enough``, the row states what
    has to be raised first: a smaller size would not help."""
    current, limit = unit.container.storage_request, unit.container.storage_limit
    new = plain_memory(target)
    if new is None:
        return None
    moves = limit is not None and new > limit  # the limit is raised with the request
    bound = evidence.capacity.request(STORAGE, limit, tied=moves)
    above = evidence.capacity.limit(STORAGE) if moves else bound
    ends = [(b.most, b.most_by) for b in (bound, above) if b.most is not None]
    most, bound_by = min(ends, default=(math.inf, ""))
    if bound.least is not None and new < bound.least:
        new, bound_by = bound.least, bound.least_by
    elif enough <= most < new:
        new = math.floor(most / MIB) * MIB  # rounding up could exceed the maximum
    else:
        bound_by = ""
    if new == current or (not clear and current is not None and new > current):
        return None
    first = evidence.above_capacity(STORAGE, new, new if moves else limit) or ""
    sure = min(0.9, runs / (runs + 5.0))
    return RequestRow(
        unit, STORAGE, current, new, peak, runs, sure, clear=clear, bound_by=bound_by, first=first, earlier=earlier
    )


def _evictions(evidence: Evidence, unit: SizingUnit) -> list[float]:
    """Minimum bytes used by pods of the container when they were evicted for their storage."""
    sizes = []
    for step in evidence.rows.failing.intersection(unit.steps):
        for rows in evidence.rows.all.get(step, {}).values():
            sizes += [size for e in rows if (size := evicted_at(e)) is not None]
    return sizes


def _avoided(evidence: Evidence, unit: SizingUnit, peaks: Sequence[float], died: float, size: float) -> Interval | None:
    """Share of the runs (0 to 1) that no longer fail: those evicted above a limit and not retried, as far as ``size`` is
    enough for them. A full node evicts whatever the limit is."""
    step = unit.step
    rows = evidence.rows.all.get(step.step, {}).values()
    above = sum(any(evicted_at(e) is not None and _LIMIT.search(e.message or "") for e in run) for run in rows)
    failed = min(step.failures.lasting(above), evidence.analysis.failed)
    count, unseen = len(evidence.analysis.runs), evidence.rows.unseen(step.step)
    share = failed_share(failed, count, unseen, evidence.rows.failures_alike)
    usual = median([peak for peak in peaks if peak <= died])
    if share is None:
        return None
    return product(share, ended(share.likely, usual, died, size))


def evicted_at(execution: StepExecution) -> float | None:
    """Bytes of ephemeral storage at which a pod was evicted; None if it was not, or if unknown."""
    message = execution.message or ""
    if execution.outcome is not Outcome.FAILED or "ephemeral" not in message:
        return None
    limit = _LIMIT.search(message)
    sizes = [quantity(m) for m in (*_USED.findall(message), *([limit.group(1)] if limit else []))]
    return max((s for s in sizes if s), default=None)
