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
from concertmaster.core.model import Category, Edit, Finding, Interval, Level
from concertmaster.core.model.amounts import STORAGE
from concertmaster.core.rules.base import Evidence, Rule, container_title
from concertmaster.core.rules.earlier_peaks import known_for_a_day
from concertmaster.core.rules.resources import cpu_request
from concertmaster.core.rules.resources.request_row import RequestRow, amount, items, used
from concertmaster.core.rules.resources.size_rows import SURE_RUNS, rows
from concertmaster.core.rules.resources.size_savings import priced, shared, total
from concertmaster.core.rules.resources.sizes import memory_outlook
from concertmaster.core.rules.resources.sizing_units import sizing_units
from concertmaster.core.rules.resources.storage_rows import storage_rows
from concertmaster.core.rules.set_elsewhere import ELSEWHERE, set_elsewhere

_KINDS = {"cpu": "CPU", "memory": "memory", STORAGE: "ephemeral storage"}
_NAMED = 3  # rows written out as sentences; the table has all
_CPU_RUNS = 10  # enough for a CPU request: too little CPU slows a step and kills nothing
_SHOWN, _WORTH_SAYING = 5e-4, 5e-3  # of the run time: printed as more than zero; the least that unseen runs must add


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the workflow's own object, and one for each other object (Tekton Task) with requests."""
    if not evidence.analysis.enough:
        return
    own = replace(evidence, settings=evidence.analysis.policy.rule("cpu-request"))
    held_back = frozenset(
        (p.step.step, p.container.name, "cpu")
        for p in sizing_units(evidence.analysis, "cpu")
        if own.settings.enabled and cpu_request.held_back(own, p) is not None
    )
    groups: dict[str | None, list[RequestRow]] = {}
    left_out = _left_out(evidence)
    least = evidence.settings.number("minChangePercent", 100 * evidence.analysis.policy.apply.min_change) / 100
    off = [*(priced(evidence, r) for r in rows(evidence, least, held_back)), *storage_rows(evidence)]
    if not any(row.clear for row in off):
        return  # usage is close enough to the target
    for row in off:
        holder = row.edits[0].holder if row.edits else None
        groups.setdefault(holder, []).append(row)
    for holder, group in groups.items():
        yield _finding(
            evidence, holder, [fast_replace(r, edits=_verified(evidence, holder, r)) for r in group], left_out
        )


def _left_out(evidence: Evidence) -> tuple[str, ...]:
    """Containers excluded from the table because of earlier decisions, with the reason."""
    reasons = {
        p.title: why
        for resource in ("cpu", "memory")
        for p in sizing_units(evidence.analysis, resource, ("requests",))
        if (why := evidence.sizing.excluded(p.step.step, p.container.name, resource)) is not None
    }
    return tuple(f"left out: {title}, {why}" for title, why in reasons.items())


def _verified(evidence: Evidence, holder: str | None, row: RequestRow) -> tuple[Edit, ...]:
    """The row's edits; after a verified intermediate step, the next change goes to the final value."""
    return tuple(
        fast_replace(e, sure=True) if evidence.sizing.is_own(holder, e.pointer, e.current) else e for e in row.edits
    )


def _finding(evidence: Evidence, holder: str | None, sizes: Sequence[RequestRow], left_out: Sequence[str]) -> Finding:
    ordered = sorted(sizes, key=lambda r: (-(r.saving.likely if r.saving else 0.0), r.title, r.resource))
    saving = total(evidence, ordered)
    ordered = shared(ordered, saving)
    runs = min(r.runs for r in ordered)
    lowered = [r for r in ordered if r.lowered]
    certain = all(r.runs >= (SURE_RUNS if r.resource == "memory" else _CPU_RUNS) for r in lowered)
    certain = certain and all(_above_limit(r) is None for r in ordered)
    certain = certain and (known_for_a_day(evidence) or all(r.resource != "memory" for r in lowered))
    unit = ordered[0].unit
    others = f"; {text.listing(list(unit.others))} use the same template" if unit.others else ""
    steps = {r.unit.step.step for r in ordered}
    return Finding(
        step=unit.step.step if len(steps) == 1 and not unit.others else None,
        about=holder or "",
        action=_action(evidence, ordered),
        because=(
            f"{'; '.join(_observed(evidence, r) for r in ordered[:_NAMED])}"
            f"{f'; and {len(ordered) - _NAMED} more' if len(ordered) > _NAMED else ''}, {_runs(evidence, ordered)}{others}"
        ),
        otherwise=_otherwise(ordered),
        category=Category.COST if saving is not None and saving.likely > 0 else Category.RELIABILITY,
        risk=Level.LOW if certain else Level.MEDIUM,
        current=text.listing([f"{r.title} {r.resource} {amount(r, r.old)}" for r in ordered]),
        proposed=text.listing([f"{r.title} {r.resource} {amount(r, r.new)}" for r in ordered]),
        expected=_expected(evidence, ordered, saving),
        confidence=min(r.confidence for r in ordered),
        saving_per_month=saving,
        failures_avoided=max((r.avoided for r in ordered if r.avoided), key=lambda a: a.likely, default=None),
        items=tuple(i for r in ordered for i in items(r)),
        edits=tuple(e for r in ordered for e in r.edits),
        evidence=(
            f"sized by the largest peak of each of {text.count(runs, 'run')}, and never below it",
            "requests at their target utilization, or off by less than minChangePercent, are not changed",
            *_headroom(evidence, ordered),
            *_unlike_seen(evidence, ordered),
            *(x for r in ordered if r.resource == "memory" for x in memory_outlook(evidence, r.unit, r.new, r.release)),
            *_released(ordered),
            *_bound(evidence, ordered),
            *(x for r in ordered for x in set_elsewhere(evidence, r.unit.step, r.unit.container, r.resource)),
            *left_out,
        ),
        automatic=any(r.edits and r.old is not None and not r.limited and not r.default for r in ordered),
    )


def _runs(evidence: Evidence, sizes: Sequence[RequestRow]) -> str:
    """``in 42 runs (14d)``, or ``in the 14 runs since image work:2 (2026-11-03)`` where all sizes rest on these."""
    since = {row.release.described if row.release is not None else "" for row in sizes}
    return f"in {since.pop()}" if len(since) == 1 and "" not in since else evidence.runs(min(r.runs for r in sizes))


def _released(sizes: Sequence[RequestRow]) -> Iterator[str]:
    """Which runs a size rests on where what was used changed clearly with a release."""
    for row in sizes:
        if row.release is not None:
            moved = row.release.before - row.release.moved.counted if row.resource == "memory" else 0
            others = f" and {text.count(moved, 'earlier run')} adjusted to their level" if moved else ""
            yield f"{row.resource} of {row.title}: sized from {row.release.described}{others}"


def _otherwise(sizes: Sequence[RequestRow]) -> str:
    if any(r.avoided for r in sizes):
        return "pods above their limit of ephemeral storage keep being evicted"
    if any(r.lowered for r in sizes):
        return "every run keeps reserving unused capacity"
    return "pods compete for CPU and memory that nothing reserves for them, and are the first to be evicted"


def _headroom(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """What the room above the peaks is for."""
    if any(_kept_from_failing(row) for row in sizes):
        yield (
            f"memory has headroom above the peak so that at most {_failures(evidence)} of later attempts fail for lack of "
            "it (sizing.maxFailurePercent): more with fewer runs, or peaks that vary more"
        )


def _kept_from_failing(row: RequestRow) -> bool:
    """Whether its size is the one that keeps the policy's bound on failures."""
    return row.resource == "memory" and not row.bound_by


def _above_limit(row: RequestRow) -> float | None:
    """The kernel's high-water mark (bytes) where the memory limit moves below it. It has page cache, which the kernel takes
    back, and peaks between two samples, which get the container killed."""
    if row.resource != "memory" or not row.limited:
        return None
    most = max(row.unit.container.known("memory_most"), default=0.0)
    return most if most > (row.new if row.limit is None else row.limit) else None


def _failures(evidence: Evidence) -> str:
    return f"{100 * evidence.analysis.options.max_failure:g}%"


def _bound(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """What limited a size from below or above, and what is not known."""
    if any(r.lowered and r.resource == "memory" for r in sizes) and not known_for_a_day(evidence):
        yield "less than a day of runs is known: those at other hours may need more"
    for row in sizes:
        if row.bound_by:
            title = evidence.title(row.unit.step.step)
            yield f"{row.resource} of {title}: {amount(row, row.new)} is limited by {row.bound_by}"
        if row.limit_by and row.limited:
            title = evidence.title(row.unit.step.step)
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
    name = evidence.title(step.step) if alone else row.title
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


def _expected(evidence: Evidence, sizes: Sequence[RequestRow], saving: Interval | None) -> str:
    first = "".join(f"; {r.first}" for r in sizes if r.first)
    reserved = _reserved(sizes, saving, evidence.analysis.pricing.currency)
    if reserved is None:
        covered = text.count(min(r.runs for r in sizes), "run")
        return f"requests cover the largest peak of all {covered}{_elsewhere(sizes)}{first}{_left_to_people(sizes)}"
    effect = _longer(sizes)
    marks = [(r.title, most) for r in sizes if (most := _above_limit(r)) is not None]
    for title, most in marks:
        effect += (
            f"; check {title} first: its memory with page cache reached {text.memory(most)}, above its new limit, and"
            " samples may miss a short peak"
        )
    memory = [_kept_from_failing(r) for r in sizes if r.resource == "memory" and r.lowered]
    if memory and all(memory) and not marks:
        until = " while growing peaks stay below it" if any(r.grows for r in sizes) else ""
        effect += f"; at most {_failures(evidence)} of later attempts run out of memory{until}"
    return f"{reserved}{_elsewhere(sizes)}; {effect}{first}{_left_to_people(sizes)}"


def _longer(sizes: Sequence[RequestRow]) -> str:
    """How much longer a step takes on a full node, with runs that need more than those seen."""
    slower = max(r.slower + _beyond(r) for r in sizes)
    return (
        f"at most {text.percent(slower, 1)} longer on a full node" if slower >= _SHOWN else "no impact on run duration"
    )


def _beyond(row: RequestRow) -> float:
    """What runs that need more CPU than those seen add to the run time, where it is worth a sentence."""
    return row.unseen if row.unseen >= _WORTH_SAYING else 0.0


def _unlike_seen(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    for row in sizes:
        if more := _beyond(row):
            seen = f"at most {text.percent(row.slower, 1)} longer" if row.slower >= _SHOWN else "no longer"
            yield (
                f"CPU of {evidence.title(row.unit.step.step)} on a full node: {seen} in runs like the {row.runs} seen, and"
                f" {text.percent(more, 1)} by one run in {row.runs + 1} that needs more than any so far"
            )


def _left_to_people(sizes: Sequence[RequestRow]) -> str:
    """The rows that the printed command does not set, since their fields are in no object it may patch."""
    others = [r for r in sizes if not r.edits and not r.first]
    left = [f"{r.resource} of {r.title}" for r in others if not r.declared]
    return f"; not set by the command: {text.listing(left)}" if left and len(others) < len(sizes) else ""


def _elsewhere(sizes: Sequence[RequestRow]) -> str:
    """The rows whose fields have no effect in the definition: a status is cut to some length, and this is needed most."""
    rows = [r for r in sizes if r.declared and not r.edits and not r.first]
    if not rows:
        return ""
    unless = ", unless that was edited since" if any(r.edited for r in rows) else ""
    of = text.listing([f"{r.resource} of {r.title}" for r in rows])
    return f"; {of}: set {ELSEWHERE} definition, change it there{unless}"


def _reserved(sizes: Sequence[RequestRow], saving: Interval | None, currency: str) -> str | None:
    """``0.5 core-hours less and 0.2 GiB-hours more reserved per run (1.20 USD less a month)``; None where none is less."""
    parts: dict[str, list[str]] = {"less": [], "more": []}
    for kind, unit in (("cpu", "core-hours"), ("memory", "GiB-hours")):
        hours = math.fsum(r.freed for r in sizes if r.resource == kind)
        if hours:
            amount = text.number(abs(hours), 2) if abs(hours) < 100 else f"{abs(hours):,.0f}"
            parts["less" if hours > 0 else "more"].append(f"{amount} {unit}")
    if not parts["less"]:
        return None
    money = ""
    if saving is not None:
        sign = (" less" if parts["more"] else "") if saving.likely >= 0 else " more"
        money = f" ({text.money(abs(saving.likely), currency)}{sign} a month)"
    return (
        " and ".join(f"{' and '.join(amounts)} {word}" for word, amounts in parts.items() if amounts)
        + f" reserved per run{money}"
    )


RULE = Rule("right-size", evaluate, Category.COST, Level.LOW, tie_break=8, settings=("minChangePercent",), steps=False)
