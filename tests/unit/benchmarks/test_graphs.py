"""Planted problems in graphs of any shape: the law does what it says, what is recommended is followed, and scored."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from benchmarks.graphs import __main__ as command
from benchmarks.graphs.draws import stream
from benchmarks.graphs.kinds import KINDS, planted
from benchmarks.graphs.law import DAY, GI, HOUR, Change, Container, Flow, Step, Volume
from benchmarks.graphs.manifests import definition
from benchmarks.graphs.plant import changed, dependence, failed, hung, ran
from benchmarks.graphs.records import record
from benchmarks.graphs.remedies import edited
from benchmarks.graphs.report import lines
from benchmarks.graphs.score import Verdict, answers, judge, summarize
from benchmarks.graphs.shapes import SHAPES, Shape, flow
from benchmarks.graphs.simulation import Played, fresh, history, play, starts
from benchmarks.graphs.truth import Worth, difference, worth
from concertmaster.core.model import Edit, Outcome
from concertmaster.core.model.policy import Materiality
from tests.support.builders import recommendation

EXACT = {"spread": 0.0, "wait": 0.0, "startup": 0.0}
RECOMMENDATION = recommendation("any", confidence=1.0)


def exact(*steps: Step, **law: object) -> Flow:
    """A workflow whose runs are all the same."""
    made = tuple(replace(s, **EXACT) for s in steps)  # type: ignore[arg-type]
    return replace(Flow("exact", made, run_spread=0.0), **law)  # type: ignore[arg-type]


def one(flow: Flow, number: int = 0) -> Played:
    return fresh(flow, number + 1)[number]


def seconds(flow: Flow) -> float:
    """Makespan to ten seconds: the controller's own delays are less."""
    return round(one(flow).makespan, -1)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
def test_each_shape_is_read_as_it_was_drawn(shape: Shape) -> None:
    for seed in range(3):
        drawn = flow(stream(seed, "flow"), "drawn", shape(stream(seed, "steps")))
        read = {s.name: set(s.depends_on) for s in definition(drawn).graph.steps}
        assert read == {s.path: {drawn.step(name).path for name in s.after} for s in drawn.steps}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_what_is_wrong_and_planting_is_repeatable(kind: str) -> None:
    assert KINDS[kind].__doc__
    first, again = planted(kind, 3), planted(kind, 3)
    assert (first.flow, first.fixed, first.step, first.note) == (again.flow, again.fixed, again.step, again.note)
    assert first.flow != first.fixed or not first.rules or first.amount is not None
    assert first.step is None or first.flow.step(first.step)
    read = definition(first.flow)
    runs = [record(play(first.flow, number, time), read) for number, time in starts(first.flow)[:2]]
    assert runs == [record(play(again.flow, number, time), read) for number, time in starts(again.flow)[:2]]
    assert {e.step for r in runs for e in r.steps} <= {s.name for s in read.graph.steps}


def test_a_share_of_the_runs_takes_a_multiple_of_the_time_with_the_problem_and_without_it() -> None:
    flow = exact(Step("a", seconds=100.0), others=0.2, others_factor=3.0)
    lengths = [round(run.makespan, -1) for run in fresh(flow, 300)]
    assert set(lengths) == {100.0, 300.0} and 40 < lengths.count(300.0) < 80
    faster = flow.having("a", seconds=50.0)
    assert [round(run.makespan, -1) == 150.0 for run in fresh(faster, 300)] == [n == 300.0 for n in lengths]


def test_equal_events_whatever_else_differs() -> None:
    drawn = planted("oversized", 1).flow
    other = drawn.having(drawn.steps[-1].name, containers=(Container(cpu_request=2.0),))
    assert [r.makespan for r in fresh(drawn, 5)] == [r.makespan for r in fresh(other, 5)]
    assert one(drawn).makespan != one(drawn, 1).makespan
    assert play(drawn, 0, 0.0).makespan != play(drawn, 0, 0.0, sample=1).makespan


def test_a_run_takes_its_longest_path_and_a_limit_adds_to_it() -> None:
    steps = (Step("a"), Step("b", ("a",), seconds=300.0), Step("c", ("a",), seconds=100.0), Step("d", ("b", "c")))
    assert seconds(exact(*steps)) == 420
    assert seconds(exact(*steps, parallelism=1)) == 520
    assert dependence(exact(*steps))["b"] == pytest.approx(150 / 420, abs=0.01)
    assert dependence(exact(*steps))["c"] == pytest.approx(0.0, abs=0.01)


def test_groups_run_side_by_side_and_wait_for_their_own_steps_only() -> None:
    steps = (Step("in", ("a",), group="g"), Step("then", ("in",), group="g"), Step("end", ("then",)))
    nested = exact(Step("a"), *steps)
    assert seconds(nested) == 240
    assert seconds(replace(nested, parallelism=1)) == 480
    run = one(nested)
    assert len(run.executions) == 8
    assert {e.item for e in record(run, definition(nested)).steps} == {None, "0:g0", "1:g1", "2:g2"}


def test_a_step_of_some_runs_is_left_out_of_the_others() -> None:
    flow = exact(Step("a"), Step("deep", ("a",), in_runs=0.3), Step("end", ("deep",)))
    having = [any(e.step.name == "deep" for e in run.executions) for run in fresh(flow, 400)]
    assert fmean(having) == pytest.approx(0.3, abs=0.06)
    assert {round(run.makespan, -1) for run in fresh(flow, 20)} == {120, 180}
    few = history(replace(flow, every=DAY))
    assert ran("a")(few) and not ran("deep")(few[:1])


def test_time_and_memory_follow_the_input() -> None:
    own = Container(memory=GI, memory_elasticity=1.0, memory_spread=0.0)
    flow = exact(Step("a", elasticity=0.5, containers=(own,)), input_spread=0.5)
    for run in fresh(flow, 5):
        assert run.executions[0].course.work == pytest.approx(60.0 * run.state.size**0.5)
        assert run.executions[0].course.peaks["main"] == pytest.approx(GI * run.state.size)


def test_a_limit_prolongs_the_bursts() -> None:
    pod = Container(cpu=0.4, bursts=0.5, burst=3.0, cpu_limit=1.0)
    assert pod.throttling == (2.0, 0.75)
    assert pod.cores == pytest.approx(0.25 * 0.4 + 0.75 * 1.0)
    assert replace(pod, cpu_limit=None).throttling == (1.0, 0.0)
    assert replace(pod, cpu_limit=None).cores == pytest.approx(0.5 * 0.4 + 0.5 * 3.0)
    assert seconds(exact(Step("a", containers=(pod,)))) == 120
    assert seconds(exact(Step("a", containers=(Container(), replace(pod, paces=False, name="side"))))) == 60


def test_failures_are_retried_and_the_other_branches_go_on() -> None:
    broken = exact(Step("a", broken=1.0, retries=2), Step("b"), Step("c", ("a",)))
    run = one(broken)
    assert run.failed
    assert sorted((e.step.name, e.attempt) for e in run.executions) == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    flaky = replace(broken, steps=(replace(broken.step("a"), broken=0.0, transient=0.5, retries=0),))
    retried = flaky.having("a", retries=1)
    assert fmean(r.failed for r in fresh(flaky, 400)) == pytest.approx(0.5, abs=0.08)
    assert fmean(r.failed for r in fresh(retried, 400)) == pytest.approx(0.25, abs=0.08)
    assert failed("a")(fresh(flaky, 10)) and not failed("b")(fresh(broken, 10))


def test_memory_above_the_limit_is_killed_and_reported_at_it() -> None:
    flow = exact(Step("a", containers=(Container(memory=2 * GI, memory_limit=GI),)))
    execution = record(one(flow), definition(flow)).steps[0]
    assert (execution.outcome, execution.reason) == (Outcome.FAILED, "OOMKilled")
    assert (execution.containers[0].memory_sampled_peak, execution.containers[0].oom_events) == (GI, 1.0)


def test_a_hang_is_idle_and_ends_at_a_limit() -> None:
    flow = exact(Step("a", hang=1.0, hang_seconds=HOUR))
    done = one(flow).executions[0]
    assert done.course.work > 0.8 * HOUR
    assert done.course.work * done.course.cpu_factor == pytest.approx(60.0, rel=0.2)
    assert hung("a", 0.5 * HOUR)([one(flow)])
    stopped = one(flow.having("a", timeout=600.0)).executions[0]
    assert (stopped.course.reason, round(stopped.finished - stopped.created)) == ("DeadlineExceeded", 600)


def test_a_change_holds_for_its_days_items_and_inputs() -> None:
    change = Change(since=5.0, until=2.0, factor=2.0, first_items=1, above=1.3)
    assert change.holds(4.0, 0, 1.5)
    assert not any(change.holds(*case) for case in ((5.5, 0, 1.5), (1.5, 0, 1.5), (4.0, 1, 1.5), (4.0, 0, 1.0)))
    since = exact(Step("a", change=Change(since=7.0, factor=2.0)))
    runs = history(since)
    assert {round(r.makespan, -1) for r in runs if r.state.days_ago > 7} == {60}
    assert {round(r.makespan, -1) for r in runs if r.state.days_ago <= 7} == {120}
    assert seconds(since) == 120
    assert changed("a")(runs) and not changed("a")(runs[:44])


def test_a_pipelined_item_waits_for_its_own_item_only() -> None:
    flow = exact(Step("fetch", items=2, last_item=4.0), Step("train", ("fetch",), items=2), Step("end", ("train",)))
    assert seconds(flow) == 360
    begun = {(e.step.name, e.item): e.started - e.ready for e in one(flow.having("train", pipelined=True)).executions}
    assert len(begun) == 5
    assert (
        seconds(flow.having("train", pipelined=True, last_item=0.1)) < seconds(flow.having("train", last_item=0.1)) + 1
    )
    assert seconds(flow.having("train", pipelined=True, seconds=240.0)) == 540


def test_an_evened_item_is_as_long_as_the_longest_other_one() -> None:
    flow = exact(Step("a", items=5, last_item=4.0))
    assert seconds(flow) == 240
    assert seconds(flow.having("a", evened=1.25)) == round(1.25 * 60, -1)
    varied = flow.having("a", item_spread=0.8)
    works = {e.item: e.course.work for e in one(varied.having("a", last_item=1.0)).executions}
    longest = max(work for item, work in works.items() if item != 4)
    evened = {e.item: e.course.work for e in one(varied.having("a", evened=0.1)).executions}
    assert evened[4] == pytest.approx(min(4.0 * works[4], longest))
    assert [evened[item] for item in range(4)] == [works[item] for item in range(4)]


def test_a_cache_answers_repeated_inputs_until_its_entry_is_too_old() -> None:
    flow = exact(Step("a", repeats=0.99), Step("b", ("a",)), every=HOUR)
    assert seconds(flow) == 120
    cached = flow.having("a", cached=3.5 * HOUR)
    hits = ["a" not in {e.step.name for e in run.executions} for run in fresh(cached, 40)]
    assert fmean(hits) == pytest.approx(3 / 4, abs=0.2)
    assert fmean(r.makespan for r in fresh(cached, 40)) < 90
    never = cached.having("a", repeats=0.0)
    assert seconds(never) == 120
    keys = [record(run, definition(never)).steps[0].input_fingerprint for run in fresh(never, 3)]
    assert len(set(keys)) == 3


def test_volumes_are_as_full_as_they_grew() -> None:
    flow = exact(Step("a", volume=Volume("data", 100 * GI, 90 * GI, GI)), every=DAY)
    used = [record(run, definition(flow)).steps[0].volumes[0].used for run in history(flow)]
    assert np.diff(used).tolist() == pytest.approx([GI] * (len(used) - 1))


def test_edits_are_written_into_the_law() -> None:
    containers = (Container(cpu_limit=1.0, gpus=4), Container("side"))
    flow = exact(Step("a"), Step("b", ("a",), containers=containers), parallelism=2)
    template = "/spec/templates/2"
    edits = {
        "/spec/parallelism": ("2", "7"),
        f"{template}/container/resources/limits/cpu": ("1", None),
        f"{template}/container/resources/limits/nvidia.com~1gpu": ("4", "1"),
        f"{template}/sidecars/0/resources/requests/memory": ("704Mi", "1Gi"),
        f"{template}/activeDeadlineSeconds": (None, "900"),
        f"{template}/retryStrategy": (None, '{"limit": "3", "retryPolicy": "OnFailure"}'),
        f"{template}/memoize": (None, '{"maxAge": "12h"}'),
    }
    item = replace(RECOMMENDATION, edits=tuple(Edit(pointer, *values) for pointer, values in edits.items()))
    made = edited(flow, item)
    main, side = made.step("b").containers
    assert (made.parallelism, main.cpu_limit, main.gpus, side.memory_request) == (7, None, 1, GI)
    assert (made.step("b").timeout, made.step("b").retries, made.step("b").cached) == (900.0, 3, 12 * HOUR)
    assert made.step("a") == flow.step("a")
    with pytest.raises(ValueError, match="image"):
        edited(flow, replace(RECOMMENDATION, edits=(Edit(f"{template}/container/image", "a", "b"),)))


def test_the_effect_is_the_difference_and_material_by_its_measure() -> None:
    slow, quick = exact(Step("a", seconds=600.0)), exact(Step("a", seconds=300.0))
    found = difference(slow, quick, 3)
    assert found.run_minutes == pytest.approx(5.0 * slow.runs_per_month, rel=0.01)
    assert found.run_share == pytest.approx(0.5, rel=0.02)
    assert found.failed_runs == 0.0
    assert found.cost_share == pytest.approx(0.5, rel=0.02)
    failing = difference(exact(Step("a", broken=1.0)), exact(Step("a")), 3)
    assert (failing.failed_runs, failing.run_minutes) == (slow.runs_per_month, 0.0)
    least = Materiality()
    assert Worth(run_minutes=31.0, run_share=0.06).material("run_minutes", least)
    assert not Worth(run_minutes=31.0, run_share=0.01, money=50.0, failed_runs=9.0).material("run_minutes", least)
    assert Worth(cost_share=0.2, money=0.1).material("money", least) and Worth(failed_runs=2.0).material(
        "failed_runs", least
    )
    assert worth(replace(planted("filling-volume", 1), amount=7.0)).of("failed_runs") == 7.0
    plant = planted("conditional-gpus", 1)
    assert worth(plant, runs=5).of("money") == difference(plant.flow, plant.fixed, 5).money


def test_the_effect_of_a_remedy_is_that_of_what_is_recommended() -> None:
    plant = planted("few-slots", 1)
    edit = Edit("/spec/parallelism", str(plant.flow.parallelism), str((plant.flow.parallelism or 0) + 1))
    some, all_of_it = worth(plant, replace(RECOMMENDATION, edits=(edit,)), 20), worth(plant, runs=20)
    assert 0.0 < some.run_minutes < all_of_it.run_minutes


def test_an_answer_is_of_the_right_rule_and_step() -> None:
    plant = planted("straggling", 1)
    right = replace(RECOMMENDATION, rule="straggler", step=plant.flow.step(plant.step or "").path)
    assert answers(plant, right)
    assert not answers(plant, replace(right, rule="variance"))
    assert not answers(plant, replace(right, step="prep"))


def test_a_case_is_judged_the_same_again() -> None:
    case = judge("small-chain", 1, 50)
    assert case == judge("small-chain", 1, 50)
    assert (case.verdict, case.wrong) == (Verdict.FOUND, ())
    assert case.kept is not None
    assert case.kept.true == case.true == pytest.approx(case.kept.likely, rel=0.1)
    assert judge("healthy", 1, 50).verdict is Verdict.NOTHING


def test_the_command_writes_a_table_with_a_cell_for_every_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graphs.json"
    options = [
        "--out",
        str(path),
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--only",
        "small-chain",
        "healthy",
        "conditional-gpus",
    ]
    monkeypatch.setattr(sys, "argv", ["graphs", *options])
    assert command.main() == 0
    written = json.loads(path.read_text())
    assert [row["kind"] for row in written["kinds"]] == ["small-chain", "conditional-gpus", "healthy", "all"]
    *_, whole = written["kinds"]
    assert whole["cases"] == 3 == whole["found"] + whole["small"] + whole["unseen"] + whole["missed"] + whole["nothing"]
    page = lines(written)
    assert "2 planted problems of 2 kinds over 1 seeds" in " ".join(page)
    assert "| healthy | 1 | - | - | - | - | 0 | - | - | - | 0 |" in page
    table = page[page.index("By rule:") - 10 : page.index("By rule:")]
    assert len({line.count("|") for line in table if line.startswith("|")}) == 1


def test_wrong_recommendations_and_missed_problems_are_kept_by_name() -> None:
    case = replace(judge("healthy", 1, 50), wrong=("variance.a", "variance.b"))
    written = summarize([case], 1)
    assert written["kinds"][0]["wrong"] == {"variance": 2}
    assert written["open"] == [str(case)]
    assert "wrong variance.a variance.b" in str(case)
