"""Rows of init containers: what a pod reserves less for them.

A pod keeps the largest request of its init containers for its whole life, where that is more than the others request
together. A lower one frees what lies above the others, or above the next init container, and only that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.fast_init import fast_replace
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.request_row import RequestRow
from concertmaster.core.rules.resources.rows.size_bounds import requests_of, reserved


def effective(evidence: Evidence, rows: Sequence[RequestRow]) -> list[RequestRow]:
    """The rows without those of init containers that leave what pods reserve as it is; the others with what they free."""
    by_pod: dict[tuple[str, str], list[RequestRow]] = {}
    for row in rows:
        by_pod.setdefault((row.unit.step.step, row.resource), []).append(row)
    return [row for of_pod in by_pod.values() for row in _of_pod(evidence, of_pod)]


def _of_pod(evidence: Evidence, rows: Sequence[RequestRow]) -> Sequence[RequestRow]:
    """The rows of one resource of a pod, init containers first: what each frees after those before it."""
    unit, spec = rows[0].unit, rows[0].unit.step.spec
    if spec is None or spec.pod is not None or not any(c.init for c in spec.containers):
        return rows
    now = requests_of(evidence, unit, spec, rows[0].resource)
    after = now | {row.unit.container.name: row.new for row in rows}
    kept = []
    for row in rows:
        name = row.unit.container.name
        if row.unit.container.init and reserved(spec, after).total == reserved(spec, after | {name: now[name]}).total:
            continue
        held, now = reserved(spec, now).total, now | {name: row.new}
        freed = held - reserved(spec, now).total
        if row.unit.container.init:
            part = _part_of_pod(row)
            row = fast_replace(row, reserves=freed, slower=part * row.slower, unseen=part * row.unseen)
        elif row.old is not None and not math.isclose(freed, row.less, rel_tol=1e-6):
            row = fast_replace(row, reserves=freed)  # the init containers keep the rest
        kept.append(row)
    return kept


def _part_of_pod(row: RequestRow) -> float:
    """Share (0 to 1) of the time of a step's pods that the init container takes; all of it where that is unknown."""
    known = [seconds for seconds in row.unit.container.columns["seconds"] if seconds > 0.0]
    own, work = sum(known) / len(known) if known else 0.0, row.unit.step.duration.mean
    return own / (own + work) if own and work else 1.0
