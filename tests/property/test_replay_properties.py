"""What must hold for every graph and run: exact drag, replay of the unchanged run, monotony, and no exception at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.analysis.graph import drags, drags_many, longest_path, topological_order
from concertmaster.core.analysis.replay import (
    ExecutedRuns,
    WhatIf,
    critical_share,
    executed,
    replay,
    step_drag,
    time_split,
)
from concertmaster.core.analysis.replay.change import replays
from concertmaster.core.analysis.replay.executed import prepare
from concertmaster.core.analysis.replay.forecast import forecast
from concertmaster.core.analysis.replay.gain import gain
from concertmaster.core.analysis.replay.smooth import different, smooth
from concertmaster.core.analysis.replay.work import Work
from concertmaster.core.model import Outcome, RunRecord, StepExecution, StepSpec, WorkflowGraph
from tests.support.builders import run_record
from tests.support.core.mixed_runs import MIXES, mixed
from tests.support.core.oracle_runs import BEGIN, KEY, Engine

pytestmark = pytest.mark.filterwarnings("error")  # an overflow is a fault, even where numpy only warns


@st.composite
def dags(draw: st.DrawFn, most: int = 8) -> list[list[int]]:
    """Parents per position, in a random order of positions."""
    n = draw(st.integers(1, most))
    forward = [[p for p in range(i) if draw(st.booleans())] for i in range(n)]
    place = draw(st.permutations(range(n)))
    out: list[list[int]] = [[] for _ in range(n)]
    for i, above in enumerate(forward):
        out[place[i]] = [place[p] for p in above]
    return out


@st.composite
def engines(draw: st.DrawFn) -> Engine:
    """A random workflow on the independent engine, without a limit."""
    parents = draw(dags(6))
    specs = tuple(StepSpec(f"s{i}", tuple(f"s{p}" for p in above)) for i, above in enumerate(parents))
    work = {s.name: draw(st.lists(st.integers(1, 40), max_size=3)) for s in specs}
    if not any(work.values()):
        work["s0"] = [5]
    fails = {s.name: 1 for s in specs if draw(st.integers(0, 4)) == 0}
    return Engine(WorkflowGraph(specs), work, fails=fails, tail=draw(st.integers(0, 3)))


def in_order(parents: list[list[int]]) -> list[list[int]]:
    """The same graph with its positions in topological order."""
    place = {node: i for i, node in enumerate(topological_order(parents).order)}
    return [sorted({place[p] for p in parents[node]}) for node in place]


@given(dags().map(in_order), st.data())
def test_drag_is_the_loss_of_a_step_that_takes_no_time(parents: list[list[int]], data: st.DataObject) -> None:
    n = len(parents)
    durations = data.draw(st.lists(st.integers(0, 9).map(float), min_size=n, max_size=n))
    path = longest_path(durations, parents)
    assert sum(durations[i] for i in path.chain) == path.length
    assert all(a in parents[b] for a, b in zip(path.chain, path.chain[1:], strict=False))
    for i, drag in enumerate(drags(path, durations, parents)):
        without = longest_path([0.0 if k == i else d for k, d in enumerate(durations)], parents)
        assert math.isclose(drag, path.length - without.length, abs_tol=1e-9)


@given(dags().map(in_order), st.floats(0.01, 1e4))
def test_the_longest_path_scales_with_the_unit(parents: list[list[int]], factor: float) -> None:
    durations = [float(i % 5 + 1) for i in range(len(parents))]
    one, many = longest_path(durations, parents), longest_path([factor * d for d in durations], parents)
    assert math.isclose(many.length, factor * one.length, rel_tol=1e-9)


@settings(deadline=None, max_examples=60)
@given(engines())
def test_the_unchanged_replay_is_the_observed_run(base: Engine) -> None:
    record = base.run()
    run = executed(record, base.graph)
    assert replay(run) == record.makespan == replay(run, WhatIf())
    split = time_split(run)
    assert split is not None
    parts = split.controller + split.limit + split.scheduling + split.start_up + split.work + split.retry
    assert math.isclose(parts, record.makespan, abs_tol=1e-6)
    assert run.critical


@settings(deadline=None, max_examples=60)
@given(engines(), st.data())
def test_without_limits_less_work_is_never_slower(base: Engine, data: st.DataObject) -> None:
    run = executed(base.run(), base.graph)
    step = data.draw(st.sampled_from(sorted(base.work)))
    for whatif in (
        WhatIf.scale_step(step, data.draw(st.floats(0, 1))),
        WhatIf.cache_hit(step, data.draw(st.floats(0, 1))),
        WhatIf.without_failed_attempts(),
        WhatIf.scale_start_up(0.0),
        WhatIf.more_cpu(step, 2.0),
    ):
        assert replay(run, whatif) <= replay(run) + 1e-9


@settings(deadline=None, max_examples=40)
@given(engines(), st.integers(1, 4))
def test_a_run_under_a_limit_is_no_faster_and_lifting_it_gives_the_free_run_back(base: Engine, limit: int) -> None:
    free = base.run().makespan
    graph = replace(base.graph, parallelism=limit)
    record = replace(base, graph=graph, limit=limit).run()
    run = executed(record, graph)
    assert free is not None and record.makespan is not None and record.makespan >= free
    assert replay(run, WhatIf.set_parallelism(None)) <= replay(run) + 1e-9


@settings(deadline=None, max_examples=100)
@given(engines(), st.integers(1, 4), st.sampled_from([None, 1, 2]), st.integers(0, 3))
def test_the_unchanged_replay_is_the_observed_run_under_its_own_limits(
    base: Engine, limit: int, own: int | None, pace: int
) -> None:
    """However slowly pods are created, and whichever of them waited."""
    steps = tuple(replace(s, parallelism=own if n % 2 else None) for n, s in enumerate(base.graph.steps))
    graph = WorkflowGraph(steps, parallelism=limit)
    sizes = {s.name: s.parallelism for s in steps if s.parallelism is not None}
    record = replace(base, graph=graph, limit=limit, own=sizes, pace=pace, fails={}).run()
    run = executed(record, graph)
    assert run.problems == ()
    assert replay(run) == pytest.approx(record.makespan, abs=1e-3)
    for step in base.work:
        assert replay(run, WhatIf.scale_step(step, 1.0)) == pytest.approx(replay(run), abs=1e-3)


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    """Anything a store could hand out, sense or no sense."""
    times = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(BEGIN, BEGIN + 1e4))
    rows = draw(
        st.lists(
            st.builds(
                StepExecution,
                st.sampled_from(["a", "b", "c"]),
                st.sampled_from([None, "1", "2"]),
                st.integers(0, 2),
                created=times,
                scheduled=times,
                started=times,
                finished=times,
                outcome=st.sampled_from(list(Outcome)),
            ),
            max_size=6,
        )
    )
    return run_record(rows, workflow=KEY, start=draw(times), end=draw(times), outcome=Outcome.UNKNOWN)


@settings(deadline=None, max_examples=200)
@given(st.lists(records(), max_size=3), dags(3), st.integers(-1, 2))
def test_no_record_whatever_makes_the_analysis_fail(
    runs: list[RunRecord], parents: list[list[int]], limit: int
) -> None:
    names = "abc"
    specs = tuple(StepSpec(names[i], tuple(names[p] for p in above)) for i, above in enumerate(parents))
    graph = WorkflowGraph(specs, parallelism=limit)
    for run in runs:
        found = executed(run, graph)
        assert found.usable or found.problems
        assert found.usable != math.isnan(replay(found, WhatIf.set_parallelism(1) & WhatIf.cache_hit("a", 0.5)))
    graphs = prepare(runs, graph)
    critical_share(graphs, graph)
    result = gain(graphs, WhatIf.scale_step("a", 0.5))
    assert (result.seconds is None) == (result.runs_used == 0)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_other_runs_whatever_make_a_forecast_fail(data: st.DataObject) -> None:
    odd = st.floats(allow_nan=True, allow_infinity=True)

    def work() -> Work:
        parents = data.draw(dags(4))
        n = len(parents)
        numbers = data.draw(st.lists(odd, min_size=2 * n, max_size=2 * n))
        machines, slots = data.draw(st.integers(-1, 3)), data.draw(st.integers(-1, 3))
        steps = ["s"] * n
        return Work("w", "e", steps, parents, numbers[:n], numbers[n:], machines, slots, data.draw(odd))

    found = forecast(work(), [work() for _ in range(data.draw(st.integers(0, 5)))])
    if found is not None:
        assert 0 < found.low <= found.likely <= found.high


@given(rows=st.lists(st.lists(st.sampled_from([-1.5, 0.0, 0.25, 3.0]), min_size=2, max_size=2), min_size=1, max_size=8))
def test_runs_of_one_shape_are_found_as_numpy_finds_them(rows: list[list[float]]) -> None:
    shapes, shape_of = different(np.array(rows))
    expected, places = np.unique(np.array(rows), axis=0, return_inverse=True)
    assert np.array_equal(shapes, expected)
    assert np.array_equal(shape_of, places.reshape(-1))


@given(st.lists(st.floats(0.1, 8), min_size=3, max_size=8), st.floats(-3, 3))
def test_the_smoother_does_not_depend_on_where_the_features_start(x: list[float], shift: float) -> None:
    y = [0.5 * v for v in x]
    one = smooth([[v] for v in x], y, [1.0], 1.0)
    moved = smooth([[v + shift] for v in x], y, [1.0 + shift], 1.0)
    assert math.isclose(one.mean, moved.mean, abs_tol=1e-6)
    assert math.isclose(one.deviation, moved.deviation, abs_tol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(MIXES)), st.integers(0, 1000), st.sampled_from([None, 1, 2, 3, 4, 5, 50]), st.booleans())
def test_runs_at_once_are_the_runs_one_by_one(name: str, seed: int, limit: int | None, own: bool) -> None:
    workflow, runs = mixed(name, seed)
    steps = tuple(replace(step, parallelism=1) if own else step for step in workflow.graph.steps)
    graph = replace(workflow.graph, steps=steps, parallelism=limit)
    together = prepare(runs, graph)
    alone = [executed(run, graph) for run in runs]
    assert together == alone
    assert critical_share(together, graph) == critical_share(alone, graph)
    once = ExecutedRuns(together)  # one after the other on the same runs
    for whatif in (
        WhatIf.scale_step("s1", 0.5),
        WhatIf.scale_step("s3", 2.0),
        WhatIf(),
        WhatIf(dropped=(("s0", "s2"),), start_up=((None, 0.5),)),
        WhatIf(parallelism=((None, 2),)),
        WhatIf(hits=(("s3", 0.5),)),
    ):
        assert np.array_equal(replays(once, whatif), [replay(run, whatif) for run in alone], equal_nan=True)
        assert gain(once, whatif) == gain(alone, whatif)


@given(dags().map(in_order), st.lists(st.lists(st.floats(0.0, 1e9), min_size=8, max_size=8), min_size=1, max_size=5))
def test_drags_at_once_are_the_drags_one_by_one(parents: list[list[int]], durations: list[list[float]]) -> None:
    rows = [own[: len(parents)] for own in durations]
    alone = [drags(longest_path(own, parents), own, parents) for own in rows]
    assert drags_many(np.array(rows).T, parents).T.tolist() == alone


@settings(deadline=None, max_examples=60)
@given(engines(), st.integers(1, 5))
def test_a_limit_with_a_slot_for_every_pod_changes_no_drag(base: Engine, count: int) -> None:
    """Such runs are computed together; each alone, by leaving a step out of the replay, has the same drag."""
    pods = sum(map(len, base.work.values()))
    graph = replace(base.graph, parallelism=pods)
    records = [replace(base, graph=graph, limit=pods).run(str(n)) for n in range(count)]
    shares = critical_share(prepare(records, graph), graph)
    assert shares == critical_share(prepare(records, base.graph), base.graph)
    for name, value in step_drag(executed(records[0], graph)).items():
        assert shares[name].drag == pytest.approx(value)
        if not base.fails:
            less = replay(executed(records[0], graph), WhatIf.cache_hit(name))
            assert value == pytest.approx(replay(executed(records[0], graph)) - less)
