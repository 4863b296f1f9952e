"""Which steps determine the duration of runs, and how the time of a run divides.

A makespan is exactly the sum of what happened along the critical chain. Attributing each part of that chain gives the time
split; counting steps over runs distinguishes constant from occasional bottlenecks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from itertools import chain

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import drags, drags_many, longest_path
from concertmaster.core.analysis.replay.alike import MIN_RUNS, by_layout, lengths_of
from concertmaster.core.analysis.replay.run import Attempt, ExecutedRun, has_room
from concertmaster.core.analysis.replay.simulation.simulate import simulate
from concertmaster.core.analysis.replay.simulation.slot_queue import SlotQueue
from concertmaster.core.fast_init import fast_init
from concertmaster.core.model import WorkflowGraph

MAX_PODS = 400_000  # pods replayed for all drags under a limit: about a second of CPU time
MIN_REPLAYED = 2  # of each step, whatever it takes
LEADING = 20  # steps with the largest drags, as many as a status lists


@fast_init
@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Seconds of one run's makespan by activity on the critical chain; the fields add up to the makespan. Not part of it:
    ``suspended``, the time before the first pod and after evictions while the run was suspended, and ``late``, the time a
    scheduled run waited for the previous one."""

    controller: float = 0.0
    limit: float = 0.0
    scheduling: float = 0.0
    start_up: float = 0.0
    work: float = 0.0
    retry: float = 0.0
    suspended: float = 0.0
    late: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of all parts of the makespan."""
        return self.controller + self.limit + self.scheduling + self.start_up + self.work + self.retry


@fast_init
@dataclass(frozen=True, slots=True)
class CriticalShare:
    """One step over runs. ``share``: share of runs (0 to 1) with the step on the critical chain. ``seconds``: its mean
    contribution to the chain, over all runs. ``drag``: mean seconds a run would be shorter if the step took no time."""

    share: float
    seconds: float
    drag: float
    runs: int


def chain_splits(run: ExecutedRun) -> tuple[tuple[Attempt, TimeSplit], ...]:
    """The pods of the critical chain, first to last, each with its time split. Together with the tail of the run, which is
    controller time, the parts add up to the makespan."""
    return tuple(
        (
            a,
            TimeSplit(retry=a.total)
            if lag is None
            else TimeSplit(lag, a.queued, a.pending, a.starting, a.work, back_off),
        )
        for a, lag, back_off in _links(run.critical)
    )


def time_split(run: ExecutedRun) -> TimeSplit | None:
    """Time split of the makespan along the critical chain; None when the run cannot be replayed."""
    if not run.usable:
        return None
    controller = queued = pending = starting = work = retry = 0.0
    for a, lag, back_off in _links(run.critical):
        if lag is None:
            retry += a.total
            continue
        controller, retry = controller + lag, retry + back_off
        queued, pending = queued + a.queued, pending + a.pending
        starting, work = starting + a.starting, work + a.work
    return TimeSplit(controller + run.tail, queued, pending, starting, work, retry, run.suspended, run.late)


def _links(pods: Sequence[Attempt]) -> Iterator[tuple[Attempt, float | None, float]]:
    """The pods of a chain, each with the engine's lag before it and the back-off before it (seconds). The lag is None for a
    failed attempt that was repeated: all of it is retry time."""
    before: Attempt | None = None
    for a in pods:
        if a.failed and a is not pods[-1]:
            yield a, None, 0.0
        elif before is not None and before.step == a.step and before.item == a.item:
            yield a, 0.0, a.lag
        else:
            yield a, a.lag, 0.0
        before = a


def total_split(splits: Iterable[TimeSplit]) -> TimeSplit:
    """Sum of the splits, field by field."""
    splits = tuple(splits)
    return TimeSplit(**{f.name: sum(getattr(s, f.name) for s in splits) for f in fields(TimeSplit)})


def podless_before(graph: WorkflowGraph) -> dict[str, list[str]]:
    """By step, the steps without a pod that it waits for, such as an approval; steps without any are left out."""
    podless = {s.name for s in graph.steps if s.waits}
    before = {s.name: [name for name in s.depends_on if name in podless] for s in graph.steps}
    return {name: names for name, names in before.items() if names}


def critical_share(runs: Sequence[ExecutedRun], graph: WorkflowGraph) -> Mapping[str, CriticalShare]:
    """For every step that ran: how often it is critical, its seconds on the chain, and its mean drag. Where a step without
    a pod before it left no trace, the wait before the step is that step's time."""
    before = podless_before(graph)

    def unseen(run: ExecutedRun, step: str) -> bool:
        return not all(run.chains_of(name) for name in before.get(step, ()))

    usable = [run for run in runs if run.usable]
    on_path: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for run in usable:
        spent: dict[str, float] = {}
        for a in run.critical:
            waited = a.lag if a.attempt == 0 and unseen(run, a.step) else 0.0
            spent[a.step] = spent.get(a.step, 0.0) + a.total - waited
        for name, value in spent.items():
            on_path[name] = on_path.get(name, 0) + 1
            seconds[name] = seconds.get(name, 0.0) + value
    drag = _step_drags(usable)
    for name in drag.keys() & before.keys():
        lacking = [unseen(run, name) for run in usable]
        if any(lacking):
            most = [_longest(run, name, waits=not lacks) for run, lacks in zip(usable, lacking, strict=True)]
            drag[name] = min(drag[name], sum(most))
    total = len(usable)
    names = dict.fromkeys(chain.from_iterable([run.pods for run in usable]))
    return {
        name: CriticalShare(
            on_path.get(name, 0) / total, seconds.get(name, 0.0) / total, drag.get(name, 0.0) / total, total
        )
        for name in names
    }


def _longest(run: ExecutedRun, step: str, *, waits: bool) -> float:
    """Seconds of the step's longest item, with what it waits for before its first pod or without."""
    spans = [sum([a.total for a in items]) - (0.0 if waits else items[0].lag) for items in run.chains_of(step)]
    return max(spans, default=0.0)


def _step_drags(runs: Sequence[ExecutedRun]) -> dict[str, float]:
    """The sum of ``step_drag`` over the runs; runs of one layout in which nothing waits for a slot, without per-item places,
    are computed together."""
    drag: dict[str, float] = {}
    alone: list[ExecutedRun] = []
    together: list[int] = []
    for k, run in enumerate(runs):
        if len(run.index) == len(run.names) and has_room(run.limits, run.names, run.pieces):
            together.append(k)
        else:
            alone.append(run)
    for places in by_layout(runs, together):
        members = [runs[k] for k in places]
        if len(members) < MIN_RUNS:
            alone += members
            continue
        names = members[0].names
        table = drags_many(lengths_of(members), members[0].parents)
        if any(len(run.pods) < len(names) for run in members):
            table[np.array([[name not in run.pods for run in members] for name in names])] = 0.0
        for name, value in zip(names, table.sum(axis=1).tolist(), strict=True):
            drag[name] = drag.get(name, 0.0) + value
    for name, value in _one_by_one(alone).items():
        drag[name] = drag.get(name, 0.0) + value
    return drag


def _one_by_one(runs: Sequence[ExecutedRun]) -> dict[str, float]:
    """The sum of ``step_drag`` over the runs. Where that takes more than ``MAX_PODS``, the mean of as many of the runs that
    have the step as it allows, spread over them, stands for all; of all of them only for the ``LEADING`` steps by that."""
    having: dict[str, list[int]] = {}
    for k, run in enumerate(runs):
        for name in run.pods:
            having.setdefault(name, []).append(k)
    share = MAX_PODS / max(MAX_PODS, sum(map(_pods_replayed, runs)))
    chosen = {name: _spread(places, max(MIN_REPLAYED, int(share * len(places)))) for name, places in having.items()}
    found = _drags_in(runs, chosen)
    if share < 1.0:
        leading = sorted(having, key=lambda name: -sum(found[name]) / len(found[name]) * len(having[name]))[:LEADING]
        left = {name: sorted({*having[name]}.difference(chosen[name])) for name in leading}
        for name, values in _drags_in(runs, left).items():
            found[name] += values
    return {name: sum(values) * (len(having[name]) / len(values)) for name, values in found.items()}


def _spread(places: Sequence[int], count: int) -> list[int]:
    """So many of the places, or all, at even distances."""
    total = len(places)
    return [places[(2 * k + 1) * total // (2 * count)] for k in range(count)] if count < total else list(places)


def _drags_in(runs: Sequence[ExecutedRun], places: Mapping[str, Sequence[int]]) -> dict[str, list[float]]:
    """The drags of each step in the runs at its places."""
    asked: list[list[str]] = [[] for _ in runs]
    for name, at in places.items():
        for k in at:
            asked[k].append(name)
    found: dict[str, list[float]] = {name: [] for name in places}
    for run, names in zip(runs, asked, strict=True):
        if names:
            for name, value in step_drag(run, names).items():
                found[name].append(value)
    return found


def _pods_replayed(run: ExecutedRun) -> int:
    """How many pods the drags of all its steps take to replay: an edge counts as a sixteenth of a pod, a pod in a loop of
    events as ten."""
    if has_room(run.limits, run.names, run.pieces):
        return 0
    parents = _direct(run.parents)
    pods = len(run.pods) * (sum(run.pods.values()) + sum(map(len, parents)) // 16)
    return pods // 2 if _queue(run, parents) is not None else 10 * pods


def step_drag(run: ExecutedRun, steps: Iterable[str] | None = None) -> Mapping[str, float]:
    """Seconds by which the run would be shorter if a step, with all its pods and their waits, took no time. ``steps``: of
    those that ran, the ones to be left out (default: each)."""
    if not run.usable:
        return {}
    steps = run.pods if steps is None else steps
    parents = _direct(run.parents)
    path = longest_path(run.lengths, parents)
    single = drags(path, run.lengths, parents)
    drag = {
        name: single[at[0]] if len(at) == 1 else max(0.0, path.length - _length_without(run, at))
        for name, at in [(name, run.index[name]) for name in steps]
    }
    if has_room(run.limits, run.names, run.pieces):
        return drag
    # A limit nobody waited for can only reduce a drag; with a binding limit any step can delay any other.
    waited = run.replayed - run.tail > path.length * (1.0 + 1e-9)
    shorter = _without(run, parents, {name for name, value in drag.items() if waited or value > 0.0})
    return {name: max(0.0, run.replayed - shorter[name]) if name in shorter else 0.0 for name in drag}


def _length_without(run: ExecutedRun, places: Sequence[int]) -> float:
    """Length of the longest path in seconds when the steps at these places take no time."""
    lengths = list(run.lengths)
    for place in places:
        lengths[place] = 0.0
    return longest_path(lengths, run.parents).length


def _without(run: ExecutedRun, parents: Sequence[Sequence[int]], steps: Set[str]) -> dict[str, float]:
    """Makespans in seconds without the pods of each of these steps."""
    makespans: dict[str, float] = {}
    queue = _queue(run, parents) if steps else None
    if queue is not None:
        for place in queue.openings():  # until a step is ready, leaving it out changes nothing
            name = run.names[place]
            if name in steps and name not in makespans:
                makespans[name] = queue.without(run.index[name]).run() + run.tail
        return makespans
    for name in steps:
        pieces, lengths = list(run.pieces), list(run.lengths)
        for place in run.index[name]:
            pieces[place], lengths[place] = (), 0.0
        makespans[name] = simulate(run.names, parents, pieces, lengths, run.ranks, run.limits) + run.tail
    return makespans


def _queue(run: ExecutedRun, parents: Sequence[Sequence[int]]) -> SlotQueue | None:
    return SlotQueue.of(run.names, parents, run.pieces, run.ranks, run.limits)


def _direct(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """The parents of each step but those that another of them waited for, which end no later."""
    before: list[int] = []  # the steps that each waited for, as bits
    direct: list[list[int]] = []
    for above in parents:
        earlier = 0
        for parent in above:
            earlier |= before[parent]
        direct.append([parent for parent in above if not earlier >> parent & 1])
        before.append(sum([1 << parent for parent in direct[-1]]) | earlier)
    return direct
