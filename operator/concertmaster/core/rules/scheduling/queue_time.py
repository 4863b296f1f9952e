"""``queue-time``: how much of the run is waiting for a node, for a pod to start or for a lock, and what makes it so.

Only waiting on the critical path counts: a pod that waits beside a longer step delays nobody. The kinds have
different cures. Waiting for a node is about room: smaller requests, other hours, more nodes. Starting is about
images and volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf, critical_chain
from concertmaster.core.analysis.workflow import StepAnalysis
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.rules.base import Evidence, Rule, gain_sentence, mean_interval, median


def _spent(runs: Sequence[ExecutedRun], field: str) -> tuple[dict[str, float], list[float]]:
    """Seconds on the critical path by step (mean per run), and in all per run. ``field``: pending or starting."""
    steps: dict[str, float] = {}
    totals: list[float] = []
    for run in runs:
        chain = critical_chain(run)
        totals.append(sum(getattr(a, field) for a in chain))
        for a in chain:
            steps[a.step] = steps.get(a.step, 0.0) + getattr(a, field) / len(runs)
    return steps, totals


def without(runs: Sequence[ExecutedRun], field: str) -> WhatIf:
    """Scheduling and start-up of each step without the part called ``field``."""
    part: dict[str, float] = {}
    whole: dict[str, float] = {}
    for run in runs:
        for chains in run.chains:
            for a in (a for chain in chains for a in chain):
                part[a.step] = part.get(a.step, 0.0) + getattr(a, field)
                whole[a.step] = whole.get(a.step, 0.0) + a.pending + a.starting
    return WhatIf(start_up=tuple((s, 1.0 - part[s] / whole[s]) for s in part if whole[s] > 0))


def _room(step: StepAnalysis | None) -> str:
    """What the step asks of a node, for the sentence that tells why it waits."""
    if step is None:
        return ""
    parts = [
        f"{text.cores(sum(c.cpu_request or 0.0 for c in step.containers))}"
        if any(c.cpu_request for c in step.containers)
        else "",
        text.memory(sum(c.memory_request or 0.0 for c in step.containers))
        if any(c.memory_request for c in step.containers)
        else "",
    ]
    asked = " and ".join(p for p in parts if p)
    return f", whose pods ask for {asked}" if asked else ""


def _hours(evidence: Evidence) -> str:
    """The hour of the day (UTC) with the longest waits, when it stands out."""
    by_hour: dict[int, list[float]] = {}
    for run in evidence.analysis.runs:
        waits = [e.scheduled - e.created for e in run.steps if e.scheduled is not None and e.created is not None]
        if waits and run.start is not None:
            by_hour.setdefault(int(run.start % 86400 // 3600), []).append(max(waits))
    medians = {h: median(v) or 0.0 for h, v in by_hour.items() if len(v) >= 3}
    if len(medians) < 2:
        return ""
    worst = max(medians, key=medians.__getitem__)
    rest = median([v for h, v in medians.items() if h != worst]) or 0.0
    return f"; most of it at {worst:02d}:00 UTC" if medians[worst] >= 2 * max(rest, 1.0) else ""


def _finding(evidence: Evidence, runs: Sequence[ExecutedRun], field: str) -> Finding | None:
    analysis = evidence.analysis
    steps, totals = _spent(runs, field)
    share_now = sum(totals) / sum(run.makespan for run in runs)
    if share_now < evidence.settings.number("minSharePercent", 10.0) / 100:
        return None
    gains = evidence.worth(without(runs, field), evidence.settings.number("minGainPercent", 5.0), runs)
    if gains is None:
        return None
    share, seconds = gains
    worst = max(steps, key=lambda n: (steps[n], n))
    step, name = analysis.step(worst), evidence.title(worst)
    if field == "pending":
        about, noun = None, "waiting for a node"
        action = f"Reduce scheduling latency, mainly for {name}; smaller requests, other hours or more nodes"
        cause = f"{text.duration(steps[worst])} of it at {name}{_room(step)}{_hours(evidence)}"
        otherwise = f"runs keep waiting {text.duration(seconds.likely)} for capacity, longer when the cluster fills up"
    else:
        about, noun = "start", "pulling images and starting pods"
        action = f"Start {name} faster; a smaller image, images kept on the nodes, or fewer pods"
        cause = f"{text.duration(steps[worst])} of it at {name}"
        otherwise = f"every run keeps paying {text.duration(seconds.likely)} before its work begins"
    return Finding(
        about=about,
        action=action,
        because=(
            f"{text.percent(share_now)} of the run time, {text.duration(sum(totals) / len(totals))} per run, is"
            f" {noun} on"
            f" the critical path {evidence.runs(len(runs))}, {cause}"
        ),
        otherwise=otherwise,
        current=f"{text.duration(median(totals))} per run (median)",
        proposed="none on the critical path",
        expected=f"at most {gain_sentence(share, seconds)}, if none of it were left",
        confidence=0.5,
        gain_seconds=seconds,
        gain_share=share,
        evidence=tuple(
            f"{n}: {text.duration(v)} per run" for n, v in sorted(steps.items(), key=lambda kv: -kv[1]) if v >= 1.0
        ),
    )


def _locked(evidence: Evidence, runs: Sequence[ExecutedRun]) -> Finding | None:
    """Waiting for a mutex or semaphore: the time between a step's dependencies and its pod, beyond what others need."""
    analysis = evidence.analysis
    locks = {s.name: s.locks for s in analysis.definition.graph.steps if s.locks}
    if not locks:
        return None
    usual = median([a.lag for run in runs for cs in run.chains for c in cs for a in c if a.step not in locks]) or 0.0
    steps: dict[str, float] = {}
    waits: list[float] = []
    for run in runs:
        found = {a.step: max(0.0, a.lag - usual) for a in critical_chain(run) if a.step in locks and a.attempt == 0}
        waits.append(sum(found.values()))
        for step, wait in found.items():
            steps[step] = steps.get(step, 0.0) + wait / len(runs)
    spans = sum(run.makespan for run in runs) / len(runs)
    seconds = mean_interval(waits)
    least = evidence.settings.number("minSharePercent", 10.0) / 100
    if not steps or seconds is None or seconds.low <= 0 or seconds.likely < least * spans:
        return None
    share = Interval(*(v / spans for v in (seconds.low, seconds.likely, seconds.high)))
    worst = max(steps, key=lambda n: (steps[n], n))
    name, lock = evidence.title(worst), text.listing([n.rpartition("/")[2] for n in locks[worst]])
    return Finding(
        step=worst,
        about="lock",
        action=f"Hold the lock {lock} shorter, or let more than one have it; {name} waits for it",
        because=(
            f"{text.percent(share.likely)} of the run time, {text.duration(seconds.likely)} per run, is waiting for {lock}"
            f" on the critical path {evidence.runs(len(runs))}, {text.duration(steps[worst])} of it at {name}"
        ),
        otherwise=f"steps that could run side by side keep taking turns, {text.duration(seconds.likely)} of each run",
        current=f"{text.duration(median(waits))} per run (median)",
        proposed="none on the critical path",
        expected=f"at most {gain_sentence(share, seconds)}, if none of it were left",
        confidence=0.5,
        gain_seconds=seconds,
        gain_share=share,
        evidence=tuple(
            f"{n}: {text.duration(v)} per run" for n, v in sorted(steps.items(), key=lambda kv: -kv[1]) if v >= 1.0
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for waiting, one for starting, one for locks, each when it is a notable part of the run."""
    runs = [run for run in evidence.analysis.executed if run.usable]
    if not evidence.analysis.enough or not runs:
        return
    for field in ("pending", "starting"):
        finding = _finding(evidence, runs, field)
        if finding is not None:
            yield finding
    locked = _locked(evidence, runs)
    if locked is not None:
        yield locked


RULE = Rule(
    "queue-time",
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=5,
    settings=("minGainPercent", "minSharePercent"),
    steps=False,
)
