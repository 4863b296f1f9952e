"""Run records from what the file holds: pods seen in the metrics, and records taken from live objects.

A live record knows edges, attempts and outcomes; the metrics know what the pods used. Both are kept as they came and
joined by pod name when a run is read, so that either may arrive first. A record without steps has the end of a run only;
the rest comes from its pods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import inf

from concertmaster.core.attempts import begin
from concertmaster.core.model import (
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    Suspension,
    without_pauses,
)
from concertmaster.core.model.facts import OOM_KILLED
from concertmaster.engines import RunBuilder
from concertmaster.engines.retried_runs import Pause
from concertmaster.history.live_rows import join

_SLACK = 120.0  # seconds around a live run in which pods of its name are its own
_SECOND = 1.0  # resolution of the times of objects


def rebuild(run: str, rows: Sequence[StepExecution], live: RunRecord | None, builder: RunBuilder) -> list[RunRecord]:
    """All runs of the name ``run``, oldest first."""
    if live is None:
        return builder.runs(run, rows)
    if not live.steps:
        return _ended(live, builder.runs(run, rows) if rows else [])
    own = [e for e in rows if _within(e, live)]
    others = [e for e in rows if not _within(e, live)]
    before = builder.runs(run, others) if others else []
    taken = {r.run for r in before}
    retried = builder.pauses(own)
    joined = join(live, own, replaced=not retried)
    between = tuple(pause for pause in retried if joined.end is None or pause[1] <= joined.end)
    lost = _lost(live, own) if not between else ()
    if lost:
        unlinked = [replace(e, attempt=0, ready=None, after=None) for e in joined.steps]
        joined = _with_end(builder.run(run, [*lost, *unlinked]), replace(live, start=_begun(live)))
    elif joined.end is not None:  # the end before a retry may not have been read
        known = (joined.pauses, between) if len(joined.pauses) > len(between) else (between, joined.pauses)
        idle = _pauses(joined, live)
        held = _suspended(live.suspension, joined, idle)
        joined = replace(joined, pauses=_together(_together(*known), idle), suspension=held)
    joined = without_pauses(joined)
    if joined.run in taken:
        joined = replace(joined, run=f"{run}@{int(joined.start or 0.0)}")
    return sorted([*before, joined], key=lambda r: (r.start or 0.0, r.run))


def _lost(live: RunRecord, rows: Sequence[StepExecution]) -> list[StepExecution]:
    """The pods of the run that its object no longer knows: deleted and replaced, as from a node that is drained, which a Job
    does not count if its podFailurePolicy ignores disruptions, or by a suspension, after which the run begins anew. Where
    steps wait for others, whose attempts are not numbered by their times, only those from before a suspension."""
    begun = _begun(live)
    if live.end is None or begun is None:
        return []
    linked = any(name != e.step for e in live.steps for name in e.after or ())
    known = {e.pod for e in live.steps}
    since = (live.created if live.created is not None else begun) - _SECOND
    until = begun - _SECOND if linked else live.end
    return [
        e
        for e in rows
        if e.pod not in known and e.outcome is not Outcome.SUCCEEDED
        if e.created is not None and since <= e.created < until
        # A pod from before the suspension whose end is unknown would make the suspension run time.
        if e.created >= begun - _SECOND or e.finished is not None
    ]


def _begun(live: RunRecord) -> float | None:
    """When the run began, or began anew (unix seconds)."""
    resumed = live.suspension.until if live.suspension is not None else None
    return resumed if resumed is not None else min((e.ready for e in live.steps if e.ready is not None), default=None)


def same_run(one: RunRecord, other: RunRecord) -> bool:
    """Whether two records of one name can be about one run: of one object or, if that is unknown, by their times."""
    if one.created is not None and other.created is not None:
        return one.created == other.created
    if one.start is None or other.start is None:
        return True
    first, second = (one, other) if one.start <= other.start else (other, one)
    return first.end is None or (second.start or 0.0) <= first.end + _SLACK


def retried(before: RunRecord, record: RunRecord) -> RunRecord:
    """``record`` of a run that had ended as ``before`` and continued after that, with the time nothing ran as a pause. How
    long it was suspended is known from its first end: a retry may have removed its first steps."""
    if before.created is not None and before.created == record.created and before.end != record.end:
        record = replace(record, suspension=before.suspension)
    if record.start is None or before.end is None or record.start > before.end:
        return record  # another run of the name
    pauses = [p for p in before.pauses if record.start < p[0]]
    later = [e.created for e in record.steps if e.created is not None and e.created > before.end]
    if later and before.outcome in (Outcome.FAILED, Outcome.UNKNOWN):  # unknown: it was stopped
        pauses.append((before.end, min(later)))
    return replace(record, pauses=_together(pauses, record.pauses))


def _together(pauses: Sequence[Pause], others: Sequence[Pause]) -> tuple[Pause, ...]:
    """The ``pauses``, and those of the ``others`` at another time: a run may be retried, and then suspended."""
    return (*pauses, *(p for p in others if all(p[1] <= begin or end <= p[0] for begin, end in pauses)))


def _ended(end: RunRecord, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """``runs`` with the outcome of one of them from ``end``, its record without steps.

    The outcome of the engine's object takes precedence; that of a Job in the metrics only fills a gap, unless it completed
    although pods failed. A failed run without any pod is a run all the same; one that ended otherwise is left out until its
    pods are known, since its times would not be comparable.
    """
    fits = [i for i, r in enumerate(runs) if _began_with(r, end)]
    if not fits:
        alone = replace(end, run=f"{end.run}@{int(end.start or 0.0)}") if runs else end
        return sorted(
            [*runs, *([alone] if end.outcome is Outcome.FAILED else [])], key=lambda r: (r.start or 0.0, r.run)
        )
    at = min(fits, key=lambda i: abs((runs[i].start or 0.0) - (end.start or 0.0)))
    return [_with_end(r, end) if i == at else r for i, r in enumerate(runs)]


def _with_end(run: RunRecord, end: RunRecord) -> RunRecord:
    """``run`` with what only the record of its ``end`` tells."""
    outcome = run.outcome
    if end.source is Source.LIVE or outcome in (Outcome.UNKNOWN, Outcome.RUNNING) or _completed(end):
        outcome = end.outcome
    pauses = _pauses(run, end)
    held = _suspended(end.suspension, run, pauses)
    steps = _killed_for_good(run.steps) if outcome is Outcome.FAILED else run.steps
    run = replace(
        run, steps=steps, outcome=outcome, suspension=held, pauses=pauses, created=end.created, fetched=end.fetched
    )
    return without_pauses(_sized(_cut(run, end), end.input_size))


def _cut(run: RunRecord, end: RunRecord) -> RunRecord:
    """``run`` without the time its pods went on after its end, as its engine reports it: a Ray cluster may be kept after its
    run, for a while or for good. Pods that ended by themselves did so as part of it."""
    if end.source is not Source.LIVE or end.end is None:
        return run
    steps = tuple(
        replace(e, finished=end.end)
        if e.outcome in (Outcome.UNKNOWN, Outcome.RUNNING) and begin(e) < end.end < (e.finished or inf)
        else e
        for e in run.steps
    )
    return run if steps == run.steps else replace(run, steps=steps, end=min(run.end or inf, end.end))


def _killed_for_good(steps: tuple[StepExecution, ...]) -> tuple[StepExecution, ...]:
    """The executions of a failed run. With ``restartPolicy: OnFailure`` a Job that has used up its backoffLimit deletes its
    pod, which is not seen to fail: one that was OOM-killed before failed by that, where no other failed."""
    if any(e.outcome is Outcome.FAILED for e in steps):
        return steps
    return tuple(
        replace(e, outcome=Outcome.FAILED, reason=OOM_KILLED)
        if e.outcome is Outcome.UNKNOWN and any(c.restarted_after_oom is not None for c in e.containers)
        else e
        for e in steps
    )


def _completed(end: RunRecord) -> bool:
    """Whether a Job succeeded after its start: of several Jobs of one name the metrics have the latest start, and the end
    of any that succeeded."""
    return end.outcome is Outcome.SUCCEEDED and None not in (end.start, end.end) and (end.start or 0) <= (end.end or 0)


def _pauses(run: RunRecord, end: RunRecord) -> tuple[Pause, ...]:
    """The times in which nothing ran before the run was begun anew, as by a suspension. ``end`` says when it was resumed
    (a JobSet that starts its Jobs in order: when the last had started); the first pod may be a second older. Of the times
    before the last one are as many as Kueue evicted it more than once."""
    resumed, evicted = end.start, 0
    if end.suspension is not None and end.suspension.until is not None:
        resumed, evicted = end.suspension.until, end.suspension.evictions
    rows = sorted(run.steps, key=begin)
    if resumed is None or not rows:
        return ()
    begins = [begin(e) for e in rows[1:]] + [resumed] * (
        begin(rows[-1]) < resumed - _SECOND
    )  # its pods are not known yet
    ends = accumulate([float("inf") if e.finished is None else e.finished for e in rows], max)
    gaps = [(a, min(b, resumed)) for a, b in zip(ends, begins, strict=False) if a < min(b, resumed) >= b - _SECOND]
    longest = sorted(gaps[:-1], key=lambda gap: gap[0] - gap[1])[: max(0, evicted - 1)]
    return (*longest, *gaps[-1:])


def _suspended(held: Suspension | None, run: RunRecord, pauses: Sequence[Pause]) -> Suspension | None:
    """The suspension of ``run``. By the conditions of a run it lasts until it was last resumed: what ran before is none.
    Kueue counts it itself."""
    if held is None or held.by is not None or held.evictions or held.until is None or run.start is None:
        return held
    ran = held.until - run.start - sum(until - since for since, until in pauses)
    return replace(held, seconds=max(0.0, held.seconds - max(0.0, ran)))


def _sized(run: RunRecord, size: float | None) -> RunRecord:
    """``run`` with the size of its input, where the end of it is all that was read live."""
    if size is None:
        return run
    steps = tuple(e if e.input_size is not None else replace(e, input_size=size) for e in run.steps)
    return replace(run, steps=steps, input_size=size)


def _began_with(run: RunRecord, end: RunRecord) -> bool:
    """Whether pods of ``run`` started while the run of ``end`` was in progress."""
    if run.start is None or end.start is None:
        return True
    last = max((e.created for e in run.steps if e.created is not None), default=run.start)
    return end.start - _SLACK <= max(run.start, last) and (end.end is None or run.start <= end.end + _SLACK)


def _within(e: StepExecution, live: RunRecord) -> bool:
    times = [t for t in (e.created, e.started, e.finished) if t is not None]
    if not times or live.start is None:
        return True
    since = live.start - _SLACK if live.created is None else live.created - _SECOND
    return min(times) >= since and (live.end is None or min(times) <= live.end + _SLACK)
