"""What is expected of later runs with the rows of a right-sizing, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.model import Interval
from concertmaster.core.rules.base import ELSEWHERE, container_title
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.request_row import RequestRow, amount
from concertmaster.core.rules.resources.rows.size_bounds import is_guaranteed, limit_of
from concertmaster.core.rules.resources.rows.sizes import memory_by_day
from concertmaster.core.units import DAY

_SHOWN, _WORTH_SAYING = 5e-4, 5e-3  # of the run time: printed as more than zero; the least that unseen runs must add


def expected(evidence: Evidence, sizes: Sequence[RequestRow], saving: Interval | None) -> str:
    """What is less reserved, how much longer runs may take, and how many may run out of memory."""
    first = "".join(f"; {r.first}" for r in sizes if r.first)
    reserved = _reserved(sizes, saving, evidence.analysis.pricing.currency)
    if reserved is None:
        covered = text.count(min(r.runs for r in sizes), "run")
        return f"requests cover the largest peak of all {covered}{_elsewhere(sizes)}{first}{_left_to_people(sizes)}"
    effect = _longer(sizes)
    marks = [(r.title, most) for r in sizes if (most := above_limit(r)) is not None]
    for title, most in marks:
        effect += (
            f"; check {title} first: its memory with page cache reached {text.memory(most)}, above its new limit, and"
            " samples may miss a short peak"
        )
    memory = [_kept_from_failing(r) for r in sizes if r.resource == "memory" and r.lowered]
    if memory and all(memory) and not marks:
        until = " while growing peaks stay below it" if any(r.grows for r in sizes) else ""
        if any(_lowers_limit(r) for r in sizes):
            until += ", unless their use follows the lower limit, like the heap of a JVM"
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


def unlike_seen(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """How much of the longer run time is of runs that need more CPU than any so far."""
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
            shown = text.number(abs(hours), 2) if abs(hours) < 100 else f"{abs(hours):,.0f}"
            parts["less" if hours > 0 else "more"].append(f"{shown} {unit}")
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


def headroom(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """What the room above the peaks is for, and what that rests on: nothing known shows a level that begins later."""
    kept = [row for row in sizes if _kept_from_failing(row)]
    if kept:
        grown = ", or continue their growth" if any(row.grows for row in kept) else ""
        days = [day for row in kept for day in memory_by_day(evidence, row.unit, row.release or row.followed)]
        largest = (
            f" and the largest of each day of the last {text.window(evidence.analysis.now - min(days) * DAY)}"
            if days
            else ""
        )
        yield (
            f"memory has headroom above the peak so that at most {_failures(evidence)} of later attempts fail for lack of "
            "it (sizing.maxFailurePercent): more with fewer runs, or peaks that vary more; assumes that later runs need what"
            f" those of the last {evidence.window()}{largest} needed{grown}"
        )


def _kept_from_failing(row: RequestRow) -> bool:
    """Whether its size is the one that keeps the policy's bound on failures."""
    return row.resource == "memory" and not row.bound_by


def above_limit(row: RequestRow) -> float | None:
    """The kernel's high-water mark (bytes) where the memory limit moves below it. It has page cache, which the kernel takes
    back, and peaks between two samples, which get the container killed."""
    if row.resource != "memory" or not row.limited:
        return None
    most = max(row.unit.container.known("memory_most"), default=0.0)
    return most if most > (row.new if row.limit is None else row.limit) else None


def loses_cpus(evidence: Evidence, row: RequestRow) -> bool:
    """Whether a Guaranteed pod has whole CPUs for the container, and would no longer: the static policy of the kubelet's CPU
    manager gives such a container CPUs of its own. Whether nodes have that policy no metric shows."""
    if row.resource != "cpu" or row.old is None or row.old < 1.0 or not row.old.is_integer() or row.new.is_integer():
        return False
    pods = [e.containers for of in evidence.rows.all.get(row.unit.step.step, {}).values() for e in of]
    # Of the newest pod all count: those that the engine or a service mesh adds often have no limits.
    return bool(pods) and bool(pods[-1]) and all(is_guaranteed(c) for c in pods[-1])


def by_limit(evidence: Evidence, sizes: Sequence[RequestRow]) -> Iterator[str]:
    """What else follows a limit that is lowered with the request."""
    for row in sizes:
        title = container_title(evidence, row.unit.step, row.unit.container)
        if loses_cpus(evidence, row):
            yield (
                f"CPU of {title}: nodes with the static CPU manager policy reserve whole CPUs for it, and none for"
                f" {amount(row, row.new)}; where that matters, use {text.cpu(math.ceil(row.new))}"
            )
        if _lowers_limit(row):
            yield (
                f"memory of {title}: what follows the limit is lowered with it, such as the heap of a JVM"
                " (MaxRAMPercentage, by default a quarter of the limit)"
            )


def _lowers_limit(row: RequestRow) -> bool:
    """Whether the memory limit is lowered with the request."""
    limit = limit_of(row.unit.container, "memory") if row.resource == "memory" and row.limited else None
    return limit is not None and (row.new if row.limit is None else row.limit) < limit


def _failures(evidence: Evidence) -> str:
    return f"{100 * evidence.analysis.options.max_failure:g}%"
