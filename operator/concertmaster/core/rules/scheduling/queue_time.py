"""``queue-time``: time spent waiting for nodes, pod start-up or locks, and its causes.

Only waiting on the critical path counts: a pod that waits in parallel to a longer step delays nothing. The remedies differ:
scheduling latency needs room (smaller requests, other hours, more nodes), start-up depends on images and volumes. Without
the time of binding only their sum is known, and which of the two it is remains to be found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf
from concertmaster.core.analysis.runs.starts import by_schedule
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.model.engines import POD_BY_POD, QUEUE_LABEL
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling import locks, suspension
from concertmaster.core.rules.scheduling.waits import (
    BEFORE_WORK,
    PENDING,
    STARTING,
    lasting,
    measured,
    pod_requests,
    window_of,
    worst_hour,
)
from concertmaster.core.rules.upper_bound import HALF, QUARTER, assumption, attainable
from concertmaster.core.units import DAY, HOUR


def _spent(runs: Sequence[ExecutedRun], field: str) -> tuple[dict[str, float], list[float]]:
    """Seconds on the critical path by step (mean per run), and in total per run. ``field``: see ``waits``."""
    steps: dict[str, float] = {}
    totals: list[float] = []
    waited = attrgetter("step", field)
    for run in runs:
        whole = 0.0
        for step, seconds in map(waited, run.critical):
            whole += seconds
            steps[step] = steps.get(step, 0.0) + seconds
        totals.append(whole)
    return {step: seconds / len(runs) for step, seconds in steps.items()}, totals


def without(runs: Sequence[ExecutedRun], field: str) -> WhatIf:
    """What-if that removes the part ``field`` from the scheduling and start-up of each step."""
    part: dict[str, float] = {}
    whole: dict[str, float] = {}
    for run in runs:
        for chains in run.chains:
            for a in (a for chain in chains for a in chain):
                part[a.step] = part.get(a.step, 0.0) + getattr(a, field)
                whole[a.step] = whole.get(a.step, 0.0) + a.before_work
    return WhatIf(start_up=tuple((s, 1.0 - part[s] / whole[s]) for s in part if whole[s] > 0))


def _room(step: StepAnalysis | None) -> str:
    """The step's requests, as a clause that explains its wait."""
    asked = pod_requests(step) if step is not None else ""
    return f", whose pods ask for {asked}" if asked else ""


def _hours(evidence: Evidence) -> str:
    """The hour of the day (UTC) with the longest waits, if it stands out and has most of them, as text."""
    longest = []
    for run in evidence.analysis.runs:
        waits = [wait for e in run.steps if (wait := e.scheduling_latency) is not None]
        if waits and run.start is not None:
            longest.append((run.start, max(waits)))
    hour = worst_hour(longest)
    if hour is None or 2 * sum(w for t, w in longest if t % DAY // HOUR == hour) < sum(w for _, w in longest):
        return ""
    return f"; most of it at {hour:02d}:00 UTC"


class _Words(NamedTuple):
    """How a finding names the part of the waiting that it is about. ``otherwise`` takes the time that is spent with it."""

    about: str | None
    title: str
    noun: str
    kind: str
    remedy: str
    otherwise: str


def _words(field: str, most: bool, queue: object) -> _Words:
    """``most``: whether most runs wait. ``queue``: by which Kueue admits the pods; None if it does not."""
    runs = "runs" if most else "some runs"
    if field == PENDING:
        return _Words(
            None,
            "scheduling latency",
            "waiting for a node" if queue is None else f"waiting for Kueue (LocalQueue {queue}) or a node",
            "wait",
            f"{f'more quota for LocalQueue {queue}, ' if queue else ''}smaller requests, other hours or more nodes",
            f"{runs} keep waiting {{}} for capacity, longer when the cluster fills up",
        )
    if field == BEFORE_WORK:
        return _Words(
            None,
            "the time before pods work",
            "waiting for a node or starting pods",
            "time",
            "collect kube_pod_status_scheduled_time, which shows whether nodes are lacking or pods start slowly",
            f"{runs} keep spending {{}} before their work begins",
        )
    return _Words(
        "start",
        "startup time",
        "pulling images and starting pods",
        "startup",
        "a smaller image, images kept on the nodes, or fewer pods",
        "every run keeps paying {} before its work begins"
        if most
        else "some runs keep paying {} before their work begins",
    )


def _finding(evidence: Evidence, runs: Sequence[ExecutedRun], field: str) -> Finding | None:
    analysis = evidence.analysis
    least = evidence.settings.number("minSharePercent", 10.0) / 100
    much = [own >= least * run.makespan for run, own in zip(runs, _spent(runs, field)[1], strict=True)]
    runs = lasting(evidence, runs, much) if any(much) else ()
    whole = sum(run.makespan for run in runs)
    if not whole:
        return None  # also where runs begin and end within a second, which is what their times are in
    steps, totals = _spent(runs, field)
    share_now = sum(totals) / whole
    if share_now < least:
        return None
    bound = evidence.worth(without(runs, field), evidence.settings.number("minGainPercent", 5.0), runs)
    if bound is None:
        return None
    part = QUARTER if field == BEFORE_WORK else HALF
    share, seconds = attainable(bound, part)
    # A mean describes the runs only where most of them wait; else those that do are counted.
    waited = [own for run, own in zip(runs, totals, strict=True) if own >= least * run.makespan]
    most = 2 * len(waited) >= len(runs)
    longest = text.duration(max(totals))
    all_of_it = text.duration(bound[1].likely) if most else f"up to {longest}"
    worst = max(steps, key=lambda n: (steps[n], n))
    step, name = analysis.step(worst), evidence.title(worst)
    mean = text.duration(sum(totals) / len(totals))
    where = (
        f"{text.duration(steps[worst])} of it at {name}"
        if most
        else f"{text.percent(sum(waited) / sum(totals))} of it in {len(waited)} of them (up to {longest}), mainly at {name}"
    )
    declared = analysis.definition.declared
    words = _words(field, most, declared.get(QUEUE_LABEL) if POD_BY_POD in declared else None)
    explained = _room(step) if field != STARTING else ""
    if field == PENDING:
        explained += _hours(evidence)
    return Finding(
        about=words.about,
        action=f"Reduce {words.title} ({text.percent(share_now)} of run time), mainly for {name}",
        because=(
            f"{text.percent(share_now)} of the run time{f', {mean} per run,' if most else ''} is {words.noun}"
            f" on the critical path {window_of(evidence, runs)}, {where}{explained}"
        ),
        otherwise=words.otherwise.format(all_of_it),
        current=f"{text.duration(median(totals))} per run (median){'' if most else f', at most {longest}'}",
        proposed=words.remedy,
        expected=(
            f"{gain_sentence(share, seconds, 'each run' if most else 'an average run')}, {assumption(words.kind, part)}"
        ),
        confidence=0.5,
        gain_seconds=seconds,
        gain_share=share,
        upper_bound=True,
        evidence=tuple(
            f"{n}: {text.duration(v)} per run{'' if most else ' on average'}"
            for n, v in sorted(steps.items(), key=lambda kv: -kv[1])
            if v >= 1.0
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation each for suspension, scheduling, start-up and locks, if a significant share of the run time."""
    analysis = evidence.analysis
    runs = [run for run in evidence.recent() if run.usable]
    if analysis.definition.suspended and by_schedule(analysis.definition, analysis.runs):
        return
    yield suspension.find(evidence)
    if not runs:
        return
    known = {field: measured(evidence, runs, field) for field in (PENDING, STARTING)}
    if not any(known.values()):
        known = {BEFORE_WORK: measured(evidence, runs, BEFORE_WORK)}
    for field, of in known.items():
        yield _finding(evidence, of, field) if of else None
    yield locks.find(evidence, runs)


RULE = Rule(
    RuleName.QUEUE_TIME,
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=5,
    settings=("minGainPercent", "minSharePercent"),
    steps=False,
)
