"""The site after a recommendation on scheduling was followed, and the measure in which its effect is promised."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.clusters.law import Flow, Site
from benchmarks.clusters.manifests import manifest, template_of
from benchmarks.clusters.runs import Run
from concertmaster.core.changes.json_patch import parts
from concertmaster.core.model import Edit, Interval, Recommendation

Measure = Callable[[Sequence[Run], int], float]
"""Of the runs of a workflow, and the number of its starts that were due."""

_PLACES = 10**6


def makespan(runs: Sequence[Run], due: int) -> float:
    """Mean seconds of a run that succeeded, from its first pod to its end."""
    done = [run.makespan for run in runs if run.complete]
    return fmean(done) if done else 0.0


def whole(runs: Sequence[Run], due: int) -> float:
    """The same, from when it was due."""
    done = [run.whole for run in runs if run.complete]
    return fmean(done) if done else 0.0


def failing(runs: Sequence[Run], due: int) -> float:
    """Share of the runs that failed or were stopped."""
    return fmean(run.failed for run in runs) if runs else 0.0


def skipped(runs: Sequence[Run], due: int) -> float:
    """Share of the scheduled starts that did not take place."""
    return 1.0 - min(1.0, sum(run.start.number < _PLACES for run in runs) / due) if due else 0.0


def pending(runs: Sequence[Run], due: int) -> float:
    """Seconds per run that pods waited for a node, of all its pods."""
    waits = [
        sum(p.scheduled - p.created for p in run.pods if p.scheduled is not None and p.created is not None)
        for run in runs
        if run.complete
    ]
    return fmean(waits) if waits else 0.0


@dataclass(frozen=True, slots=True)
class Followed:
    """``site``: after the recommendation was followed. ``promised``: the effect in its ``measure``, which falls by it (None:
    no amount is promised). ``harmless``: it promises that runs take no longer; ``at_most``: it is said to be an upper
    bound."""

    site: Site
    measure: Measure
    promised: Interval | None
    harmless: bool = False
    at_most: bool = False


def followed(site: Site, flow: Flow, item: Recommendation) -> Followed | None:
    """What was recommended for ``flow``, carried into the law; None for what is not about scheduling."""
    act = _BY_RULE.get(item.rule)
    return act(site, flow, item) if act is not None else None


def _moved(site: Site, flow: Flow, item: Recommendation) -> Followed:
    return _seconds(site.having(flow.name, schedule=item.proposed, before=None), item)


def _apart(site: Site, flow: Flow, item: Recommendation) -> Followed | None:
    """Runs that overlap: another interval, or another policy."""
    less = " less often: " in item.action
    if not less and item.proposed != "Forbid":
        return None  # an interval in words
    then = site.having(flow.name, **({"schedule": item.proposed} if less else {"policy": "Forbid"}), before=None)
    if flow.policy == "Forbid":
        return Followed(then, skipped, None)
    if flow.policy == "Replace":
        return Followed(then, failing, item.failures_avoided)
    return _seconds(then, item)


def _waiting(site: Site, flow: Flow, item: Recommendation) -> Followed | None:
    """Waiting for nodes and locks. Where the remedy is left open, all of the wait is removed."""
    if item.id == "queue-time":
        return _seconds(site.roomy(), item)
    if item.id == "queue-time.suspended":
        return replace(_seconds(site.having(flow.name, run_lock=None), item), measure=whole)
    if item.id != "queue-time.lock":
        return None
    lock = next(s.lock for s in flow.steps if s.name == item.step)
    assert lock is not None
    places = int(item.proposed.split()[0]) if item.action.startswith("Raise") else _PLACES
    return _seconds(site.on(semaphores={**site.cluster.semaphores, lock: places}), item)


def _limited(site: Site, flow: Flow, item: Recommendation) -> Followed:
    then = site.having(flow.name, limit=int(item.proposed.split()[0]))
    if item.gain_seconds is None:
        return Followed(then, pending, None, harmless=True)
    return _seconds(then, item)


def _retried(site: Site, flow: Flow, item: Recommendation) -> Followed | None:
    templates = manifest(flow)["spec"].get("workflowSpec", {}).get("templates", [])
    names = {template_of(s.name): s.name for s in flow.steps}
    then = flow
    for edit in item.edits:
        index = next((int(p) for p in parts(edit.pointer) if p.isdigit()), None)
        if index is None or "retryStrategy" not in edit.pointer:
            return None
        then = then.having(names[templates[index]["name"]], retries=_limit(edit))
    site = replace(site, flows=tuple(then if f is flow else f for f in site.flows))
    return Followed(site, failing, item.failures_avoided) if item.edits else None


def _limit(edit: Edit) -> int:
    made = json.loads(edit.proposed or "0")
    return int(made["limit"]) if isinstance(made, dict) else int(made)


def _seconds(site: Site, item: Recommendation) -> Followed:
    return Followed(site, makespan, item.gain_seconds, at_most=item.upper_bound)


_BY_RULE: dict[str, Callable[[Site, Flow, Recommendation], Followed | None]] = {
    "schedule-clash": _moved,
    "overlapping-runs": _apart,
    "queue-time": _waiting,
    "parallelism": _limited,
    "retry-policy": _retried,
}
