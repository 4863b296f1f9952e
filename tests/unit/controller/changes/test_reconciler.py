"""The closed loop over an API server's memory: modes, approvals, verifications, restores, foreign hands, crashes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.conditions import MAX_MESSAGE
from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.changes import control_group, recovery
from concertmaster.controller.changes.apply import question
from concertmaster.controller.changes.in_progress import InProgress
from concertmaster.controller.changes.writing.status import PARTIAL, prediction
from concertmaster.controller.discovery import definitions
from concertmaster.controller.workflow_change import WorkflowChangeView, ledger_entry
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.operations import lowered_memory, undoing
from concertmaster.core.changes.plan import PredictedEffect
from concertmaster.core.model import Category, Edit, Level, Outcome
from concertmaster.core.model.enums import Verdict
from concertmaster.engines import PATCHABLE
from concertmaster.kube import errors
from concertmaster.kube.objects import LIMIT_RANGES, Resource
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import (
    CHANGES,
    CPU,
    DAY,
    MEMORY,
    NOW,
    POLICIES,
    PROFILES,
    Bed,
    Died,
    cheaper,
    wider,
)
from tests.support.core.change_samples import planned, recommended
from tests.support.resources import CRONJOB


def test_without_a_policy_that_allows_changes_not_a_single_request_is_made() -> None:
    bed = Bed(mode="Recommend")
    bed.client.calls.clear()
    bed.run()
    assert not [c for c in bed.client.calls if "workflowchanges" in c[1] or c[0] == "PATCH"]
    assert bed.all() == []


def test_auto_applies_verifies_and_keeps() -> None:
    bed = applied()
    change = bed.one()
    assert change.decision is None
    assert bed.state(C.APPROVED) == ("True", "Automatic")
    assert bed.state(C.APPLIED) == ("True", "Applied")
    assert "kubectl -n demo patch cronjob etl --type=json" in bed.message(C.APPLIED)
    assert change.status["predicted"]["measure"] == "Cost"
    assert "CPU request of container main from 2 to 1500m" in change.status["predicted"]["text"]
    assert len(bed.client.target_writes) == 1
    later(bed, 3)
    assert bed.one().status["verifiedRuns"] == 3
    assert bed.one().status["baselineRuns"] == 30
    later(bed, 9, cpu=0.75)
    done = bed.one()
    assert (done.phase, done.verdict) == ("Completed", Verdict.IMPROVED)
    assert done.status["measured"]["measure"] == "Cost"
    assert bed.state(C.RESTORED) == ("False", "Kept")
    assert bed.cpu() == "1500m"
    assert {"ChangeApplied", "ChangeKept"} <= set(bed.reported())
    assert not bed.pages.journal("change/")
    line = ledger_entry(done)
    assert line is not None
    assert (line.rule, line.verdict) == ("cpu-request", Verdict.IMPROVED)


def test_the_log_says_what_was_changed_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="concertmaster.changes")
    applied()
    lines = [r.__dict__["fields"] for r in caplog.records if r.getMessage() == "change"]
    assert lines[-1]["phase"] == "Verifying"
    assert lines[-1]["recommendation"] == "cpu-request.job"
    assert "demo/etl" in lines[-1]["target"]
    assert any("kubectl -n demo patch cronjob etl" in why for why in lines[-1]["because"])


def test_a_quiet_cycle_writes_nothing() -> None:
    bed = applied()
    bed.run()
    bed.writes()
    bed.run()
    assert bed.writes() == []
    later(bed, 1)
    bed.writes()
    bed.run()
    assert bed.writes() == []


def test_harm_is_taken_back_and_the_cooldown_doubles() -> None:
    bed = applied()
    later(bed, 2, 1500.0)
    done = bed.one()
    assert (done.phase, done.verdict, done.status["restored"]) == ("Completed", Verdict.WORSE, True)
    assert bed.state(C.VERIFIED) == ("False", "Worse")
    assert bed.state(C.RESTORED) == ("True", "RolledBack")
    assert bed.cpu() == "2"
    assert "ChangeRolledBack" in bed.reported()
    bed.items = [cheaper(proposed="1600m")]
    bed.run(1.5 * HOUR)  # the cooldown is an hour, and two after a restore
    assert len(bed.all()) == 1
    bed.run(HOUR)
    assert len(bed.all()) == 2


def test_the_very_plan_that_was_taken_back_is_not_tried_again() -> None:
    bed = applied()
    later(bed, 2, 1500.0)
    bed.run(30 * DAY)
    assert len(bed.all()) == 1
    assert bed.cpu() == "2"


def neighbours(bed: Bed, factor: float, *, count: int = 8, after: int = 8) -> None:
    """Other CronJobs that nobody changes, whose runs take ``factor`` times as long since the change."""
    for i in range(count):
        name = f"other-{i}"
        spec = bed.target["spec"]
        bed.client.put(CRONJOB, "demo", name, spec=spec)
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name}
        bed.client.put(PROFILES, "demo", name, spec={"workflowRef": reference})
        own, bed.history.runs_of["etl"] = bed.history.runs_of["etl"], []
        bed.runs(30, 300.0, seed=100 + i, end=NOW)
        bed.runs(after, 300.0 * factor, seed=200 + i)
        bed.history.runs_of[name], bed.history.runs_of["etl"] = bed.history.runs_of["etl"], own


def test_a_cluster_that_became_slower_is_not_blamed_on_the_change() -> None:
    for moved in (False, True):
        bed = Bed()
        bed.run()
        bed.now += 8 * 3600.0 + 60.0
        bed.runs(8, seconds=800.0, seed=7)
        if moved:
            neighbours(bed, 800.0 / 600.0)
        bed.run()
        assert (bed.one().verdict is Verdict.WORSE) is not moved
        assert ("8 other workflows take 33% longer" in bed.message(C.VERIFIED)) is moved


@pytest.mark.parametrize("how", ["edited", "what it refers to was edited", "changed by the operator"])
def test_workflows_that_were_changed_themselves_are_no_control(how: str) -> None:
    bed = Bed()
    bed.run()
    made = bed.client.objects[bed.one().ref.path]
    bed.now += 8 * 3600.0 + 60.0
    bed.runs(8, seconds=800.0, seed=7)
    neighbours(bed, 800.0 / 600.0)
    for i in range(8):
        name = f"other-{i}"
        if how == "edited":
            entry = {
                "manager": "ana",
                "operation": "Update",
                "fieldsV1": {"f:spec": {}},
                "time": "2025-10-09T09:00:00Z",
            }
            bed.client.objects[CRONJOB.path("demo", name)]["metadata"]["managedFields"] = [entry]
        elif how == "changed by the operator":
            status = {**made["status"], "phase": "Completed"}
            spec = {**made["spec"], "profileRef": {"name": name}}
            bed.client.put(CHANGES, "demo", f"{name}-change", spec=spec, status=status)
        else:
            bed.history.runs_of[name] = [
                replace(r, fingerprint="new" if (r.start or 0.0) > NOW else "old") for r in bed.history.runs_of[name]
            ]
    bed.run()
    assert next(c for c in bed.all() if c.profile == "etl").verdict is Verdict.WORSE


def test_also_the_very_first_runs_in_a_slower_cluster_are_not_blamed_on_the_change() -> None:
    for moved in (False, True):
        bed = Bed()
        bed.run()
        bed.now += 8 * HOUR + 60.0
        bed.runs(2, seconds=1200.0, seed=7)
        if moved:
            neighbours(bed, 2.0)
        bed.run()
        assert (bed.one().verdict is Verdict.WORSE) is not moved


def test_no_more_other_workflows_are_read_than_the_memory_of_a_cycle_has_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control_group, "MAX_PODS", 4 * 38)
    bed = Bed()
    bed.run()
    bed.now += 8 * HOUR + 60.0
    bed.runs(8, seconds=800.0, seed=7)
    neighbours(bed, 800.0 / 600.0)
    read: list[str] = []
    runs = bed.history.runs
    bed.history.runs = lambda of, **k: (read.append(of.key.name), runs(of, **k))[1]  # type: ignore[method-assign]
    bed.run()
    assert len({name for name in read if name != "etl"}) == 4
    assert bed.one().verdict is Verdict.WORSE  # which five of them would have said is not the change's


def test_a_workflow_that_many_profiles_describe_is_one_witness() -> None:
    bed = Bed()
    bed.run()
    bed.now += 8 * HOUR + 60.0
    bed.runs(8, seconds=800.0, seed=7)
    neighbours(bed, 800.0 / 600.0, count=4)
    for i in range(8):
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": f"other-{i % 4}"}
        bed.client.put(PROFILES, "demo", f"again-{i}", spec={"workflowRef": reference})
    bed.run()
    assert bed.one().verdict is Verdict.WORSE


@pytest.mark.parametrize(
    ("low", "likely", "high", "said"),
    [
        (-0.3, -0.2, -0.1, "10% to 30% shorter runs, likely 20%"),
        (-0.3, -0.1, 0.15, "30% shorter to 15% longer runs, likely 10% shorter"),
        (0.1, 0.2, 0.3, "10% to 30% longer runs, likely 20%"),
    ],
)
def test_a_promise_that_may_turn_out_the_other_way_says_so(low: float, likely: float, high: float, said: str) -> None:
    made = replace(planned(), predicted=PredictedEffect("Duration", low, likely, high))
    assert prediction(made).endswith(f": {said}")


def test_the_prediction_of_many_fields_keeps_what_is_expected_of_them() -> None:
    made = planned()
    many = replace(made, settings=made.settings * 20, whole=False, predicted=PredictedEffect("Cost", -0.3, -0.2, -0.1))
    shown = prediction(many)
    assert len(shown) == 400
    assert shown.endswith(f"…{PARTIAL}: 10% to 30% less cost, likely 20%")


@pytest.mark.parametrize("caution", ["Workflows of sales use it, too", "long " * 300])
def test_the_question_about_many_fields_keeps_what_one_must_know(caution: str) -> None:
    """Where it was cut off, each approval came before it was known, and another proposal asked again."""
    bed, made = Bed(mode="Approve"), planned()
    bed.run()
    many = replace(made, settings=made.settings * 40)
    said = question(bed.one(), many, caution)
    assert len(said) <= MAX_MESSAGE
    assert said.startswith(made.says())
    assert caution[:150] in said
    assert said.endswith(f"approve -n demo {bed.one().name}")


def test_three_worse_of_five_and_the_rule_must_ask() -> None:
    bed = applied(maxInFlight=1, minChangePercent=10)
    for step in range(3):
        later(bed, 2, 1500.0)
        assert bed.cpu() == "2"
        bed.items = [cheaper(proposed=f"{1600 + step}m")]
        bed.run(20 * HOUR)
    waiting = [c for c in bed.all() if c.phase == "Proposed"]
    assert [c.phase for c in bed.all() if c.phase != "Proposed"] == ["Completed"] * 3
    assert len(waiting) == 1
    assert bed.cpu() == "2"
    bed.decide("Approve", waiting[0].name)
    bed.run()
    assert bed.cpu() == "1602m"


def test_a_workflow_too_noisy_to_verify_a_change_is_left_to_a_person_with_the_reason() -> None:
    bed = Bed()
    bed.history.runs_of["etl"].clear()
    bed.runs(30, spread=0.4)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Proposed", "2")
    message = bed.message(C.APPROVED)
    assert re.search(r"runs vary by \d\d%, so that 30 runs after the change \(verify.maxRuns\) would show", message), (
        message
    )
    assert bed.counted("applied_total") == 0.0
    bed.runs(200, spread=0.05)
    bed.run()
    assert bed.cpu() == "1500m"  # it waited for nothing else


def test_approve_waits_and_applies_exactly_what_was_approved() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    change = bed.one()
    assert change.phase == "Proposed"
    assert bed.state(C.APPROVED) == ("Unknown", "Waiting")
    assert f"kubectl concertmaster approve -n demo {change.name}" in bed.message(C.APPROVED)
    bed.run()
    assert bed.cpu() == "2"
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "1500m"
    assert bed.state(C.APPROVED) == ("True", "Approved")
    assert "ana" in bed.message(C.APPROVED)
    assert jsonpatch.apply(bed.target, bed.one().operations("inverse") or []) != bed.target


def test_a_rejected_plan_is_never_made_and_not_proposed_again() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.decide("Reject")
    bed.run()
    bed.run()
    assert bed.one().phase == "Completed"
    assert bed.state(C.APPROVED) == ("False", "Rejected")
    assert bed.cpu() == "2"


def test_a_change_that_waits_for_approval_is_one_event_with_the_command() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.run()
    asked = [o["note"] for o in bed.client.objects.values() if o.get("reason") == "ApprovalRequired"]
    assert len(asked) == 1
    assert f"kubectl concertmaster approve -n demo {bed.one().name}" in asked[0]


def test_an_automatic_change_asks_nobody() -> None:
    assert "ApprovalRequired" not in applied().reported()


def test_a_plan_above_the_accepted_risk_is_counted_for_its_policy() -> None:
    bed = Bed(mode="Approve", maxRisk="Low")
    bed.items = [cheaper(risk=Level.HIGH)]
    bed.run()
    assert [dict(checks) for checks in bed.blocked.values()] == [{"risk": 1}]


def test_rejecting_an_automatic_change_takes_it_back_at_once() -> None:
    bed = applied()
    bed.decide("Reject", by="eve")
    bed.run()
    assert bed.cpu() == "2"
    assert bed.one().status["restored"] is True
    assert "rejected by eve" in bed.message(C.RESTORED)


@pytest.mark.parametrize("how", ["reject", "undo"])
def test_a_rule_asks_for_a_month_after_a_person_was_against_it(how: str) -> None:
    bed = applied()
    if how == "reject":
        bed.decide("Reject", by="eve")
    else:
        bed.edit(CPU, "2")
    bed.run()
    assert bed.cpu() == "2"
    bed.items = [cheaper(proposed="1600m")]
    bed.now += 20 * HOUR
    bed.runs(8, seed=8)
    bed.run()
    bed.run()
    assert bed.cpu() == "2"
    assert sorted(c.phase for c in bed.all())[-1] == "Proposed"
    bed.run(31 * DAY)
    assert bed.cpu() == "1600m"


def test_an_approved_plan_waits_for_its_window_and_says_so_once() -> None:
    bed = Bed(mode="Approve", windows=[{"schedule": "0 3 * * *", "duration": "1h"}])
    bed.run()
    bed.decide("Approve")
    bed.run()
    assert bed.state(C.APPLIED) == ("False", "CheckBlocked")
    assert "waits for window: the next window opens" in bed.message(C.APPLIED)
    assert bed.cpu() == "2"
    bed.writes()
    bed.run()
    assert bed.writes() == []
    bed.now += (DAY + 3 * HOUR - bed.now % DAY) % DAY  # three o'clock UTC
    bed.run()
    assert bed.cpu() == "1500m"


@pytest.mark.parametrize(
    ("bounds", "cpu"), [({"maxStepPercent": 22}, "1560m"), ({"cpu": {"min": "1550m", "max": "8"}}, "1550m")]
)
def test_an_approved_plan_that_the_policy_allows_no_more_is_replaced_and_says_so(
    bounds: dict[str, Any], cpu: str
) -> None:
    """It differs so little from what is allowed that it could count as the same, and would wait for ever."""
    bed = Bed(mode="Approve")
    bed.run()
    bed.decide("Approve")
    bed.policy(mode="Approve", bounds=bounds)
    bed.run()
    first, second = sorted(bed.all(), key=lambda c: int(c.uid.removeprefix("uid-")))
    assert (first.phase, second.phase, bed.cpu()) == ("Superseded", "Proposed", "2")
    assert "or what apply.bounds allow of it" in str(first.condition(C.APPROVED)["message"])
    bed.decide("Approve", second.name)
    bed.run()
    assert bed.cpu() == cpu


def test_an_approved_plan_says_which_window_it_waits_for_after_that_was_moved() -> None:
    bed = Bed(mode="Approve", windows=[{"schedule": "0 3 * * *", "duration": "1h"}])
    bed.run()
    bed.decide("Approve")
    bed.run()
    assert "03:00 UTC" in bed.message(C.APPLIED)
    bed.policy(mode="Approve", windows=[{"schedule": "0 5 * * *", "duration": "1h"}])
    bed.run()
    assert "05:00 UTC" in bed.message(C.APPLIED)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bed: bed.policy(allow=["Parallelism"]),
        lambda bed: bed.policy(suspend=True),
        lambda bed: setattr(bed, "coverage", 0.1),
        lambda bed: setattr(bed, "allowed", False),
        lambda bed: setattr(bed, "items", [cheaper(risk=Level.HIGH)]),
        lambda bed: setattr(bed, "items", [cheaper(automatic=False, proposed="1900m")]),
        lambda bed: bed.target["metadata"].update(labels={"kustomize.toolkit.fluxcd.io/name": "apps"}),
        lambda bed: bed.client.put(
            LIMIT_RANGES, "demo", "r", spec={"limits": [{"type": "Container", "min": {"cpu": "1800m"}}]}
        ),
        lambda bed: bed.client.put(
            Resource("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", "verticalpodautoscalers"),
            "demo",
            "v",
            spec={"targetRef": {"kind": "CronJob", "name": "etl"}},
        ),
        lambda bed: bed.client.lists.update({LIMIT_RANGES.path("demo"): errors.Forbidden("no", status=403)}),
        lambda bed: bed.items.append(recommended(Edit("/spec/schedule", "x", "y"))) or bed.items.pop(0),  # type: ignore[union-attr]
    ],
)  # fmt: skip
def test_a_blocked_check_means_no_object_and_no_write(spoil: Callable[[Bed], Any]) -> None:
    bed = Bed()
    spoil(bed)
    before = json.dumps(bed.target["spec"])
    bed.run()
    assert bed.all() == []
    assert json.dumps(bed.target["spec"]) == before


def test_git_owned_objects_are_changed_only_when_the_policy_says_so() -> None:
    bed = Bed(gitOps="Apply")
    bed.target["metadata"]["annotations"] = {  # Argo CD leaves the mark of kubectl apply, too
        "argocd.argoproj.io/tracking-id": "shop:batch/CronJob:demo/etl",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    bed.run()
    assert bed.cpu() == "1500m"
    assert "written; Argo CD application shop may change it back; to roll it back manually: kubectl" in bed.message(
        C.APPLIED
    )


def test_who_applied_a_field_is_named_although_the_write_makes_the_operator_its_manager() -> None:
    bed = Bed(gitOps="Apply")
    bed.target["metadata"]["managedFields"] = [
        {"manager": "team", "operation": "Apply", "fieldsV1": {"f:spec": {"f:jobTemplate": {}}}}
    ]

    def taken_over(path: str) -> None:
        if "/cronjobs/" in path:
            bed.target["metadata"]["managedFields"] = []

    bed.client.before_write = taken_over
    bed.run()
    assert bed.cpu() == "1500m"
    assert "written; field manager team (server-side apply) may change it back; to roll" in bed.message(C.APPLIED)


def test_an_object_that_kubectl_applied_is_changed_and_the_change_says_what_takes_it_back() -> None:
    bed = Bed()
    bed.target["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    bed.run()
    assert bed.cpu() == "1500m"
    assert "written; kubectl apply of its present manifest may change it back; to roll" in bed.message(C.APPLIED)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bed: bed.target["metadata"].update(annotations={"meta.helm.sh/release-name": "etl"}),
        lambda bed: bed.client.put(
            LIMIT_RANGES, "demo", "r", spec={"limits": [{"type": "Container", "min": {"cpu": "1800m"}}]}
        ),
        lambda bed: setattr(bed, "coverage", 0.1),
        lambda bed: bed.policy(mode="Approve", allow=["Parallelism"]),
    ],
)  # fmt: skip
def test_every_check_is_asked_again_after_the_approval_and_right_before_the_write(spoil: Callable[[Bed], Any]) -> None:
    bed = Bed(mode="Approve")
    bed.run()
    spoil(bed)
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "2"
    assert bed.one().phase == "Proposed"
    assert bed.message(C.APPLIED).startswith("waits for ")


def test_one_change_at_a_time_and_no_more_writes_than_the_rate_allows() -> None:
    bed = Bed(cooldown="0s")
    bed.items = [
        cheaper(),
        recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job"),
    ]
    assert bed.run() == {"OptimizationPolicy/team": 1}
    assert len(bed.all()) == 1
    bed.policy(cooldown="0s", maxInFlight=5)
    bed.run()
    assert len(bed.all()) == 2
    assert jsonpatch.find(bed.target, MEMORY)[1] == "768Mi"
    bed.per_minute = 0
    bed.start()
    bed.items.append(wider())
    bed.run()
    assert len(bed.all()) == 2


def test_a_clock_that_was_set_back_blocks_no_writes_until_it_is_that_late_again() -> None:
    bed = Bed()
    most = bed.steps.writes_left("demo", bed.now)
    bed.run()
    assert (bed.cpu(), bed.steps.writes_left("demo", bed.now)) == ("1500m", most - 1)
    assert bed.steps.writes_left("demo", bed.now - DAY) == most


# --- attacks


def approved(bed: Bed) -> Bed:
    bed.run()
    bed.decide("Approve")
    return bed


def tamper(bed: Bed, **changes: Any) -> None:
    raw = bed.client.objects[bed.one().ref.path]
    raw["status"]["plan"] = {**raw["status"]["plan"], **changes}


EVIL = json.dumps(
    [{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "evil"}]
)
BIGGER = json.dumps([{"op": "replace", "path": CPU, "value": "8"}])


@pytest.mark.parametrize(
    "changes",
    [
        {"patch": EVIL},
        {"patch": BIGGER},
        {"patch": "[]"},
        {"patch": "not json"},
        {"patch": None},
        {"inverse": EVIL},
        {"target": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "other", "namespace": "demo", "uid": "u"}},
        {
            "target": {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "name": "etl",
                "namespace": "kube-system",
                "uid": "u",
            }
        },
        {"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "etl", "namespace": "demo", "uid": "u"}},
        {"target": "x"},
    ],
)
def test_a_tampered_plan_is_refused(changes: dict[str, Any]) -> None:
    bed = approved(Bed(mode="Approve"))
    tamper(bed, **changes)
    before = json.dumps(bed.target["spec"])
    bed.run()
    assert json.dumps(bed.target["spec"]) == before
    assert next(c for c in bed.all() if c.decision).phase == "Failed"


IMAGE = "/spec/jobTemplate/spec/template/spec/containers/0/image"
RESOURCES = CPU.removesuffix("/requests/cpu")


def _victim(plan: dict[str, Any]) -> None:
    plan["target"] = {**plan["target"], "name": "victim", "namespace": "prod"}
    plan["inverse"] = EVIL


def _inverse(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[dict[str, Any]], None]:
    def spoil(plan: dict[str, Any]) -> None:
        plan["inverse"] = json.dumps(change(json.loads(plan["inverse"])))

    return spoil


IN_FLIGHT: dict[str, Callable[[dict[str, Any]], None]] = {
    "another object": _victim,
    "an image more": _inverse(lambda ops: [*ops, {"op": "replace", "path": IMAGE, "value": "evil"}]),
    "another value": _inverse(lambda ops: [*ops[:-1], {**ops[-1], "value": "64"}]),
    "without its tests": _inverse(lambda ops: ops[-1:]),
    "all resources away": _inverse(lambda ops: [*ops, {"op": "remove", "path": RESOURCES}]),
    "nothing": lambda plan: plan.update(inverse="[]"),
    "no plan": lambda plan: plan.clear(),
}


@pytest.mark.parametrize("ground", ["restoring", "rejected", "harm", "applied"])
@pytest.mark.parametrize("how", IN_FLIGHT)
def test_a_plan_edited_while_it_is_verified_writes_nothing_and_says_how_to_undo(how: str, ground: str) -> None:
    bed = applied()
    victim = bed.client.put(CRONJOB, "prod", "victim", spec=json.loads(json.dumps(bed.target["spec"])))
    raw = bed.client.objects[bed.one().ref.path]
    if how == "another object":
        raw["status"]["plan"]["target"]["uid"] = victim["metadata"]["uid"]
    IN_FLIGHT[how](raw["status"]["plan"])
    if ground == "restoring":
        intent = {"type": "Restored", "status": "Unknown", "reason": "InProgress", "message": "about to be taken back"}
        raw["status"]["conditions"].append({**intent, "lastTransitionTime": "2025-10-09T08:53:20Z"})
    elif ground == "rejected":
        bed.decide("Reject")
    elif ground == "harm":
        bed.now += 2 * HOUR + 60.0
        bed.runs(2, 1500.0, seed=5)
    else:
        raw["status"]["phase"] = "Applied"
    before = json.dumps([bed.target, bed.client.objects[CRONJOB.path("prod", "victim")]])
    bed.run()
    bed.run()
    assert json.dumps([bed.target, bed.client.objects[CRONJOB.path("prod", "victim")]]) == before
    assert bed.one().phase == "Conflict"
    reported = bed.message(C.RESTORED)
    assert "as the journal has it: kubectl -n demo patch cronjob etl --type=json" in reported
    assert '"value":"2"' in reported
    assert "evil" not in reported
    assert not bed.pages.journal("change/")
    assert "ChangeConflict" in bed.reported()


def test_a_change_under_verification_follows_its_profile_to_no_other_object() -> None:
    bed = applied()
    bed.client.objects[PROFILES.path("demo", "etl")]["spec"]["workflowRef"]["name"] = "other"
    bed.decide("Reject")
    bed.run()
    assert bed.cpu() == "1500m"
    assert "is not the workflow of its profile (CronJob other)" in bed.message(C.RESTORED)
    assert "as the journal has it: kubectl -n demo patch cronjob etl --type=json" in bed.message(C.RESTORED)


def test_nobody_is_handed_a_command_that_was_edited() -> None:
    bed = applied()
    tamper(bed, inverse=EVIL)
    bed.delete(PROFILES, "etl")
    bed.run()
    assert bed.one().phase == "Conflict"
    assert "as the journal has it: kubectl -n demo patch cronjob etl" in bed.message(C.RESTORED)


def test_a_journal_that_was_damaged_is_not_applied() -> None:
    bed = applied()
    (key,) = bed.pages.journal("change/")
    body = json.loads(bed.pages.rows[key])
    body["status"]["plan"]["inverse"] = EVIL
    bed.pages.rows[key] = json.dumps(body)
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.cpu() == "1500m"
    assert jsonpatch.find(bed.target, IMAGE)[1] == "x"
    assert any("the journal cannot roll it back" in p for p in bed.problems)
    assert not bed.pages.journal("change/")
    assert len(bed.pages.journal("deleted/")) == 1


def test_a_plan_edited_in_the_moment_before_the_write_is_looked_at_again() -> None:
    bed = approved(Bed(mode="Approve"))
    path, inner = bed.one().ref.path, bed.client.request

    def late(method: str, at: str, **kwargs: Any) -> dict[str, Any]:
        if method == "GET" and at == path:
            tamper(bed, inverse=EVIL)
        return inner(method, at, **kwargs)

    bed.client.request = late  # type: ignore[method-assign]
    bed.run()
    assert (bed.cpu(), bed.client.target_writes) == ("2", [])
    bed.client.request = inner  # type: ignore[method-assign]
    bed.run()
    assert next(c for c in bed.all() if c.decision).phase == "Failed"


def forge(bed: Bed, source: WorkflowChangeView, patch: str, **spec: Any) -> None:
    """A self-consistent forgery: patch and digest fit each other."""
    from concertmaster.core.changes.plan import digest_of

    assert source.target is not None
    operations = json.loads(patch)
    inverse = json.dumps(undoing(operations) or json.loads(source.status["plan"]["inverse"]))
    digest = digest_of("demo", "etl", "cpu-request.job", source.target, operations)
    status = {**source.status, "plan": {**source.status["plan"], "patch": patch, "inverse": inverse}}
    base = {"profileRef": {"name": "etl"}, "recommendation": "cpu-request.job", "planDigest": digest, **spec}
    bed.client.put(CHANGES, "demo", "forged", spec=base, status=status)


def test_a_consistent_forgery_is_not_what_the_evidence_says() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    source = bed.one()
    bed.delete(CHANGES, source.name)
    forge(bed, source, json.dumps([{"op": "test", "path": CPU, "value": "2"}, *json.loads(BIGGER)]), decision="Approve")
    bed.run()
    assert bed.cpu() == "2"
    assert next(c for c in bed.all() if c.name == "forged").phase == "Superseded"


def test_a_plan_that_is_nested_without_end_stops_no_other_change() -> None:
    bed = applied()
    spec = {"profileRef": {"name": "other"}, "recommendation": "cpu-request.x", "planDigest": "f" * 64}
    target = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "other", "uid": "uid"}
    verified = {"type": "Verified", "status": "True", "lastTransitionTime": "2026-01-02T00:00:00Z"}
    status = {"phase": "Completed", "verdict": "Improved", "plan": {"patch": "[" * 16_000, "target": target}}
    bed.client.put(CHANGES, "demo", "nested", spec=spec, status={**status, "conditions": [verified]})
    bed.now += 2 * HOUR + 60.0
    bed.runs(2, 1500.0, seed=9)
    bed.run(0.0)
    change = next(c for c in bed.all() if c.name != "nested")
    assert (change.verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_a_consistent_forgery_of_an_image_is_refused() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    source = bed.one()
    bed.delete(CHANGES, source.name)
    forge(bed, source, EVIL, decision="Approve")
    bed.run()
    assert next(c for c in bed.all() if c.name == "forged").phase == "Failed"
    assert "only parallelism and containers' requests" in str(
        next(c for c in bed.all() if c.name == "forged").condition(C.APPROVED)["message"]
    )


def test_a_hand_made_object_is_refused() -> None:
    bed = Bed(mode="Approve")
    spec = {"profileRef": {"name": "etl"}, "recommendation": "cpu-request.job", "planDigest": "f" * 64}
    bed.client.put(CHANGES, "demo", "mine", spec={**spec, "decision": "Approve"})
    bed.run()
    mine = next(c for c in bed.all() if c.name == "mine")
    assert mine.phase == "Failed"
    assert "did not create" in str(mine.condition(C.APPROVED)["message"])
    assert bed.cpu() == "2"


def test_an_object_whose_maker_died_before_the_plan_was_written_is_not_called_a_forgery_when_a_recommendation_moves() -> (
    None
):
    bed = Bed(mode="Approve")
    bed.mortal.points, bed.mortal.die_at = 0, (2, "after")  # the journal's note, then the object
    with pytest.raises(Died):
        bed.run()
    assert bed.one().status == {}
    bed.items = [cheaper(proposed="1600m")]
    bed.start()
    bed.run()
    assert sorted(c.phase for c in bed.all()) == ["Proposed", "Superseded"]
    imitation = {"profileRef": {"name": "etl"}, "recommendation": "cpu-request.job"}
    waiting = next(c for c in bed.all() if c.phase == "Proposed")
    bed.client.put(CHANGES, "demo", "mine", spec={**imitation, "planDigest": waiting.digest, "decision": "Approve"})
    bed.run()
    assert next(c for c in bed.all() if c.name == "mine").phase == "Failed"
    assert bed.cpu() == "2"


def test_a_recommendation_that_moves_a_little_keeps_the_proposal_and_much_replaces_it() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    first = bed.one()
    bed.items = [cheaper(proposed="1550m")]
    bed.run()
    assert bed.one().name == first.name
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "1500m"  # what was approved, not what came after
    far = Bed(mode="Approve")
    far.run()
    far.items = [cheaper(proposed="1100m")]
    far.run()
    far.run()
    assert sorted(c.phase for c in far.all()) == ["Proposed", "Superseded"]


def test_a_moved_plan_is_not_believed_without_the_journal() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.pages.rows.clear()
    bed.items = [cheaper(proposed="1550m")]
    name = bed.one().name
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "2"
    assert {c.name: c.phase for c in bed.all()}[name] == "Superseded"


def test_a_recommendation_that_is_gone_takes_its_proposal_along() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.items = None  # not analysed yet by a new process: nothing is known
    bed.run()
    assert bed.one().phase == "Proposed"
    bed.items = []
    bed.run()
    assert bed.one().phase == "Superseded"


# --- foreign hands


def test_a_foreign_edit_before_the_write_is_a_conflict_and_never_overwritten() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.edit(CPU, "3")
    bed.decide("Approve")
    bed.run()
    assert bed.one().phase == "Conflict"
    assert bed.cpu() == "3"


def test_a_foreign_edit_in_the_last_moment_fails_the_test_and_is_kept() -> None:
    bed = Bed()
    path = CRONJOB.path("demo", "etl")
    bed.client.before_write = lambda p: bed.edit(CPU, "3") if p == path and bed.cpu() == "2" else None
    bed.run()
    assert bed.cpu() == "3"
    assert bed.one().phase == "Conflict"


def test_a_touch_in_the_last_moment_only_delays() -> None:
    bed = Bed()
    touched = []

    def touch(path: str) -> None:
        if path == CRONJOB.path("demo", "etl") and not touched:
            touched.append(path)
            bed.edit("/spec/suspend", True)

    bed.client.before_write = touch
    bed.run()
    assert bed.cpu() == "2"
    assert bed.one().phase == "Proposed"
    bed.run()
    assert bed.cpu() == "1500m"


def test_a_status_that_another_operator_wrote_meanwhile_is_read_again_and_not_overwritten() -> None:
    bed = approved(Bed(mode="Approve"))
    path, written = bed.one().ref.path, []

    def other(at: str) -> None:
        if at.startswith(path) and not written:
            written.append(at)
            change = bed.client.objects[path]
            change["metadata"]["resourceVersion"] = "other"
            change["status"]["observedGeneration"] = 77

    bed.client.before_write = other
    bed.run()
    assert written
    assert bed.one().status["observedGeneration"] == 77
    assert (bed.cpu(), bed.problems) == ("2", [])
    bed.run()
    assert bed.cpu() == "1500m"


@pytest.mark.parametrize("value", ["3", "2"])
def test_a_foreign_edit_of_the_field_during_the_verification_ends_it(value: str) -> None:
    bed = applied()
    bed.edit(CPU, value)
    bed.run()
    assert bed.one().phase == "Conflict"
    assert bed.cpu() == value
    later(bed, 3, 3000.0)
    assert bed.cpu() == value


def test_a_list_older_than_the_write_is_not_mistaken_for_somebodys_edit() -> None:
    """What cannot be listed just now keeps its last known state, which is that before the change."""
    bed = applied()
    bed.client.lists[CRONJOB.path()] = errors.Unreachable("reset")
    bed.run()
    assert bed.one().phase == "Verifying"
    del bed.client.lists[CRONJOB.path()]
    bed.run()
    later(bed, 3, 3000.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_a_foreign_edit_that_no_list_has_shown_is_not_called_kept() -> None:
    bed = applied(cooldown="0s")
    bed.run()  # lists it as it was written
    bed.edit(CPU, "2")
    bed.client.lists = {CRONJOB.path(): errors.Unreachable("reset")}
    later(bed, 12, cpu=0.75)
    for _ in range(3):
        bed.client.lists = {}
        bed.run()
    later(bed, 6)  # those before may have been with the values of the change
    ended, question = sorted(bed.all(), key=lambda c: c.phase)
    assert (ended.phase, ended.verdict, ended.condition(C.RESTORED)["reason"]) == ("Conflict", None, "Conflict")
    assert (question.phase, bed.cpu()) == ("Proposed", "2")  # for 30 days a person decides


def test_another_order_of_the_list_is_not_written_into() -> None:
    bed = applied()
    base = "/spec/jobTemplate/spec/template/spec/containers"
    rows = jsonpatch.find(bed.target, base)[1]
    bed.edit(base, [{"name": "side", "image": "y", "resources": {"requests": {"cpu": "1500m"}}}, *rows])
    bed.run()
    assert bed.one().phase == "Conflict"
    assert jsonpatch.find(bed.target, CPU)[1] == "1500m"


def test_another_change_of_the_template_ends_the_verification_with_what_is_known() -> None:
    bed = applied()
    later(bed, 2)
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", "y")
    bed.run()
    done = bed.one()
    assert (done.phase, done.verdict) == ("Completed", Verdict.INCONCLUSIVE)
    assert "changed otherwise" in bed.message(C.VERIFIED)
    assert bed.cpu() == "1500m"


@pytest.mark.parametrize(("what_follows", "cpu"), [("Keep", "1500m"), ("Restore", "2")])
def test_a_workflow_that_is_not_understood_any_more_ends_the_proof_in_time(
    monkeypatch: pytest.MonkeyPatch, what_follows: str, cpu: str
) -> None:
    """No run would ever: it stayed in progress, and nothing else was changed, until somebody edited the workflow again."""
    bed = applied(verify={"maxAge": "2d", "onInconclusive": what_follows})
    monkeypatch.setattr(definitions, "define", lambda *_, **__: None)
    bed.edit("/metadata/labels", {"edited": "yes"})
    bed.run(DAY)
    assert bed.one().phase == "Verifying"
    bed.run(DAY)
    assert (bed.one().phase, bed.one().verdict, bed.cpu()) == ("Completed", Verdict.INCONCLUSIVE, cpu)
    assert "within 2d00h: CronJob etl defines no workflow the operator can read" in bed.message(C.VERIFIED)


def test_a_target_deleted_or_made_anew_is_left_alone() -> None:
    bed = applied()
    bed.delete(CRONJOB, "etl")
    bed.run()
    assert bed.one().phase == "Conflict"
    again = applied()
    again.delete(CRONJOB, "etl")
    again.cronjob(cpu="1500m")
    again.run()
    assert again.one().phase == "Conflict"
    assert again.cpu() == "1500m"


# --- policy, profile or change gone while it is in progress


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("suspend", "OptimizationPolicy/team is suspended"),
        ("recommend", "OptimizationPolicy/team only recommends (apply.mode)"),
        ("delete", "no policy in force selects it"),
    ],
)
def test_without_a_policy_nothing_more_is_written_and_the_change_says_how_to_undo(how: str, why: str) -> None:
    bed = applied()
    if how == "delete":
        bed.delete(POLICIES, "team")
    else:
        bed.policy(suspend=how == "suspend", mode="Recommend" if how == "recommend" else "Auto")
    later(bed, 3, 3000.0)
    assert bed.cpu() == "1500m"
    assert bed.state(C.ORPHANED) == ("True", "PolicyGone")
    assert bed.message(C.ORPHANED).startswith(why)
    assert "kubectl -n demo patch cronjob etl" in bed.message(C.ORPHANED)
    bed.writes()
    bed.run()
    assert bed.writes() == []
    if how != "delete":
        bed.policy()
        bed.run()
        bed.run()
        assert bed.cpu() == "2"


@pytest.mark.parametrize("what", ["profile", "policy"])
def test_what_cannot_be_read_any_more_orphans_a_change_until_it_can(what: str) -> None:
    """Valid for another version, say: whether it would still allow changes is not known, and nobody may be left to guess."""
    bed = applied()
    resource, name = (PROFILES, "etl") if what == "profile" else (POLICIES, "team")
    spec = bed.client.objects[resource.path("demo", name)]["spec"]
    wrong = {"workflowRef": {"name": 5}} if what == "profile" else {"apply": {"mode": "Auto", "cooldown": "soon"}}
    bed.client.objects[resource.path("demo", name)]["spec"] = {**spec, **wrong}
    later(bed, 3, 3000.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert bed.state(C.ORPHANED) == ("True", "InvalidSpec" if what == "profile" else "PolicyGone")
    said = bed.message(C.ORPHANED)
    assert said.startswith(
        "WorkflowProfile etl cannot be read: spec.workflowRef."
        if what == "profile"
        else "OptimizationPolicy/team is invalid and not in force; "
    )
    assert "To roll the change back: kubectl -n demo patch cronjob etl" in said
    assert "delete this object" not in said
    assert "ChangeOrphaned" in bed.reported()
    bed.writes()
    bed.run()
    assert bed.writes() == []
    bed.client.objects[resource.path("demo", name)]["spec"] = spec
    bed.run()
    assert (bed.one().verdict, bed.cpu(), bed.state(C.ORPHANED)[0]) == (Verdict.WORSE, "2", "False")


def test_a_decision_waits_for_a_profile_that_cannot_be_read() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.decide("Approve")
    profile = bed.client.objects[PROFILES.path("demo", "etl")]
    spec, profile["spec"] = profile["spec"], {"workflowRef": {"name": 5}}
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Proposed", "2")
    profile["spec"] = spec
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


@pytest.mark.parametrize("how", ["undone", "deleted"])
def test_a_change_that_a_person_undid_without_a_policy_has_ended(how: str) -> None:
    """Its condition says how, and otherwise asks for it for ever."""
    bed = applied()
    bed.policy(suspend=True)
    bed.run()
    assert bed.state(C.ORPHANED) == ("True", "PolicyGone")
    if how == "undone":
        bed.edit(CPU, "2")
    else:
        bed.delete(CRONJOB, "etl")
    bed.run()
    assert bed.one().phase == "Conflict"
    assert bed.state(C.RESTORED) == ("False", "Conflict")
    assert not bed.pages.journal("change/")


def test_a_proposal_without_a_policy_is_withdrawn() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.policy(suspend=True)
    bed.decide("Approve")
    bed.run()
    assert bed.one().phase == "Superseded"
    assert bed.cpu() == "2"


def test_a_deleted_profile_orphans_its_changes() -> None:
    bed = applied()
    bed.delete(PROFILES, "etl")
    bed.run()
    assert bed.state(C.ORPHANED) == ("True", "ProfileGone")
    bed.writes()
    bed.run()
    assert bed.writes() == []
    assert bed.cpu() == "1500m"


def test_a_change_without_a_profile_is_an_orphan_where_its_target_may_not_be_read() -> None:
    bed = applied()
    bed.delete(PROFILES, "etl")

    def forbid(method: str, path: str) -> None:
        if (method, path) == ("GET", CRONJOB.path("demo", "etl")):
            raise errors.Forbidden("no", status=403)

    bed.client.on_request = forbid
    bed.run()
    assert (bed.state(C.ORPHANED), bed.problems) == (("True", "ProfileGone"), [])


@pytest.mark.parametrize("how", ["undone", "edited", "deleted"])
def test_a_change_that_a_person_undid_without_a_profile_has_ended(how: str) -> None:
    bed = applied()
    bed.delete(PROFILES, "etl")
    bed.run()
    assert bed.one().phase == "Verifying"
    if how == "deleted":
        bed.delete(CRONJOB, "etl")
    else:
        bed.edit(CPU, "2" if how == "undone" else "3")
    bed.run()
    assert bed.one().phase == "Conflict"
    assert bed.state(C.RESTORED) == ("False", "Conflict")
    assert not bed.pages.journal("change/")


@pytest.mark.parametrize("how", ["undone", "kept"])
def test_a_change_that_has_ended_is_no_orphan(how: str) -> None:
    """The condition has a command, which rolls back what nobody has set any more, or what was kept."""
    bed = applied()
    bed.policy(suspend=True)
    bed.run()
    if how == "undone":
        bed.edit(CPU, "2")
    else:
        bed.policy()
        later(bed, 12)
    bed.run()
    assert bed.one().phase == ("Conflict" if how == "undone" else "Completed")
    assert bed.one().is_(C.ORPHANED) is False
    assert "kubectl" not in bed.message(C.ORPHANED)


def test_what_one_change_cannot_read_delays_no_rollback_of_another() -> None:
    bed = Bed(cooldown="0s", maxInFlight=2)
    memory = recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")
    bed.items = [cheaper(), memory]
    bed.run()
    bed.run()
    broken, other = bed.all()
    assert {broken.phase, other.phase} == {"Verifying"}
    for change in (broken, other):
        bed.decide("Reject", change.name)

    def fail(method: str, path: str) -> None:
        if (method, path) == ("GET", broken.ref.path):
            raise errors.Busy("the conversion webhook fails", status=500)

    bed.client.on_request = fail
    bed.run()
    assert [c.phase for c in bed.all()] == ["Verifying", "Completed"]


def test_a_profile_that_is_to_be_withdrawn_makes_no_further_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays until its changes are decided, which would never be with another one each time."""
    bed = Bed()
    build = bed.stage.build
    uid = bed.client.objects[PROFILES.path("demo", "etl")]["metadata"]["uid"]
    monkeypatch.setattr(bed.stage, "build", lambda *a, **k: replace(build(*a, **k), held=frozenset({uid})))
    bed.run()
    bed.run()
    assert bed.all() == []
    assert bed.cpu() == "2"


@pytest.mark.parametrize("gone", [(PROFILES,), (PROFILES, CHANGES)])
def test_changes_of_another_shard_are_left_to_it(gone: tuple[Resource, ...]) -> None:
    """The list and the journal hold those of all shards; profiles of others are not among this one's."""
    bed = applied()
    bed.owns = lambda namespace: namespace != "demo"
    bed.writes()
    for kind in gone:
        bed.delete(kind, "etl" if kind is PROFILES else bed.one().name)
    bed.run()
    assert bed.writes() == []
    assert bed.cpu() == "1500m"
    assert bed.pages.journal("change/")
    bed.owns = lambda _: True  # taken over
    bed.run()
    assert bed.writes() or CHANGES in gone, "what was deleted of a profile that is gone is told and left"


@pytest.mark.parametrize("restart", [False, True])
def test_a_change_deleted_in_flight_is_taken_back_from_the_journal(restart: bool) -> None:
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    if restart:
        bed.start()
    bed.run()
    assert bed.cpu() == "2"
    assert not bed.pages.journal("change/")
    assert "ChangeRolledBack" in bed.reported()
    bed.run()
    assert bed.all() == []  # the cooldown holds
    bed.run(3 * HOUR)
    bed.run()
    assert bed.cpu() == "2"  # whoever deletes it is asked before it is made again
    assert bed.one().phase == "Proposed"
    bed.run(31 * DAY)
    assert bed.cpu() == "1500m"


def with_a_profile_of_ones_own(bed: Bed) -> None:
    """It replaces the one that discovery created."""
    spec = bed.client.objects[PROFILES.path("demo", "etl")]["spec"]
    bed.delete(PROFILES, "etl")
    bed.client.put(PROFILES, "demo", "mine", spec=spec)


def test_whoever_deletes_a_change_is_also_asked_where_the_workflow_has_got_another_profile() -> None:
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.cpu() == "2"
    with_a_profile_of_ones_own(bed)
    bed.run(3 * HOUR)
    bed.run()
    assert (bed.one().profile, bed.one().phase, bed.cpu()) == ("mine", "Proposed", "2")


def test_a_rejection_and_the_cooldown_hold_where_the_workflow_has_got_another_profile() -> None:
    bed = applied()
    bed.decide("Reject", bed.one().name)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")
    with_a_profile_of_ones_own(bed)
    bed.run()
    assert [c.profile for c in bed.all()] == ["etl"]  # the cooldown
    bed.run(3 * HOUR)
    bed.run()
    assert [(c.profile, c.phase) for c in bed.all()] == [("etl", "Completed"), ("mine", "Proposed")]
    assert bed.cpu() == "2"


def test_a_deleted_change_whose_policy_is_gone_is_reported_and_left() -> None:
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    bed.policy(suspend=True)
    bed.run()
    assert bed.cpu() == "1500m"
    assert any("To roll the change back: kubectl -n demo patch" in p for p in bed.problems)
    (event,) = (o for o in bed.client.objects.values() if o.get("reason") == "ChangeOrphaned")
    assert "because no policy allows changes now. To roll it back: kubectl -n demo patch" in event["note"]


def test_a_deleted_change_is_reported_and_left_where_another_profile_is_used_for_changes() -> None:
    """It was neither for good: that profile's policy never is the one that its source says."""
    bed = applied()
    same = bed.client.objects[PROFILES.path("demo", "etl")]["spec"]
    bed.client.put(PROFILES, "demo", "a", spec=same)  # as old, and first by name
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.cpu() == "1500m" and bed.pages.journal("change/") == {}
    assert any("To roll the change back: kubectl -n demo patch" in p for p in bed.problems)


def test_an_event_about_a_deleted_change_has_the_whole_command_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are cut off at 1,000 bytes, and a command for several fields may be longer."""
    monkeypatch.setattr(recovery, "MAX_NOTE", 300)
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    bed.policy(suspend=True)
    bed.run()
    (event,) = (o for o in bed.client.objects.values() if o.get("reason") == "ChangeOrphaned")
    assert "kubectl" not in event["note"]
    assert "because no policy allows changes now. The operator's log has the command" in event["note"]


def test_a_deleted_change_is_not_given_up_for_a_policy_that_was_suspended_a_moment_ago() -> None:
    """The watch lags behind: what it shows is no reason to forget how to roll the change back."""
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    bed.policy(suspend=True)
    bed.client.on_request = lambda method, path: bed.policy() if method == "LIST" else None
    bed.run()
    assert (bed.cpu(), bed.problems) == ("1500m", [])
    bed.run()
    assert bed.cpu() == "2"


def test_changes_that_cannot_be_listed_stop_everything() -> None:
    bed = applied()
    later(bed, 1)
    bed.client.lists[CHANGES.path()] = errors.Forbidden("no", status=403)
    bed.now += 3 * HOUR
    bed.runs(3, 3000.0, seed=9)
    bed.run()
    assert bed.cpu() == "1500m"
    assert "nothing is changed" in bed.problems[0]


# --- refusals of the server


def test_a_refused_dry_run_fails_the_plan_for_good() -> None:
    bed = Bed()
    refusal = errors.Rejected("denied by admission webhook", status=422, reason="Invalid")
    bed.client.faults["DRY", CRONJOB.path("demo", "etl")] = [refusal]
    bed.run()
    assert bed.one().phase == "Failed"
    assert "admission webhook" in bed.message(C.APPLIED)
    assert bed.cpu() == "2"
    bed.run()
    assert len(bed.all()) == 1
    bed.run(HOUR)
    assert len(bed.client.target_writes) == 1  # a repetition under another name, once the server agrees


@pytest.mark.parametrize(
    ("pointer", "value"),
    [(CPU, "1800m"), (MEMORY, "9Gi"), ("/spec/jobTemplate/spec/parallelism", 3)],
    ids=["the value itself", "one beside it", "another field"],
)
def test_what_admission_would_make_of_a_plan_is_not_written(pointer: str, value: Any) -> None:
    bed = Bed()
    before = copy.deepcopy(bed.target["spec"])
    bed.client.mutates = [{"op": "add", "path": pointer, "value": value}]
    bed.run()
    assert bed.one().phase == "Failed"
    assert f"admission would store {json.dumps(value)} at {pointer}" in bed.message(C.APPLIED)
    for _ in range(3):
        bed.run()
    assert bed.target["spec"] == before
    assert bed.client.target_writes == []


def test_an_answer_that_never_came_is_looked_up() -> None:
    path = CRONJOB.path("demo", "etl")
    bed = Bed()
    bed.client.faults["PATCH", path] = [errors.Unreachable("timed out")]
    bed.run()
    assert bed.one().phase == "Applied"
    assert bed.cpu() == "2"
    for _ in range(4):
        bed.run()
    assert bed.cpu() == "1500m"
    assert len(bed.client.target_writes) == 1


def test_a_right_lost_while_proving_does_not_lose_the_inverse() -> None:
    bed = applied()
    path = CRONJOB.path("demo", "etl")
    bed.client.faults["DRY", path] = [errors.Forbidden("no", status=403)]
    later(bed, 2, 1500.0)
    assert bed.cpu() == "1500m"
    assert bed.one().phase == "Verifying"
    assert any("not rolled back yet" in p for p in bed.problems)
    bed.run()
    assert bed.cpu() == "2"
    assert bed.one().phase == "Completed"


def test_without_room_for_the_journal_nothing_is_changed_but_harm_is_taken_back() -> None:
    bed = Bed()
    bed.pages.full = True
    bed.run()
    assert bed.cpu() == "2"
    assert bed.problems
    bed.pages.full = False
    bed.run()
    assert bed.cpu() == "1500m"
    bed.pages.full = True
    later(bed, 2, 1500.0)
    assert bed.cpu() == "2"
    assert any("journal cannot be written" in p for p in bed.problems)


@pytest.mark.parametrize("kind", ["readonly", "full"])
@pytest.mark.parametrize("other", ["deleted", "finished"])
def test_a_journal_that_cannot_be_written_does_not_keep_harm_elsewhere_from_being_taken_back(
    kind: str, other: str
) -> None:
    bed = applied()
    body = json.loads(next(iter(bed.pages.journal("change/").values())))
    body["metadata"] |= {"uid": "u-other", "name": "other"}
    if other == "finished":
        done = bed.client.put(CHANGES, "demo", "other", spec=body["spec"], status={"phase": "Superseded"})
        body["metadata"]["uid"] = done["metadata"]["uid"]
    else:
        body["spec"]["profileRef"]["name"] = "gone"
    bed.pages.rows["change/" + body["metadata"]["uid"]] = json.dumps(body)
    setattr(bed.pages, kind, True)
    later(bed, 2, 1500.0)
    assert bed.cpu() == "2"
    done_ = next(c for c in bed.all() if c.name != "other")
    assert (done_.phase, done_.verdict) == ("Completed", Verdict.WORSE)
    assert "ChangeRolledBack" in bed.reported()
    assert any("journal cannot be written" in p for p in bed.problems)
    setattr(bed.pages, kind, False)
    bed.run()
    assert not bed.pages.journal("change/")
    assert bed.counted("restored_total", ground="verification") == 1.0


def test_a_deleted_change_is_taken_back_without_a_note_which_is_made_up_for() -> None:
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    bed.pages.full = True  # no room for the note, while the entry could be dropped
    bed.run()
    assert bed.cpu() == "2"
    assert bed.pages.journal("change/")
    bed.pages.full = False
    bed.run()
    assert not bed.pages.journal("change/")
    assert len(bed.pages.journal("deleted/")) == 1
    assert bed.reported().count("ChangeRolledBack") == 1


@pytest.mark.parametrize("how", ["kept", "conflict", "applied"])
def test_what_ends_without_a_journal_is_counted_and_reported_all_the_same(how: str) -> None:
    bed = Bed() if how == "applied" else applied()
    if how == "applied":
        path = CRONJOB.path("demo", "etl")
        bed.client.before_write = lambda p: setattr(bed.pages, "readonly", bed.pages.readonly or p == path)
        bed.run()
    else:
        bed.pages.readonly = True
        if how == "conflict":
            bed.edit(CPU, "3")
        later(bed, 12, cpu=0.75)
    event, count, labels = {
        "kept": ("ChangeKept", "verdicts_total", {"verdict": "Improved"}),
        "conflict": ("ChangeConflict", "conflicts_total", {}),
        "applied": ("ChangeApplied", "applied_total", {}),
    }[how]
    assert event in bed.reported()
    assert bed.counted(count, **labels) == 1.0
    reported = any("journal cannot be written" in p for p in bed.problems)
    assert reported is (how != "applied")  # which was noted before


def test_a_fault_of_the_stage_itself_is_a_problem_and_not_the_end_of_the_cycle() -> None:
    bed = applied()
    bed.pages.journal = lambda prefix="": {prefix: str(1 / 0)}  # type: ignore[method-assign]
    bed.run()
    assert any("the changes failed (ZeroDivisionError)" in p for p in bed.problems)


def test_a_journal_that_cannot_be_read_stops_everything() -> None:
    bed = Bed()
    bed.pages.lost = True
    bed.run()
    assert bed.all() == []
    assert "nothing is changed while the journal" in bed.problems[0]


# --- pruning


def test_finished_changes_are_pruned_and_those_with_a_verdict_last() -> None:
    bed = Bed(mode="Approve", changeHistoryLimit=2, minChangePercent=10)
    for i in range(4):
        bed.items = [cheaper(proposed=f"{1100 + 200 * i}m")]
        bed.run()
    finished = [c for c in bed.all() if c.phase == "Superseded"]
    assert len(finished) == 2


def test_a_rejected_plan_is_not_proposed_again_when_an_earlier_attempt_at_it_is_gone() -> None:
    bed = Bed(mode="Approve")
    bed.run()
    first = bed.one().name
    for item in (cheaper(proposed="1100m"), cheaper()):
        bed.items = [item]
        bed.run()
    bed.decide("Reject", f"{first}-2")
    bed.run()
    bed.delete(CHANGES, first)
    bed.run()
    bed.run()
    assert first not in [c.name for c in bed.all()]


def test_what_a_person_rejected_is_pruned_after_what_nobody_decided() -> None:
    """For 30 days its rule waits for a decision, which only the rejected change says."""
    bed = Bed(changeHistoryLimit=2)
    bed.run()
    bed.decide("Reject")
    bed.run()
    bed.run()
    rejected = next(c.name for c in bed.all() if c.decision == "Reject")
    bed.client.objects[CHANGES.path("demo", rejected)]["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    for value in ("1000m", "1300m", "1700m", "1100m", "1400m"):
        bed.items = [cheaper(proposed=value)]
        bed.run(3 * HOUR)
        bed.run()
    assert rejected in [c.name for c in bed.all()]
    assert bed.cpu() == "2"


def test_finished_changes_of_a_deleted_profile_are_pruned_in_the_end() -> None:
    """Profiles of templates with a version in their name are deleted with each release: their changes were kept for good."""
    bed = applied()
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.one().status["restored"]) == ("Completed", True)
    bed.delete(PROFILES, "etl")
    bed.run(89 * 24 * HOUR)
    assert len(bed.all()) == 1, "the profile may be made anew"
    bed.run(24 * HOUR)
    assert bed.all() == []
    assert bed.cpu() == "2"


def test_changes_of_a_deleted_profile_that_may_not_be_deleted_are_no_failure() -> None:
    """apply.enabled was turned off since: a problem in each cycle would raise the alert that none succeeds."""
    bed = applied()
    later(bed, 2, 1500.0)
    bed.delete(PROFILES, "etl")
    bed.client.faults["DELETE", bed.one().ref.path] = [errors.Forbidden("no", status=403)]
    bed.run(90 * 24 * HOUR)
    assert len(bed.all()) == 1 and not bed.problems
    bed.run()
    assert bed.all() == []


def test_the_journal_forgets_the_plan_of_a_change_that_is_pruned() -> None:
    """Else it would grow by each change there ever was."""
    bed = applied()
    later(bed, 2, 1500.0)
    assert bed.one().verdict is Verdict.WORSE
    assert bed.pages.journal("made/")
    raw = copy.deepcopy(bed.client.objects[bed.one().ref.path])
    meta = {"name": "newer", "creationTimestamp": "2026-01-02T00:00:00Z"}
    spec = {**raw["spec"], "planDigest": "another"}
    bed.client.put(CHANGES, "demo", "newer", metadata=meta, spec=spec, status=raw["status"])
    bed.policy(changeHistoryLimit=1)
    bed.items = []
    bed.run()
    assert [c.name for c in bed.all()] == ["newer"]
    assert bed.pages.journal() == {}


# --- crashes


def story(bed: Bed) -> None:
    """Apply, then harm, then restore: every write there is."""
    bed.run()
    bed.now += 2 * HOUR + 60.0
    rows = bed.history.runs_of["etl"]
    if len(rows) == 30:
        bed.runs(2, 1500.0, seed=5)
    bed.run(0.0)


def points() -> int:
    bed = Bed()
    bed.mortal.points = 0
    story(bed)
    return bed.mortal.points


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_at_any_write_neither_writes_twice_nor_forgets(moment: str) -> None:
    total = points()
    assert total > 8
    for number in range(1, total + 1):
        bed = Bed()
        bed.mortal.points, bed.mortal.die_at = 0, (number, moment)
        with pytest.raises(Died):
            story(bed)
        bed.start()
        for _ in range(4):
            bed.run()
        if len(bed.history.runs_of["etl"]) == 30:
            bed.now += 2 * HOUR + 60.0
            bed.runs(2, 1500.0, seed=5)
        for _ in range(4):
            bed.run()
        where = f"killed {moment} write {number} of {total}"
        values = [o["value"] for ops in bed.client.target_writes for o in ops]
        assert values in (["1500m", "2"], ["1500m"]), where
        done = [c for c in bed.all() if c.verdict is Verdict.WORSE]
        assert len(done) == 1, where
        assert bed.cpu() == "2", where
        assert done[0].status["restored"] is True, where
        assert not bed.pages.journal("change/"), where
        assert [c.phase for c in bed.all()] == ["Completed"], where


def test_memory_kills_after_less_memory_are_seen_at_once() -> None:
    bed = Bed()
    item = recommended(Edit(MEMORY, "1Gi", "600Mi"), id="memory-request.job", rule="memory-request", step="job")
    bed.items = [item]
    bed.run()
    assert jsonpatch.find(bed.target, MEMORY)[1] == "600Mi"
    later(bed, 1, outcome=Outcome.FAILED, reason="OOMKilled")
    assert jsonpatch.find(bed.target, MEMORY)[1] == "1Gi"
    assert bed.one().verdict is Verdict.WORSE


@pytest.mark.parametrize(("proposed", "kept"), [("600Mi", False), ("1300Mi", True)])
@pytest.mark.parametrize("category", [Category.COST, Category.PERFORMANCE, Category.RELIABILITY])
def test_whether_memory_was_lowered_is_read_from_the_plan_and_not_from_its_aim(
    category: Category, proposed: str, kept: bool
) -> None:
    bed = Bed()
    bed.items = [
        recommended(
            Edit(MEMORY, "1Gi", proposed),
            id="memory-request.job",
            rule="memory-request",
            step="job",
            category=category,
        )
    ]
    bed.run()
    assert jsonpatch.find(bed.target, MEMORY)[1] == proposed
    later(bed, 1, outcome=Outcome.FAILED, reason="OOMKilled")
    assert (jsonpatch.find(bed.target, MEMORY)[1] == proposed) is kept


def test_memory_is_lowered_against_what_a_step_took_from_its_template() -> None:
    step, common = (
        "/spec/steps/0/computeResources/requests/memory",
        "/spec/stepTemplate/computeResources/requests/memory",
    )
    add = [{"op": "test", "path": step, "value": None}, {"op": "add", "path": step, "value": "1Gi"}]
    assert lowered_memory(PATCHABLE["Task"], [{"op": "test", "path": common, "value": "2Gi"}, *add])
    assert not lowered_memory(PATCHABLE["Task"], [{"op": "test", "path": common, "value": "512Mi"}, *add])
    assert not lowered_memory(PATCHABLE["Task"], add)
    cpu = [{"op": "test", "path": CPU, "value": "2"}, {"op": "replace", "path": CPU, "value": "1"}]
    assert not lowered_memory(PATCHABLE["CronJob"], cpu)


def test_what_is_in_flight_is_handled_before_the_analysis_and_once() -> None:
    """A cycle that comes no further than its early stage rolls back all the same, and starts nothing."""
    bed = applied()
    bed.now += 2 * HOUR + 60.0
    bed.runs(2, 1500.0, seed=32)
    bed.items = [cheaper(proposed="1600m")]
    bed.run(0.0, early=True)
    assert bed.cpu() == "2"
    assert bed.one().status["restored"] is True
    bed.writes()
    bed.run(0.0)
    assert [w for w in bed.writes() if "cronjobs" in w[1]] == []


def test_a_rejection_during_the_analysis_takes_effect_in_the_same_cycle() -> None:
    bed = applied()
    advance = bed.changes.advance

    def and_then(*arguments: Any, **more: Any) -> list[str]:
        problems = advance(*arguments, **more)
        bed.decide("Reject")
        raw = bed.client.objects[bed.one().ref.path]
        raw["metadata"]["resourceVersion"] = "decided"
        return problems

    bed.changes.advance = and_then  # type: ignore[method-assign]
    bed.run()
    assert bed.cpu() == "2"


def test_each_change_in_flight_takes_one_step_a_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = applied()
    later(bed, 1)
    seen = []
    advance = InProgress.advance
    monkeypatch.setattr(InProgress, "advance", lambda *a, **k: (seen.append(a[2].uid), advance(*a, **k))[1])
    bed.run()
    assert len(seen) == 1


def test_run_times_wait_for_the_query_that_says_what_runs_were_given() -> None:
    bed = applied()
    metric = {"name": "rows", "role": "InputSize", "query": "max by (run) (last_over_time(rows[$window]))"}
    bed.client.objects[POLICIES.path("demo", "team")]["spec"]["extraMetrics"] = [metric]
    runs = bed.history.runs_of["etl"]

    def told() -> None:
        runs[:] = [replace(r, input_size=r.makespan) for r in runs]

    told()
    bed.now += 10 * HOUR + 60.0
    bed.runs(10, 1200.0, seed=2, spread=0.4)
    bed.run(0.0, early=True)
    assert bed.one().phase == "Verifying"
    told()
    bed.run(0.0)
    assert bed.one().verdict != "Worse" and bed.cpu() == "1500m"
