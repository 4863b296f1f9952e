"""Suspension of runs before their first pod, a part of ``queue-time`` that is not included in the run time."""

from __future__ import annotations

from collections import Counter

from concertmaster.core import text
from concertmaster.core.known import median
from concertmaster.core.model import Finding, Interval, RunRecord
from concertmaster.core.model.engines import PARTIAL_ADMISSION, POD_BY_POD, QUEUE_LABEL
from concertmaster.core.rules.base import gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import mean_interval
from concertmaster.core.rules.scheduling.waits import pod_requests, worst_hour
from concertmaster.core.rules.upper_bound import assumption, attainable

_MIN_SECONDS = 1.0
_QUEUE = "ClusterQueue "


def _hours(runs: list[RunRecord]) -> str:
    """The hour of the day (UTC) with the longest suspensions, if it stands out, as text."""
    known = ((r.start, r.suspension.seconds) for r in runs if r.suspension is not None and r.start is not None)
    hour = worst_hour((start - seconds, seconds) for start, seconds in known)
    return f"; longest for runs created at {hour:02d}:00 UTC" if hour is not None else ""


def quota_needed(evidence: Evidence, pods: int) -> str | None:
    """What must have room for ``pods`` pods at a time, and what happens to those beyond; None where Kueue does not admit
    them."""
    declared = evidence.analysis.definition.declared
    queue = declared.get(QUEUE_LABEL)
    by = Counter(r.suspension.by for r in evidence.analysis.runs if r.suspension is not None and r.suspension.by)
    known = next((name for name, _ in by.most_common() if name.startswith(_QUEUE)), None)
    if known is None and queue is None:
        return None
    beyond = (
        "the others wait for it" if POD_BY_POD in declared or PARTIAL_ADMISSION in declared else "runs stay suspended"
    )
    return f"Kueue must have quota for {pods} pods at a time in {known or f'LocalQueue {queue}'}, else {beyond}"


def _asked(evidence: Evidence) -> tuple[str, ...]:
    """The quota requested: the requests of a pod of each step."""
    asked = ((s.step, pod_requests(s)) for s in evidence.analysis.steps)
    return tuple(f"a pod of {step} requests {amounts}" for step, amounts in asked if amounts)[:5]


def _remedy(by: str | None, evictions: int) -> str:
    """The remedy, by the controller that suspended the runs."""
    if by is None:
        return "raise the limit on concurrent runs (Argo: parallelism, namespaceParallelism), or resume runs earlier"
    if by.startswith(_QUEUE):
        rank = " give runs a higher WorkloadPriorityClass," if evictions else ""
        return f"raise nominalQuota or borrowingLimit of {by},{rank} lower requests, or start at other hours"
    return f"start runs further apart, or let more than one run have {by}"


def find(evidence: Evidence) -> Finding | None:
    """A finding if suspension is a significant share of the time from a run's creation to its end."""
    runs = [r for r in evidence.analysis.runs if r.outcome.timed and r.makespan is not None]
    known = [r for r in runs if r.suspension is not None]
    held = [r.suspension for r in known if r.suspension is not None]
    if len(known) < max(1, evidence.analysis.policy.analysis.min_runs):
        return None
    waits = [suspension.seconds for suspension in held]
    seconds = mean_interval(waits)
    whole = sum(waits + [r.makespan or 0.0 for r in known]) / len(known)
    least = evidence.settings.number("minSharePercent", 10.0) / 100
    if seconds is None or seconds.low < _MIN_SECONDS or seconds.likely < least * whole:
        return None
    rest = whole - seconds.likely  # a longer suspension makes the whole longer, too
    share = Interval(*(v / (v + rest) for v in (seconds.low, seconds.likely, seconds.high)))
    gains = attainable((share, seconds))
    holders = Counter(suspension.by for suspension in held if suspension.by)
    by = holders.most_common(1)[0][0] if holders else None
    evictions = sum(suspension.evictions for suspension in held)
    when, evicted = "before their first pod", ""
    if evictions:
        when, evicted = f"{when} and after evictions", f"; Kueue evicted them {text.count(evictions, 'time')}"
    where = "" if by is None else f" in {by}" if by.startswith(_QUEUE) else f" by {by}"
    remedy = _remedy(by, evictions)
    return Finding(
        about="suspended",
        action=f"Reduce the time runs are suspended{where}: {text.duration(seconds.likely)} per run",
        because=(
            f"runs are suspended {text.duration(seconds.likely)} {when}, {text.percent(share.likely)} of"
            f" the time from creation to end, {evidence.runs(len(known))}{_hours(known)}{evicted}"
        ),
        otherwise=f"every run keeps ending {text.duration(seconds.likely)} later than it could",
        current=f"{text.duration(median(waits))} per run (median)",
        proposed=remedy,
        expected=f"from creation to end, {gain_sentence(*gains)}, {assumption('suspension')}",
        confidence=0.5,
        gain_seconds=gains[1],
        gain_share=gains[0],
        upper_bound=True,
        evidence=(
            *(f"{name}: {text.count(n, 'run')}" for name, n in holders.most_common(3)),
            *_asked(evidence),
            "run time and its objectives begin with the first pod and do not contain this time",
        ),
    )
