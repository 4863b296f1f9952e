"""Assignment as a whole, and definitions from many objects at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import (
    ContainerFact,
    Outcome,
    PodFact,
    StepExecution,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.core.schedules.starts import next_run, readable, upcoming
from concertmaster.core.units import DAY, HOUR
from concertmaster.engines import assign, by_object, define_all, merge_executions
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.common.executions import execution, merge_facts
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.tekton.traits import TEKTON
from tests.support.engines.argo_oracle import Controller, leaf, pods, template

SPEC = {
    "entrypoint": "main",
    "templates": [{"name": "main", "steps": [[{"name": "a", "template": "run"}]]}, leaf("run")],
}
CRON = template(
    "night",
    {"schedule": "0 2 * * *", "timezone": "UTC", "workflowSpec": {"workflowTemplateRef": {"name": "etl"}}},
    kind="CronWorkflow",
)


def test_runs_of_a_trigger_belong_to_the_template_it_starts() -> None:
    found = define_all([template("etl", SPEC), CRON])
    (definition,) = found
    assert (definition.schedule, definition.schedule_time_zone, definition.run_prefixes) == (
        "0 2 * * *",
        "UTC",
        ("etl", "night"),
    )
    run = "night-1760000000"
    assert list(assign(pods(Controller(SPEC, run).execute(), run), [definition]).executions[definition.key]) == [run]


def started_with(name: str = "night", suspend: bool = False, **fields: Any) -> dict[str, Any]:
    """A CronWorkflow that starts the template with fields of its own."""
    spec = {"workflowTemplateRef": {"name": "etl"}, **fields}
    return template(name, {"schedule": "1 1 * * *", "suspend": suspend, "workflowSpec": spec}, kind="CronWorkflow")


def test_a_suspended_trigger_and_those_with_different_entrypoints() -> None:
    suspended = {**CRON, "spec": {**CRON["spec"], "suspend": True}}
    assert define_all([template("etl", SPEC), suspended])[0].suspended
    other, same = started_with("day", entrypoint="x"), started_with("noon", entrypoint="main")
    assert define_all([template("etl", SPEC), CRON, other, same])[0].notes == (
        "CronWorkflow day starts it at an entrypoint of its own: those runs are not counted.",
    )


@pytest.mark.parametrize("labels", [{}, {"cronworkflows.argoproj.io/completed": "true"}])
def test_a_schedule_that_its_stop_strategy_ended_starts_nothing(labels: dict[str, str]) -> None:
    """The controller labels such a CronWorkflow and passes it over from then on."""
    ended = {**CRON, "metadata": {**CRON["metadata"], "labels": labels}}
    own = {**ended, "spec": {"schedule": "0 2 * * *", "workflowSpec": SPEC}}
    for definition in (define_all([template("etl", SPEC), ended])[0], define_all([own])[0]):
        assert definition.suspended is bool(labels)


def test_starts_of_a_schedule_with_a_condition_are_not_known() -> None:
    when = "{{= cronworkflow.failed < 3 }}"
    conditional = {**CRON, "spec": {**CRON["spec"], "when": when}}
    own = {**CRON, "spec": {"schedule": "0 2 * * *", "when": when, "workflowSpec": SPEC}}
    etl = template("etl", SPEC)
    for objects in ([etl, conditional], [etl, conditional, started_with("day")], [own]):
        assert not readable(define_all(objects)[0])
        assert next_run(define_all(objects)[0], 0.0) is None, "else it were late once the condition holds one back"
    assert readable(define_all([etl, CRON])[0])
    assert next_run(define_all([etl, CRON])[0], 0.0) is not None


def test_schedules_in_different_time_zones_start_the_template_each_in_its_own() -> None:
    def started(name: str, zone: str | None, *lines: str) -> dict[str, Any]:
        fields = {"schedules": list(lines), "workflowSpec": {"workflowTemplateRef": {"name": "etl"}}}
        return template(name, {**fields, **({"timezone": zone} if zone else {})}, kind="CronWorkflow")

    def hours(*objects: dict[str, Any]) -> list[float]:
        return [at / HOUR for at in upcoming(define_all([template("etl", SPEC), *objects])[0], -1.0, DAY - 1, most=9)]

    tokyo, plain = started("tokyo", "Asia/Tokyo", "0 2 * * *", "0 9 * * *"), started("plain", None, "0 2 * * *")
    assert hours(tokyo, plain) == hours(plain, tokyo) == [0.0, 2.0, 17.0]
    assert hours(plain, started("utc", "UTC", "0 3 * * *")) == [2.0, 3.0]
    assert hours(plain, started("own", None, "CRON_TZ=Asia/Tokyo 0 2 * * *")) == [2.0, 17.0]
    assert hours(tokyo, started("own", None, "TZ=Asia/Tokyo 0 3 * * *")) == [0.0, 17.0, 18.0]
    utc = [started(f"utc-{hour}", "UTC", f"0 {hour} * * *") for hour in (3, 4)]
    assert hours(*utc, started("own", None, "TZ=Asia/Tokyo 0 2 * * *")) == [3.0, 4.0, 17.0]
    assert hours(*utc, started("neither", "UTC", "TZ=Asia/Tokyo 0 2 * * *")) == [3.0, 4.0], "no controller takes both"


def test_runs_that_begin_paused_do_not_suspend_the_schedule() -> None:
    spec = {**CRON["spec"], "workflowSpec": {**CRON["spec"]["workflowSpec"], "suspend": True}}
    for etl, cron in (
        (template("etl", {**SPEC, "suspend": True}), CRON),
        (template("etl", SPEC), {**CRON, "spec": spec}),
    ):
        (found,) = define_all([etl, cron])
        assert (found.schedule, found.suspended) == ("0 2 * * *", False)
    own = template("own", {"schedule": "0 2 * * *", "suspend": True, "workflowSpec": SPEC}, kind="CronWorkflow")
    assert define_all([own])[0].suspended


def test_what_a_trigger_sets_itself_takes_precedence_over_the_template() -> None:
    """As the controller joins both (JoinWorkflowSpec): objects field by field, parameters by name."""
    spec = {
        "entrypoint": "main",
        "parallelism": 9,
        "arguments": {"parameters": [{"name": "n", "value": "2"}, {"name": "kept", "value": "[1, 2, 3]"}]},
        "templates": [
            {"name": "main", "dag": {"tasks": [
                {"name": "a", "template": "run", "withSequence": {"count": "{{workflow.parameters.n}}"}},
                {"name": "b", "template": "run", "withParam": "{{workflow.parameters.kept}}"}]}},
            leaf("run"),
        ],
    }  # fmt: skip
    arguments = {"parameters": [{"name": "n", "value": "4"}]}
    own = started_with(parallelism=3, onExit="run", arguments=arguments, ttlStrategy={"secondsAfterCompletion": 60})
    (found,) = define_all([template("etl", spec), own])
    assert [s.name for s in found.graph.steps] == ["a", "b", "onExit"]
    assert [len(s.path[-1].items or ()) for s in found.graph.steps] == [4, 3, 0]
    assert (found.graph.parallelism, found.graph.parallelism_pointer) == (3, None), (
        "a change of the template has no effect"
    )
    assert "CronWorkflow night sets parallelism" in found.notes[0]
    assert {"onExit", "ttlStrategy"} <= found.declared.keys()
    (plain,) = define_all([template("etl", spec)])
    assert found.fingerprint != plain.fingerprint


def test_a_suspended_trigger_still_tells_what_its_past_runs_had() -> None:
    paused, active = (started_with(suspend=suspend, parallelism=3) for suspend in (True, False))
    (before,), (found,) = (define_all([template("etl", SPEC), trigger]) for trigger in (active, paused))
    assert (found.suspended, found.graph.parallelism, found.fingerprint) == (True, 3, before.fingerprint)
    assert [n for n in found.notes if "change them there" in n] == [n for n in before.notes if "change them there" in n]
    (other,) = define_all([template("etl", SPEC), paused, started_with("noon", parallelism=4)])
    assert other.graph.parallelism == 4


def test_resources_that_a_trigger_sets_for_the_pods_have_no_patch_in_the_template() -> None:
    resources = {"requests": {"memory": "1Gi"}}
    spec = {**SPEC, "podResources": resources, "templateDefaults": {"podResources": resources}}
    (plain,) = define_all([template("etl", spec)])
    assert {s.pod.resources_pointer for s in plain.graph.steps if s.pod} == {"/spec/templateDefaults/podResources"}
    for field in ({"templateDefaults": {"podResources": {"requests": {"memory": "2Gi"}}}}, {"podResources": resources}):
        (found,) = define_all([template("etl", {**SPEC, "podResources": resources}), started_with(**field)])
        assert {s.pod.resources_pointer for s in found.graph.steps if s.pod} == {None}
        assert found.graph.parallelism_pointer == "/spec/parallelism"


def test_a_hook_of_a_trigger_replaces_that_of_the_template() -> None:
    hook = {"templateRef": {"name": "other", "template": "notify"}}
    other = template("other", {"templates": [leaf("notify")]})
    spec = {**SPEC, "hooks": {"exit": hook, "running": {**hook, "expression": "workflow.status == 'Running'"}}}
    found = define_all([template("etl", spec), other, started_with(hooks={"exit": {"template": "run"}})])
    etl = next(d for d in found if d.key.name == "etl")
    assert {s.name: s.template for s in etl.graph.steps if s.on_exit} == {"onExit": "run", "hooks.running": "notify"}


def test_triggers_that_differ_leave_the_template_as_it_is() -> None:
    both = [started_with("night", parallelism=3, onExit="gate"), started_with("noon", parallelism=4, onExit="gate")]
    (found,) = define_all([template("etl", {**SPEC, "parallelism": 9}), *both])
    assert (found.graph.parallelism, found.graph.parallelism_pointer) == (9, "/spec/parallelism")
    assert found.declared["onExit"] == "gate"


def test_a_cluster_template_is_defined_in_each_namespace_that_uses_it() -> None:
    cluster = {**template("shared", SPEC, kind="ClusterWorkflowTemplate"), "metadata": {"name": "shared"}}
    ref = {"workflowTemplateRef": {"name": "shared", "clusterScope": True}}
    cron = template("c", {"schedule": "0 2 * * *", "workflowSpec": ref}, kind="CronWorkflow")
    found = define_all([cluster, cron], cluster_namespaces=["ops"])
    assert [str(d.key) for d in found] == [
        "ClusterWorkflowTemplate/data/shared",
        "ClusterWorkflowTemplate/ops/shared",
    ]
    assert found[0].schedule == "0 2 * * *"
    assert found[1].schedule is None


def test_references_are_resolved_within_the_namespace() -> None:
    user = {
        "entrypoint": "m",
        "templates": [{"name": "m", "steps": [[{"name": "x", "templateRef": {"name": "lib", "template": "run"}}]]}],
    }
    lib = template("lib", {"templates": [leaf("run")]})
    elsewhere = {**lib, "metadata": {"name": "lib", "namespace": "other"}}
    assert define_all([template("u", user), lib])[0].graph.problems == ()
    assert "cannot be found" in define_all([template("u", user), elsewhere])[0].graph.problems[0]


def test_objects_nobody_reads_are_named() -> None:
    found = define_all([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}, {"kind": None}, 5])  # type: ignore[list-item]
    assert found == ()
    assert by_object({"apiVersion": "other.io/v1", "kind": "CronJob"}) is None


def test_pods_of_other_owners_are_counted_by_reason() -> None:
    facts = [
        PodFact("a", "w", "1", owner_kind="ReplicaSet", owner_name="r"),
        PodFact("a", "n", "2"),
        PodFact("a", "j", "3", owner_kind="Job"),
        PodFact("a", "q", "4", owner_kind="Workflow"),
    ]
    assert assign(facts, []).unassigned == {
        "owned by an object of a kind which no engine here observes": 1,
        "it has no owner and no step selects it": 1,
        "pod of a Job whose name is unknown": 1,
        "pod of a Workflow whose name is unknown": 1,
    }


def test_reasons_contain_no_text_of_others() -> None:
    """Each is a series of the operator's metrics, and anybody may invent kinds of owners."""
    facts = [PodFact("a", f"p{n}", f"u{n}", owner_kind=f"Invented{n}", owner_name=f"o{n}") for n in range(50)]
    assert len(assign(facts, []).unassigned) == 1


def test_pods_that_seem_to_be_of_a_run_are_distinguished_from_those_of_other_workflows() -> None:
    facts = [
        PodFact("a", "n", "1"),
        PodFact("a", "q", "2", owner_kind="Workflow"),
        PodFact("a", "t", "3", owner_kind="TaskRun", owner_name="t"),
        PodFact("a", "o", "4", owner_kind="Workflow", owner_name="others-1"),
        PodFact("a", "l", "5", owner_kind="TaskRun", labels={"tekton.dev/pipelineRun": "others"}),
    ]
    assert assign(facts, []).unplaced == {}
    assert {place: dict(reasons) for place, reasons in assign(facts, []).namespace_unplaced.items()} == {
        ("a", GRAPH): {"it has no owner and no step selects it": "n"},
        ("a", ARGO): {"pod of a Workflow whose name is unknown": "q"},
        ("a", TEKTON): {
            "no tekton.dev labels (allow-list them), and its TaskRun's name fits no observed Pipeline": "t"
        },
    }


def test_pods_without_their_marks_are_the_matter_of_the_only_workflow_of_the_engine() -> None:
    facts = [PodFact("a", "t", "3", owner_kind="TaskRun", owner_name="t")]
    one, other = (
        WorkflowDefinition(WorkflowKey("a", "Pipeline", n), TEKTON, WorkflowGraph(())) for n in ("one", "other")
    )
    why = {"no tekton.dev labels (allow-list them), and its TaskRun's name fits no observed Pipeline": "t"}
    assert assign(facts, [one]).unplaced == {one.key: why}
    assert assign(facts, [one]).namespace_unplaced == {}
    assert assign(facts, [one, other]).unplaced == {}
    assert assign(facts, [one, other]).namespace_unplaced == {("a", TEKTON): why}


def main(**fields: Any) -> ContainerFact:
    return ContainerFact("main", **fields)


def test_two_observations_of_a_pod_become_one_by_maximum() -> None:
    early = PodFact("a", "p", "u", created=1.0, last_seen=50.0, vanished=True,
                    containers=(main(cpu_seconds=10.0, memory_sampled_peak=5.0, throttled_share=0.9),))  # fmt: skip
    late = PodFact("a", "p", "u", node="n", created=1.0, finished=60.0, phase="Succeeded",
                   containers=(main(cpu_seconds=12.0, memory_sampled_peak=4.0, throttled_share=0.5, samples=3, image="i"),
                               ContainerFact("side")))  # fmt: skip
    (merged,) = merge_facts([early, late])
    assert merge_facts([late, early]) == [merged]
    assert merge_facts([early, late, early]) == [merged]
    assert (merged.node, merged.finished, merged.vanished, merged.phase) == ("n", 60.0, False, "Succeeded")
    (first, _) = merged.containers
    assert (first.cpu_seconds, first.memory_sampled_peak, first.throttled_share, first.image, first.samples) == (
        12.0,
        5.0,
        0.5,
        "i",
        3,
    )


def test_a_known_end_wins_over_a_vanished_one() -> None:
    vanished = StepExecution("a", uid="u", finished=99.0, outcome=Outcome.UNKNOWN, reason="Vanished")
    ended = StepExecution("a", uid="u", finished=90.0, outcome=Outcome.SUCCEEDED)
    for merged in (merge_executions(vanished, ended), merge_executions(ended, vanished)):
        assert (merged.finished, merged.outcome, merged.reason) == (90.0, Outcome.SUCCEEDED, None)


def test_a_known_step_wins_over_an_unknown_one() -> None:
    known = StepExecution("a", uid="u", item="0:x", attempt=1)
    unknown = StepExecution("template:run", uid="u", item="#5", finished=3.0)
    merged = merge_executions(known, unknown)
    assert (merged.step, merged.item, merged.attempt, merged.finished) == ("a", "0:x", 1, 3.0)


@pytest.mark.parametrize(
    ("fact", "outcome", "reason"),
    [
        (PodFact("a", "p", "u", phase="Succeeded"), Outcome.SUCCEEDED, None),
        (PodFact("a", "p", "u", phase="Failed", reason="Evicted"), Outcome.FAILED, "Evicted"),
        (PodFact("a", "p", "u", phase="Failed", containers=(main(reason="Error"), ContainerFact("b", reason="OOMKilled"))),
         Outcome.FAILED, "OOMKilled"),
        (PodFact("a", "p", "u", phase="Failed", containers=(main(), ContainerFact("fetch", init=True, reason="Error"))),
         Outcome.FAILED, "Error"),
        (PodFact("a", "p", "u", phase="Failed",
                 containers=(main(reason="Completed"), ContainerFact("proxy", sidecar=True, reason="Error"))),
         Outcome.SUCCEEDED, None),
        (PodFact("a", "p", "u", containers=(main(reason="OOMKilled"),)), Outcome.FAILED, "OOMKilled"),
        (PodFact("a", "p", "u", containers=(main(reason="Completed"),)), Outcome.UNKNOWN, None),
        (PodFact("a", "p", "u", vanished=True, last_seen=5.0), Outcome.UNKNOWN, "Vanished"),
    ],
)  # fmt: skip
def test_outcome_of_a_pod(fact: PodFact, outcome: Outcome, reason: str | None) -> None:

    found = execution(fact, "s")
    assert (found.outcome, found.reason) == (outcome, reason)


def test_times_of_a_pod() -> None:

    init = ContainerFact("init", init=True, started=2.0, finished=3.0)
    fact = PodFact("a", "p", "u", created=0.0, started=1.0, containers=(init, main(started=5.0, finished=9.0)))
    assert (execution(fact, "s").started, execution(fact, "s").finished) == (5.0, 9.0)
    assert (
        execution(replace(fact, containers=()), "s").started == 1.0
    )  # the kubelet's acceptance, without anything better
    skewed = replace(fact, finished=4.0)
    assert execution(skewed, "s").duration == 0.0  # clocks apart never give a negative duration


@pytest.mark.parametrize(("seen", "end"), [(50.0, 50.0), (None, 3.0)])
def test_a_pod_that_vanished_before_its_first_sample_ends_with_its_start(seen: float | None, end: float) -> None:
    fact = PodFact("a", "p", "u", created=1.0, started=3.0, last_seen=seen, vanished=True)
    e = execution(fact, "job")
    assert (e.finished, e.outcome, e.reason) == (end, Outcome.UNKNOWN, "Vanished")
