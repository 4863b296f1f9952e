"""Each rule fires on the case it is for, with the right numbers, and stays silent beside it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.model import (
    Category,
    ContainerFact,
    ContainerSpec,
    Outcome,
    Recommendation,
    RunRecord,
    Severity,
    WorkflowDefinition,
)
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import AnalysisSettings, Objectives, Policy, Quantiles, RuleSettings
from concertmaster.core.pipeline import Environment, analyze_workflow
from concertmaster.core.rules import RULES, DataGaps, Evidence, recommend
from tests.support.builders import DAY, MI, NOW, container, daily, definition, run, step
from tests.support.core import scenario_builder as builder
from tests.support.core import scenarios

CHAIN = definition(step("extract"), step("transform", ["extract"], 1), step("load", ["transform"], 2))
EVEN = {"extract": 60.0, "transform": 60.0, "load": 60.0}


def recommended(
    of: WorkflowDefinition,
    runs: Sequence[RunRecord],
    only: str,
    settings: dict[str, str] | None = None,
    gaps: DataGaps | None = None,
    options: AnalysisSettings | None = None,
) -> list[Recommendation]:
    """Recommendations of one rule."""
    chosen = {r.name: RuleSettings(enabled=r.name == only, settings=settings or {}) for r in RULES}
    analysis = analyze(of, runs, now=NOW, policy=Policy(analysis=options or AnalysisSettings(), rules=chosen))
    return recommend(Evidence(analysis, "wfp", gaps=gaps or DataGaps()))


def noisy(base: dict[str, float], spread: float = 0.03, seed: int = 1) -> Callable[[int], dict[str, float]]:
    """Step durations with log-normal noise."""
    chance = random.Random(seed)
    return lambda _: {k: v * chance.lognormvariate(0, spread) for k, v in base.items()}


def only(found: list[Recommendation]) -> Recommendation:
    assert len(found) == 1, [r.id for r in found]
    return found[0]


class TestBottleneck:
    def test_names_the_step_with_the_largest_drag_and_replays_the_gain(self) -> None:
        runs = daily(CHAIN.graph, 12, noisy({"extract": 60, "transform": 300, "load": 30}))
        first = recommended(CHAIN, runs, "bottleneck")[0]
        assert first.id == "bottleneck.transform"
        assert first.expected.startswith("at half its time: ")
        assert (first.current.partition(" ")[0], first.proposed) == ("5m01s", "2m30s median")
        assert first.gain_seconds is None  # a measure, no prediction of a remedy
        slow = Policy(objectives=Objectives(duration=Quantiles(p50=200.0)))
        asked = recommend(Evidence(analyze(CHAIN, runs, now=NOW, policy=slow), "wfp"))
        first = next(r for r in asked if r.id == "bottleneck.transform")
        assert not first.minor
        assert first.gain_seconds is not None
        assert first.gain_seconds.likely == pytest.approx(150, rel=0.1)  # half of the step, all of it on the path
        assert first.gain_share is not None
        assert first.gain_share.low <= first.gain_share.likely <= first.gain_share.high
        assert "on the critical path in 100% of 12 runs (14d)" in first.because

    def test_a_long_step_beside_a_longer_one_is_no_bottleneck(self) -> None:
        fork = definition(step("start"), step("long", ["start"], 1), step("longer", ["start"], 2))
        runs = daily(fork.graph, 12, noisy({"start": 5, "long": 280, "longer": 400}))
        assert [r.id for r in recommended(fork, runs, "bottleneck")] == ["bottleneck.longer"]

    def test_is_silent_without_enough_runs_and_for_one_step(self) -> None:
        few = daily(CHAIN.graph, 4, noisy({"extract": 60, "transform": 300, "load": 30}))
        assert recommended(CHAIN, few, "bottleneck") == []
        single = definition(step("extract"))
        assert recommended(single, daily(single.graph, 10, noisy({"extract": 60})), "bottleneck") == []

    def test_the_threshold_is_a_setting(self) -> None:
        runs = daily(CHAIN.graph, 12, noisy({"extract": 60, "transform": 300, "load": 30}))
        assert recommended(CHAIN, runs, "bottleneck", {"minDragPercent": "90"}) == []


def _memory_runs(peak: Callable[[int], float], count: int = 20, **facts: object) -> list[RunRecord]:
    one = definition(step("load"))
    return [
        run(
            one.graph,
            {"load": 600.0},
            number=i,
            start=NOW - (count - i) * DAY / 2,
            containers=lambda _, i=i: (container(memory_sampled_peak=peak(i), **facts),),  # type: ignore[misc]
        )
        for i in range(count)
    ]


ONE = definition(step("load"))


class TestMemoryRequest:
    def test_raises_after_oom_kills_and_moves_the_limit_too(self) -> None:
        spec = step("load")
        limited = replace(
            spec,
            containers=(
                replace(
                    spec.containers[0],
                    memory_limit=1024 * MI,
                    resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                ),
            ),
        )
        of = definition(limited)
        runs = _memory_runs(lambda i: (1000 if i % 5 == 0 else 800) * MI, memory_limit=1024 * MI)
        killed = [
            replace(
                r,
                steps=tuple(
                    replace(
                        e,
                        outcome=Outcome.FAILED,
                        containers=tuple(replace(c, reason="OOMKilled") for c in e.containers),
                    )
                    for e in r.steps
                ),
                outcome=Outcome.FAILED,
            )
            if i % 5 == 0
            else r
            for i, r in enumerate(runs)
        ]
        item = only(recommended(of, killed, "memory-request"))
        assert item.category is Category.RELIABILITY
        assert "4 of 20 runs were OOM-killed" in item.because
        assert {e.pointer.rsplit("/", 2)[1] for e in item.edits} == {"requests", "limits"}
        assert all(e.proposed == item.proposed for e in item.edits)
        assert (quantity(item.proposed) or 0) > 1024 * MI


class TestCpuRequest:
    def test_a_throttling_limit_on_the_critical_path_gets_more_cpu_with_a_replayed_gain(self) -> None:
        spec = step("transform", ["extract"], 1)
        limited = ContainerSpec(
            "main",
            cpu_request=1.0,
            cpu_limit=1.0,
            memory_request=1024 * MI,
            resources_pointer="/spec/templates/1/container/resources",
            resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1"}},
        )
        of = definition(step("extract"), replace(spec, containers=(limited,)), step("load", ["transform"], 2))

        def facts(name: str) -> tuple[ContainerFact, ...]:
            if name != "transform":
                return (container(),)
            return (container(cpu_limit=1.0, cpu_seconds=290.0, cpu_sampled_seconds=300.0, throttled_share=0.4),)

        runs = daily(of.graph, 12, noisy({"extract": 60, "transform": 300, "load": 30}), containers=facts)
        found = {r.id: r for r in recommended(of, runs, "cpu-request")}
        item = found["cpu-request.transform"]
        assert "throttled it in 40%" in item.because
        assert item.gain_seconds is not None
        assert item.gain_seconds.likely == pytest.approx(300 * 0.4, rel=0.05)
        assert item.edits[0].pointer.endswith("/limits/cpu")

    def starved(self, cpu_limit: float | None = None, **fact: Any) -> list[Recommendation]:
        """Recommendations on a chain whose middle step (300 s of 330 s) asks for a quarter of a core."""
        spec = step("transform", ["extract"], 1)
        resources = {"requests": {"cpu": "250m", "memory": "1Gi"}}
        small = replace(spec.containers[0], cpu_request=0.25, cpu_limit=cpu_limit, resources=resources)
        of = definition(step("extract"), replace(spec, containers=(small,)))
        mine = {"cpu_request": 0.25, "cpu_seconds": 90.0, "cpu_sampled_seconds": 300.0, **fact}
        runs = daily(
            of.graph,
            12,
            noisy({"extract": 30, "transform": 300}),
            containers=lambda name: (container(**(mine if name == "transform" else {})),),
        )
        return [r for r in recommended(of, runs, "cpu-request") if r.step == "transform"]

    def test_a_step_that_waits_for_cpu_gets_what_it_would_use_and_the_gain_is_replayed(self) -> None:
        """It uses 0.3 cores and waits two fifths of its time: 0.5 cores without waiting, and up to 120 s less."""
        item = only(self.starved(cpu_waiting_seconds=120.0))
        assert item.edits[0].pointer.endswith("/requests/cpu") and item.automatic
        assert 480 <= int(item.proposed.removesuffix("m")) <= 650
        assert item.gain_share is not None and item.gain_seconds is not None
        assert item.gain_seconds.likely == pytest.approx(120, rel=0.1)
        assert item.gain_seconds.low == pytest.approx(60, rel=0.15)
        assert "waited for CPU 40% of its time" in item.because

    def test_waiting_below_a_limit_is_not_cured_beyond_it(self) -> None:
        item = only(self.starved(cpu_waiting_seconds=150.0, cpu_limit=0.4, throttled_share=0.0))
        assert item.proposed == "400m"

    @pytest.mark.parametrize(("limit", "proposed"), [(0.333, "333m"), (0.52, "520m"), (0.3335, "333m")])
    def test_rounding_leads_to_no_request_above_the_limit(self, limit: float, proposed: str) -> None:
        """Such a request would have every later pod refused."""
        item = only(self.starved(cpu_waiting_seconds=180.0, cpu_limit=limit, throttled_share=0.0))
        assert item.automatic and item.proposed == proposed
        assert (quantity(item.proposed) or 9.0) <= limit
        assert len(item.edits) == 1

    def test_is_silent_when_the_request_fits(self) -> None:
        runs = daily(
            ONE.graph,
            12,
            noisy({"load": 600}),
            containers=lambda _: (container(cpu_seconds=94, cpu_sampled_seconds=100),),
        )
        assert recommended(ONE, runs, "cpu-request") == []

    def test_unknown_use_is_not_zero_use(self) -> None:
        runs = daily(ONE.graph, 12, noisy({"load": 600}), containers=lambda _: (container(cpu_seconds=None),))
        assert recommended(ONE, runs, "cpu-request") == []


class TestDegradation:
    def test_dates_the_change_and_names_the_step_and_the_image(self) -> None:
        def facts_of(i: int) -> Callable[[str], tuple[ContainerFact, ...]]:
            return lambda name: (container(image=f"etl:{2 if i >= 20 and name == 'transform' else 1}"),)

        base = noisy({"extract": 60, "transform": 300, "load": 30}, 0.05)
        runs = []
        for i in range(28):
            seconds = base(i)
            if i >= 20:
                seconds["transform"] *= 1.4
            runs.append(run(CHAIN.graph, seconds, number=i, start=NOW - (28 - i) * DAY / 2, containers=facts_of(i)))
        item = only(recommended(CHAIN, runs, "degradation"))
        assert item.id == "degradation.transform"
        assert item.gain_seconds is not None
        assert item.gain_seconds.likely == pytest.approx(120, rel=0.25)
        assert "; changed at the same time: image of transform from etl:1 to etl:2" in item.because
        assert "(+29%)" in item.action

    def test_noise_and_recovery_are_silent(self) -> None:
        assert recommended(CHAIN, daily(CHAIN.graph, 14, noisy(EVEN, 0.15, seed=4)), "degradation") == []
        base = noisy({"extract": 60, "transform": 300, "load": 30}, 0.03)
        there_and_back = [
            run(
                CHAIN.graph,
                {k: v * (1.5 if 10 <= i < 18 else 1.0) for k, v in base(i).items()},
                number=i,
                start=NOW - (28 - i) * DAY / 2,
            )
            for i in range(28)
        ]
        assert recommended(CHAIN, there_and_back, "degradation") == []


class TestDataQuality:
    def test_lists_every_gap_with_the_setting_that_mends_it(self) -> None:
        chance = random.Random(2)
        runs = daily(
            ONE.graph,
            12,
            noisy({"load": 60}),
            containers=lambda _: (container(memory_sampled_peak=None if chance.random() < 0.8 else 100 * MI),),
        )
        runs = [replace(r, outcome=Outcome.UNKNOWN) if i % 4 == 0 else r for i, r in enumerate(runs)]
        gaps = DataGaps(
            missing=("kube_pod_completion_time is not stored",),
            notes=("the nodes of run etl-7 are kept in the database",),
        )
        item = only(recommended(ONE, runs, "data-quality", gaps=gaps))
        text = " ".join((item.because, *item.evidence))
        for part in (
            "executions have memory samples",
            "3 of 12 runs ended",
            "kube_pod_completion_time",
            "the nodes of run etl-7",
            "see docs/engines for what the notes on these runs mean",
        ):
            assert part in text
        assert item.how == "kubectl concertmaster doctor -n demo"

    def test_where_all_is_sampled_no_share_of_it_is_unsampled(self) -> None:
        runs = daily(ONE.graph, 12, noisy({"load": 600}))
        gaps = DataGaps(notes=("the nodes of run etl-7 are kept in the database",))
        item = only(recommended(ONE, runs, "data-quality", gaps=gaps))
        assert item.because == "the nodes of run etl-7 are kept in the database (14d)"
        assert item.action == "Fix missing metrics; see docs/engines for what the notes on these runs mean"

    def test_is_silent_on_whole_data(self) -> None:
        assert recommended(ONE, daily(ONE.graph, 12, noisy({"load": 600})), "data-quality") == []


def _all(analysis: Analysis) -> list[Recommendation]:
    return recommend(Evidence(analysis, "wfp"))


def test_every_sentence_carries_number_cause_consequence_and_command() -> None:
    chance = random.Random(9)

    def facts(name: str) -> tuple[ContainerFact, ...]:
        return (container(memory_sampled_peak=150 * MI * chance.lognormvariate(0, 0.1), cpu_seconds=10),)

    runs = daily(CHAIN.graph, 14, noisy({"extract": 60, "transform": 300, "load": 30}), containers=facts)
    found = _all(analyze(CHAIN, runs, now=NOW))
    assert len({r.id for r in found}) == len(found) >= 4
    for item in found:
        assert any(c.isdigit() for c in item.because), item
        assert "14d" in item.because, item
        assert item.how.startswith("kubectl "), item
        assert item.otherwise
        assert not item.otherwise.endswith("."), item
        assert any(c.isdigit() for c in item.expected) or "no " in item.expected, item
        assert "\n" not in "".join((item.action, item.because, item.expected, item.otherwise, item.how))


def test_ranking_is_stable_and_does_not_depend_on_the_order_of_runs() -> None:
    runs = daily(CHAIN.graph, 14, noisy({"extract": 60, "transform": 300, "load": 30}))
    first = [r.id for r in _all(analyze(CHAIN, runs, now=NOW))]
    random.Random(1).shuffle(runs)
    assert [r.id for r in _all(analyze(CHAIN, runs, now=NOW))] == first


def test_a_disabled_rule_says_nothing() -> None:
    runs = daily(CHAIN.graph, 14, noisy({"extract": 60, "transform": 300, "load": 30}))
    analysis = analyze(CHAIN, runs, now=NOW, policy=Policy(rules={"bottleneck": RuleSettings(enabled=False)}))
    found = recommend(Evidence(analysis, "wfp"))
    assert found
    assert all(r.rule != "bottleneck" for r in found)


@pytest.mark.parametrize(
    ("request_cores", "used", "hint"),
    [
        (4.0, 0.95, "one of its threads"),
        (1.0, 0.1, "mostly off-CPU"),
        (1.0, 0.9, "it uses 90% of the CPU it requests"),
        (0.1, 0.095, "it uses 95% of the CPU it requests, which is little"),
        (0.5, 0.2, "mostly off-CPU"),
        (4.0, 2.5, "splitting its work or caching its result"),
    ],
)
def test_the_hint_at_a_bottleneck_says_what_it_was_doing(request_cores: float, used: float, hint: str) -> None:
    spec = step("transform", ["extract"], 1)
    sized = replace(spec, containers=(replace(spec.containers[0], cpu_request=request_cores),))
    of = definition(step("extract"), sized, step("load", ["transform"], 2))

    def facts(_: str) -> tuple[ContainerFact, ...]:
        return (container(cpu_request=request_cores, cpu_seconds=100 * used, cpu_sampled_seconds=100.0),)

    runs = daily(of.graph, 12, noisy({"extract": 60, "transform": 300, "load": 30}), containers=facts)
    found = recommended(of, runs, "bottleneck")[0]
    assert hint in found.because
    assert re.fullmatch(r"Optimize transform: \d+% of critical-path time", found.action)


@pytest.mark.parametrize("used", [0.2, 0.6, 1.2])
def test_no_text_asks_for_more_of_what_another_lowers(used: float) -> None:
    """Half the CPU of a bottleneck was unused, and it read "give it more resources" beside the trim."""
    spec = step("transform", ["extract"], 1)
    sized = replace(spec, containers=(replace(spec.containers[0], cpu_request=4.0, memory_request=8 * 1024.0**3),))
    of = definition(step("extract"), sized, step("load", ["transform"], 2))

    def facts(_: str) -> tuple[ContainerFact, ...]:
        large = container(cpu_request=4.0, memory_request=8 * 1024.0**3, memory_sampled_peak=600 * 1024.0**2)
        return (replace(large, cpu_seconds=100 * used, cpu_sampled_seconds=100.0),)

    runs = daily(of.graph, 24, noisy({"extract": 60, "transform": 300, "load": 30}), containers=facts)
    slow = Policy(objectives=Objectives(duration=Quantiles(p50=200.0)))
    found = [r for r in recommend(Evidence(analyze(of, runs, now=NOW, policy=slow), "wfp")) if not r.minor]
    assert {"right-size"} < {r.id for r in found}, "the case must tempt"
    texts = " ".join(f"{r.action} {r.because} {r.expected} {r.otherwise}" for r in found if r.rule != "right-size")
    assert not re.search(r"give it more|so more CPU|no other change", texts)


@pytest.mark.parametrize(
    ("target", "broken"),
    [
        (None, False),
        (480.0, True),  # met before, missed since
        (300.0, False),  # missed all along: the change is not what broke it
        (900.0, False),  # still met
    ],
)
def test_a_slowdown_that_breaks_an_objective_says_which(target: float | None, broken: bool) -> None:
    value = builder.noise(spread=0.03)

    def work(i: int) -> builder.Work:
        return {"extract": 60.0, "transform": value(420 if i >= 28 else 300), "load": 30.0}

    scenario = replace(
        builder.scenario(scenarios.etl(), 42, work), objectives=Objectives(duration=Quantiles(p95=target))
    )
    item = scenario.one("degradation")
    assert (item.objective == "duration p95 of 8m00s") is broken
    assert ("objective p95 of 8m00s is missed, which the runs before met" in item.otherwise) is broken


@pytest.mark.parametrize("name", sorted(scenarios.SCENARIOS))
def test_nothing_is_said_to_be_retried_without_a_retry_policy(name: str) -> None:
    of = scenarios.SCENARIOS[name]()
    limits = {s.name: s.retry_limit for s in of.definition.graph.steps}
    for item in of.recommended():
        said = " ".join((item.action, item.because, item.expected, item.otherwise))
        assert "retried" not in said or limits.get(item.step or "") != 0, item


@pytest.mark.parametrize("count", [6, 9, 14, 100])
@pytest.mark.parametrize("name", sorted(scenarios.SCENARIOS))
def test_what_is_published_does_not_promise_an_interval_with_zero(name: str, count: int) -> None:
    """With few runs too, whose intervals are wide; those of upper bounds begin at zero, as they say."""
    of = scenarios.SCENARIOS[name]()
    policy = Policy(apply=of.apply, analysis=of.options, objectives=of.objectives, pricing=of.pricing)
    environment = Environment(of.gaps or DataGaps(), fleet=of.fleet, capacity=of.capacity)
    runs = of.runs[-count:]
    found = analyze_workflow(of.definition, runs, policy, profile="wfp", now=NOW, environment=environment)
    for item in found.recommendations:
        promised = [
            a for a in (item.impact.run_minutes, item.impact.failed_runs, item.impact.money) if a and a.likely > 0
        ]
        assert all(a.low > 0 or (item.upper_bound and a.low == 0) for a in promised), item
        assert promised or item.objective is not None or item.urgent or item.severity is Severity.CRITICAL, item


@pytest.mark.parametrize(("name", "published"), [("best-practices", set()), ("retry-policy", {"retry-policy"}),
                                                 ("timeout", {"timeout"})])  # fmt: skip
def test_a_best_practice_is_advised_only_where_its_lack_made_runs_fail(name: str, published: set[str]) -> None:
    """A missing retry or time limit is a line of the checklist, and a recommendation once runs failed or hung for it."""
    of = scenarios.SCENARIOS[name]()
    found = analyze_workflow(of.definition, of.runs, Policy(analysis=of.options), profile="wfp", now=NOW)
    assert {r.rule for r in found.recommendations} == published
    assert "best-practices" in {r.rule for r in found.minor}
