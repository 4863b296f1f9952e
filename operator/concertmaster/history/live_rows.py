"""Records of live objects joined with what the metrics know of their pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from concertmaster.core.attempts import begin
from concertmaster.core.known import largest
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, StepExecution
from concertmaster.core.model.facts import OOM_KILLED
from concertmaster.engines import span

_SIZES = ("cpu_request", "cpu_limit", "memory_request", "memory_limit")
_MAIN = "main"  # the container of an Argo template, beside those of its executor


def join(live: RunRecord, rows: Sequence[StepExecution], *, replaced: bool = False) -> RunRecord:
    """``live`` with the facts about its pods from the metrics: usage, node, and the pods' own times. ``replaced``: also with
    the pods that were deleted while they ran, and made again under their names, as attempts: a TaskRun counts no retry."""
    by_pod: dict[str, list[StepExecution]] = {}
    for e in rows:
        if e.pod:
            by_pod.setdefault(e.pod, []).append(e)
    steps = tuple(_joined(e, _nearest(e, by_pod.get(e.pod or "", ()))) for e in live.steps)
    if replaced and len(by_pod) < len(rows):
        steps = _with_replaced(steps, by_pod)
    start, end = span(steps)
    return replace(
        live, steps=steps, start=start if start is not None else live.start, end=end if end is not None else live.end
    )


def _nearest(live: StepExecution, seen: Sequence[StepExecution]) -> StepExecution | None:
    """Of the pods of one name the one a live execution is about: the node of a retried Workflow has its pod made again."""
    if len(seen) < 2:
        return seen[0] if seen else None
    at = live.finished if live.finished is not None else live.created
    return min(seen, key=lambda e: abs((e.finished or e.created or 0.0) - (at or 0.0)))


def _with_replaced(
    steps: Sequence[StepExecution], by_pod: Mapping[str, Sequence[StepExecution]]
) -> tuple[StepExecution, ...]:
    gone: dict[tuple[str, str | None], list[StepExecution]] = {}
    for e in steps:
        for row in by_pod.get(e.pod or "", ()):
            if row.outcome is Outcome.UNKNOWN and row.uid != e.uid and begin(row) < begin(e):
                row = replace(row, step=e.step, item=e.item, attempt=e.attempt, ready=e.ready, after=e.after)
                gone.setdefault((e.step, e.item), []).append(row)
    others = (e for e in steps if (e.step, e.item) not in gone)
    tried = ([*rows, *(e for e in steps if (e.step, e.item) == name)] for name, rows in gone.items())
    return (*others, *chain.from_iterable(map(_numbered, tried)))


def _numbered(attempts: Sequence[StepExecution]) -> list[StepExecution]:
    """The attempts at one step and item, each ready once the one before it had ended."""
    first, *more = ordered = sorted(attempts, key=lambda e: (e.attempt, begin(e)))
    later = enumerate(zip(ordered, more, strict=False), 1)
    return [first, *(replace(e, attempt=n, ready=last.finished, after=(e.step,)) for n, (last, e) in later)]


def _joined(live: StepExecution, seen: StepExecution | None) -> StepExecution:
    """Times of the pod come from the metrics where they have them, so that history and live records agree."""
    if seen is None or live.outcome is Outcome.CACHED:
        return live
    vanished = seen.outcome in (Outcome.UNKNOWN, Outcome.RUNNING)
    ends = (live.finished, seen.finished) if vanished else (seen.finished, live.finished)
    return replace(
        live,
        uid=live.uid or seen.uid,
        node=live.node or seen.node,
        created=seen.created if seen.created is not None else live.created,
        scheduled=seen.scheduled if seen.scheduled is not None else live.scheduled,
        started=seen.started if seen.started is not None else live.started,
        serving=min((t for t in (live.serving, seen.serving) if t is not None), default=None),
        # The pods of a Job that has failed are deleted while they run: only the metrics know until when they did.
        finished=None
        if live.outcome is Outcome.RUNNING and vanished
        else next((t for t in ends if t is not None), None),
        reason=live.reason or seen.reason,
        containers=_killed(live.reason, _containers(live.containers, seen.containers)),
        network_receive_bytes=seen.network_receive_bytes,
        network_transmit_bytes=seen.network_transmit_bytes,
        instance_type=seen.instance_type,
        spot=seen.spot,
        node_prices=seen.node_prices,
        overhead=seen.overhead,
        volumes=seen.volumes,
    )


def _containers(live: Sequence[ContainerFact], seen: Sequence[ContainerFact]) -> tuple[ContainerFact, ...]:
    """Usage from the metrics, times from the live object where it has them: all containers of a Tekton pod start
    together and wait, so only the TaskRun knows when each one worked."""
    described = {c.name: c for c in live}
    joined = [
        replace(
            c,
            started=t.started if (t := described.get(c.name)) is not None and t.started is not None else c.started,
            finished=t.finished if t is not None and t.finished is not None else c.finished,
            reason=c.reason if c.reason is not None else (t.reason if t is not None else None),
            restarted_after_oom=largest((c.restarted_after_oom, t.restarted_after_oom if t is not None else None)),
            **_in_effect(described.get(c.name)),
        )
        for c in seen
    ]
    known = {c.name for c in seen}
    return (*joined, *(c for c in live if c.name not in known))


def _killed(reason: str | None, containers: tuple[ContainerFact, ...]) -> tuple[ContainerFact, ...]:
    """The containers of a pod of which the engine's object says that it ran out of memory. Where its end was not scraped no
    container says so: it was the one that does the work."""
    if reason != OOM_KILLED or any(c.reason == OOM_KILLED for c in containers):
        return containers
    working = [c for c in containers if not (c.init or c.sidecar)]
    main = next((c for c in working if c.name == _MAIN), working[0] if len(working) == 1 else None)
    return tuple(replace(c, reason=OOM_KILLED) if c is main and c.reason is None else c for c in containers)


def _in_effect(live: ContainerFact | None) -> dict[str, Any]:
    """Sizes as the kubelet reported them: the metrics have what the pod asks for, which a resize may not have reached."""
    sizes = {n: getattr(live, n) for n in _SIZES} if live is not None else {}
    return {name: size for name, size in sizes.items() if size is not None}
