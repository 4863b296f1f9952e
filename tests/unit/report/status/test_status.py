"""The status document: what it says, how large it may get, and that it only changes when its meaning does."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.models.recommendation_status import EffectLine
from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.lifecycle.history import (
    CurrentRecommendation,
    ImplementationResult,
    RecommendationHistory,
    RelativeEffect,
    TrackedRecommendation,
)
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.model import (
    Category,
    Impact,
    Interval,
    Outcome,
    Recommendation,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.core.model.enums import RecommendationState, Verdict
from concertmaster.core.model.policy import Objectives, Policy
from concertmaster.core.model.recommendations import SizeItem
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.rules import Evidence, recommend
from concertmaster.core.text import json_size
from concertmaster.core.units import DAY
from concertmaster.report import markdown, tables
from concertmaster.report.costs.components import cost_table
from concertmaster.report.costs.components import view as cost_rows
from concertmaster.report.overview import graph_line, too_rare
from concertmaster.report.result import view as result_view
from concertmaster.report.status import recommendation_log as remembered
from concertmaster.report.status.document import clip, document, words
from concertmaster.report.status.size import MAX_BYTES
from concertmaster.report.tables import workflow_text
from concertmaster.report.view import workflow_view
from concertmaster.report.workflows import list_entries
from concertmaster.report.workflows.fields import recommendations
from tests.support.builders import NOW, container, daily, definition, recommendation, run, step

WIDER = Field("/spec/parallelism", "1", "2")
CHAIN = definition(step("extract"), step("transform", ["extract"], 1), step("load", ["transform"], 2))


def _runs(count: int) -> list:  # type: ignore[type-arg]
    chance = random.Random(3)
    return daily(
        CHAIN.graph,
        count,
        lambda _: {
            k: v * chance.lognormvariate(0, 0.1) for k, v in {"extract": 60, "transform": 300, "load": 30}.items()
        },
        containers=lambda _: (container(cpu_seconds=10),),
    )


def _memory(
    found: list[Recommendation], before: RecommendationHistory | None = None, **look: object
) -> RecommendationHistory:
    given = [CurrentRecommendation(r.id, words(r, "USD"), RelativeEffect("Cost")) for r in found]
    return advance(before or RecommendationHistory(), Observation(NOW, given, **look))  # type: ignore[arg-type]


def _status(count: int, dismissals: dict[str, str] | None = None, of: WorkflowDefinition = CHAIN) -> dict:  # type: ignore[type-arg]
    analysis = analyze(of, _runs(count), now=NOW)
    found = recommend(Evidence(analysis, "wfp"))
    found += [_recommendation(1, "x")] if found else []
    memory = _memory(found, dismissals=dismissals or {})
    return document(_result(found, analysis), memory, data_until=NOW)


def _result(found: Sequence[Recommendation], analysis: Analysis | None = None) -> AnalysisResult:
    analysis = analysis or analyze(CHAIN, _runs(14), now=NOW)
    return AnalysisResult("wfp", analysis, insights(analysis), tuple(found))


def test_the_resource_accepts_it_as_it_is() -> None:
    status = _status(14)
    profile = WorkflowProfile.model_validate(
        {
            "metadata": {"name": "x", "namespace": "demo"},
            "spec": {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "x"}},
            "status": status,
        }
    )
    assert profile.status is not None
    assert profile.status.summary is not None
    assert profile.status.summary.open == len(status["recommendations"]) + status["moreRecommendations"]
    assert len(status["recommendations"]) == 5
    assert status["advice"][0].startswith(f"{status['summary']['open']} recommendations from 14 runs in 14d, worth ")


@pytest.mark.parametrize(
    ("likely", "shown"), [(None, None), (0.2, 1), (1.4, 1), (56.2, 56)], ids=["no figure", "cents", "one", "more"]
)
def test_the_impact_beside_an_open_recommendation_is_no_zero(likely: float | None, shown: int | None) -> None:
    """``kubectl get`` shows it as a whole number: 0 would read as worth nothing, and where it is not known it is blank."""
    money = Interval(likely, likely, likely) if likely is not None else None
    found = [replace(_recommendation(0, "x"), impact=Impact(money=money))]
    summary = document(_result(found), _memory(found), data_until=NOW)["summary"]
    assert (summary["open"], summary.get("impact")) == (1, shown)
    assert document(_result([]), _memory([]), data_until=NOW)["summary"]["impact"] == 0


def test_the_graph_is_one_line_with_groups_that_may_run_in_parallel() -> None:
    parallel = [step(f"s{i}", ["split"]) for i in range(8)]
    join = step("join", [s.name for s in parallel])
    graph = WorkflowGraph((step("split"), *parallel, join))
    assert graph_line(graph) == "fan-out/fan-in: split | s0, s1, s2, s3, s4, s5 and 2 more | join"
    chain = WorkflowGraph(tuple(step(f"s{i}", [f"s{i - 1}"] if i else []) for i in range(14)))
    assert (graph_line(chain) or "").endswith("s11 | 2 more levels")
    assert graph_line(WorkflowGraph(())) is None
    assert _status(10)["graph"] == graph_line(CHAIN.graph)


def test_equal_evidence_gives_an_equal_document() -> None:
    assert json.dumps(_status(14), sort_keys=True) == json.dumps(_status(14), sort_keys=True)


def test_too_few_runs_say_how_many_and_when_the_next_is_due() -> None:
    status = _status(2, of=replace(CHAIN, schedule="53 9 * * *"))
    assert status["advice"] == ["Insufficient data: 2 of 5 required runs in 14d; next expected 2025-10-09T09:53:00Z."]
    assert status["recommendations"] == []


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("0 4 * * 0", "set spec.analysis.window of the policy to 35d, or a smaller spec.analysis.minRuns."),
        ("0 4 1 * *", "set spec.analysis.window of the policy to 151d, or a smaller spec.analysis.minRuns."),
        ("0 4 1 1 *", "the policy"),
        ("0 4 */3 * *", None),
        ("0 4 * * *", None),
    ],
)
def test_a_schedule_with_too_few_runs_for_the_window_says_what_to_set(schedule: str, says: str | None) -> None:
    """Otherwise a weekly workflow would wait for its fifth run for ever."""
    _, *more = _status(2, of=replace(CHAIN, schedule=schedule))["advice"]
    if says is None:
        assert more == []
    elif says == "the policy":
        assert more == ["The schedule starts fewer than 5 runs in 14d: set a smaller spec.analysis.minRuns."]
    else:
        assert more == [f"The schedule starts fewer than 5 runs in 14d: {says}"]


@pytest.mark.parametrize(("days", "rare"), [(28, True), (29, False)])
def test_the_first_of_five_weekly_runs_leaves_a_window_of_four_weeks_as_the_fifth_ends(days: int, rare: bool) -> None:
    policy = Policy(analysis=replace(Policy().analysis, window_seconds=days * DAY))
    weekly = analyze(replace(CHAIN, schedule="0 4 * * 0"), _runs(4), now=NOW, policy=policy)
    assert bool(too_rare(weekly)) is rare


def test_too_few_runs_say_how_many_of_them_failed() -> None:
    runs = [
        replace(run, outcome=Outcome.FAILED, steps=tuple(replace(e, outcome=Outcome.FAILED) for e in run.steps[:1]))
        for run in _runs(3)
    ]
    advice = document(_result([], analyze(CHAIN, runs, now=NOW)), _memory([]), data_until=NOW)["advice"]
    assert advice == ["Insufficient data: 3 of 5 required runs in 14d.", "3 of 3 failed, at extract."]


def test_dismissed_ones_go_last_and_do_not_count_as_open() -> None:
    first = _status(14)["recommendations"][0]["id"]
    status = _status(14, {first: "no"})
    assert all(r["id"] != first for r in status["recommendations"] if r["state"] == "Active")
    assert not any(first in line for line in status["advice"])
    open_before, open_now = _status(14)["summary"]["open"], status["summary"]["open"]
    assert open_now == open_before - 1


def test_what_was_implemented_never_takes_the_place_of_what_is_to_be_done() -> None:
    analysis = analyze(CHAIN, _runs(14), now=NOW)
    found = [*recommend(Evidence(analysis, "wfp")), _recommendation(1, "x")]
    raw = {"spec": {"parallelism": "2"}}
    old = [
        TrackedRecommendation(
            f"timeout.s{i}",
            RecommendationState.ACTIVE,
            NOW - 60,
            words(found[0], "USD"),
            RelativeEffect("Cost"),
            (WIDER,),
        )
        for i in range(3)
    ]
    memory = _memory(found, RecommendationHistory(tuple(old)), target=raw)
    status = document(_result(found, analysis), memory)
    assert {r["state"] for r in status["recommendations"]} == {"Active"}
    assert [o["id"] for o in status["remaining"] if o["state"] == "Implemented"] == [s.id for s in old]
    assert [o["id"] for o in status["results"]] == [s.id for s in old]
    few = document(_result(found[:2], analysis), _memory(found[:2], RecommendationHistory(tuple(old)), target=raw))
    assert [r["state"] for r in few["recommendations"]] == ["Active"] * 2 + ["Implemented"] * 3
    assert few["summary"]["open"] == 2
    assert "remaining" not in few


def _recommendation(number: int, text: str) -> Recommendation:
    words = dict.fromkeys(("action", "because", "otherwise", "current", "proposed", "expected"), text)
    return recommendation(f"rule.step-{number}", category=Category.COST, how=text or "kubectl", **words)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=0, max_size=3000), st.integers(0, 40))
def test_it_never_exceeds_its_size(text: str, count: int) -> None:
    analysis = analyze(CHAIN, [], now=NOW)
    found = [_recommendation(i, text) for i in range(count)]
    status = document(_result(found, analysis), _memory(found))
    assert json_size(status) <= MAX_BYTES - 2048
    assert len(status.get("remaining", ())) <= 20
    shown = [r for r in status["recommendations"] if r["state"] == "Active"]
    assert len(shown) + status["moreRecommendations"] == count
    assert all("\n" not in line for line in status["advice"])


def test_a_long_past_never_exceeds_its_size_and_costs_no_recommendations() -> None:
    analysis = analyze(CHAIN, _runs(14), now=NOW)
    found = [*recommend(Evidence(analysis, "wfp")), _recommendation(1, "x")]
    long = tuple(Field(f"/spec/{i}/{'x' * 60}", "a" * 90, "b" * 90) for i in range(3))
    reported = {"action": "y" * 160, "severity": "Low", "category": "Cost"}
    away = [
        TrackedRecommendation(
            f"timeout.s{i}", RecommendationState.DISMISSED, NOW, reported, RelativeEffect("Cost"), long, "z" * 400
        )
        for i in range(20)
    ]
    results = [
        ImplementationResult(f"timeout.r{i}", "y" * 160, "w" * 160, NOW, long, RelativeEffect("Cost"))
        for i in range(10)
    ]
    memory = RecommendationHistory((*_memory(found).tracked, *away), tuple(results))
    status = document(_result(found), memory, data_until=NOW)
    assert json_size(status) <= MAX_BYTES - 2048
    assert [r["state"] for r in status["recommendations"]] == ["Active"] * 5
    assert len(status["results"]) >= 3
    assert status["summary"]["open"] == len(found)
    profile = {"metadata": {"name": "x", "namespace": "demo"}, "spec": {"graph": {"steps": [{"name": "a"}]}}}
    WorkflowProfile.model_validate({**profile, "status": status})


@pytest.mark.parametrize("steps", [3, 16])
def test_what_a_large_right_sizing_sets_is_remembered_until_it_is_applied(steps: int) -> None:
    """It would be obsolete otherwise once it was, as if its condition had cleared, and have no result."""
    sizes = (("cpu", "2", "750m"), ("memory", "2Gi", "832Mi"))
    pairs = [(f"transform-{i}", *each) for i in range(steps) for each in sizes]
    rows = tuple(Field(f"/spec/templates/{name}/container/resources/requests/{r}", a, b) for name, r, a, b in pairs)
    templates = [
        {"name": f"transform-{i}", "container": {"resources": {"requests": {r: b for r, _, b in sizes}}}}
        for i in range(steps)
    ]
    found = [_recommendation(0, "x")]
    (tracked,) = _memory(found).tracked
    memory = RecommendationHistory((replace(tracked, fields=rows),))
    status = document(_result(found), memory, data_until=NOW)
    WorkflowProfile.model_validate(
        {
            "metadata": {"name": "x", "namespace": "demo"},
            "spec": {"graph": {"steps": [{"name": "a"}]}},
            "status": status,
        }
    )
    seen = Observation(NOW + 3600.0, (), target={"spec": {"templates": templates}})
    after = advance(remembered.read(status), seen)
    assert [t.state for t in after.tracked] == [RecommendationState.IMPLEMENTED]
    assert [o.fields for o in after.outcomes] == [rows]


@pytest.mark.parametrize("more", [3, 5])
def test_what_large_right_sizings_have_set_costs_no_result_decision_or_recommendation(more: int) -> None:
    found = [_recommendation(i, "y" * 120) for i in range(5)]
    rows = tuple(
        Field(f"/spec/templates/transform-{i}/container/resources/requests/{r}", a, b)
        for i in range(16)
        for r, a, b in (("cpu", "2", "750m"), ("memory", "2Gi", "832Mi"))
    )
    first, *others = _memory(found).tracked
    words = {"action": "y" * 80, "severity": "Low", "category": "Cost"}
    away = [
        TrackedRecommendation(
            f"timeout.s{i}", RecommendationState.DISMISSED, NOW, words, RelativeEffect("Cost"), (WIDER,), "z" * 100
        )
        for i in range(more)
    ]
    result = ImplementationResult("right-size", "y" * 100, "operator", NOW, rows, RelativeEffect("Cost"))
    judged = [replace(result, since=NOW - i * DAY, verdict=Verdict.IMPROVED, judged=NOW) for i in range(more)]
    memory = RecommendationHistory((replace(first, fields=rows), *others, *away), (result, *judged))
    status = document(_result(found), memory, data_until=NOW)
    assert [r["state"] for r in status["recommendations"]] == ["Active"] * 5
    assert [r["id"] for r in status["remaining"]] == [s.id for s in away]
    assert [("verdict" in o, "sets" in o) for o in status["results"]] == [(False, more == 3), *[(True, False)] * more]
    assert "sets" in status["recommendations"][0]


def test_dismissals_outlast_what_any_analysis_gives_again() -> None:
    """Eight recommendations are dismissed and one is back in spite of it, and all of these decisions stay."""
    found = [_recommendation(i, "y" * 150) for i in range(14)]
    memory = _memory(found, dismissals={r.id: "not in May " + "z" * 300 for r in found[6:]})
    reported = {"action": "y" * 160, "severity": "Low", "category": "Cost"}

    def past(state: RecommendationState, name: str, dismissal: str | None = None) -> list[TrackedRecommendation]:
        return [
            TrackedRecommendation(f"{name}.s{i}", state, NOW, reported, RelativeEffect("Cost"), (WIDER,), dismissal)
            for i in range(4)
        ]

    gone = [*past(RecommendationState.IMPLEMENTED, "timeout"), *past(RecommendationState.OBSOLETE, "variance")]
    back = past(RecommendationState.ACTIVE, "straggler", "not in May")[:1]
    memory = RecommendationHistory((*memory.tracked[:6], *back, *memory.tracked[6:], *gone))
    long = replace(_recommendation(0, "w" * 400), rule="data-quality")
    result = replace(_result(found), minor=(long,) * 10)
    status = document(result, memory, data_until=NOW)
    assert json_size(status) <= MAX_BYTES - 2048
    kept = [(r["id"], r["state"]) for r in (*status["recommendations"], *status["remaining"])]
    assert [i for i, state in kept if state == "Dismissed"] == [r.id for r in found[6:]]
    assert ("straggler.s0", "Active") in kept
    assert ("rule.step-5", "Active") not in kept  # the next analysis gives it again
    assert not [i for i, state in kept if state == "Obsolete"]


CONTRACT = ("severity", "action", "because", "proposed", "expected", "interval", "confidence")


def test_a_list_says_the_same_of_recommendations_beyond_those_in_full() -> None:
    money = Impact(money=Interval(2.0, 3.0, 4.0))
    found = [replace(_recommendation(i, "y" * 100), impact=money) for i in range(15)]
    sized = SizeItem("step-14", "main", "requests.cpu", "2", "1050m", "900m", "16%")
    found[14] = replace(found[14], items=(sized,))
    profile = {"metadata": {"name": "x", "namespace": "demo"}, "status": document(_result(found), _memory(found))}
    entries = list_entries.documents(list_entries.entries(profile, recommendations(profile)))
    assert [e["id"] for e in entries] == [r.id for r in found]
    assert [(e["id"], name) for e in entries for name in CONTRACT if e[name] is None] == []
    assert [(i["step"], i["old"], i["new"]) for i in entries[14]["items"]] == [("step-14", "2", "1050m")]


def test_reasons_outlast_insights() -> None:
    """The operator serves insights to everybody; a list of other programs reads statuses alone."""
    found = [_recommendation(i, "y" * 150) for i in range(12)]
    long = replace(_recommendation(0, "w" * 400), rule="data-quality")
    result = replace(_result(found), minor=(long,) * 10)
    status = document(result, _memory(found), data_until=NOW)
    assert json_size(status) <= MAX_BYTES - 2048
    assert [r["id"] for r in status["remaining"] if "because" not in r] == []
    assert len(status["insights"]) < 10


def test_where_a_status_is_large_reasons_give_way_before_any_recommendation_or_result_does() -> None:
    found = [_recommendation(i, "y" * 150) for i in range(25)]
    status = document(_result(found), _memory(found), data_until=NOW)
    assert json_size(status) <= MAX_BYTES - 2048
    assert (len(status["recommendations"]), len(status["remaining"])) == (5, 20)
    reasoned = ["because" in r for r in status["remaining"]]
    assert reasoned == sorted(reasoned, reverse=True), "the first ones keep theirs"
    assert reasoned[0]
    assert not reasoned[-1]


def test_minor_items_are_one_line_with_their_sum_and_best_practices_one_line_of_the_score() -> None:
    small = [
        replace(_recommendation(n, "x"), minor=True, impact=Impact(money=Interval(0.0, worth, 1.0)))
        for n, worth in enumerate((0.08, 0.04))
    ]
    hygiene = replace(_recommendation(2, "x"), id="best-practices", rule="best-practices", minor=True)
    hygiene = replace(hygiene, current="6 of 8 passed", proposed="set spec.onExit and image")
    status = document(replace(_result([]), minor=(*small, hygiene)), RecommendationHistory(), data_until=NOW)
    verdict, minor = status["advice"]
    assert verdict.startswith("No action needed: ")
    assert minor.startswith("3 minor items, 0.12 USD a month in total: kubectl concertmaster explain ")
    assert minor.endswith(" --all")
    assert status["minor"] == 3
    assert status["recommendations"] == []
    assert status["scoreParts"][-1] == "best practices: 6 of 8 passed; missing: spec.onExit and image"


def test_recommendations_without_an_amount_are_counted_alone() -> None:
    """Starts that are skipped have no price."""
    found = [replace(_recommendation(0, "x"), impact=Impact())]
    status = document(_result(found), _memory(found), data_until=NOW)
    assert status["advice"] == ["1 recommendation from 14 runs in 14d."]


@pytest.mark.parametrize("published", [0, 1])
def test_what_could_not_be_assessed_is_said_and_is_not_called_healthy(published: int) -> None:
    bare = container(cpu_seconds=None, memory_sampled_peak=None, memory_kernel_peak=None)
    runs = daily(CHAIN.graph, 14, lambda _: {"extract": 60, "transform": 300, "load": 30}, containers=lambda _: (bare,))
    found = [_recommendation(n, "x") for n in range(published)]
    status = document(_result(found, analyze(CHAIN, runs, now=NOW)), _memory(found), data_until=NOW)
    verdict, unassessed = status["advice"]
    assert verdict.startswith(
        "1 recommendation from 14 runs" if published else "No recommendation from 14 runs in 14d."
    )
    assert unassessed.startswith("Resource requests were not assessed: no container has usage samples")
    assert "score" not in status


@pytest.mark.parametrize("failing", [(13,), (9, 13)])
def test_where_an_objective_is_missed_it_is_not_said_that_no_action_is_needed(failing: tuple[int, ...]) -> None:
    runs = [replace(r, outcome=Outcome.FAILED) if i in failing else r for i, r in enumerate(_runs(14))]
    result = _result([], analyze(CHAIN, runs, now=NOW))
    rate = f"{100 * (1 - len(failing) / 14):.1f}%"
    missed = f"No recommendation for the missed objective: success {rate} (target >= 95.0%); 14 runs in 14d analyzed."
    assert document(result, RecommendationHistory(), data_until=NOW)["advice"] == [missed]
    view = result_view(result)
    assert "No recommendations: no remedy found for the missed objective success." in workflow_text(view)
    assert tables.fleet_table([view]).endswith("0      no remedy found for the missed objective success")


@pytest.mark.parametrize("unpriced", [None, "transform"])
def test_a_run_priced_in_part_has_no_cost_anywhere_and_says_which_step_it_lacks(unpriced: str | None) -> None:
    whole = unpriced is None
    bare = container(
        cpu_request=None,
        memory_request=None,
        cpu_seconds=None,
        cpu_sampled_seconds=None,
        memory_sampled_peak=None,
        memory_kernel_peak=None,
    )
    runs = daily(
        CHAIN.graph,
        14,
        lambda _: {"extract": 60, "transform": 300, "load": 30},
        containers=lambda name: (bare if name == unpriced else container(),),
    )
    policy = Policy(objectives=Objectives(max_cost_per_run=100.0))
    analysis = analyze(CHAIN, runs, now=NOW, policy=policy)
    status = document(_result([], analysis), RecommendationHistory(), data_until=NOW)
    said = [line for line in status["insights"] if line.startswith("Cost per run unknown")]
    assert said == ([] if whole else [f"Cost per run unknown: no requests and no usage samples of {unpriced}"])
    assert ("costPerRun" in status["summary"], "costPerMonth" in status["summary"]) == (whole, whole)
    view = workflow_view(analysis, [], minor=())
    assert (view["cost"]["perRun"] is not None, view["cost"]["perMonth"] is not None) == (whole, whole)
    assert view["cost"]["runsPerMonth"] is not None
    assert ("  cost: " in workflow_text(view)) is whole
    assert {s["name"]: s["costPerRun"] is not None for s in view["steps"]} == {
        name: name != unpriced for name in ("extract", "transform", "load")
    }
    (efficiency,) = [p for p in analysis.score.parts if p.name == "efficiency"]
    assert (efficiency.value is not None) is whole
    (objective,) = [o for o in analysis.objectives if o.name == "cost per run"]
    assert (objective.verdict is ObjectiveResult.MET) is whole
    rows = daily_rows(
        runs, analysis.pricing, analysis.figures, covered=0.0, until=NOW, complete=None, recorded=0.0, score=None
    )
    assert {row.cost is not None for row in rows if not row.step} == {whole}
    assert (Costs(analysis.pricing).run(runs[0]) is not None) is whole
    components = cost_table(cost_rows(analysis, []), "USD", whole=view["cost"]["perRun"] is not None)
    assert ("total" in components, "extract" in components) == (whole, True)


def test_in_short_what_can_be_missed_goes_first() -> None:
    states = [
        ("Active", None),
        ("Dismissed", "no"),
        ("Implemented", None),
        ("Active", "no"),
        ("Obsolete", None),
        ("Active", None),
    ]
    entries = [{"state": state, **({"dismissal": why} if why else {})} for state, why in states]
    order = []
    while entries:
        order.append(entries.pop(remembered.least(entries)))
    assert [(e["state"], "dismissal" in e) for e in order] == [
        ("Active", False),
        ("Active", False),
        ("Obsolete", False),
        ("Implemented", False),
        ("Active", True),
        ("Dismissed", True),
    ]


@pytest.mark.parametrize(
    ("measured", "verdict", "undone", "line"),
    [
        (
            RelativeEffect("Duration", -0.12, -0.14, -0.10), Verdict.IMPROVED, False,
            "Improved: 12% shorter runs (10 to 14%), predicted 20% less reserved per run; 10 runs after against 30 before",
        ),
        (
            RelativeEffect("Cost", 0.05, -0.01, 0.11), Verdict.WORSE, True,
            "Worse: 5% more reserved per run (-1 to 11%), predicted 20% less reserved per run;"
            " 10 runs after against 30 before; later rolled back or overwritten",
        ),
        (
            RelativeEffect("Cost", -0.12), Verdict.WORSE, False,
            "Worse: slower runs or failed pods; 12% less reserved per run, predicted 20% less reserved per run;"
            " 10 runs after against 30 before",
        ),
        (
            RelativeEffect("Failures", -0.2), Verdict.IMPROVED, False,
            "Improved: 20 points fewer failed runs, predicted 20% less reserved per run; 10 runs after against 30 before",
        ),
        (
            RelativeEffect("Failures", 0.0, 0.0, 0.0), Verdict.SAME, False,
            "Same: no change in failed runs, predicted 20% less reserved per run; 10 runs after against 30 before",
        ),
        (
            RelativeEffect("Duration", 0.0, 0.0, 0.0), Verdict.SAME, False,
            "Same: 0% shorter runs, predicted 20% less reserved per run; 10 runs after against 30 before",
        ),
        (
            RelativeEffect("Duration", -0.3), None, False,
            "measuring: 10 runs after against 30 before; so far 30% shorter runs, predicted 20% less reserved per run",
        ),
        (
            None, None, False,
            "measuring: 10 runs after against 30 before, predicted 20% less reserved per run",
        ),
    ],
)  # fmt: skip
def test_what_came_of_an_implementation_is_a_sentence(
    measured: RelativeEffect | None, verdict: Verdict | None, undone: bool, line: str
) -> None:
    made = ImplementationResult(
        "right-size", "Lower requests", "", NOW, (), RelativeEffect("Cost", -0.2), measured=measured, verdict=verdict,
        before=30, after=10, undone=undone,
    )  # fmt: skip
    assert remembered.describe_result(made) == line


def test_open_results_leave_before_judged_ones() -> None:
    found = [_recommendation(i, "y" * 300) for i in range(5)]
    fresh = [
        ImplementationResult(f"timeout.o{i}", "y" * 160, "w" * 160, NOW, (WIDER,), RelativeEffect("Cost"))
        for i in range(20)
    ]
    known = [
        replace(o, id=f"timeout.j{i}", since=NOW - 1, verdict=Verdict.SAME, judged=NOW) for i, o in enumerate(fresh)
    ]
    memory = RecommendationHistory(_memory(found).tracked, (*fresh, *known[:3]))
    status = document(_result(found), memory, data_until=NOW)
    assert json_size(status) <= MAX_BYTES - 2048
    assert len(status["results"]) < 23
    assert [o["id"] for o in status["results"] if "verdict" in o] == [o.id for o in known[:3]]


@given(st.text(max_size=500), st.integers(1, 100))
def test_clipping_keeps_one_line_within_the_limit(text: str, limit: int) -> None:
    clipped = clip(text, limit)
    assert len(clipped) <= limit
    assert "\n" not in clipped


def test_json_has_no_nan_and_unknown_is_null() -> None:
    empty = workflow_view(analyze(CHAIN, [], now=NOW), [], minor=())
    text = json.dumps(empty, allow_nan=False)
    assert json.loads(text)["makespanSeconds"]["p50"] is None
    one = workflow_view(
        analyze(CHAIN, [run(CHAIN.graph, {"extract": 1, "transform": 1, "load": 1})], now=NOW), [], minor=()
    )
    json.dumps(one, allow_nan=False)


def test_every_printed_form_names_the_workflow_its_steps_and_its_recommendations() -> None:
    analysis = analyze(CHAIN, _runs(14), now=NOW)
    view = workflow_view(analysis, recommend(Evidence(analysis, "wfp")), minor=())
    for text in (tables.workflow_text(view), markdown.render([view])):
        assert "nightly-etl" in text
        for name in ("extract", "transform", "load"):
            assert name in text
        for item in view["recommendations"]:
            assert item["action"].replace("|", "\\|") in text
    assert "nothing" not in tables.fleet_table([view])


def test_pipes_do_not_break_markdown_tables() -> None:
    odd = definition(step("a|b"), step("c", ["a|b"]))
    analysis = analyze(odd, daily(odd.graph, 6, lambda _: {"a|b": 5.0, "c": 6.0}), now=NOW)
    rows = [
        line for line in markdown.render([workflow_view(analysis, [], minor=())]).splitlines() if line.startswith("| a")
    ]
    assert len(rows) == 1
    assert "a\\|b" in rows[0]


@pytest.mark.parametrize("high", [9999.9, 23_057_406_069.4, math.inf])
def test_a_promise_as_wide_as_a_few_wild_runs_make_it_still_fits_the_schema(high: float) -> None:
    """A status with one field that the schema refuses is refused as a whole."""
    line = remembered.effect(RelativeEffect("Duration", -0.2, -0.99, high))
    assert TypeAdapter(EffectLine).validate_python(line) == "Duration -20% (-99 to +999990%)"


def test_durations_that_are_alike_to_the_second_have_no_exact_variance() -> None:
    """Both ends of a pod are known to the second: a variance of zero would be more than is known."""
    one = definition(step("load"))
    analysis = analyze(one, daily(one.graph, 6, lambda _: {"load": 3.0}), now=NOW)
    lines = document(_result([], analysis), _memory([]), data_until=NOW)["steps"]
    assert [line.rpartition("; ")[2] for line in lines] == ["variance below 0.2 s^2 (CV 0.00)"]


def test_a_fingerprint_of_another_version_is_made_anew() -> None:
    """Otherwise the upgrade would end the measuring of what was applied before it."""
    done = ImplementationResult(
        "a", "A", "kubectl", NOW, (), RelativeEffect("Duration", -0.1), fingerprint="9f2c41d07be3"
    )
    entry = remembered.outcome(done)
    assert remembered.read({"results": [entry]}).outcomes[0].fingerprint == "9f2c41d07be3"
    for other in ("9f2c41d07be3", "1-9f2c41d07be3", "2-"):
        entry["fingerprint"] = other
        assert remembered.read({"results": [entry]}).outcomes[0].fingerprint is None


def test_what_to_look_at_before_a_right_sizing_is_not_cut_off() -> None:
    """``expected`` ended at 160 characters, with "unless their use follows the lower…"."""
    caution = "unless their use follows the lower limit, like the heap of a JVM"
    expected = (
        "0.074 core-hours and 0.034 GiB-hours less reserved per run (0.219 USD a month); no impact on run duration; at most"
        f" 1% of later attempts run out of memory, {caution}; memory of fetch/main: set in the pod's own definition"
    )
    assert words(replace(recommendation(), expected=expected), "USD")["expected"] == expected
