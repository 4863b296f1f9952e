"""Rows of ``right-size``: the request each container needs, where it differs enough from the current one.

A request whose use is at the policy's target utilization is left alone. Sizes stay within the policy's bounds, never fall
below the largest recent peak, and are round numbers. Containers that are OOM-killed, throttled or short of CPU belong to
``memory-request`` and ``cpu-request``, and the resource gets no row here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.analysis.drivers import memory_sizes
from concertmaster.core.analysis.steps.releases import cpu_release, followed_limit
from concertmaster.core.fast_init import fast_replace
from concertmaster.core.rules.base import resource_edits
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.cpu_row import cpu_row
from concertmaster.core.rules.resources.rows.memory_row import memory_row
from concertmaster.core.rules.resources.rows.request_row import RequestRow
from concertmaster.core.rules.resources.rows.row_parts import Least, since_release
from concertmaster.core.rules.resources.rows.size_bounds import Sized, requests_of, reserved
from concertmaster.core.rules.resources.rows.sizes import size_guard
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit, defaulted, sizing_units
from concertmaster.core.sizing import CpuUse, cpu_requests

# Runs with CPU that a young workflow may lack: a rate needs two samples where a peak needs one, and the last ones are late.
_LACKING = 3


def rows(evidence: Evidence, least: Least, slowed: frozenset[tuple[str, str, str]]) -> list[RequestRow]:
    """A row for every request that is off by at least ``least.change``. ``slowed``: (step, container, resource) that
    another rule covers."""
    sized: dict[str, list[SizingUnit]] = {"cpu": [], "memory": []}
    order: list[tuple[int, str, int]] = []
    for resource, of_resource in sized.items():
        for place, unit in enumerate(sizing_units(evidence.analysis, resource, ("requests",), inits=True)):
            if _has_row(evidence, unit, resource, slowed):
                order.append((place, resource, len(of_resource)))
                of_resource.append(defaulted(evidence, unit, resource))
    order.sort(key=lambda at: (not sized[at[1]][at[2]].container.init, at))  # others get what these leave to them
    released = [cpu_release(p.container, evidence.analysis.options.min_runs) for p in sized["cpu"]]
    sized["cpu"] = [since_release(p, release) for p, release in zip(sized["cpu"], released, strict=True)]
    cpu = cpu_requests([_cpu_use(p) for p in sized["cpu"]])
    given = [(p.container, not _is_own(evidence, p)) for p in sized["memory"]]
    memory = memory_sizes(given, evidence.analysis.options)
    waiting = {p.title for p in sized["cpu"] if _waits(evidence, p)}
    inits: dict[tuple[str, str, str], float] = {}
    found: list[RequestRow] = []
    for _, resource, at in order:
        unit = sized[resource][at]
        if resource == "cpu":
            row = cpu_row(evidence, unit, cpu[at], least, released[at], inits)
        else:
            row = memory_row(evidence, unit, memory[at], least, inits)
            if row is not None and row.old is not None and row.new > row.old:
                row = _under_present_limit(evidence, row, given[at][1], least, inits)
        if row is None or (resource == "memory" and row.lowered and unit.title in waiting):
            continue
        if unit.container.init and not row.first:
            inits[unit.step.step, unit.container.name, resource] = row.new
        found.append(row)
    return _effective(evidence, found)


def _cpu_use(unit: SizingUnit) -> CpuUse:
    """Per-run means; the critical path decides how tight a request may be."""
    runs, path = unit.container.where_known("mean_cores"), unit.step.path
    share = path.share if path is not None else None
    return CpuUse(
        runs["mean_cores"], runs["seconds"], on_critical_path_share=share, current_limit=unit.container.cpu_limit
    )


def _under_present_limit(
    evidence: Evidence, row: RequestRow, authors: bool, least: Least, inits: Sized
) -> RequestRow | None:
    """The row that raises a request, by the runs under the present memory limit alone where peaks follow the limit; None
    where these do not call for more. ``authors``: whether people set the current request."""
    followed = followed_limit(row.unit.container)
    if followed is None:
        return row
    size = memory_sizes([(followed.since, authors)], evidence.analysis.options)[0]
    found = memory_row(evidence, row.unit, size, least, inits, followed)
    return found if found is not None and not found.lowered else None


def _has_row(evidence: Evidence, unit: SizingUnit, resource: str, slowed: frozenset[tuple[str, str, str]]) -> bool:
    """Whether a size may be proposed, as far as that does not depend on the size."""
    spec, name = unit.step.spec, unit.container.name
    declared = unit.step.declared(unit.container) is not None
    if not declared and spec is not None and (spec.containers or spec.pointer or spec.template_in):
        return False  # put into the pod by something else, the engine included: there is no field to set
    if unit.container.init and (not declared or getattr(unit.container, f"{resource}_request") is None):
        return False  # what pods reserve without it is not known, or they reserve nothing for it alone
    if size_guard(unit.container, evidence.analysis.options) is not None:
        return False
    if (other := unit.container.overrides.get(("requests", resource))) is not None and other.varies:
        return False  # a size of its own for each pod of a run: none is the one to change
    if any((step, name, resource) in slowed for step in unit.steps):
        return False
    return evidence.sizing.excluded(unit.step.step, name, resource) is None


def _waits(evidence: Evidence, unit: SizingUnit) -> bool:
    """Whether a run or a few will also lower the CPU request, of which too few of not many runs tell so far.

    Memory lowered by itself would be a change of its own, often with a saving too small to be verified, and CPU would have
    to wait for the end of its verification.
    """
    runs, current, needed = unit.container.runs, unit.container.cpu_request, evidence.analysis.options.min_runs
    known = unit.container.known("mean_cores")
    lacking = needed - len(known)
    if current is None or not known or not 0 < lacking <= _LACKING or len(runs) >= 2 * needed:
        return False
    return current > max(known) / evidence.objectives.efficient_utilization[0]


def _is_own(evidence: Evidence, unit: SizingUnit) -> bool:
    """Whether the current memory request is an intermediate step of a verified right-sizing."""
    edits = resource_edits(unit.step, unit.container, {("requests", "memory"): ""})
    return any(evidence.sizing.is_own(e.holder, e.pointer, e.current) for e in edits)


def _effective(evidence: Evidence, rows: Sequence[RequestRow]) -> list[RequestRow]:
    """The rows without those of init containers that leave what pods reserve as it is; the others with what they free.

    A pod keeps the largest request of its init containers for its whole life, where that is more than the others request
    together. A lower one frees what lies above the others, or above the next init container, and only that."""
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
