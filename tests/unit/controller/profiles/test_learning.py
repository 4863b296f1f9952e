"""From one status to the next: what the operator remembers, learns and says, without any other memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType
from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.resolve import resolve
from concertmaster.controller.changes.writing.status import plan_status
from concertmaster.controller.discovery.targets import NO_TARGETS, _target
from concertmaster.controller.object_cache import CachedObject, ObjectCache
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.past_changes import PastChanges
from concertmaster.controller.profiles.request import AnalysisRequest, EarlierRecommendations, ProfileAnalysis
from concertmaster.controller.profiles.status_events import status_events
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.controller.status_view import StatusView
from concertmaster.controller.workflow_change import WorkflowChangeView, ledger_entry
from concertmaster.core.changes.ledger import Ledger, LedgerEntry, corrected
from concertmaster.core.changes.plan import plan
from concertmaster.core.model import EngineTraits, Interval, RunRecord, WorkflowGraph
from concertmaster.core.model.enums import ApplyMode, Verdict
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.policy import Policy
from concertmaster.engines import PATCHABLE
from concertmaster.engines.argo.traits import ARGO
from concertmaster.kube.objects import CHANGES, PROFILES
from tests.support.builders import DAY, NOW
from tests.support.controller.change_steps import with_image
from tests.support.core import change_samples
from tests.support.core.cases import POLICY, cases

CASE = next(c for c in cases() if c.name == "over-requested")
MEMORY = "/spec/templates/{}/container/resources/requests/memory"


def target(**requests: dict[str, str]) -> dict[str, Any]:
    """The WorkflowTemplate of the case; ``requests`` by step replace those in it."""
    templates: list[dict[str, Any]] = [{"name": "main"}]
    for step in CASE.definition.graph.steps:
        (container,) = step.containers
        resources = copy.deepcopy({k: dict(v) for k, v in container.resources.items()})
        resources["requests"].update(requests.get(step.name, {}))
        templates.append({"name": step.name, "container": {"resources": resources}})
    return {"spec": {"templates": templates}}


def profile(*dismissals: dict[str, str]) -> WorkflowProfile:
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "nightly-etl"}
    spec = {"workflowRef": ref, "dismissals": list(dismissals)}
    return WorkflowProfile.parse({"metadata": {"name": "etl", "namespace": "demo"}, "spec": spec})


def recommend(
    before: ProfileAnalysis | None = None,
    *,
    now: float = NOW,
    dismissals: tuple[dict[str, str], ...] = (),
    learning: bool = True,
    runs: Sequence[RunRecord] = CASE.runs,
    fingerprint: str | None = CASE.definition.fingerprint,
    engine: EngineTraits = CASE.definition.engine,
    graph: WorkflowGraph = CASE.definition.graph,
    **past: Any,
) -> ProfileAnalysis:
    """What is said after ``before``, through the status alone."""
    definition = replace(CASE.definition, fingerprint=fingerprint, engine=engine, graph=graph)
    memory = StatusView.of(before.document if before is not None else None).memory
    policy = resolve(None, POLICY)
    allowed = replace(policy.apply, mode=ApplyMode.APPROVE)
    policy = replace(policy, analysis=replace(policy.analysis, learning=learning), apply=allowed)
    request = AnalysisRequest(
        profile(*dismissals), policy, definition, runs, now, now,
        past=EarlierRecommendations(memory, **{"target": target(), **past}),
    )  # fmt: skip
    return analyze_profile(request)


def states(recommended: ProfileAnalysis) -> dict[str, str]:
    entries = [*recommended.document["recommendations"], *recommended.document.get("remaining", ())]
    return {r["id"]: r["state"] for r in entries}


def entry(recommended: ProfileAnalysis, id_: str) -> dict[str, Any]:
    found = [*recommended.document["recommendations"], *recommended.document.get("remaining", ())]
    return next(dict(r) for r in found if r["id"] == id_)


def fields(recommended: ProfileAnalysis) -> tuple[str, str, dict[str, str]]:
    """The right-sizing: its id, the step it is about, and the requests it sets there."""
    item = next(r for r in recommended.document["recommendations"] if r["id"] == "right-size")
    sets = dict(part.split(": ", 1) for part in item["sets"].split("; "))
    (step,) = {path.split("/")[3] for path in sets}
    return item["id"], step, {path.rsplit("/", 1)[1]: values.rpartition(" -> ")[2] for path, values in sets.items()}


def test_an_edit_by_hand_is_found_and_waits_for_runs() -> None:
    first = recommend()
    id_, step, value = fields(first)
    assert id_ in [c.recommendation.id for c in first.candidates]
    second = recommend(
        first, now=NOW + 60, target=target(**{step: value}), written_by="kubectl-edit", written_at=NOW + 30
    )
    assert states(second)[id_] == "Implemented"
    (outcome,) = second.document["results"]
    assert (outcome["id"], outcome["by"], outcome["since"]) == (id_, "kubectl-edit", "2025-10-09T08:53:50Z")
    assert outcome["effect"].startswith("measuring: 0 runs after against 30 before")
    assert id_ not in [c.recommendation.id for c in second.candidates]
    third = recommend(second, now=NOW + 120, target=target(**{step: value}))
    assert states(third)[id_] == "Implemented"
    back = recommend(third, now=NOW + 180)
    assert states(back)[id_] == "Active"
    assert "results" not in back.document


@pytest.mark.parametrize(("edits", "images", "measured"), [(2, 2, False), (30, 1, True), (6, 6, True)])
def test_another_edit_ends_a_measurement_unless_every_few_runs_have_their_own(
    edits: int, images: int, measured: bool
) -> None:
    number = len(CASE.runs)
    runs = [
        with_image(replace(r, fingerprint=f"f{i * edits // number}"), f"etl:{i * images // number}")
        for i, r in enumerate(CASE.runs)
    ]
    first = recommend(runs=runs)
    _, step, value = fields(first)
    second = recommend(
        first, now=NOW + 60, runs=runs, fingerprint="g1", target=target(**{step: value}), written_at=NOW + 30
    )
    third = recommend(second, now=NOW + 120, runs=runs, fingerprint="g2", target=target(**{step: value}))
    (outcome,) = StatusView.of(third.document).memory.outcomes
    assert (outcome.until is None) is measured


def test_a_change_that_was_rolled_back_is_not_advised_or_proposed_again() -> None:
    first = recommend()
    id_ = fields(first)[0]
    action = entry(first, id_)["action"]
    line = LedgerEntry(
        "demo/etl", "right-size", Verdict.SAME, NOW + 60, recommendation=id_, applied=NOW, restored=True
    )  # fmt: skip
    found = first
    for number in (2, 3, 4):
        found = recommend(found, now=NOW + 60 * number, ledger_entries=[line])
        assert states(found)[id_] == "Obsolete"
        assert (
            entry(found, id_)["note"] == "a change of it was measured as Same and rolled back at 2025-10-09T08:54:20Z"
        )
        assert entry(found, id_)["since"] == "2025-10-09T08:55:20Z"
        assert id_ not in [c.recommendation.id for c in found.candidates]
        assert action not in json.dumps([found.document.get("advice"), found.document.get("top")])
    assert states(recommend(found, now=NOW + 400))[id_] == "Active", "the change is no longer retained"


def test_an_expired_dismissal_is_over_and_the_next_look_comes_in_time() -> None:
    id_ = fields(recommend())[0]
    for_an_hour = {"recommendation": id_, "reason": "month end", "expirationTime": "2025-10-09T09:53:20Z"}
    away = recommend(recommend(), dismissals=(for_an_hour,))
    assert states(away)[id_] == "Dismissed"
    assert away.lasts == 3600.0
    assert id_ not in [c.recommendation.id for c in away.candidates]
    back = recommend(away, now=NOW + 3600.0, dismissals=(for_an_hour,))
    assert states(back)[id_] == "Active"
    assert back.lasts is None
    assert "month end, until 2025-10-09T09:53:20Z" in entry(back, id_)["note"]
    again = recommend(back, now=NOW, dismissals=(for_an_hour,))  # the clock went back
    assert states(again)[id_] == "Dismissed"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("memory-reqest.load", "there is no rule memory-reqest; did you mean memory-request?"),
        ("sizes.load", "there is no rule sizes; the rules are batch-small-steps,"),
        ("memory-request.laod", "the workflow has no step laod; did you mean load?"),
        ("memory-request.x", "the workflow has no step x; its steps are extract, transform and load"),
        ("right-size.laod", "the workflow has no step laod; did you mean load?"),
    ],
)
def test_a_dismissal_of_nothing_is_reported_and_stops_nothing(wrong: str, why: str) -> None:
    found = recommend(dismissals=({"recommendation": wrong, "reason": "no"},))
    assert (found.ready.type, found.ready.status, found.ready.reason.value) == (
        ConditionType.READY,
        True,
        "UnknownDismissal",
    )
    assert f"spec.dismissals names {wrong}, and {why}" in found.ready.message
    assert states(found) == states(recommend())


def test_a_dismissal_in_advance_is_no_mistake() -> None:
    found = recommend(dismissals=({"recommendation": "timeout.load", "reason": "we watch it"},))
    assert found.ready.reason.value == "Analyzed"


@pytest.mark.parametrize(("kind", "scope"), [("WorkflowTemplate", ""), ("ClusterWorkflowTemplate", "cwft.")])
def test_sizes_in_another_object_are_dismissed_by_its_name(kind: str, scope: str) -> None:
    """Also before they are recommended, and where a step has the same name: it keeps its own sizes."""
    id_, step, _ = fields(recommend())
    steps = [replace(s, template_in=f"{kind} {step}") for s in CASE.definition.graph.steps]
    dismissal = {"recommendation": f"right-size.{scope}{step}", "reason": "its owners decide"}
    found = recommend(dismissals=(dismissal,), engine=ARGO, graph=WorkflowGraph(tuple(steps)))
    assert found.ready.reason.value == "Analyzed"
    assert any(line.startswith(f"{step}/") for line in entry(found, id_)["items"])


@pytest.mark.parametrize("how", ["dismissed", "harmed"])
def test_a_step_that_was_dismissed_or_harmed_is_left_out_of_the_right_sizing(how: str) -> None:
    step = fields(recommend())[1]
    harm = replace(line(1, 0.0, rule="right-size", verdict=Verdict.WORSE), harmed=(step,))
    found = (
        recommend(dismissals=({"recommendation": f"right-size.{step}", "reason": "month end"},))
        if how == "dismissed"
        else recommend(ledger_entries=[harm])
    )
    assert found.ready.reason.value == "Analyzed"
    assert "right-size" in states(recommend())
    assert "right-size" not in states(found)  # it was the only step
    if how == "dismissed":
        gone = recommend(recommend(), dismissals=({"recommendation": f"right-size.{step}", "reason": "month end"},))
        assert (
            entry(gone, "right-size")["note"]
            == f"nothing is left of it without the dismissed steps (right-size.{step})"
        )


@pytest.mark.parametrize("id_", ["budget.tokens", "budget.cost", "objective-at-risk.duration-p95", "queue-time.start",
                                 "sidecar-overhead.istio-proxy", "parallelism.fan-out"])  # fmt: skip
def test_what_follows_the_rule_need_not_be_a_step(id_: str) -> None:
    assert recommend(dismissals=({"recommendation": id_, "reason": "we know"},)).ready.reason.value == "Analyzed"


@pytest.mark.parametrize("reason", ["month  end", "month\tend", " month end ", "month end " + "x" * 246])
def test_a_reason_with_odd_white_space_is_one_decision(reason: str) -> None:
    id_ = fields(recommend())[0]
    decided = ({"recommendation": id_, "reason": reason},)
    away = recommend(recommend(), dismissals=decided)
    later = recommend(away, now=NOW + 60, dismissals=decided)
    assert entry(later, id_) == entry(away, id_)
    assert (entry(later, id_)["state"], entry(later, id_)["since"]) == ("Dismissed", "2025-10-09T08:53:20Z")


def test_the_operators_document_tells_the_state_of_each_recommendation() -> None:
    id_ = fields(recommend())[0]
    found = recommend(recommend(), dismissals=({"recommendation": id_, "reason": "we know"},))
    reported = {r["id"]: (r["state"], r.get("dismissal")) for r in json.loads(found.detail)["recommendations"]}
    assert reported[id_] == ("Dismissed", "we know")
    before = {r["id"]: (r["state"], r.get("dismissal")) for r in json.loads(recommend().detail)["recommendations"]}
    assert before[id_] == ("Active", None)


def line(number: int, measured: float, **more: object) -> LedgerEntry:
    base = LedgerEntry(
        "x/y", "memory-request", Verdict.SAME, NOW + number, -0.5, measured, -0.6, -0.4, f"memory-request.{number}"
    )
    return replace(base, applied=NOW + number * DAY, **more)  # type: ignore[arg-type]


def test_broken_promises_are_reported_and_leave_the_prediction_alone() -> None:
    broken = Ledger([line(i, 0.0, rule="right-size", verdict=Verdict.WORSE) for i in range(40)])
    found = recommend(ledger=broken)
    record = entry(found, "right-size")["trackRecord"]
    assert (
        record
        == "predictions of this rule held in 0 of 40 changes, median effect 0% of the predicted; this one counts 9%"
    )
    assert entry(found, "right-size")["promised"] == entry(recommend(), "right-size")["promised"]
    assert "trackRecord" not in entry(recommend(), "right-size")


def test_learning_switched_off_shows_the_record_and_corrects_nothing() -> None:
    broken = Ledger([line(i, 0.0, rule="right-size", verdict=Verdict.WORSE) for i in range(40)])
    spec = {"analysis": {"learning": "Disabled"}}
    policy = resolve(
        None, OptimizationPolicy.model_validate({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})
    )
    assert not policy.analysis.learning and Policy().analysis.learning
    off = recommend(ledger=broken, learning=False)
    assert (
        entry(off, "right-size")["trackRecord"]
        == "predictions of this rule held in 0 of 40 changes, median effect 0% of the predicted"
    )
    assert [r["id"] for r in off.document["recommendations"]] == [
        r["id"] for r in recommend().document["recommendations"]
    ]


# --- what the objects teach


def snapshot(*outcomes: dict[str, Any], change: dict[str, Any] | None = None) -> ObjectCache:
    cache = ObjectCache()
    meta = {"name": "etl", "namespace": "demo", "uid": "p"}
    cache.observe(PROFILES, None, {"metadata": meta, "spec": {}, "status": {"results": list(outcomes)}})
    if change is not None:
        cache.observe(CHANGES, None, change)
    return cache


OUTCOME = {
    "id": "parallelism", "action": "Raise it", "by": "kubectl", "since": "2025-10-01T00:00:00Z", "verdict": "Improved",
    "judged": "2025-10-03T00:00:00Z", "promised": "Duration -40% (-50 to -30%)", "measured": "Duration -20%",
    "sets": "/spec/parallelism: 2 -> 8",
}  # fmt: skip


def change(at: str) -> dict[str, Any]:
    condition = {"status": "True", "reason": "x", "message": "x"}
    effect = {"measure": "Duration", "likely": "-32", "low": "-40", "high": "-24", "correctionPercent": "80"}
    return {
        "metadata": {"name": "c", "namespace": "demo", "uid": "c"},
        "spec": {"profileRef": {"name": "etl"}, "recommendation": "parallelism", "planDigest": "0"},
        "status": {
            "phase": "Completed",
            "verdict": "Improved",
            "predicted": effect,
            "measured": {"measure": "Duration", "likely": "-36"},
            "conditions": [{**condition, "type": kind, "lastTransitionTime": at} for kind in ("Applied", "Verified")],
        },
    }


def test_the_ledger_is_read_from_statuses_and_changes_and_counts_no_change_twice() -> None:
    alone = PastChanges(snapshot(OUTCOME).snapshot())
    assert str(alone.ledger.records()[0]).startswith(
        "predictions of this rule held in 0 of 1 change, median effect 50% of the predicted"
    )
    same = PastChanges(snapshot(OUTCOME, change=change("2025-10-01T00:00:40Z")).snapshot())
    (record,) = same.ledger.records()
    assert (record.held, record.times, record.median) == (1, 1, pytest.approx(0.9))  # 36 of the 40 it promised itself
    two = PastChanges(snapshot(OUTCOME, change=change("2025-09-01T00:00:00Z")).snapshot())
    assert two.ledger.records()[0].times == 2
    assert len(two.changes(snapshot().snapshot().profiles[0])) == 1


def test_an_analysis_knows_which_recommendations_the_operator_is_verifying() -> None:
    applied = change("2025-10-01T00:00:40Z")
    verifying = [{**applied["status"]["conditions"][0]}, {**applied["status"]["conditions"][1], "status": "Unknown"}]
    applied["status"] |= {"phase": "Verifying", "verdict": None, "conditions": verifying}
    for made, known in ((applied, {"parallelism"}), (change("2025-10-01T00:00:40Z"), set())):
        seen = snapshot(change=made).snapshot()
        assert set(PastChanges(seen).recommendations(seen.profiles[0], None, None).verifying) == known


def test_a_plan_promises_the_corrected_amount_and_teaches_by_the_rules_own() -> None:
    item = change_samples.faster(gain_share=Interval(0.3, 0.4, 0.5))
    made = plan(corrected(item, 0.8), change_samples.template(), PATCHABLE, profile="etl", namespace="demo")
    reported = plan_status(made)["predicted"]
    assert (reported["correctionPercent"], reported["likely"]) == ("80", "-32")
    assert "correctionPercent" not in plan_status(
        plan(item, change_samples.template(), PATCHABLE, profile="etl", namespace="demo")
    )
    raw = change("2025-10-01T00:00:00Z")
    raw["status"]["predicted"] = reported
    line = ledger_entry(WorkflowChangeView(raw))
    assert line is not None
    assert line.promised == pytest.approx(-0.4)
    assert line.recommendation == "parallelism"


def test_what_cannot_be_read_teaches_nothing() -> None:
    broken = [{**OUTCOME, "promised": "a lot"}, {"id": "x"}, {**OUTCOME, "since": "yesterday"}]
    assert PastChanges(snapshot(*broken).snapshot()).ledger.records() == []


def test_a_status_that_somebody_emptied_is_remembered() -> None:
    first = StatusView.of(recommend().document)
    known = snapshot(OUTCOME).snapshot().profiles[0]
    empty = replace(known, status=StatusView())
    assert PastChanges(snapshot().snapshot()).recommendations(empty, first, None).memory == first.memory
    assert PastChanges(snapshot().snapshot()).recommendations(known, first, None).memory == known.status.memory


def test_the_last_writer_of_a_spec_is_known() -> None:
    def entry_(manager: str, at: str, fields: str = "f:spec", **more: str) -> dict[str, Any]:
        return {"manager": manager, "time": at, "fieldsV1": {fields: {}}, **more}

    managed = [
        entry_("kubectl-edit", "2025-10-01T00:00:00Z"),
        entry_("flux", "2025-10-02T00:00:00Z"),
        entry_("kube-controller-manager", "2025-10-03T00:00:00Z", subresource="status"),
        entry_("argo", "2025-10-03T00:00:00Z", "f:status"),
    ]
    meta = {"name": "etl", "namespace": "demo", "uid": "u", "managedFields": managed}
    found = _target(PROFILES, {"metadata": meta, "spec": {}}, NO_TARGETS)
    assert found.written == ("flux", 1759363200.0)
    bare = _target(PROFILES, {"metadata": {**meta, "managedFields": None}, "spec": {}}, NO_TARGETS)
    assert bare.written == ("", 0.0)


def test_people_learn_of_both_moments_once() -> None:
    def reported(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        cache = ObjectCache()
        meta = {"name": "etl", "namespace": "demo", "uid": "u"}
        cache.observe(PROFILES, None, {"metadata": meta, "spec": {}, "status": before})
        found: CachedObject = cache.snapshot().profiles[0]
        return [n.reason for n in status_events(found, StatusView.of(after))]

    waiting = {k: v for k, v in OUTCOME.items() if k not in ("verdict", "judged")}
    assert reported({"score": 1}, {"results": [waiting]}) == ["Implemented"]
    assert reported({"results": [waiting]}, {"results": [waiting]}) == []
    assert reported({"results": [waiting]}, {"results": [OUTCOME]}) == ["EffectMeasured"]
    assert reported({"results": [OUTCOME]}, {"results": [OUTCOME]}) == []


def test_only_what_is_to_be_done_is_a_new_recommendation() -> None:
    def view(state: str) -> StatusView:
        return StatusView.of({"recommendations": [{"id": "parallelism", "state": state}]})

    assert view("Active").recommendations == ("parallelism",)
    assert view("Implemented").recommendations == view("Obsolete").recommendations == ()


def test_metrics_show_rules_with_experience_only() -> None:
    telemetry = Telemetry()
    telemetry.record_ledger(
        Ledger([line(1, -0.45), line(2, 0.0), line(3, -0.5, promised=None, verdict=Verdict.IMPROVED)])
    )
    text = telemetry.render().decode()
    assert 'concertmaster_rule_promises{result="held",rule="memory-request"} 1.0' in text
    assert 'concertmaster_rule_promises{result="broken",rule="memory-request"} 1.0' in text
    assert 'concertmaster_rule_promise_ratio{rule="memory-request"} 0.45' in text
    telemetry.record_ledger(Ledger())
    assert "memory-request" not in telemetry.render().decode()


def test_a_verdict_on_what_somebody_changed_is_news_for_the_analysis() -> None:
    """The record of the rule counts it, and no further run may come for a week."""
    past = PastChanges(snapshot().snapshot())
    before, waiting, decided = (
        past.decided(snapshot(*outcomes).snapshot().profiles[0])
        for outcomes in ((), ({k: v for k, v in OUTCOME.items() if k != "verdict"},), (OUTCOME,))
    )
    assert before == waiting != decided


def test_the_newest_runs_come_with_an_analysis_only_where_the_history_lacks_something_of_them() -> None:
    """Answers to a policy's own queries are not in the history, from which the others are read when somebody asks."""
    assert json.loads(recommend().detail)["recent"] is None
    policy = replace(resolve(None, POLICY), extra_metrics=(ExtraMetric("rows", "sum(rows)"),))
    found = analyze_profile(AnalysisRequest(profile(), policy, CASE.definition, CASE.runs, NOW, NOW))
    assert len(json.loads(found.detail)["recent"]["runs"]) > 5
