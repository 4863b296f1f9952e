"""Runs under limits: pods started in the order of their requests are those of the loop of events, and the drags too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.analysis.replay import ExecutedRun, Limit, critical_share, executed, step_drag
from concertmaster.core.analysis.replay import critical as critical_module
from concertmaster.core.analysis.replay.run import Chain, chain_length
from concertmaster.core.analysis.replay.simulation.event_loop import EventLoop
from concertmaster.core.analysis.replay.simulation.simulate import simulate
from concertmaster.core.analysis.replay.simulation.slot_queue import SlotQueue
from concertmaster.core.model import StepSpec, WorkflowGraph
from tests.support.core.oracle_runs import Engine


@st.composite
def chains(draw: st.DrawFn) -> tuple[Chain, ...]:
    """The pods of a step: items and attempts, often at the same times, some without any."""
    seconds = st.integers(0, 3).map(float)
    piece = st.tuples(seconds, seconds, st.integers(0, 9).map(float))
    return tuple(draw(st.lists(st.lists(piece, min_size=1, max_size=3).map(tuple), max_size=4)))


@settings(deadline=None, max_examples=300)
@given(st.data(), st.integers(1, 8), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_pods_in_the_order_of_their_requests_take_as_long_as_in_the_loop_of_events(
    data: st.DataObject, steps: int, sizes: list[int]
) -> None:
    """Under a limit of all steps, or of several that cover no step twice."""
    parents = [tuple(p for p in range(i) if data.draw(st.booleans())) for i in range(steps)]
    pieces = [data.draw(chains()) for _ in range(steps)]
    ranks = data.draw(st.permutations(range(steps)))
    names = [f"s{i}" for i in range(steps)]
    lengths = [max(map(chain_length, rows), default=0.0) for rows in pieces]
    limits = [Limit(sizes[0])]
    if len(sizes) > 1:
        of = [data.draw(st.integers(0, len(sizes))) for _ in names]  # the last: of none
        limits = [
            Limit(n, frozenset(x for x, k in zip(names, of, strict=True) if k == at)) for at, n in enumerate(sizes)
        ]
    by_events = EventLoop(names, parents, pieces, ranks, limits).run()
    assert simulate(names, parents, pieces, lengths, ranks, limits) == by_events


def test_a_pod_that_takes_no_time_waits_for_a_slot_as_others_do() -> None:
    pieces: list[tuple[Chain, ...]] = [(((0.0, 0.0, 1.0),), ((0.0, 0.0, 1.0),)), (((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)),)]
    assert simulate(["a", "b"], [(), ()], pieces, [1.0, 1.0], [0, 1], [Limit(2)]) == 2.0


@st.composite
def limited(draw: st.DrawFn) -> tuple[list[ExecutedRun], WorkflowGraph]:
    """Runs of one workflow under a limit, with fan-outs and retries; steps that only wait leave a trace in each."""
    n = draw(st.integers(2, 6))
    specs = tuple(
        StepSpec(f"s{i}", tuple(f"s{p}" for p in range(i) if draw(st.booleans())), waits=draw(st.integers(0, 3)) == 0)
        for i in range(n)
    )
    limit = draw(st.integers(1, 3))
    graph = WorkflowGraph(specs, parallelism=limit)
    runs = []
    for k in range(draw(st.integers(1, 5))):
        work = {s.name: draw(st.lists(st.integers(1, 40), min_size=1, max_size=4)) for s in specs}
        skipped = draw(st.sampled_from([None, *(s.name for s in specs if not s.waits)]))
        fails = {s.name: 1 for s in specs if draw(st.integers(0, 4)) == 0}
        kept = {name: items for name, items in work.items() if name != skipped}
        runs.append(executed(Engine(graph, kept, limit, fails=fails).run(str(k)), graph))
    return runs, graph


def left_out(run: ExecutedRun, step: str) -> float:
    """How much shorter the run is without the pods of one step, by simulating all of it."""
    pieces = [() if name == step else rows for name, rows in zip(run.names, run.pieces, strict=True)]
    lengths = [0.0 if name == step else length for name, length in zip(run.names, run.lengths, strict=True)]
    limits = [replace(limit, steps=frozenset(run.names)) for limit in run.limits]
    return run.replayed - simulate(run.names, run.parents, pieces, lengths, run.ranks, limits) - run.tail


@settings(deadline=None, max_examples=100)
@given(limited())
def test_the_drag_under_a_limit_is_what_a_simulation_without_the_step_saves(
    limited: tuple[list[ExecutedRun], WorkflowGraph],
) -> None:
    runs, graph = limited
    shares = critical_share(runs, graph)
    for name, share in shares.items():
        expected = sum(max(0.0, left_out(run, name)) for run in runs if name in run.pods) / len(runs)
        assert share.drag == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(limited(), st.integers(1, 200))
def test_where_pods_are_too_many_the_leading_steps_keep_their_drag_and_others_that_of_some_runs(
    limited: tuple[list[ExecutedRun], WorkflowGraph], most: int
) -> None:
    runs, graph = limited
    whole = critical_share(runs, graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(critical_module, "MAX_PODS", most)
        assert {n: s.drag for n, s in critical_share(runs, graph).items()} == pytest.approx(
            {n: s.drag for n, s in whole.items()}
        )
        patch.setattr(critical_module, "LEADING", 0)
        some = critical_share(runs, graph)
    each = [step_drag(run) for run in runs]
    for name, share in some.items():
        seen = [drags[name] for drags in each if name in drags]
        assert min(seen) * len(seen) <= share.drag * len(runs) + 1e-6
        assert share.drag * len(runs) <= max(seen) * len(seen) + 1e-6


def test_large_runs_are_replayed_without_each_step_only_as_often_as_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = tuple(StepSpec(f"s{i}", (f"s{i // 3}",) if i else ()) for i in range(40))
    graph = WorkflowGraph(steps, parallelism=2)
    work = {step.name: (3 + i % 7,) for i, step in enumerate(steps)}
    runs = [executed(Engine(graph, work, 2).run(str(k)), graph) for k in range(10)]
    left: list[str] = []
    without = SlotQueue.without

    def counted(queue: SlotQueue, places: Sequence[int]) -> SlotQueue:
        left.append(runs[0].names[places[0]])
        return without(queue, places)

    monkeypatch.setattr(SlotQueue, "without", counted)
    monkeypatch.setattr(critical_module, "MAX_PODS", 3 * 40 * 21)  # three runs of 40 pods and edges, from half on
    monkeypatch.setattr(critical_module, "LEADING", 2)
    critical_share(runs, graph)
    assert sorted(Counter(left).values()) == [3] * 38 + [10] * 2


def test_a_fan_out_is_due_with_one_pod_at_a_time_also_under_a_limit_of_its_own() -> None:
    names, parents = ["a", "b", "c", "d"], [(), (), (0, 1), (2,)]
    pieces = [tuple(((float(k % 7), 1.0, 5.0),) for k in range(500))] * 4
    limits = [Limit(3, frozenset("a")), Limit(5, frozenset("bd"))]
    queue = SlotQueue.of(names, parents, pieces, range(4), limits)
    assert queue is not None  # no events are needed
    assert max(len(queue._due) for _ in queue.openings()) <= len(names)
    assert queue.end == pytest.approx(500 / 3 * 6 + 12 + 500 / 5 * 6, rel=0.01)  # of a, c and d
    assert SlotQueue.of(names, parents, pieces, range(4), [*limits, Limit(7)]) is None
