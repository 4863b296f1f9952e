"""Step executions from pod facts, and merging of several observations of one pod.

Values are merged by maximum (counters and peaks of a container only grow), so that the result depends neither on the
order nor on the number of observations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from concertmaster.core.model import UNKNOWN_STEP, ContainerFact, Outcome, PodFact, StepExecution
from concertmaster.engines.common.placing import QUERIED

_FAILURES = ("OOMKilled", "DeadlineExceeded", "Evicted")  # take precedence over a mere "Error"
_SETTLED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED, Outcome.CACHED)
_Seen = TypeVar("_Seen", PodFact, StepExecution)
_EARLIEST = frozenset({"created", "scheduled", "started", "ready", "serving"})


def execution(
    fact: PodFact,
    step: str,
    item: str | None = None,
    attempt: int = 0,
    *,
    main: Collection[str] = (),
    beside: Collection[str] = (),
    daemon: bool = False,
) -> StepExecution:
    """One pod as an execution of ``step``.

    ``main`` names the containers that do the work (empty: all except init containers and ``beside``); ``beside`` names
    those whose exit does not decide the outcome (sidecars, which the engine itself kills). A pod that vanished ends at
    its last sample, or with its start if it was gone before the first, with outcome Unknown. If no container start is
    known, the start is the time the kubelet accepted the pod, which precedes the image pull.
    """
    aside = {*beside, *(c.name for c in fact.containers if c.sidecar)}
    working = [c for c in fact.containers if not c.init and (c.name in main if main else c.name not in aside)]
    started = min((c.started for c in working if c.started is not None), default=fact.started)
    ends = [c.finished for c in working if c.finished is not None]
    finished = fact.finished if fact.finished is not None else max(ends, default=None)
    outcome, reason = _outcome(fact, working, aside)
    if finished is None and fact.vanished:
        finished = fact.last_seen if fact.last_seen is not None else started
        if outcome is Outcome.UNKNOWN:
            reason = reason or "Vanished"
    if started is not None and finished is not None and finished < started:
        finished = started  # clock skew between two nodes
    return StepExecution(
        step=step,
        item=item,
        attempt=attempt,
        pod=fact.pod,
        uid=fact.uid,
        node=fact.node,
        created=fact.created,
        scheduled=fact.scheduled,
        started=started,
        serving=fact.ready if daemon else None,
        finished=finished,
        outcome=outcome,
        reason=reason,
        containers=fact.containers,
        network_receive_bytes=fact.network_receive_bytes,
        network_transmit_bytes=fact.network_transmit_bytes,
        instance_type=fact.instance_type,
        spot=fact.spot,
        node_prices=fact.node_prices,
        overhead=fact.overhead,
        volumes=fact.volumes,
    )


def _outcome(fact: PodFact, working: Sequence[ContainerFact], beside: Collection[str]) -> tuple[Outcome, str | None]:
    why = _reasons(working)
    if not why and all(c.started is None for c in working):  # it did not get beyond its init containers
        why = _reasons(c for c in fact.containers if c.init)
    reason = fact.reason or next((r for r in _FAILURES if r in why), why[0] if why else None)
    if fact.phase == "Succeeded":
        return Outcome.SUCCEEDED, None
    if fact.phase == "Failed":
        killed = {c.name for c in fact.containers if not c.init and c.reason and c.reason != "Completed"}
        if not why and not fact.reason and killed and killed <= set(beside):
            return Outcome.SUCCEEDED, None
        return Outcome.FAILED, reason
    return (Outcome.FAILED, reason) if why or fact.reason else (Outcome.UNKNOWN, None)


def _reasons(containers: Iterable[ContainerFact]) -> list[str]:
    return [c.reason for c in containers if c.reason and c.reason != "Completed"]


def merge_facts(facts: Iterable[PodFact]) -> list[PodFact]:
    """One fact per pod uid, in order of namespace, pod name and uid."""
    by_uid: dict[str, PodFact] = {}
    for fact in facts:
        other = by_uid.get(fact.uid)
        if other is None:
            by_uid[fact.uid] = with_merged_containers(fact)
        else:
            by_uid[fact.uid] = _merge_fact(other, fact)
    return sorted(by_uid.values(), key=lambda f: (f.namespace, f.pod, f.uid))


def _merge_fact(a: PodFact, b: PodFact) -> PodFact:
    changes = _merged(a, b, skip={"containers", "labels", "vanished", "phase", "volumes"})
    return replace(
        a,
        **changes,
        labels={k: max(a.labels.get(k, ""), b.labels.get(k, "")) for k in sorted({*a.labels, *b.labels})},
        phase=max((p for p in (a.phase, b.phase) if p), default=None),
        vanished=a.vanished and b.vanished,
        containers=merge_containers(a.containers, b.containers),
        volumes=tuple({v.claim: v for v in sorted((*a.volumes, *b.volumes), key=lambda v: (v.claim, v.used))}.values()),
    )


def merge_containers(a: Iterable[ContainerFact], b: Iterable[ContainerFact]) -> tuple[ContainerFact, ...]:
    """Merge two observations of the containers of one pod, by container name."""
    by_name: dict[tuple[bool, str], ContainerFact] = {}
    for fact in (*a, *b):
        other = by_name.get((fact.init, fact.name))
        if other is None:
            by_name[fact.init, fact.name] = fact
        else:
            changes = _merged(other, fact, skip={"ambiguous", "throttled_share"})
            longer = max(other, fact, key=_measured)  # a ratio is not a counter: take the longer observation
            by_name[fact.init, fact.name] = replace(
                other,
                **changes,
                ambiguous=other.ambiguous or fact.ambiguous,
                throttled_share=longer.throttled_share,
            )
    return tuple(by_name[k] for k in sorted(by_name))


def with_merged_containers(seen: _Seen) -> _Seen:
    """One observation in the form that merging gives several: each container once, in order."""
    if len(seen.containers) < 2:
        return seen
    containers = merge_containers(seen.containers, ())
    return seen if containers == seen.containers else replace(seen, containers=containers)


def _measured(c: ContainerFact) -> tuple[bool, float, float]:
    return (c.throttled_share is not None, c.cpu_seconds or 0.0, c.throttled_share or 0.0)


def merge_executions(a: StepExecution, b: StepExecution) -> StepExecution:
    """Merge two observations of one pod: known values win over unknown ones, a known end over a vanished pod."""
    if (a.uid or "").startswith(QUERIED):  # query results: the step had ended when first seen
        reported = a.outcome if b.outcome is Outcome.ENDED else b.outcome
        if b.started is not None:
            return replace(b, outcome=reported)
        return replace(
            b, outcome=reported, finished=min((t for t in (a.finished, b.finished) if t is not None), default=None)
        )
    better = b if _certainty(b) >= _certainty(a) else a
    worse = a if better is b else b
    changes = _merged(
        better, worse, skip={"after", "containers", "extra", "outcome", "reason", "finished", "step", "item", "attempt"}
    )
    placed = worse if better.step.startswith(UNKNOWN_STEP) and not worse.step.startswith(UNKNOWN_STEP) else better
    ends = [e.finished for e in (a, b) if e.finished is not None]
    return replace(
        better,
        **changes,
        step=placed.step,
        item=placed.item,
        attempt=placed.attempt,
        finished=better.finished
        if better.outcome in _SETTLED and better.finished is not None
        else max(ends, default=None),
        reason=better.reason if better.outcome in _SETTLED else better.reason or worse.reason,
        containers=merge_containers(a.containers, b.containers),
        after=better.after if better.after is not None else worse.after,
        extra={**worse.extra, **better.extra},
    )


def _certainty(e: StepExecution) -> tuple[bool, bool, float]:
    return (e.outcome in _SETTLED, e.finished is not None, e.finished or 0.0)


def _merged(a: object, b: object, skip: Collection[str]) -> dict[str, Any]:
    """Merged fields of two instances of a dataclass: known over unknown, numbers by maximum, first times by minimum."""
    out: dict[str, Any] = {}
    for f in fields(a):  # type: ignore[arg-type]
        if f.name in skip:
            continue
        x, y = getattr(a, f.name), getattr(b, f.name)
        if x == y:
            continue
        if x is None or y is None:
            out[f.name] = y if x is None else x
        elif isinstance(x, int | float) and isinstance(y, int | float) and not isinstance(x, bool):
            out[f.name] = min(x, y) if f.name in _EARLIEST else max(x, y)
        else:
            out[f.name] = max(x, y) if isinstance(x, str) and isinstance(y, str) else x
    return out
