"""Why one run took longer than another.

A makespan is exactly the sum of what happened along the critical path, so the difference of two makespans is exactly the
difference of these parts, step by step. Each step also lists what differs: image, input, node, requests, number of pods,
failed attempts. These differences are facts; whether one is the cause is left to the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from concertmaster.core.analysis.replay import ExecutedRun, TimeSplit, chain_splits, time_split, total_split
from concertmaster.core.known import largest, total
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, StepExecution
from concertmaster.core.units import MIB

MATERIAL = 0.2  # least relative difference of a measured amount (input, throttling) to report


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A run with its critical path: time split of each step on it, in order. ``tail``: seconds after the last pod.
    ``split`` is None when not all pods of the run are known."""

    record: RunRecord
    path: tuple[tuple[str, TimeSplit], ...]
    split: TimeSplit | None
    tail: float = 0.0

    @classmethod
    def of(cls, record: RunRecord, run: ExecutedRun) -> ObservedRun:
        """From a record and its executed graph."""
        return cls(record, tuple((a.step, split) for a, split in chain_splits(run)), time_split(run), run.tail)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two runs: ``kind`` is image, requests, limits, node, input, pods, failed attempts, outcome,
    throttling or the name of an extra metric. Amounts are numbers, everything else is text; None: unknown."""

    kind: str
    before: str | float | None
    after: str | float | None


@dataclass(frozen=True, slots=True)
class StepComparison:
    """One step of two runs. ``before`` and ``after``: its time split on the critical path, None when it is not on it.
    ``seconds``: from creation of its first pod to the end of its last, in both runs."""

    step: str
    before: TimeSplit | None
    after: TimeSplit | None
    seconds: tuple[float | None, float | None]
    differences: tuple[Difference, ...]

    @property
    def extra(self) -> float:
        """Additional seconds of this step on the critical path of the second run."""
        return (self.after.total if self.after else 0.0) - (self.before.total if self.before else 0.0)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs of one workflow. ``steps``: largest difference on the critical path first. ``tail``: seconds after the last
    pod. ``exact``: both critical paths are complete, so that the differences add up to ``extra``."""

    before: RunRecord
    after: RunRecord
    paths: tuple[tuple[str, ...], tuple[str, ...]]
    steps: tuple[StepComparison, ...]
    tail: float
    template_changed: bool | None
    exact: bool

    @property
    def extra(self) -> float | None:
        """Additional seconds of the second run; None when either makespan is unknown."""
        if self.before.makespan is None or self.after.makespan is None:
            return None
        return self.after.makespan - self.before.makespan


def compare_runs(before: ObservedRun, after: ObservedRun, order: Sequence[str] = ()) -> RunComparison:
    """The second run compared with the first. ``order``: the steps in the order of the definition."""
    records = (before.record, after.record)
    parts = [_by_step(run) for run in (before, after)]
    names = dict.fromkeys([*order, *(e.step for r in records for e in r.steps)])
    rows = [[[e for e in r.steps if e.step == name] for r in records] for name in names]
    steps = [
        StepComparison(
            name,
            parts[0].get(name),
            parts[1].get(name),
            (_span(old), _span(new)),
            tuple(_differences(old, new)),
        )
        for name, (old, new) in zip(names, rows, strict=True)
        if old or new
    ]
    steps.sort(key=lambda s: -abs(s.extra))
    templates = [r.fingerprint for r in records]
    return RunComparison(
        *records,
        (tuple(parts[0]), tuple(parts[1])),
        tuple(steps),
        after.tail - before.tail,
        None if None in templates else templates[0] != templates[1],
        before.split is not None and after.split is not None,
    )


def typical_run(runs: Iterable[RunRecord]) -> RunRecord | None:
    """The succeeded run whose duration is nearest to the median; the newest of several; None without any."""
    good = [r for r in runs if r.outcome.timed and r.makespan is not None]
    if not good:
        return None
    middle = median(r.makespan or 0.0 for r in good)
    return min(reversed(good), key=lambda r: abs((r.makespan or 0.0) - middle))


def _by_step(run: ObservedRun) -> dict[str, TimeSplit]:
    """Time split of the critical path by step, in path order."""
    parts: dict[str, TimeSplit] = {}
    for step, split in run.path:
        parts[step] = total_split((parts[step], split)) if step in parts else split
    return parts


def _span(rows: Sequence[StepExecution]) -> float | None:
    begun = [t for e in rows if (t := e.created if e.created is not None else e.started) is not None]
    ended = [e.finished for e in rows if e.finished is not None]
    return max(0.0, max(ended) - min(begun)) if begun and ended else None


def _differences(old: Sequence[StepExecution], new: Sequence[StepExecution]) -> Iterable[Difference]:
    """What differs between the executions of one step in two runs; what is unknown in either of them does not differ."""
    if not old or not new:
        yield Difference("pods", float(len(old)), float(len(new)))
        return
    texts: tuple[tuple[str, Callable[[Sequence[StepExecution]], str | None]], ...] = (
        ("image", lambda rows: _containers(rows, lambda c: c.image)),
        ("requests", lambda rows: _containers(rows, lambda c: _sizes(c.cpu_request, c.memory_request))),
        ("limits", lambda rows: _containers(rows, lambda c: _sizes(c.cpu_limit, c.memory_limit))),
        ("node", _nodes),
        ("outcome", _outcomes),
    )
    for kind, read in texts:
        was, now = read(old), read(new)
        if was is not None and now is not None and was != now:
            yield Difference(kind, was, now)
    counts: tuple[tuple[str, Callable[[Sequence[StepExecution]], float]], ...] = (
        ("pods", lambda rows: float(len({(e.step, e.item) for e in rows}))),
        ("failed attempts", lambda rows: float(sum(e.outcome is Outcome.FAILED for e in rows))),
        ("cached", lambda rows: float(sum(e.outcome is Outcome.CACHED for e in rows))),
    )
    for kind, count in counts:
        if count(old) != count(new):
            yield Difference(kind, count(old), count(new))
    names = sorted({name for e in (*old, *new) for name in e.extra})
    amounts: list[tuple[str, Callable[[StepExecution], float | None]]] = [("input", lambda e: e.input_size)]
    amounts += [(name, _extra(name)) for name in names]
    for kind, amount in amounts:
        one, other = total(map(amount, old)), total(map(amount, new))
        if _material(one, other):
            yield Difference(kind, one, other)
    slow = _throttled(old), _throttled(new)
    if None not in slow and abs((slow[1] or 0.0) - (slow[0] or 0.0)) >= MATERIAL / 2:
        yield Difference("throttling", *slow)


def _extra(name: str) -> Callable[[StepExecution], float | None]:
    return lambda e: e.extra.get(name)


def _containers(rows: Sequence[StepExecution], read: Callable[[ContainerFact], str | None]) -> str | None:
    """``read`` of the main containers, prefixed with their names when a pod has several; None when nothing is known."""
    known = {(c.name, value) for e in rows for c in e.containers if not c.init and (value := read(c))}
    if not known:
        return None
    several = len({name for name, _ in known}) > 1
    return ", ".join(f"{name} {value}" if several else value for name, value in sorted(known))


def _sizes(cpu: float | None, memory: float | None) -> str | None:
    parts = [f"{round(1000 * cpu)}m"] if cpu is not None else []
    parts += [f"{round(memory / MIB)}Mi"] if memory is not None else []
    return " and ".join(parts) or None


def _nodes(rows: Sequence[StepExecution]) -> str | None:
    """The node of a step with one pod. Pods of a fan-out are spread anew in every run, so their nodes are no difference."""
    nodes = {e.node for e in rows if e.node}
    return nodes.pop() if len(nodes) == 1 and len({e.item for e in rows}) == 1 else None


def _outcomes(rows: Sequence[StepExecution]) -> str | None:
    known = sorted(
        {e.outcome.value + (f" ({e.reason})" if e.reason else "") for e in rows if e.outcome is not Outcome.UNKNOWN}
    )
    return ", ".join(known) or None


def _material(old: float | None, new: float | None) -> bool:
    return old is not None and new is not None and abs(new - old) >= MATERIAL * max(abs(old), abs(new), 1e-12)


def _throttled(rows: Sequence[StepExecution]) -> float | None:
    return largest(c.throttled_share for e in rows for c in e.containers if not c.init)
