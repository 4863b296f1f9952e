"""Replay against an independent engine: a predicted change must be what the engine then really does."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields, replace

import pytest

from concertmaster.core.analysis.replay import (
    ExecutedRun,
    Limit,
    TimeSplit,
    WhatIf,
    critical_share,
    enough_parallelism,
    executed,
    parallelism,
    prepare,
    replay,
    step_drag,
    time_split,
)
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, StepSpec, WorkflowGraph
from tests.support import builders
from tests.support.builders import definition, run_record, step
from tests.support.core.oracle_runs import BEGIN, KEY, Engine

GRAPH = WorkflowGraph(
    (
        StepSpec("extract"),
        StepSpec("split", ("extract",), fan_out=True),
        StepSpec("check", ("extract",)),
        StepSpec("load", ("split", "check")),
    )
)
WORK = {"extract": [30], "split": [20, 45, 31, 12, 27], "check": [60], "load": [10]}


def engine(**changes: object) -> Engine:
    return Engine(**{"graph": GRAPH, "work": WORK, "tail": 3, **changes})  # type: ignore[arg-type]


def predicted(base: Engine, whatif: WhatIf | None = None) -> float:
    return replay(executed(base.run(), base.graph), whatif)


def actual(changed: Engine) -> float:
    makespan = changed.run().makespan
    assert makespan is not None
    return makespan


def limited(graph: WorkflowGraph, limit: int) -> WorkflowGraph:
    return replace(graph, parallelism=limit)


def test_without_a_change_the_replay_is_the_observed_run() -> None:
    assert predicted(engine()) == actual(engine())


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_run_under_a_limit_is_reproduced(limit: int) -> None:
    base = engine(graph=limited(GRAPH, limit), limit=limit)
    assert predicted(base) == actual(base)


SIDES = WorkflowGraph(
    (
        StepSpec("split"),
        *(StepSpec(f"m{n}", ("split",)) for n in range(6)),
        StepSpec("join", tuple(f"m{n}" for n in range(6))),
    )
)
LONG_FIRST = {"split": [10], **{f"m{n}": [seconds] for n, seconds in enumerate((90, 70, 50, 20, 15, 10))}, "join": [5]}


@pytest.mark.parametrize("limit", [2, 3])
@pytest.mark.parametrize("pace", [1, 2, 3])
def test_pods_that_waited_for_a_slot_do_not_overtake_those_that_ran_first(limit: int, pace: int) -> None:
    """The pods that found a slot at once were created one after the other; those that waited, as soon as one was free."""
    base = engine(graph=limited(SIDES, limit), work=LONG_FIRST, limit=limit, pace=pace)
    run = executed(base.run(), base.graph)
    assert run.problems == () and run.limits == (Limit(limit),)
    assert replay(run) == actual(base)
    assert all(replay(run, WhatIf.scale_step(step, 1.0)) == replay(run) for step in LONG_FIRST)
    slower = replace(base, work={**LONG_FIRST, "m0": [180]})
    assert replay(run, WhatIf.scale_step("m0", 2.0)) == actual(slower)


@pytest.mark.parametrize(("limit", "pace"), [(3, 5), (4, 3), (4, 5)])
def test_a_pod_requests_its_slot_at_the_latest_when_it_became_free(limit: int, pace: int) -> None:
    """The last one was created late because the controller was slow, not because of the limit."""
    fan = WorkflowGraph((StepSpec("split", fan_out=True),), parallelism=limit)
    base = engine(graph=fan, work={"split": [1] * (limit + 1)}, limit=limit, pace=pace)
    run = executed(base.run(), fan)
    assert run.problems == ()
    assert replay(run) == actual(base)


def test_fan_outs_whose_pods_are_created_by_turns_keep_their_order() -> None:
    """Not one step after the other; timestamps are fractions of a second."""
    names = ["a", "a", "b", "a", "b", "a"]
    ends = [4.0, 6.0, 90.0, 11.0, 14.0, 17.0]
    begins = [0.5, 0.53, 0.56, 4.0, 6.0, 11.0]
    rows = [
        StepExecution(
            step, str(k), created=BEGIN + 0.3 + begin, started=BEGIN + 0.3 + begin, finished=BEGIN + 0.3 + end,
            outcome=Outcome.SUCCEEDED,
        )
        for k, (step, begin, end) in enumerate(zip(names, begins, ends, strict=True))
    ]  # fmt: skip
    graph = WorkflowGraph((StepSpec("a", fan_out=True), StepSpec("b", fan_out=True)), parallelism=3)
    run = executed(run_record(rows, workflow=KEY, start=BEGIN + 0.3, source=Source.LIVE), graph)
    assert replay(run) == pytest.approx(run.makespan, abs=1e-3) and run.problems == ()


def test_a_limit_that_was_not_declared_is_carried_as_lag() -> None:
    assert predicted(engine(limit=2)) == actual(engine(limit=2))


def test_scaling_a_step() -> None:
    faster = {**WORK, "check": [15]}
    assert predicted(engine(), WhatIf.scale_step("check", 0.25)) == actual(engine(work=faster))


@pytest.mark.parametrize("limit", [1, 2, 3, 6, None])
def test_setting_the_limit(limit: int | None) -> None:
    base = engine(graph=limited(GRAPH, 2), limit=2)
    assert predicted(base, WhatIf.set_parallelism(limit)) == pytest.approx(actual(engine(limit=limit)), abs=1e-3)


def test_setting_the_limit_of_one_step() -> None:
    assert predicted(engine(), WhatIf.set_parallelism(2, "split")) == actual(engine(own={"split": 2}))


def test_dropping_an_ordering_edge_runs_both_side_by_side() -> None:
    chain = WorkflowGraph((StepSpec("a"), StepSpec("b", ("a",)), StepSpec("c", ("b",))))
    side = WorkflowGraph((StepSpec("a"), StepSpec("b", ("a",)), StepSpec("c", ("a",))))
    work = {"a": [10], "b": [20], "c": [25]}
    base = engine(graph=chain, work=work)
    assert predicted(base, WhatIf.drop_edge("b", "c")) == actual(engine(graph=side, work=work))


@pytest.mark.parametrize("step", [None, "check"])
def test_failed_attempts_avoided(step: str | None) -> None:
    base = engine(fails={"check": 2})
    assert predicted(base) == actual(base)
    assert predicted(base, WhatIf.without_failed_attempts(step)) == actual(engine())


def test_a_step_that_failed_for_good_keeps_its_attempts() -> None:
    base = engine(fails={"check": 1})
    record = base.run()
    steps = tuple(replace(e, outcome=Outcome.FAILED) if e.step == "check" else e for e in record.steps)
    failed = executed(replace(record, steps=steps), GRAPH)
    assert replay(failed, WhatIf.without_failed_attempts()) == replay(failed)


def test_a_cache_hit_takes_the_step_away() -> None:
    base = engine(work={**WORK, "split": []})
    without = engine(work={**WORK, "split": [], "extract": []})
    assert predicted(base, WhatIf.cache_hit("extract")) == actual(without)


def test_a_cache_hit_share_of_a_single_pod_is_a_mean_over_both_cases() -> None:
    none, all_ = predicted(engine()), predicted(engine(), WhatIf.cache_hit("extract"))
    assert predicted(engine(), WhatIf.cache_hit("extract", 0.25)) == pytest.approx(0.75 * none + 0.25 * all_)


def test_merged_steps_pay_start_up_once() -> None:
    chain = WorkflowGraph((StepSpec("a"), StepSpec("b", ("a",)), StepSpec("c", ("b",))))
    base = engine(graph=chain, work={"a": [10], "b": [20], "c": [25]})
    one = engine(graph=WorkflowGraph((StepSpec("a"),)), work={"a": [55]})
    assert predicted(base, WhatIf.merge_steps("a", "b", "c")) == actual(one)


def test_steps_that_do_not_follow_one_another_cannot_be_merged() -> None:
    assert predicted(engine(), WhatIf.merge_steps("extract", "load")) == predicted(engine())


def test_batched_items_share_a_pod() -> None:
    fan = WorkflowGraph((StepSpec("split", fan_out=True),))
    base = engine(graph=fan, work={"split": [5, 5, 5, 5, 5, 5]})
    assert predicted(base, WhatIf.batch_items("split", 3)) == actual(engine(graph=fan, work={"split": [15, 15]}))


def test_all_items_of_a_batch_are_done_again_where_one_fails() -> None:
    """Each of two items fails once, after 5 s: the first alone, the second after the first has succeeded."""
    fan = WorkflowGraph((StepSpec("split", fan_out=True),))
    base = engine(graph=fan, work={"split": [5, 5]}, fails={"split": 1}, tail=0)
    first, again = 1 + 2 + 4, 10 + 2 + 4
    assert predicted(base, WhatIf.batch_items("split", 2)) == (first + 5) + (again + 5 + 5) + (again + 5 + 5)


def test_the_first_batches_pull_the_image_as_the_first_pods_did() -> None:
    fan = WorkflowGraph((StepSpec("split", fan_out=True),), parallelism=2)
    record = engine(graph=fan, work={"split": [5] * 8}, limit=2, tail=0).run()
    pulled, pull = record.steps[:2], 60.0
    later = [replace(e, **{name: (getattr(e, name) or 0.0) + pull for name in ("started", "finished")}) for e in pulled]
    times = ("created", "scheduled", "started", "finished")
    rest = [replace(e, **{name: (getattr(e, name) or 0.0) + pull for name in times}) for e in record.steps[2:]]
    run = executed(replace(record, steps=(*later, *rest), end=(record.end or 0.0) + pull), fan)
    whole = engine(graph=fan, work={"split": [10] * 4}, limit=2, tail=0)
    assert replay(run, WhatIf.batch_items("split", 2)) == actual(whole) + pull


def test_a_split_step_runs_in_parallel_parts() -> None:
    one = WorkflowGraph((StepSpec("a"),))
    halves = engine(graph=one, work={"a": [20, 20]})
    assert predicted(engine(graph=one, work={"a": [40]}), WhatIf.split_step("a", 2)) == actual(halves)


def test_more_cpu_speeds_up_the_throttled_share_only() -> None:
    record = engine().run()
    facts = (ContainerFact("main", throttled_share=0.5),)
    steps = tuple(replace(e, containers=facts) if e.step == "check" else e for e in record.steps)
    run = executed(replace(record, steps=steps), GRAPH)
    slower_half = engine(work={**WORK, "check": [45]})  # 60 s: half as before, half twice as fast
    assert replay(run, WhatIf.more_cpu("check", 2.0)) == actual(slower_half)
    assert replay(run, WhatIf.more_cpu("extract", 2.0)) == replay(run)  # throttling unknown


def test_warm_images_and_free_nodes() -> None:
    assert predicted(engine(), WhatIf.scale_start_up(0.0)) == actual(engine(pending=0, starting=0))


def test_changes_combine() -> None:
    both = WhatIf.scale_step("check", 0.25) & WhatIf.set_parallelism(2)
    changed = engine(work={**WORK, "check": [15]}, limit=2)
    assert predicted(engine(), both) == actual(changed)


def test_a_lock_is_obeyed_and_is_no_parallelism() -> None:
    run = replace(executed(engine().run(), GRAPH), limits=(Limit(1, frozenset({"split"}), "lock"),))
    assert replay(run, WhatIf.set_parallelism(100)) == actual(engine(own={"split": 1}))
    twice = {**WORK, "split": [2 * s for s in WORK["split"]]}
    assert replay(run, WhatIf.scale_step("split", 2.0)) == actual(engine(work=twice, own={"split": 1}))


def test_a_limit_the_run_cannot_have_had_is_left_out_and_named() -> None:
    base = engine()
    run = executed(base.run(), limited(GRAPH, 1))  # declared today; the run is from before
    assert replay(run) == actual(base)
    assert any("not in force" in p for p in run.problems)
    assert replay(run, WhatIf.set_parallelism(2)) == actual(engine(limit=2))


def test_a_full_cluster_holds_no_more_than_it_was_seen_to_hold() -> None:
    fan = WorkflowGraph((StepSpec("split", fan_out=True),), parallelism=2)
    work = {"split": [30] * 6}
    full = executed(engine(graph=fan, work=work, limit=2, pending=60).run(), fan)
    roomy = executed(engine(graph=fan, work=work, limit=2, pending=1).run(), fan)
    assert replay(full, WhatIf.set_parallelism(6)) == replay(full)
    assert replay(roomy, WhatIf.set_parallelism(6)) < replay(roomy)


def test_skipped_steps_pass_their_dependencies_on() -> None:
    base = engine(work={**WORK, "check": [], "split": []})
    run = executed(base.run(), GRAPH)
    assert replay(run) == actual(base)
    assert [a.step for a in run.critical] == ["extract", "load"]
    assert "check" not in run.pods


def test_an_edge_the_times_contradict_did_not_bind() -> None:
    base = engine()
    wrong = WorkflowGraph((*GRAPH.steps[:3], StepSpec("load", ("split", "check")), StepSpec("audit", ("load",))))
    record = base.run()
    early = replace(record.steps[0], step="audit", created=BEGIN + 5, scheduled=None, started=None)
    run = executed(replace(record, steps=(*record.steps, replace(early, finished=BEGIN + 9))), wrong)
    assert run.parents[run.index["audit"][0]] == ()
    assert any("audit" in p and "did not wait" in p for p in run.problems)
    assert replay(run) == actual(base)


def test_the_critical_chain_explains_every_second() -> None:
    for base in (engine(), engine(graph=limited(GRAPH, 2), limit=2), engine(fails={"check": 1})):
        run = executed(base.run(), base.graph)
        split = time_split(run)
        assert split is not None
        assert sum(getattr(split, f.name) for f in fields(TimeSplit)) == pytest.approx(actual(base))


def test_the_time_split_tells_limit_retry_and_start_up_apart() -> None:
    plain = time_split(executed(engine().run(), GRAPH))
    limited_ = time_split(executed(engine(graph=limited(GRAPH, 1), limit=1).run(), limited(GRAPH, 1)))
    retried = time_split(executed(engine(fails={"check": 1}).run(), GRAPH))
    assert plain is not None and limited_ is not None and retried is not None
    assert (plain.limit, plain.retry) == (0, 0)
    assert plain == TimeSplit(controller=6, limit=0, scheduling=6, start_up=12, work=100, retry=0)
    assert limited_.limit > 0
    assert retried.retry == 60 + 2 + 4 + 1 + 10  # the lost attempt and the back-off after it


def test_share_and_drag_over_runs() -> None:
    slow_check = engine()
    slow_split = engine(work={**WORK, "check": [5]})
    shares = critical_share(prepare([slow_check.run("1"), slow_check.run("2"), slow_split.run("3")], GRAPH), GRAPH)
    assert shares["extract"].share == shares["load"].share == 1.0
    assert shares["check"].share == pytest.approx(2 / 3)
    assert shares["split"].share == pytest.approx(1 / 3)
    assert shares["check"].drag == pytest.approx((15 + 15 + 0) / 3)  # the slowest item takes 45 of its 60 seconds
    assert shares["check"].runs == 3


def test_the_time_of_a_step_without_a_pod_is_not_that_of_the_step_after_it() -> None:
    """An approval leaves no trace in metrics: its hour was said to be what a run would be shorter without the next step."""
    graph = definition(step("build"), step("approve", ["build"], waits=True), step("deploy", ["approve"])).graph
    seconds = {"build": 100.0, "approve": 3600.0, "deploy": 200.0}
    seen = builders.run(graph, seconds, wait=1.0, startup=2.0)
    unseen = replace(seen, steps=tuple(e for e in seen.steps if e.step != "approve"))
    of_metrics, live = (critical_share(prepare([r], graph), graph)["deploy"] for r in (unseen, seen))
    assert of_metrics.drag == of_metrics.seconds == 203.0
    assert live.drag == live.seconds == 203.0
    mixed = critical_share(prepare([unseen, seen], graph), graph)
    assert mixed["deploy"].drag == 203.0
    assert mixed["approve"].drag == pytest.approx(3603 / 2)
    *_, first = unseen.steps
    later = {name: (getattr(first, name) or 0.0) + 300.0 for name in ("created", "scheduled", "started", "finished")}
    again = (replace(first, outcome=Outcome.FAILED), replace(first, attempt=1, **later))  # type: ignore[arg-type]
    failed = replace(unseen, steps=(*unseen.steps[:-1], *again), end=later["finished"])
    retried = critical_share(prepare([failed], graph), graph)["deploy"]
    assert retried.drag == retried.seconds == 503.0


def test_drag_is_what_the_replay_says_with_and_without_limits() -> None:
    for base in (engine(), engine(graph=limited(GRAPH, 2), limit=2)):
        run = executed(base.run(), base.graph)
        for name, value in step_drag(run).items():
            assert value == pytest.approx(replay(run) - replay(run, WhatIf.cache_hit(name)))


@pytest.mark.parametrize(
    "whatif",
    [
        WhatIf.scale_step("check", math.nan),
        WhatIf.scale_step("check", -1.0),
        WhatIf.set_parallelism(0),
        WhatIf.cache_hit("check", 1.5),
        WhatIf.batch_items("split", 0),
        WhatIf.split_step("split", 0),
        WhatIf.more_cpu("check", 0.0),
    ],
)
def test_a_meaningless_change_says_so(whatif: WhatIf) -> None:
    assert whatif.problem
    assert math.isnan(predicted(engine(), whatif))


def test_unknown_steps_change_nothing() -> None:
    for whatif in (WhatIf.scale_step("ghost", 0), WhatIf.drop_edge("ghost", "load"), WhatIf.cache_hit("ghost")):
        assert predicted(engine(), whatif) == predicted(engine())


def test_runs_that_cannot_be_replayed_say_why() -> None:
    record = engine().run()
    blind = replace(record, steps=(replace(record.steps[0], finished=None), *record.steps[1:]))
    empty = run_record(workflow=KEY, run="none", outcome=Outcome.UNKNOWN)
    for run, why in ((blind, "no known start or end"), (empty, "no pod")):
        found = executed(run, GRAPH)
        assert not found.usable
        assert any(why in p for p in found.problems)
        assert math.isnan(replay(found))
        assert found.critical == () and time_split(found) is None and step_drag(found) == {}
    assert critical_share(prepare([blind, empty], GRAPH), GRAPH) == {}


def test_runs_of_a_workflow_without_any_step_cannot_be_replayed_however_many_they_are() -> None:
    runs = [run_record(workflow=KEY, run=str(n), start=BEGIN, end=BEGIN + 60.0) for n in range(9)]
    assert [found.usable for found in prepare(runs, WorkflowGraph())] == [False] * 9


def test_a_cycle_in_the_declared_graph_is_reported_and_survived() -> None:
    cycle = WorkflowGraph((StepSpec("a", ("b",)), StepSpec("b", ("a",))))
    record = engine(graph=WorkflowGraph((StepSpec("a"), StepSpec("b", ("a",)))), work={"a": [5], "b": [6]}).run()
    found = executed(record, cycle)
    assert found.usable and any("cycle" in p for p in found.problems)
    assert replay(found) == record.makespan


def test_without_a_declared_graph_the_observed_starts_stay() -> None:
    record = engine().run()
    found = executed(record, WorkflowGraph())
    assert replay(found) == record.makespan


def run_of(rows: tuple[StepExecution, ...]) -> RunRecord:
    """A run of these executions, the last of which ends it."""
    return run_record(rows, workflow=KEY, start=BEGIN, end=rows[-1].finished, source=Source.LIVE)


def reported(record: RunRecord, graph: WorkflowGraph, but: str = "") -> RunRecord:
    """``record`` with the edges of ``graph``, as an engine tells them; it says nothing of ``but``."""
    edges = {s.name: s.depends_on for s in graph.steps if s.name != but}
    return replace(record, steps=tuple(replace(e, after=edges.get(e.step)) for e in record.steps))


@pytest.mark.parametrize(
    "declared",
    [
        WorkflowGraph(),  # nothing is declared
        WorkflowGraph((StepSpec("extract"), StepSpec("split"), StepSpec("check"), StepSpec("load", ("check",)))),
        WorkflowGraph((StepSpec("load"), StepSpec("split", ("load",)), StepSpec("extract", ("split",)))),  # backwards
    ],
)
def test_edges_the_engine_reported_win_over_declared_ones(declared: WorkflowGraph) -> None:
    """A what-if on a wrong graph is as right as on the right one where the run says what it waited for."""
    base, slow = engine(), engine(work={**WORK, "split": [2 * s for s in WORK["split"]]})
    run = executed(reported(base.run(), GRAPH), declared)
    assert replay(run) == actual(base)
    assert replay(run, WhatIf.scale_step("split", 2.0)) == actual(slow)
    assert replay(run, WhatIf.scale_step("split", 2.0)) != replay(
        executed(base.run(), declared), WhatIf.scale_step("split", 2.0)
    )
    assert run.problems == ()


def test_a_step_the_engine_is_silent_about_keeps_its_declared_edges() -> None:
    base, slow = engine(), engine(work={**WORK, "check": [600]})
    record = reported(base.run(), GRAPH, but="load")
    assert replay(executed(record, GRAPH), WhatIf.scale_step("check", 10.0)) == actual(slow)
    halfway = replace(record, steps=(*record.steps, replace(record.steps[-1], item="other", after=())))
    assert executed(halfway, GRAPH).parents == executed(base.run(), GRAPH).parents


def test_an_exit_handler_waits_for_everything_else() -> None:
    graph = WorkflowGraph((StepSpec("a"), StepSpec("b"), StepSpec("notify", on_exit=True)))
    rows = (
        StepExecution("a", created=BEGIN, started=BEGIN + 1, finished=BEGIN + 50, outcome=Outcome.SUCCEEDED),
        StepExecution("b", created=BEGIN, started=BEGIN + 1, finished=BEGIN + 20, outcome=Outcome.SUCCEEDED),
        StepExecution("notify", created=BEGIN + 51, started=BEGIN + 52, finished=BEGIN + 55, outcome=Outcome.SUCCEEDED),
    )
    run = executed(run_of(rows), graph)
    assert replay(run, WhatIf.scale_step("a", 0.0)) == 55 - 50 + 20
    said = replace(run_of(rows), steps=(*rows[:2], replace(rows[2], after=("a",))))  # the engine names the last end
    assert replay(executed(said, graph), WhatIf.scale_step("a", 0.0)) == 55 - 50 + 20


@pytest.mark.parametrize(
    ("ratio", "longest"),
    [
        pytest.param(1.0, 31, id="as long as the largest of the others"),
        pytest.param(4 / 3, 36, id="or as what counts as even"),
        pytest.param(100.0, 90, id="nothing that long"),
    ],
)
def test_without_stragglers_items_end_with_the_others(ratio: float, longest: float) -> None:
    base = engine(work={**WORK, "split": [20, 90, 31, 12, 27], "check": [5]})
    even = engine(work={**WORK, "split": [20, longest, 31, 12, 27], "check": [5]})
    assert predicted(base, WhatIf.without_stragglers("split", ratio)) == pytest.approx(actual(even))


@pytest.mark.parametrize(
    ("items", "balanced"),
    [
        pytest.param([20, 45, 31, 12, 27], [20, 45, 31, 12, 27], id="items that merely vary"),
        pytest.param([20, 90, 90, 12, 90], [20, 90, 90, 12, 90], id="two kinds of items"),
        pytest.param([20, 90, 31, 200, 27], [20, 31, 31, 31, 27], id="several stragglers"),
        pytest.param([20, 90], [20, 55], id="one of two, down to their median"),
        pytest.param([30, 60], [30, 45], id="twice the other is one"),
        pytest.param([30, 59], [30, 59], id="less is none"),
        pytest.param([0, 0, 0, 20, 90], [0, 0, 0, 20, 55], id="items that did nothing do not count"),
        pytest.param([0, 0], [0, 0], id="none did anything"),
    ],
)
def test_items_are_balanced_down_to_the_largest_that_is_no_straggler(items: list[int], balanced: list[int]) -> None:
    base = engine(work={**WORK, "split": items, "check": [5]})
    even = engine(work={**WORK, "split": balanced, "check": [5]})
    assert predicted(base, WhatIf.without_stragglers("split", ratio=1.0)) == actual(even)


@pytest.mark.parametrize(
    ("groups", "longest"),
    [
        # Of the second none is a straggler; of all together three would be.
        pytest.param({"a": [20, 21, 19, 80], "b": [100, 102, 98, 180]}, 180, id="each for itself"),
        pytest.param({"a": [20, 21], "b": [98, 180]}, 59.5, id="small ones together"),
        pytest.param({"a": [20, 20, 20, 100], "b": [20, 200]}, 200, id="a small one beside a larger one not at all"),
    ],
)
def test_groups_of_a_nested_fan_out_are_balanced(groups: dict[str, list[int]], longest: float) -> None:
    succeeded = {"created": BEGIN, "started": BEGIN, "outcome": Outcome.SUCCEEDED}
    rows = tuple(
        StepExecution("part", item=f"{group} / {k}", finished=BEGIN + seconds, **succeeded)
        for group, own in groups.items()
        for k, seconds in enumerate(own)
    )
    run = executed(run_of(rows), WorkflowGraph((StepSpec("part", fan_out=True),)))
    assert replay(run, WhatIf.without_stragglers("part", ratio=1.0)) == longest


def test_the_smallest_limit_that_is_enough() -> None:
    fan = WorkflowGraph((StepSpec("split", fan_out=True), StepSpec("long")), parallelism=1)
    base = engine(graph=fan, work={"split": [10] * 8, "long": [66]}, limit=1)
    found = enough_parallelism([executed(base.run(), fan)], [None])
    times = {n: actual(replace(base, limit=n)) for n in range(1, 10)}
    assert found.limit == min(n for n, t in times.items() if t <= 1.02 * times[9])
    assert (found.best, found.now, found.width) == (pytest.approx(times[9], abs=1e-3), times[1], 9)


def test_a_limit_that_is_far_too_small_is_not_replayed_in_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    fan = WorkflowGraph((StepSpec("split", fan_out=True),), parallelism=4)
    runs = [executed(engine(graph=fan, work={"split": [10 + k] * 64}, limit=4).run(str(k)), fan) for k in range(20)]
    replayed: list[int | None] = []

    def counted(run: ExecutedRun, whatif: WhatIf) -> float:
        replayed.extend(limit for _, limit in whatif.parallelism)
        return replay(run, whatif)

    monkeypatch.setattr(parallelism, "replay", counted)
    found = enough_parallelism(runs, [None])
    assert (found.limit, found.width) == (64, 64)  # each limit that was tried, up to 63, is far too small
    assert Counter(replayed) == {None: 20, **dict.fromkeys((32, 48, 56, 60, 62, 63), 1)}


def test_parallelism_of_one_step_and_of_none() -> None:
    fan = WorkflowGraph((StepSpec("split", fan_out=True),))
    base = engine(graph=fan, work={"split": [10] * 8})
    assert enough_parallelism([executed(base.run(), fan)], ["split"]).limit == 8
    for runs, scopes in (([], [None]), ([executed(base.run(), fan)], ["ghost"])):
        found = enough_parallelism(runs, scopes)
        assert found.limit is None


def test_a_controller_that_creates_pods_slowly_does_not_fill_the_slots() -> None:
    rows = tuple(
        StepExecution(
            "f", str(i), created=BEGIN + i, started=BEGIN + i, finished=BEGIN + i + 5, outcome=Outcome.SUCCEEDED
        )
        for i in range(200)
    )
    graph = WorkflowGraph((StepSpec("f", fan_out=True),))
    run = executed(run_record(rows, workflow=KEY, start=BEGIN, source=Source.LIVE), graph)
    assert replay(run) == replay(run, WhatIf.set_parallelism(10)) == 204  # five at a time is all there ever are
    assert replay(run, WhatIf.set_parallelism(1)) == 200 * 5


@pytest.mark.parametrize(("source", "end"), [(Source.HISTORY, 330.0), (Source.LIVE, 4.0), (Source.LIVE, 330.0)])
@pytest.mark.parametrize("starts", [2, 4])
def test_the_life_of_a_daemon_is_no_work_of_the_run(source: Source, end: float, starts: int) -> None:
    """db (ready after 4 s) > load > query: "shorten db" is wrong. Its pod ends with the run, live records joined with the
    metrics have that too. The time from its start until it is ready is its own."""
    graph = WorkflowGraph((StepSpec("db", daemon=True), StepSpec("load", ("db",)), StepSpec("query", ("load",))))

    def execution(step: str, created: float, started: float, finished: float) -> StepExecution:
        return StepExecution(
            step=step, pod=step, uid=step, ready=BEGIN + created, created=BEGIN + created, scheduled=BEGIN + created + 1,
            started=BEGIN + started, finished=BEGIN + finished, outcome=Outcome.SUCCEEDED,
        )  # fmt: skip

    db = replace(execution("db", 0, starts, end), serving=BEGIN + 4)
    steps = (db, execution("load", 4, 6, 206), execution("query", 206, 208, 328))
    if source is Source.LIVE:
        steps = (steps[0], replace(steps[1], after=("db",)), replace(steps[2], after=("load",)))
    record = run_record(steps, workflow=KEY, start=BEGIN, end=BEGIN + 330, source=source)
    made = executed(record, graph)
    assert made.usable
    assert [a.step for a in made.critical] == ["db", "load", "query"]
    share = critical_share([made], graph)
    assert share["db"].drag == pytest.approx(4.0)
    assert share["load"].drag == pytest.approx(202.0, abs=5.0)
