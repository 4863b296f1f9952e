"""``right-size``: all unsuitable requests of a workflow, as one recommendation with one patch.

One table by container and resource with old value, new value and peak; one total, one approval, one verification. Twelve
changes of half a dollar each are not worth twelve decisions; together they may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import Category, Edit, Finding, Level
from concertmaster.core.model.amounts import STORAGE
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, container_title
from concertmaster.core.rules.earlier_peaks import known_for_a_day
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources import cpu_request
from concertmaster.core.rules.resources.rows.expected import (
    above_limit,
    by_limit,
    expected,
    headroom,
    loses_cpus,
    unlike_seen,
)
from concertmaster.core.rules.resources.rows.request_row import RequestRow, amount, items, used
from concertmaster.core.rules.resources.rows.row_parts import SURE_RUNS, Least
from concertmaster.core.rules.resources.rows.size_rows import rows
from concertmaster.core.rules.resources.rows.size_savings import priced, shared, total
from concertmaster.core.rules.resources.rows.sizes import memory_outlook
from concertmaster.core.rules.resources.rows.sizing_units import sizing_units
from concertmaster.core.rules.resources.rows.storage_rows import storage_rows
from concertmaster.core.rules.set_elsewhere import set_elsewhere

_KINDS = {"cpu": "CPU", "memory": "memory", STORAGE: "ephemeral storage"}
_NAMED = 3  # rows written out as sentences; the table has all
_CPU_RUNS = 10  # enough for a CPU request: too little CPU slows a step and kills nothing
# Least headroom above the largest peak unless a policy sets another, in percent; 15 is that of the VPA and of KRR.
HEADROOM_PERCENT = {"cpu": 15.0, "memory": 15.0, STORAGE: 20.0}


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the workflow's own object, and one for each other object (Tekton Task, template that Argo's
    ``templateRef`` names) with requests."""
    own = replace(evidence, settings=evidence.analysis.policy.rule(RuleName.CPU_REQUEST))
    slowed = frozenset(
        (p.step.step, p.container.name, "cpu")
        for p in sizing_units(evidence.analysis, "cpu")
        if own.settings.enabled and cpu_request.find_slowed(own, p) is not None
    )
    groups: dict[str, list[RequestRow]] = {}
    left_out = _left_out(evidence)
    least = _least(evidence)
    off = [*(priced(evidence, r) for r in rows(evidence, least, slowed)), *storage_rows(evidence, least)]
    if not any(row.clear for row in off):
        return  # usage is close enough to the target
    for row in off:
        groups.setdefault(_object(evidence, row), []).append(row)
    for about, group in groups.items():
        yield _finding(evidence, about, [fast_replace(r, edits=_verified(evidence, r)) for r in group], left_out)


def _least(evidence: Evidence) -> Least:
    """What the settings of the rule ask for."""
    settings = evidence.settings
    percent = {
        "cpu": settings.number("cpuHeadroomPercent", HEADROOM_PERCENT["cpu"]),
        "memory": settings.number("memoryHeadroomPercent", HEADROOM_PERCENT["memory"]),
        STORAGE: settings.number("storageHeadroomPercent", HEADROOM_PERCENT[STORAGE]),
    }
    change = settings.number("minChangePercent", 100 * evidence.analysis.policy.apply.min_change) / 100
    return Least(change, {resource: 1 + room / 100 for resource, room in percent.items()})


def _object(evidence: Evidence, row: RequestRow) -> str:
    """What the id of a recommendation calls the object that has the field: a Task or template of the namespace by its name;
    the workflow's own object, which has no name in it, also where nothing is known."""
    if row.edits:
        return row.edits[0].holder or ""
    spec = row.unit.step.spec
    return (evidence.analysis.definition.template_object(spec) or "") if spec is not None else ""


def _left_out(evidence: Evidence) -> tuple[str, ...]:
    """Containers excluded from the table because of earlier decisions, with the reason."""
    reasons = {
        p.title: why
        for resource in ("cpu", "memory")
        for p in sizing_units(evidence.analysis, resource, ("requests",), inits=True)
        if (why := evidence.sizing.excluded(p.step.step, p.container.name, resource)) is not None
    }
    return tuple(f"left out: {title}, {why}" for title, why in reasons.items())


def _verified(evidence: Evidence, row: RequestRow) -> tuple[Edit, ...]:
    """The row's edits; after a verified intermediate step, the next change goes to the final value."""
    return tuple(
        fast_replace(e, sure=True) if evidence.sizing.is_own(e.holder, e.pointer, e.current) else e for e in row.edits
    )


def _finding(evidence: Evidence, about: str, sizes: Sequence[RequestRow], left_out: Sequence[str]) -> Finding:
    ordered = sorted(sizes, key=lambda r: (-(r.saving.likely if r.saving else 0.0), r.title, r.resource))
    saving = total(evidence, ordered)
    ordered = shared(ordered, saving)
    runs = min(r.runs for r in ordered)
    lowered = [r for r in ordered if r.lowered]
    certain = all(r.runs >= (SURE_RUNS if r.resource == "memory" else _CPU_RUNS) for r in lowered)
    certain = certain and all(above_limit(r) is None and not loses_cpus(evidence, r) for r in ordered)
    certain = certain and (known_for_a_day(evidence) or all(r.resource != "memory" for r in lowered))
    unit = ordered[0].unit
    uses = "uses" if len(unit.others) == 1 else "use"
    others = f"; {text.listing(list(unit.others))} {uses} the same template" if unit.others else ""
    steps = {r.unit.step.step for r in ordered}
    there = _template_in(ordered)
    return Finding(
        step=unit.step.step if len(steps) == 1 and not unit.others else None,
        about=about,
        action=_action(evidence, ordered) + (f" in {there}" if there is not None else ""),
        because=(
            f"{'; '.join(_observed(evidence, r) for r in ordered[:_NAMED])}"
            f"{f'; and {len(ordered) - _NAMED} more' if len(ordered) > _NAMED else ''}, {_runs(evidence, ordered)}{others}"
        ),
        otherwise=_otherwise(ordered),
        category=Category.COST if saving is not None and saving.likely > 0 else Category.RELIABILITY,
        risk=Level.LOW if certain else Level.MEDIUM,
        current=text.listing([f"{r.title} {r.resource} {amount(r, r.old)}" for r in ordered]),
        proposed=text.listing([f"{r.title} {r.resource} {amount(r, r.new)}" for r in ordered]),
        expected=expected(evidence, ordered, saving),
        confidence=min(r.confidence for r in ordered),
        saving_per_month=saving,
        failures_avoided=max((r.avoided for r in ordered if r.avoided), key=lambda a: a.likely, default=None),
        items=tuple(i for r in ordered for i in items(r, saving)),
        edits=tuple(e for r in ordered for e in r.edits),
        evidence=(
            *(
                [f"{there} is sized by the runs of this workflow; others that refer to it get the same"]
                if there
                else []
            ),
            f"sized by one peak for each of {text.count(runs, 'run')}, never below the largest",
            "requests at their target utilization, or off by less than minChangePercent, are not changed",
            *headroom(evidence, ordered),
            *unlike_seen(evidence, ordered),
            *_counted(evidence, ordered),
            *(
                x
                for r in ordered
                if r.resource == "memory"
                for x in memory_outlook(evidence, r.unit, r.new, r.release or r.followed)
            ),
            *_released(ordered),
            *_bound(evidence, ordered),
            *by_limit(evidence, ordered),
            *(x for r in ordered for x in set_elsewhere(evidence, r.unit.step, r.unit.container, r.resource)),
            *left_out,
        ),
        automatic=any(r.edits and r.old is not None and not r.limited and not r.default for r in ordered),
    )


def _counted(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """Which runs tell how long pods hold what they request, where these are not all."""
    counted = {len(row.saving.times) for row in sizes if row.saving is not None and len(row.saving.times) < row.runs}
    if counted and evidence.analysis.since > -math.inf:
        yield f"the saving is that {evidence.recent_runs(max(counted))}, since run times changed"


def _template_in(sizes: Sequence[RequestRow]) -> str | None:
    """The other object that has the templates of all rows; None: the workflow's own, or no single one."""
    found = {r.unit.step.spec.template_in if r.unit.step.spec is not None else None for r in sizes}
    return found.pop() if len(found) == 1 else None


def _runs(evidence: Evidence, sizes: Sequence[RequestRow]) -> str:
    """``in 42 runs (14d)``, or ``in the 14 runs since image work:2 (2026-11-03)`` where all sizes rest on these."""
    since = {row.release.described if row.release is not None else "" for row in sizes}
    return f"in {since.pop()}" if len(since) == 1 and "" not in since else evidence.runs(min(r.runs for r in sizes))


def _released(sizes: Sequence[RequestRow]) -> Iterator[str]:
    """Which runs a size rests on where what was used changed clearly with a release or with the memory limit."""
    for row in sizes:
        if row.release is not None:
            moved = row.release.before - row.release.moved.counted if row.resource == "memory" else 0
            others = f" and {text.count(moved, 'earlier run')} adjusted to their level" if moved else ""
            yield f"{row.resource} of {row.title}: sized from {row.release.described}{others}"
        if row.followed is not None:
            old, new = text.memory_quantity(row.followed.old), text.memory_quantity(row.followed.new)
            yield (
                f"memory of {row.title}: sized from the {text.count(row.runs, 'run')} under the present limit, because its"
                f" use followed the limit from {old} to {new}, like the heap of a JVM"
            )


def _otherwise(sizes: Sequence[RequestRow]) -> str:
    if any(r.avoided for r in sizes):
        return "pods that exceed their ephemeral-storage limit keep being evicted"
    if any(r.lowered for r in sizes):
        return "every run keeps reserving unused capacity"
    return "pods compete for CPU and memory that nothing reserves for them, and are the first to be evicted"


def _bound(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """What limited a size from below or above, and what is not known."""
    if any(r.lowered and r.resource == "memory" for r in sizes) and not known_for_a_day(evidence):
        yield "the runs cover less than a day: runs at other hours may need more"
    for row in sizes:
        if row.bound_by:
            title = container_title(evidence, row.unit.step, row.unit.container)
            yield f"{row.resource} of {title}: {amount(row, row.new)} is limited by {row.bound_by}"
        if row.limit_by and row.limited:
            title = container_title(evidence, row.unit.step, row.unit.container)
            yield f"{row.resource} of {title}: the limit is lowered with the request, by {row.limit_by}"


def _action(evidence: Evidence, sizes: Sequence[RequestRow]) -> str:
    if len(sizes) == 1:
        row, kind = sizes[0], _KINDS[sizes[0].resource]
        old = amount(row, row.old) if row.old is not None else "not set"
        name = container_title(evidence, row.unit.step, row.unit.container)
        return f"Right-size {kind} request of {name}: {old} -> {amount(row, row.new)}"
    steps = list(dict.fromkeys(evidence.title(r.unit.step.step) for r in sizes))
    counts = [
        (sum(r.lowered for r in sizes), "lower"),
        (sum(r.old is not None and r.new > r.old for r in sizes), "raise"),
        (sum(r.old is None for r in sizes), "set"),
    ]
    verbs = ", ".join(f"{verb} {number}" for number, verb in counts if number)
    return f"Right-size {len(sizes)} requests of {text.listing(steps)} ({verbs})"


def _observed(evidence: Evidence, row: RequestRow) -> str:
    step = row.unit.step
    alone = len(step.spec.containers if step.spec is not None else step.containers) <= 1
    name = evidence.title(step.step) + ("" if alone else f"/{row.unit.container.name}")
    if row.unit.container.init:
        name = container_title(evidence, step, row.unit.container)
    old = amount(row, row.old)
    request = f" of {old}{row.declared}" if row.old is not None else " (no request set)"
    if row.resource == STORAGE:
        return f"{name} peaked at {used(row)} of ephemeral storage{_usual(row)}, requested: {old}"
    most = f"used at most {text.cores(row.peak)}" if row.resource == "cpu" else f"peaked at {used(row)}"
    return f"{name} {most}{request}{_usual(row)}"


def _usual(row: RequestRow) -> str:
    """Where the peak is of a run that is not analysed: which, and the peak of those that are."""
    if row.earlier is None:
        return ""
    recent = row.earlier.recent
    shown = text.cores(recent) if row.resource == "cpu" else text.memory(recent)
    return f" {row.earlier.when} ({shown} in the newest runs)"


RULE = Rule(
    RuleName.RIGHT_SIZE,
    evaluate,
    Category.COST,
    Level.LOW,
    tie_break=8,
    settings=("minChangePercent", "cpuHeadroomPercent", "memoryHeadroomPercent", "storageHeadroomPercent"),
    steps=False,
)
