"""Rows of a right-sizing for ephemeral storage: what evicts pods, or what they reserve far above their use.

A pod above its limit is evicted, and on a full disk the one furthest above its request goes first. What the kubelet says of
an eviction is known for live runs only; use is sampled for pods with a request or limit, where the runtime tells it. The
operator does not make this change: the row has no edits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from concertmaster.core.model import Outcome, StepExecution
from concertmaster.core.model.amounts import STORAGE, quantity
from concertmaster.core.rules.base import Evidence
from concertmaster.core.rules.resources.places import Place, places
from concertmaster.core.rules.resources.size_rows import SizeRow
from concertmaster.core.sizing import plain_memory

_ROOM = 1.2  # above the largest peak
_EVICTED_ROOM = 1.5  # above what a pod had when it was evicted: it had not finished
_TIGHT = 0.9  # of the limit: more may not fit the next time
_FAR = 4.0  # times the peak: a request that keeps pods off nodes for nothing
_LEAST = 1024.0**3  # bytes; less is not worth a row
# The kubelet: "Container main was using 12Gi, request is 0", "... exceeds the total limit of containers 1Gi"
_USED = re.compile(r"was using ([0-9.]+[KMGT]?i?), request")
_LIMIT = re.compile(r"(?:limit of containers|local ephemeral storage limit) \"?([0-9.]+[KMGT]?i?)")


def storage_rows(evidence: Evidence) -> Iterator[SizeRow]:
    """A row for each container whose ephemeral storage is too small, or far too large."""
    for place in places(evidence.analysis):
        row = _row(evidence, place)
        if row is not None:
            yield row


def _row(evidence: Evidence, place: Place) -> SizeRow | None:
    container, runs = place.container, len(place.container.runs)
    evicted = _evictions(evidence, place)
    peaks = [r.storage_peak for r in container.runs if r.storage_peak is not None]
    current, limit = container.storage_request, container.storage_limit
    peak = max([*peaks, *evicted], default=0.0)
    if evicted:
        return _sized(place, current, _EVICTED_ROOM * peak, peak, runs)
    if len(peaks) < evidence.analysis.options.min_runs or not peak:
        return None
    if limit is not None and peak > _TIGHT * limit:
        return _sized(place, current, _ROOM / _TIGHT * peak, peak, len(peaks))
    if current is not None and current > _FAR * peak and current - _ROOM * peak >= _LEAST:
        return _sized(place, current, max(_ROOM * peak, _LEAST / 16), peak, len(peaks), clear=False)
    return None


def _sized(
    place: Place, current: float | None, target: float, peak: float, runs: int, *, clear: bool = True
) -> SizeRow | None:
    new = plain_memory(target)
    if new is None or new == current:
        return None
    return SizeRow(place, STORAGE, current, new, peak, runs, min(0.9, runs / (runs + 5.0)), clear=clear)


def _evictions(evidence: Evidence, place: Place) -> list[float]:
    """Bytes that pods of the container had, at least, when they were evicted for their storage."""
    steps = (place.step.step, *place.others)
    found = []
    for step in evidence.rows.failing.intersection(steps):
        for rows in evidence.rows.all.get(step, {}).values():
            found += [size for e in rows if (size := evicted_at(e)) is not None]
    return found


def evicted_at(execution: StepExecution) -> float | None:
    """Bytes of ephemeral storage at which a pod was evicted; None where it was not, or where nobody says."""
    message = execution.message or ""
    if execution.outcome is not Outcome.FAILED or "ephemeral" not in message:
        return None
    limit = _LIMIT.search(message)
    sizes = [quantity(m) for m in (*_USED.findall(message), *([limit.group(1)] if limit else []))]
    return max((s for s in sizes if s), default=None)
