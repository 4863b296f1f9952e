"""Requests, limits and usage: the law does what it says, recommendations are applied as written, wrong ones found."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from benchmarks.resources import __main__ as command
from benchmarks.resources.admission import admitted, effective, problem
from benchmarks.resources.kinds import KINDS, planted
from benchmarks.resources.law import (
    CPU,
    DAY,
    DISK,
    GI,
    GPU,
    HOUR,
    MEMORY,
    MI,
    Container,
    Cpu,
    Flow,
    Gpus,
    Memory,
    Role,
    Step,
    Volume,
)  # fmt: skip
from benchmarks.resources.manifests import JOB, definition, manifest
from benchmarks.resources.plant import FAILURES, MONEY, Plant, healthy
from benchmarks.resources.records import record
from benchmarks.resources.remedies import applied, written
from benchmarks.resources.report import lines
from benchmarks.resources.score import Verdict, analyse, answers, assessed, judge, summarize
from benchmarks.resources.simulation import Run, history, later
from benchmarks.resources.truth import effect
from concertmaster.core.model import Category, Edit, Impact, Interval, Outcome, Recommendation
from tests.support.builders import recommendation

EXACT = Memory(usual=GI, spread=0.0)
PLAIN = Container(cpu=Cpu(((1.0, 1.0),), spread=0.0), memory=EXACT, requests={CPU: 2.0, MEMORY: 2 * GI})
MAIN = "/spec/templates/1/container/resources"


def flow(*containers: Container, **law: object) -> Flow:
    """One step whose runs are all the same."""
    step = Step("work", containers or (PLAIN,), seconds=600.0, spread=0.0)
    return replace(Flow("exact", (step,), every=4 * HOUR), **law)  # type: ignore[arg-type]


def one(flow: Flow) -> Run:
    return later(flow, 1)[0]


def recommended(rule: str, *edits: tuple[str, str], **fields: object) -> Recommendation:
    changed = tuple(Edit(pointer, None, proposed) for pointer, proposed in edits)
    return recommendation(f"{rule}.work", **{"category": Category.COST, "confidence": 1.0, "edits": changed, **fields})


def wrong(flow: Flow, rule: str, *edits: tuple[str, str], **fields: object) -> tuple[str, ...]:
    """What is wrong with a recommendation for a workflow with a planted problem of that rule."""
    plant = Plant(flow, flow, (rule,), "work", None, MONEY)
    return assessed("any", plant, recommended(rule, *edits, **fields), 60).wrong


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_described_repeatable_and_admitted(kind: str) -> None:
    assert KINDS[kind].__doc__
    first, again = planted(kind, 3), planted(kind, 3)
    assert (first.flow, first.fixed) == (again.flow, again.fixed)
    assert bool(first.rules) is (first.flow != first.fixed)
    assert problem(first.flow) == ""
    read = definition(first.flow)
    assert [s.name for s in read.graph.steps] == [s.name for s in first.flow.steps]
    runs = [[record(r, read) for r in later(made, 2)] for made in (first.flow, again.flow)]
    assert runs[0] == runs[1]
    assert written(first.flow) == first.flow


def test_cpu_is_what_limit_request_and_node_leave() -> None:
    def seconds(flow: Flow) -> float:
        return round(one(flow).pods[0].finished - one(flow).pods[0].started)

    assert seconds(flow()) == 600
    assert seconds(flow(PLAIN.limited(cpu=0.5))) == 1200
    assert seconds(flow(PLAIN.asking(cpu=0.5), idle=(0.25, 0.25))) == 800
    assert seconds(flow(PLAIN, replace(PLAIN.limited(cpu=0.5), name="side", role=Role.BESIDE))) == 600
    phases = replace(PLAIN, cpu=Cpu(((0.5, 2.0), (0.5, 0.1)), spread=0.0))
    use = one(flow(phases.limited(cpu=1.0))).pods[0].uses[0]
    assert (use.factor, use.throttled) == (pytest.approx(1.5), pytest.approx(2 / 3))
    assert use.cores == pytest.approx(1.05 / 1.5)


def test_memory_above_a_limit_is_killed_and_retried() -> None:
    bound = PLAIN.limited(memory=0.9 * GI)
    run = one(flow(bound))
    assert (run.failed, run.pods[0].reason, run.pods[0].by) == (True, "OOMKilled", "main")
    fact = record(run, definition(flow(bound))).steps[0]
    assert (fact.outcome, fact.containers[0].memory_sampled_peak) == (Outcome.FAILED, 0.9 * GI)
    by_chance = replace(PLAIN, memory=replace(EXACT, spread=0.2, alike=False)).limited(memory=GI)
    tried = flow(by_chance)
    again = tried.having(replace(tried.step("work"), retries=3))
    assert fmean(r.failed for r in later(again, 200)) < 0.5 * fmean(r.failed for r in later(tried, 200))
    pod = replace(tried.step("work"), requests={MEMORY: 0.9 * GI}, limits={MEMORY: 0.9 * GI})
    assert one(flow(PLAIN).having(replace(pod, containers=(PLAIN,)))).failed


def test_steps_of_before_count_until_the_change() -> None:
    old = replace(flow().step("work"), seconds=60.0)
    made = flow(before=(old,), changed=5.0)
    ages = {round(r.makespan, -2): {r.state.days_ago <= 5.0} for r in history(made)}
    assert ages == {100: {False}, 600: {True}}


def test_samples_miss_short_peaks_and_whole_pods() -> None:
    hidden = replace(PLAIN, memory=Memory(GI, spread=0.0, seconds=3.0, burst=2.0))
    made = flow(hidden, every=HOUR)
    facts = [record(r, definition(made)).steps[0].containers[0] for r in history(made)]
    assert fmean(f.memory_sampled_peak == GI for f in facts) == pytest.approx(0.1, abs=0.06)
    assert all((f.memory_kernel_peak or 0.0) >= GI for f in facts)
    gaps = flow(gaps=0.5, every=HOUR)
    assert fmean(
        not record(r, definition(gaps)).steps[0].containers[0].samples for r in history(gaps)
    ) == pytest.approx(0.5, abs=0.1)


def test_init_containers_and_native_sidecars_count_as_the_scheduler_counts_them() -> None:
    first = Container("setup", Role.INIT, {CPU: 3.0, MEMORY: GI})
    native = Container("proxy", Role.NATIVE, {CPU: 0.5, MEMORY: GI})
    assert effective(Step("a", (PLAIN,)), CPU) == 2.0
    assert effective(Step("a", (PLAIN, first)), CPU) == 3.0
    assert effective(Step("a", (PLAIN, first, native)), CPU) == 3.5
    assert effective(Step("a", (PLAIN, first), requests={CPU: 9.0}), CPU) == 9.0
    cron = replace(flow(PLAIN, native, first), engine="cronjob", steps=(Step(JOB, (PLAIN, native, first)),))
    pod = manifest(cron)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [c.get("restartPolicy") for c in pod["initContainers"]] == ["Always", None]
    assert [c.sidecar for c in record(one(cron), definition(cron)).steps[0].containers] == [False, True, False]


def test_the_namespace_fills_in_and_rejects() -> None:
    rows = {
        "type": "Container",
        "default": {"memory": "4Gi"},
        "min": {"memory": "1Gi"},
        "maxLimitRequestRatio": {"memory": "3"},
    }
    limits = {"kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [rows]}}
    made = flow(namespace=(limits,))
    assert admitted(made.step("work"), made).container("main").limits == {MEMORY: 4 * GI}
    assert problem(made) == ""
    assert "minimum" in problem(applied(made, recommended("right-size", (f"{MAIN}/requests/memory", "512Mi"))) or made)
    assert "ratio" in problem(applied(made, recommended("right-size", (f"{MAIN}/requests/memory", "1Gi"))) or made)
    quota = {"kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "1"}}}
    assert "ResourceQuota q" in problem(flow(namespace=(quota,)))
    assert "no node" in problem(flow(node={MEMORY: GI}))


def test_recommendations_are_applied_as_written() -> None:
    own = flow(PLAIN.limited(**{GPU: 4.0}))
    item = recommended("any", (f"{MAIN}/requests/cpu", "500m"), (f"{MAIN}/limits/nvidia.com~1gpu", "1"))
    changed = applied(own, item)
    assert changed is not None
    assert changed.step("work").containers[0].requests == {CPU: 0.5, MEMORY: 2 * GI}
    assert changed.step("work").containers[0].limits == {GPU: 1.0}
    assert applied(own, recommended("any")) is None
    assert applied(own, recommended("any", ("/spec/templates/1/retryStrategy", '{"limit": "2"}'))) is not None
    assert written(own.having(replace(own.step("work"), retries=3))).step("work").retries == 3
    full = flow().having(replace(flow().step("work"), volume=Volume("data", 10 * GI, GI)))
    larger = applied(full, recommended("volume-size", id="volume-size.data", proposed="20Gi"))
    assert larger is not None and larger.step("work").volume == Volume("data", 20 * GI, GI)


def test_what_is_too_small_is_wrong() -> None:
    varied = replace(PLAIN, memory=replace(EXACT, spread=0.1))
    assert wrong(flow(), "right-size", (f"{MAIN}/requests/memory", "1100Mi"), (f"{MAIN}/requests/cpu", "1100m")) == ()
    assert wrong(flow(varied), "right-size", (f"{MAIN}/requests/memory", "1Gi")) == ("right-size memory",)
    assert wrong(flow(), "right-size", (f"{MAIN}/requests/cpu", "900m")) == ("right-size CPU below the mean use",)
    limit = ((f"{MAIN}/limits/cpu", "500m"), (f"{MAIN}/requests/cpu", "500m"))
    assert wrong(flow(), "right-size", *limit) == ("right-size CPU below the mean use", "right-size longer")
    assert wrong(flow(), "right-size", (f"{MAIN}/limits/cpu", "500m"), (f"{MAIN}/requests/memory", "2Gi")) == (
        "right-size longer",
        "right-size rejected (cpu request of main above its limit)",
    )
    gpus = replace(PLAIN, gpus=Gpus(1, 0.5, 4, 0.3)).limited(**{GPU: 4.0})
    fewer = (f"{MAIN}/limits/nvidia.com~1gpu", "1")
    assert wrong(flow(gpus), "gpu-request", fewer) == ("gpu-request GPU",)
    assert wrong(flow(replace(gpus, gpus=Gpus(1))), "gpu-request", fewer) == ()
    disk = replace(PLAIN, disk=2.0 * GI).limited(**{DISK: 8 * GI})
    assert wrong(flow(disk), "right-size", (f"{MAIN}/limits/ephemeral-storage", "2Gi")) == ("right-size disk",)
    full = flow().having(replace(flow().step("work"), volume=Volume("data", 10 * GI, 8 * GI, growth=0.2 * GI)))
    for size, found in (("11Gi", ("volume-size volume",)), ("20Gi", ())):
        assert wrong(full, "volume-size", id="volume-size.data", proposed=size) == found


def test_half_of_the_bound_holds_for_long_steps_and_warnings_promise_nothing() -> None:
    rare = replace(PLAIN, memory=replace(EXACT, often=0.0075, heavy=3.0))
    lower = recommended("right-size", (f"{MAIN}/requests/memory", "1100Mi"))
    short, long = flow(rare), flow(rare).having(replace(flow(rare).step("work"), seconds=15000.0))
    verdicts = [
        assessed("any", Plant(f, f, ("right-size",), "work", None, MONEY), lower, 2000).wrong for f in (short, long)
    ]
    assert verdicts == [(), ("right-size memory",)]
    warned = replace(lower, expected="check main first: ...")
    assert not assessed("any", Plant(long, long, ("right-size",), "work", None, MONEY), warned, 2000).wrong


def test_longer_runs_are_as_stated_or_wrong() -> None:
    busy = flow(replace(PLAIN, cpu=Cpu(((0.2, 4.0), (0.8, 0.25)), spread=0.0)).asking(cpu=5.0), idle=(0.5, 0.5))
    lower = (f"{MAIN}/requests/cpu", "1500m")
    assert wrong(busy, "right-size", lower) == ("right-size longer",)
    assert wrong(busy, "right-size", lower, expected="at most 20% longer on a full node") == ()


def test_whatever_is_published_without_a_problem_is_needless() -> None:
    item = recommended("right-size", (f"{MAIN}/requests/cpu", "1100m"))
    assert assessed("any", healthy(flow()), item, 20).wrong == ("right-size needless",)
    assert not assessed("any", healthy(flow(), also=("right-size",)), item, 20).wrong
    other = Plant(flow(), flow(), ("right-size",), "work", "sidecar", MONEY)
    row = analyse(planted("request-raised", 1).flow)[0].recommendations[0]
    assert row.items and answers(planted("request-raised", 1), row) and not answers(other, row)


def test_intervals_are_compared_with_later_runs() -> None:
    item = recommended("right-size", (f"{MAIN}/requests/cpu", "1"))
    plant = Plant(flow(), flow(), ("right-size",), "work", None, MONEY)
    true = assessed("any", plant, replace(item, impact=Impact(money=Interval(0.0, 1.0, 9e9))), 20).kept[0]
    hours = 600.0 / HOUR * 180
    assert (true.true, true.held) == (pytest.approx(hours * 0.031, rel=0.02), True)
    off = replace(item, impact=Impact(money=Interval(2 * true.true, 3 * true.true, 4 * true.true)))
    assert not assessed("any", plant, off, 20).kept[0].held


def test_a_volume_that_fills_fails_the_runs_of_the_month_after_that() -> None:
    step = replace(flow().step("work"), volume=Volume("data", 20 * GI, 10 * GI, growth=GI))
    found = effect(flow().having(step), flow().having(replace(step, volume=Volume("data", 60 * GI, 10 * GI, GI))), 20)
    assert found.of(FAILURES) == pytest.approx(20 / 30 * 180, rel=0.02)
    assert found.of(MONEY) == pytest.approx(-40 * 0.08)
    emptied = replace(step, volume=Volume("data", 20 * GI, 10 * GI, growth=GI, emptied=5.0))
    assert effect(flow().having(emptied), flow().having(emptied), 5).of(FAILURES) == 0.0


def test_scored_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "resources.json"
    options = ["--only", "request-raised", "guaranteed-cpu-bursts", "--seeds", "1", "--first", "1", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", ["resources", *options, "--out", str(out)])
    assert command.main() == 0
    result = json.loads(out.read_text())
    raised, bursts, every = result["kinds"]
    assert (raised["found"], bursts["nothing"], every["cases"]) == (1, 1, 2)
    assert raised["held"] == 100.0 and bursts["items"] == 0
    text = "\n".join(lines(result))
    assert "| request-raised | 1 | 1 | 0 | 0 | 0 | 1 |" in text and "| guaranteed-cpu-bursts | 1 | - |" in text


def test_a_missed_problem_is_counted() -> None:
    case = replace(judge("guaranteed-cpu-bursts", 1, 20), verdict=Verdict.MISSED)
    assert summarize([case], 1)["open"] == [str(case)] and case.open
    assert DAY == 24 * HOUR and MI * 1024 == GI
