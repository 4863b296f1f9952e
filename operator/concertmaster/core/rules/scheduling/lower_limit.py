"""A lower limit of concurrent pods: where pods only wait for nodes, it lets them queue in the engine instead."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf, replay
from concertmaster.core.analysis.replay.parallelism import TOLERANCE, smallest_limit
from concertmaster.core.model import Category, Finding
from concertmaster.core.model.engines import POD_BY_POD
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.limit_scopes import LimitScope
from concertmaster.core.rules.scheduling.waits import most_on_nodes

_ELSEWHERE = 0.25  # most of the wait for nodes, as a share, that other workflows caused


def lower_limit(evidence: Evidence, scope: LimitScope, runs: list[ExecutedRun], least_waiting: float) -> Finding | None:
    """The recommendation of a lower limit, or of one where there is none; None where pods hardly wait for nodes, or the run
    would take longer. ``least_waiting``: the share of their life that they must wait for nodes."""
    engine = evidence.analysis.definition.engine
    named = evidence.analysis.definition.pod_labels
    workflow = named.value if named is not None and named.value else scope.name  # what its engine calls it
    if scope.step is not None or (scope.pointer is None and engine.concurrency(workflow, 1) is None):
        return None
    if evidence.analysis.definition.declared.get(POD_BY_POD):
        return None  # its pods wait for Kueue's quota, too, and the scheduler does not see them until they have it
    crowded = [run for run in runs if any(limit.kind == "capacity" for limit in run.limits)]
    if len(crowded) < max(2, len(runs) / 2):
        return None  # nodes had room in most runs
    rows = [a for run in runs for chains in run.chains for chain in chains for a in chain]
    pending, starting = (sum(v) / len(runs) for v in ([a.pending for a in rows], [a.starting for a in rows]))
    busy = sum(a.span for a in rows) / len(runs)
    if pending < least_waiting * busy:
        return None
    most = max(most_on_nodes(run) for run in runs)
    limit, seconds, now = _fits(runs, most, starting / (pending + starting))
    if (
        limit >= (scope.limit if scope.limit is not None else max(most_on_nodes(run, pending=True) for run in runs))
        or seconds > (1.0 + TOLERANCE) * now
    ):
        return None
    if sum(_elsewhere(run, limit) for run in runs) > _ELSEWHERE * pending * len(runs):
        return None  # with fewer pods at a time, each would still wait for others
    edits = scope.edit(limit)
    title = "Set" if scope.limit is None else "Lower"
    before = "not set" if scope.limit is None else str(scope.limit)
    return Finding(
        about=scope.about,
        action=f"{title} parallelism of {scope.name}: {before} -> {limit}",
        because=(
            f"its pods waited {text.duration(pending)} per run for a node, {text.percent(pending / busy)} of their life, in"
            f" {len(crowded)} of {text.count(len(runs), 'run')} ({evidence.recent_window()}); never more than"
            f" {most} ran at a time"
        ),
        otherwise="waiting pods keep crowding the scheduler's queue, and delay other workflows on the same nodes",
        category=Category.SCALABILITY,
        current="no limit" if scope.limit is None else f"{text.count(scope.limit, 'pod')} at a time",
        proposed=f"{text.count(limit, 'pod')} at a time",
        expected=f"{text.duration(pending)} less queueing of pods in each run; no impact on run duration"
        f" ({text.duration(seconds)} replayed, {text.duration(now)} now)",
        confidence=0.7,
        edits=edits,
        evidence=(f"{limit} is the smallest limit whose replay, with a node for each pod let in, is within 2% of now",),
        automatic=bool(edits),
        snippet=None if edits else engine.concurrency(workflow, limit),
    )


def _elsewhere(run: ExecutedRun, limit: int) -> float:
    """Seconds that pods waited for a node while fewer than ``limit`` pods of the run had one: others held the nodes."""
    edges: list[tuple[float, int, int]] = []  # time, change of the pods on nodes, of those waiting
    for a in (a for chains in run.chains for chain in chains for a in chain):
        bound = a.finished - a.starting - a.work
        edges += [(bound - a.pending, 0, 1), (bound, 1, -1), (a.finished, -1, 0)]
    waited, running, waiting, last = 0.0, 0, 0, 0.0
    for time, more, queued in sorted(edges):
        if running < limit:
            waited += waiting * (time - last)
        running, waiting, last = running + more, waiting + queued, time
    return waited


def _fits(runs: list[ExecutedRun], most: int, start_up: float) -> tuple[int, float, float]:
    """Smallest limit (at most ``most``) that keeps the runs within 2% of their current duration when admitted pods find a
    node at once, with the replayed mean makespan and the current one (s)."""
    now = sum(run.replayed for run in runs) / len(runs)
    found = WhatIf.scale_start_up(start_up)

    def change(limit: int) -> WhatIf:
        return WhatIf.set_parallelism(limit) & found

    limit = smallest_limit(runs, change, most, now * (1.0 + TOLERANCE), found)
    return limit, sum(replay(run, change(limit)) for run in runs) / len(runs), now
