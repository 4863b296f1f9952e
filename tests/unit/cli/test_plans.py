"""``explain`` reads a recommendation back from its command: the same edits, or none at all."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.cli.commands.approve import describe
from concertmaster.cli.plans.reader import PlanReader
from concertmaster.cli.plans.recommendations import edits_of, recommendation_of
from concertmaster.controller.changes.apply import question
from concertmaster.controller.changes.writing.status import new_object, object_name, plan_status
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.plan import plan
from concertmaster.core.model import Edit
from concertmaster.core.model.policy import Policy
from concertmaster.core.times import format_time
from concertmaster.engines import PATCHABLE
from concertmaster.kube.errors import Forbidden
from concertmaster.kube.objects import (
    ADMISSION,
    AUTOSCALERS,
    CHANGES,
    NAMESPACES,
    PODS,
    POLICIES,
    PROFILES,
)
from tests.support.controller.fakes import MemoryClient
from tests.support.core.scenarios import SCENARIOS
from tests.support.resources import CRONJOB, known_resource


@pytest.mark.parametrize("rule", ["right-size", "memory-request", "cpu-request", "parallelism"])
def test_the_edits_of_a_command_are_those_of_the_recommendation(rule: str) -> None:
    scenario = SCENARIOS[rule]()
    items = [r for r in scenario.recommended(rule) if r.edits]
    assert items
    for item in items:
        assert {(e.pointer, e.proposed) for e in edits_of(item.how)} == {(e.pointer, e.proposed) for e in item.edits}
        for edit in edits_of(item.how):
            if (kind := PATCHABLE.get(scenario.manifest["kind"])) is not None and kind.resource(edit.pointer):
                assert edit in [replace(e, sure=False, weight=1.0, share=None) for e in item.edits]


def test_a_command_for_a_task_is_read_back_as_one_for_that_task() -> None:
    patch = '[{"op":"test","path":"/spec/x","value":"2"},{"op":"replace","path":"/spec/x","value":"1"}]'
    assert edits_of(f"kubectl -n demo patch task compile --type=json -p '{patch}'")[0].holder == "compile"
    assert edits_of(f"kubectl -n patch patch task compile --type=json -p '{patch}'")[0].holder == "compile"
    assert edits_of(f"kubectl -n demo patch pipeline ci --type=json -p '{patch}'")[0].holder is None


def test_no_plan_is_made_of_what_another_object_has() -> None:
    """An Argo template that ``templateRef`` names: the command opens its object."""
    client = MemoryClient()
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "name": "marts"}
    profile = client.put(PROFILES, "demo", "marts", spec={"workflowRef": ref})
    item = {"id": "right-size.lib", "action": "Lower it", "how": "kubectl -n demo edit workflowtemplate lib"}
    reported = "\n".join(PlanReader(client, profile).lines(item))
    assert "No automatic change: the operator changes only CronWorkflow marts" in reported


def test_the_plan_of_a_recommendation_on_a_task_is_made_on_the_task_and_names_who_else_runs_it() -> None:
    client, cpu = MemoryClient(), "/spec/steps/0/computeResources/requests/cpu"
    task, pipeline = known_resource("tekton.dev/v1", "Task"), known_resource("tekton.dev/v1", "Pipeline")
    assert pipeline is not None
    client.put(
        task, "demo", "compile", spec={"steps": [{"name": "go", "computeResources": {"requests": {"cpu": "2"}}}]}
    )
    for name in ("ci", "nightly"):
        client.put(pipeline, "demo", name, spec={"tasks": [{"name": "a", "taskRef": {"name": "compile"}}]})
    ref = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}
    profile = client.put(PROFILES, "demo", "ci", spec={"workflowRef": ref})
    client.put(NAMESPACES, None, "demo")
    patch = json.dumps([{"op": "test", "path": cpu, "value": "2"}, {"op": "replace", "path": cpu, "value": "1500m"}])
    how = f"kubectl -n demo patch task compile --type=json -p '{patch}'"
    reported = "\n".join(PlanReader(client, profile).lines({"id": "cpu-request.a", "action": "Lower it", "how": how}))
    assert "Plan: CPU request of container go from 2 to 1500m" in reported
    assert "kind: Task" in reported
    assert "blocked  shared-task       1 other Pipeline (nightly) runs Task compile too" in reported


@pytest.mark.parametrize(
    "how",
    [
        "",
        "kubectl concertmaster explain -n demo etl bottleneck.train",
        'kubectl -n demo patch cronjob etl --type=json -p \'[{"op":"repl…',
        "kubectl -n demo patch cronjob etl -p '{\"spec\":{}}'",
        "echo 'unbalanced",
    ],
)
def test_a_command_that_is_no_whole_patch_gives_no_edits(how: str) -> None:
    assert edits_of(how) == ()


def with_a_cronjob() -> tuple[MemoryClient, str, dict[str, Any]]:
    """A cluster with a CronJob, the pointer to its parallelism, and the spec of its profile."""
    client = MemoryClient()
    client.put(CRONJOB, "demo", "etl", spec={"jobTemplate": {"spec": {"parallelism": 2}}})
    client.put(NAMESPACES, None, "demo")
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}}
    return client, "/spec/jobTemplate/spec/parallelism", spec


def test_of_a_newer_operator_a_plan_is_made_as_far_as_its_profile_can_be_read() -> None:
    client, pointer, spec = with_a_cronjob()
    status = {"recommendations": [{"id": "a", "action": "b", "category": "Sustainability", "state": "Snoozed"}]}
    edit = {"pointer": pointer, "current": "2", "proposed": "4", "novel": True}
    item = {"id": "parallelism", "action": "Raise it", "category": "Sustainability", "edits": [edit]}
    profile = client.put(PROFILES, "demo", "etl", spec=spec, status=status)
    assert f'"path": "{pointer}", "value": 4' in "\n".join(PlanReader(client, profile).lines(item))
    metric = {"name": "energy", "query": "energy[$window]", "role": "Energy"}
    newer = client.put(PROFILES, "demo", "newer", spec={**spec, "extraMetrics": [metric]})
    reported = "\n".join(PlanReader(client, newer).lines(item))
    assert (
        "No automatic change: this version of the command cannot read the WorkflowProfile (spec.extraMetrics[0].role:"
        in reported
    )


def test_a_status_line_without_risk_is_taken_for_risky() -> None:
    found = recommendation_of({"id": "cpu-request.train", "action": "Lower it"})
    assert (found.rule, found.step, found.risk.value) == ("cpu-request", "train", "High")
    assert "WorkflowTemplate" in PATCHABLE


def test_the_right_to_write_is_the_operators_by_the_condition_of_the_policy() -> None:
    """The API server would say whether whoever calls has it: an administrator has, although the operator has not."""
    client, pointer, spec = with_a_cronjob()
    profile = client.put(PROFILES, "demo", "etl", spec=spec, status={})
    item = {"id": "parallelism", "action": "Raise it", "edits": [{"pointer": pointer, "current": "2", "proposed": "4"}]}

    def reported(reason: str, message: str, *, mine: bool) -> str:
        client.allows = lambda _: mine  # type: ignore[method-assign]
        status = "True" if reason == "Granted" else "False" if reason == "Denied" else "Unknown"
        said = {"type": "WriteAccess", "status": status, "reason": reason, "message": message}
        client.put(POLICIES, "demo", "team", spec={"apply": {"mode": "Auto"}}, status={"conditions": [said]})
        lines = "\n".join(PlanReader(client, profile).lines(item)).splitlines()
        return next(" ".join(line.split()) for line in lines if "write-access" in line)

    where = "in namespace demo; nothing is changed there"
    denied = f"mode is Auto, but the operator may not patch cronjobs.batch {where}"
    assert reported("Denied", denied, mine=True).startswith("blocked write-access the operator may not patch CronJob")
    other = f"mode is Auto, but the operator may not patch pipelines.tekton.dev {where}"
    assert reported("Denied", other, mine=False) == "passed write-access the operator may patch CronJob"
    many = "mode is Auto, but the operator may not patch a, patch b, patch c and 4 more; nothing is changed there"
    assert "not known from the policy's condition WriteAccess" in reported("Denied", many, mine=True)
    beside = denied.replace("namespace demo;", "namespace demo-b;")
    assert reported("Denied", beside, mine=False).startswith("passed")
    assert reported("Granted", "the operator may make the changes", mine=False).startswith("passed")
    assert "not known from the policy's condition WriteAccess" in reported(
        "Pending", "the API server could not be asked", mine=True
    )
    autoscalers, _ = AUTOSCALERS[0]
    client.lists[autoscalers.path("demo")] = Forbidden("no", status=403)
    lines = "\n".join(PlanReader(client, profile).lines(item))
    assert f"{autoscalers.kind} objects cannot be listed; you have no right to" in lines


def test_a_plan_of_a_kind_that_somebody_rejected_waits_for_a_decision_as_with_the_operator() -> None:
    client, pointer, spec = with_a_cronjob()
    profile = client.put(PROFILES, "demo", "etl", spec=spec, status={})
    allowed = {"mode": "Auto", "allow": ["Parallelism"], "maxRisk": "High"}
    client.put(POLICIES, "demo", "team", spec={"apply": allowed})
    item = {"id": "parallelism", "action": "Raise it", "risk": "Low"}
    item["edits"] = [{"pointer": pointer, "current": "2", "proposed": "4"}]

    def checked() -> str:
        lines = "\n".join(PlanReader(client, profile).lines(item)).splitlines()
        return next(" ".join(line.split()) for line in lines if line.split()[1:2] == ["mode"])

    assert "rejected" not in checked()
    said = {"profileRef": {"name": "etl"}, "recommendation": "parallelism", "decision": "Reject", "decidedBy": "ana"}
    rejected = {"type": "Approved", "status": "False", "reason": "Rejected", "message": "rejected by ana"}
    ended = {**rejected, "lastTransitionTime": format_time(time.time() - 60.0)}
    client.put(CHANGES, "demo", "c", spec=said, status={"phase": "Completed", "conditions": [ended]})
    assert checked().startswith("blocked mode") and "ana rejected a change of this kind" in checked()


def test_admission_is_judged_as_for_an_operator_that_may_not_try_pods() -> None:
    """Whoever asks may create pods, which says nothing about the operator: webhooks are named all the same."""
    client, pointer = MemoryClient(), "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu"
    webhooks = ADMISSION[0]
    containers = [{"name": "main", "resources": {"requests": {"cpu": "2"}}}]
    pod = {"restartPolicy": "Never", "containers": containers}
    client.put(CRONJOB, "demo", "etl", spec={"jobTemplate": {"spec": {"template": {"spec": pod}}}})
    client.put(NAMESPACES, None, "demo")
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}}
    profile = client.put(PROFILES, "demo", "etl", spec=spec, status={})
    edit = {"pointer": pointer, "current": "2", "proposed": "1500m"}
    item = {"id": "right-size.main", "action": "Lower it", "edits": [edit]}

    def checked() -> str:
        lines = "\n".join(PlanReader(client, profile).lines(item)).splitlines()
        return next(" ".join(line.split()) for line in lines if "pod-admission" in line)

    # The pod before and after the change, refused alike: the trial says nothing.
    client.faults[("POST", PODS.path("demo"))] = [Forbidden("no pods today", status=403) for _ in range(4)]
    assert checked().startswith("passed")
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    client.put(webhooks, None, "mesh", webhooks=[{"name": "pods.mesh", "rules": rules}])
    found = checked()
    assert found.startswith(
        "blocked pod-admission whether the operator may try a pod (apply.trialPods) is not known here"
    )
    assert found.endswith(f"{webhooks.kind} mesh too; without a trial it waits for a decision")


def test_of_a_right_sizing_with_a_limit_the_plan_is_of_what_the_operator_may_set() -> None:
    """It was none: a plan sets no limit, and of sizes the operator leaves out the requests whose limit must move."""
    client = MemoryClient()
    sizes = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "resources": sizes}]}
    client.put(CRONJOB, "demo", "etl", spec={"jobTemplate": {"spec": {"template": {"spec": pod}}}})
    client.put(NAMESPACES, None, "demo")
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}}
    profile = client.put(PROFILES, "demo", "etl", spec=spec, status={})
    at = "/spec/jobTemplate/spec/template/spec/containers/0/resources"
    client.allows = lambda attributes: attributes["resource"] != "pods"  # type: ignore[method-assign]
    moved = (("requests/cpu", "2", "1500m"), ("requests/memory", "1Gi", "2Gi"), ("limits/memory", "1Gi", "2Gi"))
    edits = [{"pointer": f"{at}/{field}", "current": old, "proposed": new} for field, old, new in moved]
    for rule, made in (("right-size", True), ("sidecar-overhead", False)):
        item = {"id": f"{rule}.main", "action": "Right-size it", "edits": edits}
        reported = "\n".join(PlanReader(client, profile).lines(item))
        assert (
            "Plan: CPU request of container main from 2 to 1500m (part of what is recommended)\n" in reported
        ) is made
        assert ("only parallelism and containers' requests are ever changed" in reported) is not made


CPU = "/spec/steps/0/computeResources/requests/cpu"


def with_a_proposal() -> tuple[MemoryClient, dict[str, Any], dict[str, Any]]:
    """A client, the profile of a Pipeline, and its recommendation to lower a Task from 2 cores to 700m, of which the
    proposed change makes one step: to 1 core."""
    client = MemoryClient()
    task = known_resource("tekton.dev/v1", "Task")
    steps = [{"name": "go", "computeResources": {"requests": {"cpu": "2"}}}]
    raw = client.put(task, "demo", "compile", spec={"steps": steps})
    client.put(NAMESPACES, None, "demo")
    ref = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}
    profile = client.put(PROFILES, "demo", "ci", spec={"workflowRef": ref})
    client.put(POLICIES, "demo", "team", spec={"apply": {"mode": "Approve"}})
    edit = Edit(CPU, "2", "700m", "compile")
    lowered = replace(recommendation_of({"id": "cpu-request.a", "action": "Lower it"}), edits=(edit,))
    made = plan(lowered, {**raw, "apiVersion": "tekton.dev/v1", "kind": "Task"}, PATCHABLE, profile="ci",
                namespace="demo", bounds=Policy().apply.bounds)  # fmt: skip
    assert not made.whole
    name = object_name(made)
    message = question(
        WorkflowChangeView(new_object(made, name)), made, "1 other Pipeline (nightly) runs Task compile too"
    )
    asked = {"type": "Approved", "status": "Unknown", "reason": "Waiting", "message": message}
    status = {**plan_status(made), "phase": "Proposed", "conditions": [asked]}
    client.put(CHANGES, "demo", name, spec=new_object(made, name)["spec"], status=status)
    patch = [{"op": "test", "path": CPU, "value": "2"}, {"op": "replace", "path": CPU, "value": "700m"}]
    how = f"kubectl -n demo patch task compile --type=json -p '{json.dumps(patch)}'"
    return client, profile, {"id": "cpu-request.a", "action": "Lower it", "how": how}


def test_a_plan_of_one_step_says_so_beside_the_recommended_value() -> None:
    client, profile, item = with_a_proposal()
    shown = "\n".join(PlanReader(client, profile).lines(item))
    assert "Plan: CPU request of container go from 2 to 1 (part of what is recommended)" in shown
    assert "largest-step      part of what is recommended, within apply.bounds.maxStepPercent" in shown


def test_what_is_committed_is_all_of_it_where_the_operator_would_go_one_step() -> None:
    """The entry for Git was that of the step: a value that is not set yet, which no step sets, was never in it."""
    client, profile, item = with_a_proposal()
    entry = "patches:\n- target: {kind: Task, name: compile}\n  patch: |-\n    - all of it\n"
    item["kustomize"] = entry
    waiting = "\n".join(PlanReader(client, profile).lines(item)).partition("For Git (kustomization.yaml):\n")[2]
    assert "all of it" not in waiting, "what is printed of a proposed change is what is approved"
    for raw in list(client.items(CHANGES.path("demo"))):
        client.delete(CHANGES.path("demo", raw["metadata"]["name"]), uid=raw["metadata"]["uid"])
    shown = "\n".join(PlanReader(client, profile).lines(item))
    assert "Plan: CPU request of container go from 2 to 1 (part of what is recommended)" in shown
    assert "For Git (kustomization.yaml):\n    patches:\n" in shown and "        - all of it\n" in shown


def test_who_may_not_read_the_target_sees_the_plan_of_the_change() -> None:
    client, profile, item = with_a_proposal()
    task = known_resource("tekton.dev/v1", "Task")
    whole = "\n".join(PlanReader(client, profile).lines(item)).partition("  Checks:")[0]

    def get(path: str, **more: Any) -> dict[str, Any]:
        if path == task.path("demo", "compile"):
            raise Forbidden("tasks is forbidden", status=403)
        return MemoryClient.get(client, path, **more)

    client.get = get  # type: ignore[method-assign]
    shown = "\n".join(PlanReader(client, profile).lines(item))
    assert "No automatic change" not in shown
    assert shown.partition("  Checks:")[0] == whole
    assert "Checks: unknown, because the object cannot be read (tasks is forbidden)" in shown


def test_before_approving_it_is_said_who_else_runs_the_object() -> None:
    client, _, _ = with_a_proposal()
    (raw,) = client.items(CHANGES.path("demo"))
    shown = describe(WorkflowChangeView(raw))
    assert "CPU request of container go from 2 to 1 (part of what is recommended)" in shown
    assert "\n  note: 1 other Pipeline (nightly) runs Task compile too\n" in shown
    assert "kubectl concertmaster approve" not in shown


def test_a_profile_without_an_object_says_that_the_operator_has_nothing_to_change() -> None:
    client = MemoryClient()
    selector = {"apiVersion": "batch/v1", "kind": "Job", "namePrefix": "import-"}
    profile = client.put(PROFILES, "demo", "import", spec={"runSelector": selector})
    shown = "\n".join(PlanReader(client, profile).lines({"id": "right-size", "action": "Lower it"}))
    assert "No automatic change: the operator changes only the object that spec.workflowRef of a profile names" in shown


def test_the_right_to_write_is_not_checked_where_nothing_is_written() -> None:
    client, pointer, spec = with_a_cronjob()
    profile = client.put(PROFILES, "demo", "etl", spec=spec, status={})
    item = {"id": "parallelism", "action": "Raise it", "edits": [{"pointer": pointer, "current": "2", "proposed": "4"}]}
    shown = "\n".join(PlanReader(client, profile).lines(item))
    assert "the operator's right to patch CronJob is not checked in mode Recommend" in shown
