"""Slow runs, the effect of the last change, the next run and objectives at risk, on runs with known truth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from concertmaster.core.analysis.drivers import InputEffect
from concertmaster.core.analysis.insights import insights, last_change
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.model import RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import AnalysisSettings, Objectives, Policy, Quantiles
from concertmaster.report.status.insights import sentences
from tests.support.builders import DAY, NOW, container, definition, run, step
from tests.support.core.scenario_builder import Work, argo, cron_job, noise, scenario, task

CHAIN = definition(step("extract"), step("transform", ["extract"], 1), step("load", ["transform"], 2))
BASE = {"extract": 60.0, "transform": 300.0, "load": 30.0}
LONG = Policy(analysis=AnalysisSettings(window_seconds=90 * DAY))


def _runs(count, factor=lambda i: {}, image=lambda i: "etl:1", spread=0.04, seed=3):  # type: ignore[no-untyped-def]
    chance = random.Random(seed)
    return [
        run(
            CHAIN.graph,
            {k: v * chance.lognormvariate(0, spread) * factor(i).get(k, 1.0) for k, v in BASE.items()},
            number=i,
            start=NOW - (count - i) * DAY,
            containers=lambda _, i=i: (container(image=image(i)),),
        )
        for i in range(count)
    ]


def test_slow_runs_are_found_with_the_step_that_made_them_slow() -> None:
    runs = _runs(60, factor=lambda i: {"transform": 2.0} if i % 6 == 0 else {})
    found = insights(analyze(CHAIN, runs, now=NOW, policy=LONG)).slow
    assert found
    assert found[0].steps == ("transform",)
    assert set(found[0].runs) == {f"run-{i}" for i in range(0, 60, 6)}
    assert found[0].extra_seconds == pytest.approx(300, rel=0.15)


@pytest.mark.parametrize("since", [20, 40])
def test_runs_since_a_change_or_before_it_are_no_slow_runs_among_others(since: int) -> None:
    """The change says so already, and the recommendation for it."""
    later = {"transform": 1.5} if since == 40 else {"transform": 0.6}
    analysis = analyze(CHAIN, _runs(60, factor=lambda i: later if i >= since else {}), now=NOW, policy=LONG)
    assert analysis.trend.points
    assert insights(analysis).slow == ()


def test_the_last_change_is_named_and_measured() -> None:
    runs = _runs(30, factor=lambda i: {"transform": 0.7} if i >= 18 else {}, image=lambda i: f"etl:{1 + (i >= 18)}")
    change = insights(analyze(CHAIN, runs, now=NOW, policy=LONG)).change
    assert change is not None
    assert "image of transform from etl:1 to etl:2" in change.what
    assert change.time == runs[18].end
    assert change.effect.verdict is Verdict.IMPROVED
    assert change.effect.low < (390 - 90) / 390 < change.effect.high
    assert (change.effect.runs_before, change.effect.runs_after) == (18, 12)


def test_only_the_runs_since_the_change_before_count() -> None:
    runs = _runs(30, image=lambda i: f"etl:{1 + (i >= 10) + (i >= 20)}")
    change = last_change(runs, RunFigures(), CHAIN.graph)
    assert change is not None
    assert (change.effect.runs_before, change.effect.runs_after) == (10, 10)
    assert change.effect.verdict in (Verdict.SAME, Verdict.INCONCLUSIVE)


def test_without_a_change_there_is_no_effect() -> None:
    assert last_change(_runs(10), RunFigures(), CHAIN.graph) is None
    assert last_change([], RunFigures(), CHAIN.graph) is None
    renamed = [replace(r, fingerprint=f"f{i >= 5}") for i, r in enumerate(_runs(10))]
    change = last_change(renamed, RunFigures(), CHAIN.graph)
    assert change is not None
    assert change.what == "template"


def test_the_next_run_is_forecast_with_an_interval() -> None:
    found = insights(analyze(CHAIN, _runs(30), now=NOW, policy=LONG)).next_run
    assert found is not None
    assert found.low < 399 < found.high
    assert found.likely == pytest.approx(399, rel=0.05)
    assert insights(analyze(CHAIN, [], now=NOW)).next_run is None


def _limited(analysis: Analysis, p95: float) -> Analysis:
    """The analysis under a policy with a duration objective."""
    return replace(analysis, policy=replace(LONG, objectives=Objectives(duration=Quantiles(p95=p95))))


def test_a_rising_trend_puts_an_objective_at_risk() -> None:
    runs = _runs(40, factor=lambda i: dict.fromkeys(BASE, 1.01**i), spread=0.02)
    analysis = analyze(CHAIN, runs, now=NOW, policy=LONG)
    level = analysis.makespan.maximum
    assert level is not None
    risks = dict(insights(_limited(analysis, level * 1.1)).risks)
    assert set(risks) == {"duration p95"}
    at = risks["duration p95"].at
    assert at is not None
    assert NOW < at.likely < NOW + 40 * DAY
    steady = analyze(CHAIN, _runs(40), now=NOW, policy=LONG)
    assert insights(_limited(steady, 600.0)).risks == ()


def test_the_next_run_is_forecast_from_the_runs_since_the_last_change() -> None:
    runs = _runs(40, factor=lambda i: {"transform": 1.6} if i >= 25 else {})
    found = insights(analyze(CHAIN, runs, now=NOW, policy=LONG)).next_run
    assert found is not None
    assert found.likely == pytest.approx(399 + 180, rel=0.05)


def test_the_next_run_may_be_of_another_day() -> None:
    """Each day has a level of its own, as where others use the database, and the newest one says little of the next."""
    value, chance = noise(), random.Random(6)
    levels = [300 * chance.lognormvariate(0, 0.3) for _ in range(14)]
    analysis = scenario(
        argo(task("build")), 168, lambda i: {"build": value(levels[i // 12])}, every=DAY / 12
    ).analysis()
    assert len(analysis.trend.points) > 1
    found = insights(analysis).next_run
    assert found is not None
    assert sum(found.low <= level + 6 <= found.high for level in levels) >= 12


@pytest.mark.parametrize("last", [0, 1])
def test_the_next_run_may_take_other_steps_than_the_last(last: int) -> None:
    """Half of the runs skip ``transform``, and nobody knows which the next one is."""
    value, flow = noise(spread=0.02), argo(task("scan"), task("build", "scan"))

    def work(i: int) -> Work:
        return {"scan": value(100), **({"build": value(300)} if i % 2 == last else {})}

    found = insights(scenario(flow, 40, work).analysis()).next_run
    assert found is not None
    assert 98 < found.low < 104
    assert 400 < found.high < 420
    few = insights(scenario(flow, 8, work).analysis()).next_run
    assert few is not None
    assert few.low < 103 < 406 < few.high


def test_time_of_a_step_without_pods_is_not_blamed_on_the_controller_alone() -> None:
    """An approval of ten minutes, of which the metrics show nothing."""
    flow = argo(task("build"), task("approve", "build"), task("deploy", "approve"))
    for body in flow["spec"]["templates"]:
        if body["name"] == "approve":
            body["suspend"] = {}
            del body["container"]
    made = scenario(flow, 20, lambda _: {"build": 300.0, "deploy": 60.0})

    def approved(run: RunRecord) -> RunRecord:
        later = dict.fromkeys(("created", "scheduled", "started", "finished"), 600.0)
        steps = tuple(
            replace(e, **{name: getattr(e, name) + s for name, s in later.items()}) if e.step == "deploy" else e
            for e in run.steps
        )
        return replace(run, end=(run.end or 0.0) + 600.0, steps=steps)

    seen = insights(replace(made, runs=tuple(map(approved, made.runs))).analysis())
    assert any("10m00s controller and steps without pods (approve)" in line for line in sentences(seen, 20))
    assert "without pods" not in " ".join(sentences(insights(analyze(CHAIN, _runs(20), now=NOW, policy=LONG)), 20))


def test_pods_that_kueue_admits_later_are_not_blamed_on_the_controller_alone() -> None:
    """Six pods, of which Kueue admits four at a time: the others are created once these have ended."""
    flow = cron_job(parallelism=6, completions=6, completionMode="Indexed")
    made = scenario(flow, 20, lambda _: {"job": [100.0] * 6})

    def in_part(run: RunRecord) -> RunRecord:
        rows = enumerate(run.steps)
        steps = tuple(
            replace(e, **{n: getattr(e, n) + 103.0 for n in ("created", "scheduled", "started", "finished")})
            if number >= 4
            else e
            for number, e in rows
        )
        return replace(run, end=(run.end or 0.0) + 103.0, steps=steps)

    runs = tuple(map(in_part, made.runs))
    said = "controller and pods beyond those that Kueue admitted at a time"
    for least in ("2", None):
        annotations = {"kueue.x-k8s.io/job-min-parallelism": least} if least else {}
        meta = {"labels": {"kueue.x-k8s.io/queue-name": "team"}, "annotations": annotations}
        flow["spec"]["jobTemplate"]["metadata"] = meta
        lines = sentences(insights(replace(made, manifest=flow, runs=runs).analysis()), 20)
        (split,) = [line for line in lines if line.startswith("An average run takes")]
        assert "1m43s controller" in split
        assert (f"1m43s {said}" in split) is (least is not None)


def test_the_time_split_adds_up_to_the_mean_makespan() -> None:
    analysis = analyze(CHAIN, _runs(20), now=NOW, policy=LONG)
    split = insights(analysis).split
    assert split is not None
    total = sum(getattr(split, name) for name in ("controller", "limit", "scheduling", "start_up", "work", "retry"))
    assert total == pytest.approx(analysis.makespan.mean)
    assert (split.scheduling, split.start_up) == (pytest.approx(3.0), pytest.approx(6.0))  # 1 s and 2 s per step
    assert insights(analyze(CHAIN, [], now=NOW)).split is None


def test_of_steps_that_follow_their_input_those_are_named_that_take_longest_by_it() -> None:
    found = insights(analyze(CHAIN, _runs(30), now=NOW, policy=LONG))
    effects = [
        InputEffect(name, 1e9, 2e9, seconds, None, 30)
        for name, seconds in (("same", (64.0, 65.0)), ("more", (60.0, 90.0)), ("most", (60.0, 300.0)))
    ]
    lines = [s for s in sentences(replace(found, inputs=tuple(effects)), 30) if " follows its input" in s]
    assert [line.partition(" ")[0] for line in lines] == ["most", "more"]
