"""Waiting for mutexes and semaphores, a part of ``queue-time``, with the proposed size of a semaphore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, podless_before
from concertmaster.core.analysis.replay.gain import paired_gain, sooner
from concertmaster.core.analysis.shared.semaphores import MAX_PLACES, EnoughPlaces, enough_places, holdings
from concertmaster.core.known import median
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Finding, Level, WorkflowGraph
from concertmaster.core.rules.base import gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.intervals import mean_interval
from concertmaster.core.rules.scheduling.free_capacity import begins, outside, service_notes
from concertmaster.core.rules.upper_bound import assumption, attainable

_SEMAPHORE = "semaphore/"


class _Semaphore(NamedTuple):
    """``name``: of the lock; ``size``: how many may hold it at a time; ``enough``: how many would do, None where a queue of
    this size does not explain the waiting; ``limited``: what allows no more than that, in brackets, or nothing; ``served``:
    what must serve that many of its holders, None where these compute."""

    name: str
    size: int
    enough: EnoughPlaces | None
    limited: str = ""
    served: str | None = None


def find(evidence: Evidence, runs: Sequence[ExecutedRun]) -> Finding | None:
    """A finding on the delay between dependencies and pod creation, beyond that of steps without a lock."""
    analysis = evidence.analysis
    locks = {s.name: s.locks for s in analysis.definition.graph.steps if s.locks}
    if not locks:
        return None
    usual = median([a.lag for run in runs for cs in run.chains for c in cs for a in c if a.step not in locks]) or 0.0
    approvals = _approvals(analysis.definition.graph)
    waits, steps = _waits(runs, approvals, usual)
    spans = sum(run.makespan for run in runs) / len(runs)
    seconds = mean_interval(waits)
    least = evidence.settings.number("minSharePercent", 10.0) / 100
    if not steps or seconds is None or seconds.low <= 0 or seconds.likely < least * spans:
        return None
    worst = max(steps, key=lambda n: (steps[n], n))
    semaphore = _semaphore(evidence, runs, locks[worst], locks, usual)
    enough = semaphore.enough if semaphore is not None else None
    saved = enough.saved if enough is not None else {run.run: _lags(run, approvals, usual) for run in runs}
    base = np.array([run.replayed for run in runs])
    then = np.array([sooner(run, saved.get(run.run, {})) for run in runs])
    gains = worth(paired_gain(base - then, base), evidence.settings.number("minGainPercent", 5.0))
    if gains is None:
        return None
    share, seconds = gains
    held_up = text.duration(seconds.likely)
    bound = semaphore is None or enough is None or semaphore.served is not None
    if bound:
        share, seconds = attainable((share, seconds))
    name, lock = evidence.title(worst), text.listing([n.rpartition("/")[2] for n in locks[worst]])
    whole = sum(waits) / len(waits)
    because = (
        f"{text.percent(whole / spans)} of the run time, {text.duration(whole)} per run, is waiting for {lock}"
        f" on the critical path {evidence.runs(len(runs))}, {text.duration(steps[worst])} of it at {name}"
    )
    lines = [f"{n}: {text.duration(v)} per run" for n, v in sorted(steps.items(), key=lambda kv: -kv[1]) if v >= 1.0]
    if semaphore is not None and enough is None:
        lines.append(
            f"a queue of {semaphore.size} explains less than half of the wait: other workflows hold {lock} too"
        )
    found = Finding(
        step=worst,
        about="lock",
        because=because,
        confidence=0.5,
        gain_seconds=seconds,
        gain_share=share,
        upper_bound=bound,
        action=f"Hold lock {lock} for less time, or allow more holders: {name} waits for it",
        otherwise=f"steps that could run in parallel keep running one after the other, {held_up} of each run",
        # Not the median: of two workflows with one lock, the one that usually comes first waits in few of its runs.
        current=f"{text.duration(sum(waits) / len(waits))} per run on average, at most {text.duration(max(waits))}",
        proposed="none on the critical path",
        expected=gain_sentence(share, seconds) + (f", {assumption('wait')}" if bound else ""),
        evidence=tuple(lines),
    )
    if semaphore is None or enough is None:
        return found
    return _raised(found, evidence.namespace, semaphore, enough, service_notes(evidence, begins(evidence, runs)))


def _raised(
    found: Finding, namespace: str, semaphore: _Semaphore, enough: EnoughPlaces, notes: Sequence[str]
) -> Finding:
    """The finding with the size that would be enough, what it rests on, and how to set it."""
    name, size, _, limited, served = semaphore
    config_map, _, key = name.removeprefix(_SEMAPHORE).partition("/")
    return replace(
        found,
        action=f"Raise semaphore {name.rpartition('/')[2]}: {size} -> {enough.size}{limited}",
        risk=Level.MEDIUM,
        current=f"{size} at a time (ConfigMap {config_map})",
        proposed=f"{enough.size} at a time",
        how=commands.merge_patch(namespace, "ConfigMap", config_map, {"data": {key: str(enough.size)}}),
        evidence=(
            *found.evidence,
            f"replayed as a queue of {size}, its holders wait {text.duration(enough.now)} on average; of {enough.size},"
            f" {text.duration(enough.left)}",
            "whatever the semaphore protects must bear that many at a time; other workflows may hold it too",
            *([served] if served is not None else []),
            *notes,
        ),
    )


def _approvals(graph: WorkflowGraph) -> dict[str, list[str]]:
    """Steps that need a lock, each with the steps without a pod that it waits for, such as an approval."""
    before = podless_before(graph)
    return {s.name: before.get(s.name, []) for s in graph.steps if s.locks}


def _lags(run: ExecutedRun, approvals: Mapping[str, Sequence[str]], usual: float) -> dict[int, float]:
    """Seconds that first attempts waited for a lock, beyond the ``usual``, by place in the run's steps. Where nobody saw
    when an approval came, those that needed it are left out."""
    seen = [step for step, names in approvals.items() if all(run.chains_of(name) for name in names)]
    firsts = [chain[0] for step in seen for chain in run.chains_of(step)]
    return {a.source: max(0.0, a.lag - usual) for a in firsts}


def _waits(
    runs: Sequence[ExecutedRun], approvals: Mapping[str, Sequence[str]], usual: float
) -> tuple[list[float], dict[str, float]]:
    """Seconds that first attempts on the critical path waited for a lock: per run, and by step as a mean over the runs."""
    waits: list[float] = []
    steps: dict[str, float] = {}
    for run in runs:
        lags = _lags(run, approvals, usual)
        waited = {a.step: lags[a.source] for a in run.critical if a.source in lags}
        waits.append(sum(waited.values()))
        for step, wait in waited.items():
            steps[step] = steps.get(step, 0.0) + wait / len(runs)
    return waits, steps


def _semaphore(
    evidence: Evidence,
    runs: Sequence[ExecutedRun],
    names: Sequence[str],
    locks: dict[str, tuple[str, ...]],
    usual: float,
) -> _Semaphore | None:
    """The semaphore that is the only lock among ``names`` and whose size is known, with the size that would be enough
    within what the namespace can hold; else None."""
    sizes = evidence.analysis.definition.config_maps.semaphores
    if len(names) != 1 or names[0] not in sizes:
        return None
    size = sizes[names[0]]
    holders = [s for s in evidence.analysis.definition.graph.steps if names[0] in locks.get(s.name, ())]
    fits = evidence.capacity.pods(holders, begins(evidence, runs))
    rows = holdings(evidence.analysis.runs, frozenset(s.name for s in holders), usual)
    most, by = fits if fits is not None else (MAX_PLACES, "")
    enough = enough_places(rows, size, most)
    limited = enough is not None and by and enough.size == most
    served = outside(evidence, holders, enough.size) if enough is not None else None
    return _Semaphore(names[0], size, enough, f" (limited by {by})" if limited else "", served)
