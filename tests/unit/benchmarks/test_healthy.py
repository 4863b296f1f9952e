"""The healthy workflows: equal seeds, equal runs; the law does what it says; and recommendations are sorted rightly."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.advice.manifests import read
from benchmarks.healthy import __main__ as command
from benchmarks.healthy import starts
from benchmarks.healthy.kinds import KINDS, failures, fan_outs, few, inputs, nodes, pipelines, resources
from benchmarks.healthy.law import DAY, HOUR, MI, WINDOW, Flow, Kind, Run, Step, each, in_sequence
from benchmarks.healthy.manifests import manifest
from benchmarks.healthy.report import lines
from benchmarks.healthy.score import History, Published, history, name_of, summary
from benchmarks.healthy.simulation import simulate
from concertmaster.core.model import Outcome, RunRecord, Source
from concertmaster.core.rules import RULES

NOW = 1_763_640_000.0  # a Thursday at noon
RNG = np.random.default_rng(1)


def played(flow: Flow, seed: int = 1) -> list[RunRecord]:
    known = read(manifest(flow), (step.name for step in flow.steps))
    return simulate(flow, known.definition, known.names, (0, seed), NOW)


def steady(*steps: Step, **law: object) -> Flow:
    return Flow("steady", in_sequence(*steps), starts.every(4 * HOUR), **law)  # type: ignore[arg-type]


def test_every_kind_says_what_goes_on_and_names_rules_that_there_are() -> None:
    rules = {rule.name for rule in RULES}
    assert len({name_of(kind) for kind in KINDS}) == len(KINDS) == 146
    for kind in KINDS:
        flow = kind(np.random.default_rng(1))
        assert kind.__doc__ and kind.__doc__[0].isupper() and kind.__doc__.endswith("."), name_of(kind)
        assert {*flow.true, *flow.hidden} <= rules, name_of(kind)
        assert not {*flow.true} & {*flow.hidden}, name_of(kind)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_runs_are_those_of_two_weeks_and_have_ended(kind: Kind) -> None:
    flow = kind(np.random.default_rng(1))
    runs = played(flow)
    assert 4 <= len(runs) <= WINDOW / 300
    for run in runs:
        assert NOW - WINDOW <= (run.start or 0.0) < (run.end or 0.0) <= NOW
        for e in run.steps:
            assert (e.ready or 0.0) <= (e.created or 0.0) < (e.scheduled or 0.0) <= (e.started or 0.0)
            assert (e.started or 0.0) <= (e.finished or 0.0)


def test_equal_seeds_yield_equal_histories_and_others_do_not() -> None:
    assert history(inputs.samples_of_unknown_size, 3) == history(inputs.samples_of_unknown_size, 3)
    flow = nodes.autoscaled(RNG)
    assert played(flow) == played(flow)
    assert played(flow) != played(flow, 2)


def test_steps_follow_each_other_and_conditional_ones_take_place_in_their_runs() -> None:
    def prepare(run: Run) -> None:
        run.marks |= {"full"} if run.number % 3 == 0 else set()

    runs = played(steady(Step("scan", 60), Step("rebuild", 60, only="full"), Step("notify", 60), prepare=prepare))
    names = [[e.step for e in run.steps] for run in runs]
    assert names[:3] == [["scan", "rebuild", "notify"], ["scan", "notify"], ["scan", "notify"]]
    assert {run.outcome for run in runs} == {Outcome.SUCCEEDED}
    assert 128 < (runs[1].makespan or 0.0) < 160 < (runs[0].makespan or 0.0)


def test_work_scales_with_the_load_and_the_size_of_the_item() -> None:
    def prepare(run: Run) -> None:
        run.load, run.sizes = 4.0, (1.0, 2.0)

    steps = Step("list", 10, scales=0.5), Step("work", 100, fixed=5, items=each, sized=True)
    run = played(steady(*steps, prepare=prepare))[0]
    assert [e.duration for e in run.steps] == [pytest.approx(20.0), pytest.approx(105.0), pytest.approx(205.0)]
    assert [e.input_size for e in run.steps] == [None, 1e9, 2e9]


def test_failed_attempts_are_retried_until_the_retries_are_used_up() -> None:
    run = played(steady(Step("work", 60, fails=lambda run: "Error", retries=2), Step("store", 60)))[0]
    assert [(e.attempt, e.outcome, e.reason) for e in run.steps] == [(n, Outcome.FAILED, "Error") for n in range(3)]
    assert run.outcome is Outcome.FAILED


def test_limits_of_memory_and_time_end_an_execution() -> None:
    killed = Step("work", 60, memory_request=100 * MI, memory_used=1.5, memory_limit=100 * MI, retries=0)
    late = Step("work", 60, timeout=30, retries=0)
    ends = [played(steady(step))[0].steps[0] for step in (killed, late)]
    assert [e.reason for e in ends] == ["OOMKilled", "DeadlineExceeded"]
    assert (ends[1].finished or 0.0) - (ends[1].created or 0.0) == pytest.approx(30.0)


def test_no_more_pods_run_than_the_limit_allows() -> None:
    for run in played(fan_outs.limited_to_eight(RNG))[:5]:
        edges = sorted([(e.created or 0.0, 1) for e in run.steps] + [(e.finished or 0.0, -1) for e in run.steps])
        running = np.cumsum([change for _, change in edges])
        assert running.max() == 8


def test_an_outage_is_over_and_runs_before_and_after_it_succeed() -> None:
    runs = played(failures.outage_of_five_hours(np.random.default_rng(1)))
    failed = [i for i, run in enumerate(runs) if run.outcome is Outcome.FAILED]
    assert len(failed) == 5
    assert failed == list(range(failed[0], failed[0] + 5))
    assert failed[-1] < len(runs) - 24


def test_superseded_runs_have_neither_succeeded_nor_failed() -> None:
    runs = played(failures.superseded(RNG))
    assert {run.outcome for run in runs} == {Outcome.SUCCEEDED, Outcome.UNKNOWN}
    assert {run.source for run in runs} == {Source.LIVE}
    assert 0.05 < sum(run.outcome is Outcome.UNKNOWN for run in runs) / len(runs) < 0.25


def test_a_volume_that_is_emptied_weekly_is_fullest_on_sundays() -> None:
    runs = played(resources.emptied_weekly(RNG))
    used = {int(run.start // DAY + 3) % 7: run.steps[1].volumes[0].used for run in runs if run.start}
    assert sorted(used, key=lambda day: used[day]) == list(range(7))


def test_old_versions_have_other_definitions() -> None:
    flow = pipelines.new_versions(RNG)
    known = read(manifest(flow), (step.name for step in flow.steps))
    runs = played(flow)
    prints = list(dict.fromkeys(run.fingerprint for run in runs))
    assert len(prints) == 4
    assert prints[-1] == known.definition.fingerprint


def test_starts_keep_to_their_pattern() -> None:
    rng = np.random.default_rng(1)
    daily = starts.every(DAY, at=2 * HOUR, weekdays=True)(rng, NOW)
    assert len(daily) == 10
    assert all(2 * HOUR <= time % DAY < 2 * HOUR + 5 for time in daily)
    suspended = starts.paused(starts.every(HOUR), before=9.0, after=4.0)(rng, NOW)
    assert len(suspended) == 24 * 9
    assert 5 <= len(starts.few(5, 12)(rng, NOW)) <= 12
    assert len(starts.with_backfill(starts.every(DAY), 5.0)(rng, NOW)) == 44
    assert 120 < len(starts.office(14)(rng, NOW)) < 170


def test_few_runs_are_those_of_the_same_workflow() -> None:
    kind = few.seldom(pipelines.hourly)
    flow = kind(RNG)
    assert (name_of(kind), flow.engine, flow.schedule) == ("few-hourly", "argo", None)
    assert flow.steps == pipelines.hourly(RNG).steps


def test_wrong_avoidable_and_true_ones_are_told_apart() -> None:
    wrong, true = Published("timeout", "a", "", ""), Published("variance", "b", "it does vary", "")
    hidden = Published("variance", "c", "", "sizes")
    found = [History("one", "What.", 1, 7, (wrong, wrong)), History("one", "What.", 1, 7, (hidden, true)),
             History("two", "Other.", 2, 5, (true,)), History("two", "Other.", 2, 5, ())]  # fmt: skip
    result = summary(found, 2)
    assert [result[name] for name in ("kinds", "histories", "runs", "wrong", "avoidable", "true")] == [
        2,
        4,
        24,
        2,
        1,
        2,
    ]
    assert [(row["rule"], row["kind"], row["histories"], row["seed"]) for row in result["rows"]] == [
        ("timeout", "one", 1, 1), ("variance", "one", 1, 1), ("variance", "two", 1, 2),
    ]  # fmt: skip
    page = lines(result)
    assert "| timeout | one | What. | 1 of 2 |" in page
    assert "| variance | one | What. | 1 of 2 | sizes |" in page
    assert "| variance | two | Other. | 1 of 2 | it does vary |" in page
    assert "50.0% of the histories have a recommendation that is wrong. In 25.0% the metrics" in " ".join(page)
    assert lines(summary(found[3:], 1)).count("None.") == 3


def test_a_recommendation_that_is_right_counts_as_such() -> None:
    found = history(nodes.two_generations, 1)
    assert [(item.rule, bool(item.true)) for item in found.published] == [("node-skew", True)]


def test_what_all_nodes_hold_bounds_the_limit() -> None:
    kind = fan_outs.limited_to_nodes
    assert history(kind, 1).published == ()
    assert [item.rule for item in history(_unbounded, 1).published] == ["parallelism"]


def _unbounded(rng: np.random.Generator) -> Flow:
    return replace(fan_outs.limited_to_nodes(rng), nodes={})


def test_the_command_writes_the_kinds_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tmp_path / "healthy.json"
    options = ["--out", str(result), "--seeds", "2", "--only", "download", "nightly", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", ["healthy", *options])
    assert command.main() == 0
    written = json.loads(result.read_text())
    assert (written["kinds"], written["histories"], written["wrong"], written["true"]) == (2, 4, 0, 2)
