"""Tekton: pipelines as graphs, pods back to runs, live records from PipelineRuns and TaskRuns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.analysis.runs.changes import differences
from concertmaster.core.model import Outcome, PodFact, StepSpec, WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.engines import LiveRun, assign, define, infer_definitions
from concertmaster.engines.common.manifest import Unreadable
from concertmaster.engines.tekton.definition import tasks_of
from concertmaster.engines.tekton.live import read_run, workflow_of
from concertmaster.engines.tekton.traits import TEKTON
from tests.support.engines.json_values import JSON
from tests.support.engines.tekton_objects import RUN, RUNS, attempt, condition, pipeline, pipeline_run, task, task_run

KEY = WorkflowKey("ci", "Pipeline", "build")


def step(definition: WorkflowDefinition, name: str) -> StepSpec:
    found = definition.graph.step(name)
    assert found is not None
    return found


def test_run_after_and_result_references_are_edges() -> None:
    reads = {"params": [{"name": "x", "value": "$(tasks.fetch.results.commit)"}]}
    d = pipeline(task("deploy", "test", **reads), task("fetch"), task("test", "fetch"))
    assert [s.name for s in d.graph.steps] == ["fetch", "test", "deploy"]
    assert step(d, "deploy").depends_on == ("test", "fetch")
    assert step(d, "deploy").ordering_only == ("test",)
    assert step(d, "test").ordering_only == ("fetch",)
    assert (d.engine, str(d.key), d.graph.problems) == (TEKTON, "Pipeline/ci/build", ())


@pytest.mark.parametrize(
    "fields",
    [
        {"when": [{"input": "$(tasks.a.results.go)", "operator": "in", "values": ["yes"]}]},
        {"matrix": {"params": [{"name": "x", "value": "$(tasks.a.results.list[*])"}]}},
        {"params": [{"name": "x", "value": ["$(tasks.a.results.list[0])"]}]},
        {"taskSpec": {"steps": [{"image": "i", "script": "echo $(tasks.a.results.go)"}]}},
    ],
)
def test_every_way_to_read_a_result_is_an_edge(fields: dict[str, Any]) -> None:
    d = pipeline(task("a"), task("b", **fields))
    assert (step(d, "b").depends_on, step(d, "b").ordering_only) == (("a",), ())


@pytest.mark.parametrize("what", ["outputs.image", "outputs", "inputs.source"])
def test_artifacts_that_an_embedded_spec_reads_are_data_but_no_edge(what: str) -> None:
    reads = {"taskSpec": {"steps": [{"image": "i", "script": f"echo '$(tasks.a.{what})'"}]}}
    d = pipeline(task("a"), task("b", "a", **reads), task("c", **reads))
    assert (step(d, "b").depends_on, step(d, "b").ordering_only) == (("a",), ())
    assert step(d, "c").depends_on == ()


def test_what_an_embedded_spec_says_of_tasks_that_are_no_siblings_is_no_edge() -> None:
    script = {"steps": [{"image": "i", "script": "sh $(tasks.a.sh) $(tasks.other.results.x)"}]}
    loop = {"apiVersion": "custom.tekton.dev/v1", "kind": "Loop", "spec": {"x": "$(tasks.a.results.x)"}}
    d = pipeline(task("a"), task("b", taskSpec=script), task("c", taskSpec=loop))
    assert [s.depends_on for s in d.graph.steps] == [(), (), ()]
    assert d.graph.problems == ()


def test_a_shared_workspace_may_carry_data() -> None:
    shared = {"workspaces": [{"name": "src", "workspace": "source"}]}
    d = pipeline(task("a", **shared), task("b", "a", **shared), task("c", "a"))
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)


@pytest.mark.parametrize(
    "where", ["$(workspaces.source.path)", "$(workspaces['source'].path)", '$(workspaces["source"].path)']
)
def test_a_workspace_that_embedded_specs_use_without_binding_it_may_carry_data(where: str) -> None:
    spec: dict[str, Any] = {"taskSpec": {"steps": [{"image": "i", "script": f"cat {where}/x"}]}}
    own = {"workspaces": [{"name": "source", "workspace": "cache"}]}  # a name that means another one inside this task
    d = pipeline(task("a", **spec), task("b", "a", **spec), task("c", "a", **spec, **own))
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)


def test_a_claim_that_embedded_specs_mount_may_carry_data() -> None:
    def mounting(volume: str, claim: str) -> dict[str, Any]:
        volumes = [{"name": volume, "persistentVolumeClaim": {"claimName": claim}}]
        return {"taskSpec": {"steps": [{"image": "i"}], "volumes": volumes}}

    d = pipeline(task("a", **mounting("x", "day")), task("b", "a", **mounting("y", "day")),
                 task("c", "a", **mounting("x", "night")))  # fmt: skip
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)


def test_a_claim_that_named_tasks_mount_may_carry_data() -> None:
    def mounting(claim: str) -> dict[str, Any]:
        volumes = [{"name": "x", "persistentVolumeClaim": {"claimName": claim}}]
        return {"kind": "Task", "spec": {"steps": [{"image": "i"}], "volumes": volumes}}

    objects = {"first": mounting("day"), "second": mounting("day"), "third": mounting("night")}
    refs = [task("a", taskRef={"name": "first"}), task("b", "a", taskRef={"name": "second", "kind": "Task"}),
            task("c", "a", taskRef={"name": "third"})]  # fmt: skip
    d = pipeline(*refs, objects=objects)
    assert step(d, "b").ordering_only == ()
    assert step(d, "c").ordering_only == ("a",)


@pytest.mark.parametrize(
    ("matrix", "width"),
    [
        ({"params": [{"name": "os", "value": ["a", "b"]}, {"name": "v", "value": ["1", "2", "3"]}]}, 6),
        ({"include": [{"name": "x"}, {"name": "y"}]}, 2),
        ({"params": [{"name": "os", "value": ["a", "b"]}, {"name": "v", "value": []}]}, 0),
        ({"params": [{"name": "os", "value": ["a"]}], "include": [{"name": "x"}]}, None),
        ({"params": [{"name": "os", "value": "$(params.list[*])"}]}, None),
    ],
)
def test_a_matrix_is_a_fan_out(matrix: dict[str, Any], width: int | None) -> None:
    found = step(pipeline(task("a", matrix=matrix)), "a")
    assert (found.fan_out, found.width) == (True, width)


def test_finally_waits_for_everything_and_is_a_handler() -> None:
    d = pipeline(task("a"), task("b"), finally_=[task("clean"), task("note")])
    for name in ("clean", "note"):
        assert set(step(d, name).depends_on) == {"a", "b"}
        assert step(d, name).on_exit
        assert step(d, name).ordering_only == ()


def test_retries_timeouts_and_conditions() -> None:
    when = [{"input": "x", "operator": "in", "values": ["x"]}]
    found = step(pipeline(task("a", retries=2, timeout="1h30m", when=when)), "a")
    assert (found.retry_limit, found.timeout_seconds, found.has_timeout, found.conditional) == (2, 5400.0, True, True)
    plain = step(pipeline(task("a")), "a")
    assert (plain.retry_limit, plain.has_timeout, plain.timeout_seconds, plain.conditional) == (0, True, None, False)


def test_a_task_whose_failure_is_ignored_does_not_fail_the_run() -> None:
    d = pipeline(task("a"), task("lint", "a", onError="continue"), task("b", onError="stopAndFail"))
    assert [s.tolerated for s in d.graph.steps] == [None, None, "lint"]


@pytest.mark.parametrize(("timeout", "found"), [("0", (False, None)), ("0h0m0s", (False, None)), ("$(params.t)", None)])
def test_a_timeout_of_zero_is_no_limit(timeout: str, found: tuple[bool, None] | None) -> None:
    read = step(pipeline(task("a", timeout=timeout)), "a")
    assert (read.has_timeout, read.timeout_seconds) == (found or (True, None))


def test_embedded_tasks_have_patch_points_in_the_pipeline_and_referenced_ones_in_their_task() -> None:
    spec = {
        "stepTemplate": {"image": "alpine:3", "computeResources": {"requests": {"memory": "64Mi"}}},
        "steps": [{"name": "build", "computeResources": {"requests": {"cpu": "2"}}}, {"image": "x"}],
        "sidecars": [{"name": "db"}],
    }
    d = pipeline(task("a", taskSpec=spec), task("b", taskRef={"name": "shared"}), objects={"shared": {"spec": spec}})
    assert [
        (c.name, c.cpu_request, c.memory_request, c.resources_pointer, c.sidecar) for c in step(d, "a").containers
    ] == [
        ("step-build", 2.0, 64.0 * 1024**2, "/spec/tasks/0/taskSpec/steps/0/computeResources", False),
        ("step-unnamed-1", None, 64.0 * 1024**2, "/spec/tasks/0/taskSpec/steps/1/computeResources", False),
        ("sidecar-db", None, None, "/spec/tasks/0/taskSpec/sidecars/0/computeResources", True),
    ]
    assert [c.image for c in step(d, "a").containers] == ["alpine:3", "x", None]
    assert [(c.resources_pointer, c.holder) for c in step(d, "b").containers] == [
        ("/spec/steps/0/computeResources", "shared"),
        ("/spec/steps/1/computeResources", "shared"),
        ("/spec/sidecars/0/computeResources", "shared"),
    ]
    assert {c.holder for c in step(d, "a").containers} == {None}
    assert step(d, "b").template == "shared"
    assert d.notes == ()


@pytest.mark.parametrize(
    ("ref", "by"), [({"resolver": "cluster"}, "cluster"), ({"name": "a", "bundle": "r/x"}, "bundles")]
)
def test_a_task_that_a_resolver_fetches_is_a_note_that_names_the_resolver(ref: dict[str, str], by: str) -> None:
    d = pipeline(task("a", taskRef=ref))
    assert d.notes == (f"Task a is fetched by resolver {by}: change its resources at its source.",)


def test_a_cluster_task_is_read_and_not_changed() -> None:
    spec = {"steps": [{"name": "go", "computeResources": {"requests": {"cpu": "2"}}}]}
    d = pipeline(task("b", taskRef={"name": "shared", "kind": "ClusterTask"}), objects={"shared": {"spec": spec}})
    assert [(c.cpu_request, c.resources_pointer) for c in step(d, "b").containers] == [(2.0, None)]
    assert d.notes == ("Task b runs ClusterTask shared: change its resources there.",)


def test_the_tasks_a_pipeline_runs_by_name() -> None:
    rows = [
        task("a", taskRef={"name": "one"}),
        task("b", taskRef={"name": "two", "kind": "Task"}),
        task("c", taskRef={"name": "far", "resolver": "git"}),
        task("d", taskRef={"name": "wide", "kind": "ClusterTask"}),
        task("e", taskRef={"name": "custom", "kind": "Task", "apiVersion": "x.dev/v1"}),
        {"name": "f", "pipelineSpec": {"finally": [task("g", taskRef={"name": "three"})]}},
        "nonsense",
    ]
    assert tasks_of({"spec": {"tasks": rows, "finally": {}}}) == {"one", "two", "three"}
    assert step(pipeline(rows[4]), "e").waits


def test_a_task_that_cannot_be_read_is_a_note_and_keeps_nothing_else_from_being_read() -> None:
    def look(kind: str, name: str) -> None:
        raise Unreadable(f"nobody may list {kind}")

    raw = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "build", "namespace": "ci"}}
    found = define({**raw, "spec": {"tasks": [task("a"), task("b", "a", taskRef={"name": "shared"})]}}, look)
    assert found is not None
    assert (found.graph.problems, step(found, "b").depends_on, step(found, "b").containers) == ((), ("a",), ())
    assert found.notes == (
        "Task b runs Task shared, which cannot be read, so that only runs tell its sizes: nobody may list Task",
    )


def test_the_field_of_the_older_version_is_patched_under_its_own_name() -> None:
    (found,) = step(
        pipeline(task("a", taskSpec={"steps": [{"name": "x", "resources": {"limits": {"cpu": "1"}}}]})), "a"
    ).containers
    assert found.resources_pointer == "/spec/tasks/0/taskSpec/steps/0/resources"
    assert found.cpu_limit == 1.0


def test_tasks_without_a_pod_of_their_own() -> None:
    d = pipeline(
        task("wait", taskRef={"apiVersion": "x.dev/v1", "kind": "Approval", "name": "y"}),
        {"name": "child", "pipelineRef": {"name": "other"}},
        task("remote", taskRef={"resolver": "git"}),
    )
    assert (step(d, "wait").waits, step(d, "child").waits, step(d, "remote").waits) == (True, True, False)
    assert len(d.notes) == 2


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ((task("a", "ghost"),), "'a' depends on unknown step 'ghost'"),
        ((task("a", "b"), task("b", "a")), "cycle"),
        ((task("a"), task("a")), "two tasks are called 'a'"),
        (({"taskSpec": {}},), "has no name"),
        (({"name": "a"},), "neither taskRef nor taskSpec"),
        ((task("a", taskRef={"name": "gone"}),), "'gone', which cannot be found"),
    ],
)
def test_what_is_wrong_is_named(tasks: tuple[Any, ...], said: str) -> None:
    assert any(said in p for p in pipeline(*tasks).graph.problems)


LABELS = {"tekton_dev_pipeline": "build", "tekton_dev_pipeline_run": RUN}
BUILD = pipeline(
    task("fetch"),
    task("test", "fetch", matrix={"params": [{"name": "v", "value": ["1", "2"]}]}, retries=1),
    task("a-test"),
)


def pod(task_run: str, uid: str, suffix: str = "-pod", **labels: str) -> PodFact:
    return PodFact("ci", f"{task_run}{suffix}", uid, owner_kind="TaskRun", owner_name=task_run, labels=labels,
                   created=0.0, finished=5.0, phase="Succeeded")  # fmt: skip


def places(facts: list[PodFact], *definitions: WorkflowDefinition) -> dict[str, tuple[str, str, str | None, int]]:
    found = assign(facts, definitions)
    assert found.unassigned == {}
    return {
        e.uid or "": (run, e.step, e.item, e.attempt)
        for runs in found.executions.values()
        for run, rows in runs.items()
        for e in rows
    }


@pytest.mark.parametrize("labelled", [True, False])
def test_pods_are_placed_by_labels_or_else_by_the_name_of_their_task_run(labelled: bool) -> None:
    def labels(name: str) -> dict[str, str]:
        return {**LABELS, "tekton_dev_pipeline_task": name} if labelled else {}

    facts = [
        pod(f"{RUN}-fetch", "1", **labels("fetch")),
        pod(f"{RUN}-test-0", "2", **labels("test")),
        pod(f"{RUN}-test-1", "3", **labels("test")),
        pod(f"{RUN}-test-1", "4", "-pod-retry1", **labels("test")),
        pod(f"{RUN}-a-test", "5", **labels("a-test")),
    ]
    assert places(facts, BUILD) == {
        "1": (RUN, "fetch", None, 0),
        "2": (RUN, "test", "0", 0),
        "3": (RUN, "test", "1", 0),
        "4": (RUN, "test", "1", 1),
        "5": (RUN, "a-test", None, 0),
    }


def test_pods_without_labels_and_without_a_fitting_name_are_counted() -> None:
    (reason,) = assign([pod("other-x7k2z-fetch", "1"), pod("lone", "2")], [BUILD]).unassigned
    assert "allow-list" in reason
    elsewhere = pod(
        "o-fetch", "3", tekton_dev_pipeline="other", tekton_dev_pipeline_run="o", tekton_dev_pipeline_task="fetch"
    )
    (reason,) = assign([elsewhere], [BUILD]).unassigned
    assert reason == "its PipelineRun belongs to no observed Pipeline"


def test_labelled_pods_are_enough_to_infer_a_pipeline() -> None:
    facts = [pod(f"{RUN}-fetch", "1", **LABELS, tekton_dev_pipeline_task="fetch")]
    (found,) = infer_definitions(facts)
    assert (str(found.key), [s.name for s in found.graph.steps]) == ("Pipeline/ci/build", ["fetch"])
    adhoc = pod("adhoc-x7k2z-go", "2", tekton_dev_pipeline_run="adhoc-x7k2z", tekton_dev_pipeline_task="go")
    (found,) = infer_definitions([adhoc])
    assert str(found.key) == "PipelineRun/ci/adhoc"


# --- live


def read(raw: dict[str, Any] | None = None, runs: list[dict[str, Any]] | None = None) -> LiveRun:
    return read_run(raw or pipeline_run(), RUNS if runs is None else runs, KEY)


def test_a_run_without_metrics_has_no_other_image() -> None:
    """Its status has digests, the metrics have the names in the specs of pods."""
    live = read().record
    seen = [replace(e, containers=tuple(replace(c, image="go:1.25") for c in e.containers)) for e in live.steps]
    assert any(e.containers for e in live.steps)
    assert differences(replace(live, steps=tuple(seen)), live, WorkflowGraph()) == ""
    assert differences(live, replace(live, steps=tuple(seen)), WorkflowGraph()) == ""


def test_a_run_is_read_with_attempts_edges_and_times() -> None:
    found = read()
    assert found.problems == ()
    assert found.complete
    assert [
        (e.step, e.item, e.attempt, e.pod, e.ready, e.created, e.finished, e.after) for e in found.record.steps
    ] == [
        ("fetch", None, 0, "p-fetch", 9, 10, 20, ()),
        ("test", "0", 0, "p-test-0", 20, 21, 30, ("fetch",)),
        ("test", "1", 0, "p-test-1", 20, 21, 40, ("fetch",)),
        ("test", "1", 1, "p-test-1-retry1", 40, 45, 60, ("test",)),
        ("deploy", None, 0, "p-deploy", 60, 61, 70, ("fetch", "test")),
        ("clean", None, 0, "p-clean", 70, 72, 75, ("deploy", "fetch", "test")),
        ("lint", None, 0, None, None, None, None, None),
    ]
    record = found.record
    assert (record.start, record.end, record.outcome, found.started) == (
        10,
        75,
        Outcome.SUCCEEDED,
        9.0,
    )


def test_step_times_are_those_of_the_task_run_not_of_the_container() -> None:
    raw = task_run(f"{RUN}-fetch", "fetch", attempt("p-fetch", 10, 20, work=15.0))
    (found, *_) = read(runs=[raw, *RUNS[1:]]).record.steps
    assert (found.started, found.containers[0].started, found.containers[0].finished) == (15.0, 15.0, 20.0)
    assert found.containers[0].name == "step-run"


def test_failures_carry_reason_exit_code_and_message() -> None:
    failed = next(e for e in read().record.steps if e.outcome is Outcome.FAILED)
    assert (failed.reason, failed.exit_code, failed.message) == ("OOMKilled", 137, "step failed")
    refused = task_run(
        f"{RUN}-fetch", "fetch", {"podName": "", **condition("False", "TaskRunImagePullFailed", "no image")}
    )
    (found,) = [e for e in read(runs=[refused]).record.steps if e.step == "fetch"]
    assert (found.reason, found.exit_code, found.pod) == ("TaskRunImagePullFailed", None, None)


@pytest.mark.parametrize(
    ("name", "pipeline_task", "item"),
    [
        ("build-1-0", "build-1", "0"),
        ("build-1-1", "build-1", "1"),
        ("build-1", "build-1", None),
        ("build-1", "build", "1"),
    ],
)
def test_the_place_in_a_matrix_is_what_follows_the_name_of_the_task(
    name: str, pipeline_task: str, item: str | None
) -> None:
    (found, *_) = read(runs=[task_run(f"{RUN}-{name}", pipeline_task, attempt("p", 1, 2))]).record.steps
    assert (found.step, found.item) == (pipeline_task, item)


def test_skipped_tasks_are_steps_that_did_not_run() -> None:
    lint = next(e for e in read().record.steps if e.step == "lint")
    assert (lint.outcome, lint.message) == (Outcome.SKIPPED, "When Expressions evaluated to false")


def test_task_runs_that_are_gone_are_named_and_make_the_record_incomplete() -> None:
    found = read(runs=RUNS[1:])
    assert found.problems == (f"TaskRun {RUN}-fetch of run {RUN} is gone: task fetch is only known from the metrics",)
    assert not found.complete


def test_the_message_of_a_failed_run_is_its_reason() -> None:
    """Of one whose Task is missing it is all there is: no TaskRun was ever made."""
    failed = condition("False", "CouldntGetTask", "Couldn't retrieve\nTask x")
    found = read(pipeline_run(childReferences=[], skippedTasks=[], **failed), [])
    assert (found.reason, found.complete, found.record.steps) == ("Couldn't retrieve Task x", False, ())
    assert read().reason is None


APPROVAL = {"apiVersion": "x.dev/v1", "kind": "Approval", "name": "y"}


@pytest.mark.parametrize(
    "between", [{"taskRef": APPROVAL}, {"pipelineRef": {"name": "other"}}, {"pipelineSpec": {"tasks": []}}]
)
@pytest.mark.parametrize("first", [False, True])
def test_nothing_is_known_of_when_a_task_without_a_task_run_ended(between: dict[str, Any], first: bool) -> None:
    tasks = [
        {"name": "fetch", "taskSpec": {}},
        {"name": "approve", **({} if first else {"runAfter": ["fetch"]}), **between},
        {"name": "deploy", "taskSpec": {}, "runAfter": ["approve"]},
        {"name": "clean", "taskSpec": {}, "runAfter": ["deploy"]},
    ]
    steps = read(pipeline_run(pipelineSpec={"tasks": tasks}), [RUNS[0], *RUNS[3:]]).record.steps
    assert {e.step: (e.ready, e.after) for e in steps if e.created is not None} == {
        "fetch": (9, ()),
        "deploy": (None, () if first else ("fetch",)),
        "clean": (70, ("deploy",)),
    }


def test_what_waits_for_a_task_run_that_is_gone_became_ready_at_no_known_time() -> None:
    steps = read(runs=RUNS[1:]).record.steps
    assert {(e.ready, e.after) for e in steps if e.step == "test" and e.attempt == 0} == {(None, ("fetch",))}


@pytest.mark.parametrize(
    ("status", "outcome", "complete"),
    [("True", Outcome.SUCCEEDED, True), ("False", Outcome.FAILED, True), ("Unknown", Outcome.RUNNING, False)],
)
def test_outcome(status: str, outcome: Outcome, complete: bool) -> None:
    found = read(pipeline_run(**condition(status)))
    assert (found.record.outcome, found.complete) == (outcome, complete)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("Cancelled", Outcome.UNKNOWN),  # also of CancelledRunFinally and StoppedRunFinally
        ("PipelineRunTimeout", Outcome.FAILED),
        ("Failed", Outcome.FAILED),  # a task had failed before the run was stopped
    ],
)
def test_a_run_that_was_cancelled_has_not_failed(reason: str, outcome: Outcome) -> None:
    found = read(pipeline_run(**condition("False", reason)))
    assert (found.record.outcome, found.complete) == (outcome, True)


@pytest.mark.parametrize("kind", ["CustomRun", "TaskRun"])
def test_a_run_that_waits_for_an_approval_before_its_first_pod_has_not_begun(kind: str) -> None:
    """As a run that has ended begins with its first pod; else it would be in progress, and late, while it waits."""
    first = {"apiVersion": "tekton.dev/v1beta1", "kind": kind, "name": f"{RUN}-approve", "pipelineTaskName": "approve"}
    raw = pipeline_run(childReferences=[first], skippedTasks=[], completionTime=None, **condition("Unknown", "Running"))
    found = read_run(raw, [], KEY)
    assert found.record.outcome is Outcome.RUNNING
    assert (found.record.start is None, found.started is None) == (kind == "CustomRun", kind == "CustomRun")


@pytest.mark.parametrize(
    ("last", "ran", "waits"),
    [
        ({"finally": ["clean", "approve"]}, len(RUNS), True),
        ({"finally": ["approve"]}, len(RUNS) - 1, True),
        ({"finally": ["clean", "approve"]}, len(RUNS) - 1, False),  # clean is to come
    ],
)
def test_a_run_that_waits_for_an_approval_behind_its_last_pod_is_in_progress_no_more(
    last: dict[str, list[str]], ran: int, waits: bool
) -> None:
    """It was late while somebody slept: in runs that have ended, the approval is no time either."""
    approval = {"taskRef": {"apiVersion": "openshift-pipelines.org/v1alpha1", "kind": "ApprovalTask"}}
    rows = {"clean": {"name": "clean", "taskSpec": {}}, "approve": {"name": "approve", **approval}}
    spec = pipeline_run()["status"]["pipelineSpec"] | {place: [rows[n] for n in names] for place, names in last.items()}
    own = [{"kind": "CustomRun", "name": f"{RUN}-approve", "pipelineTaskName": "approve"}]
    children = [*pipeline_run()["status"]["childReferences"][:ran], *own]
    more = {"childReferences": children, "completionTime": None, **condition("Unknown", "Running")}
    raw = pipeline_run(pipelineSpec=spec, **more)
    found = read_run(raw, RUNS[:ran], KEY)
    assert found.record.outcome is Outcome.RUNNING
    assert (found.started is None) == (found.record.start is None) == waits


@pytest.mark.parametrize(
    ("reason", "ended_by", "outcome"),
    [
        ("TaskRunCancelled", "been cancelled", Outcome.UNKNOWN),
        ("TaskRunCancelled", None, Outcome.UNKNOWN),  # by a user, without its PipelineRun
        ("TaskRunCancelled", "timed out", Outcome.FAILED),
        ("TaskRunTimeout", None, Outcome.FAILED),
    ],
)
def test_a_task_that_was_cancelled_has_not_failed(reason: str, ended_by: str | None, outcome: Outcome) -> None:
    """The timeout of a run cancels its tasks too; only the message says so."""
    said = f"TaskRun cancelled as the PipelineRun it belongs to has {ended_by}."
    spec = {"statusMessage": said} if ended_by else {}
    ended = attempt("p-fetch", 10, 20, ok=False, why=reason) | condition("False", reason, "was stopped")
    (found, *_) = read(runs=[task_run(f"{RUN}-fetch", "fetch", ended, **spec), *RUNS[1:]]).record.steps
    assert (found.outcome, found.message) == (outcome, "was stopped")
    assert found.reason == ("PipelineRunTimeout" if ended_by == "timed out" else reason)
    assert (classify(found) is FailureClass.DEADLINE) is (outcome is Outcome.FAILED)


@pytest.mark.parametrize(
    ("reason", "found"),
    [("PodEvicted", FailureClass.EVICTION), ("TaskRunImagePullFailed", FailureClass.IMAGE_PULL)],
)
def test_reasons_of_task_runs_are_failures_of_a_known_class(reason: str, found: FailureClass) -> None:
    ended = {**attempt("p-fetch", 10, 20, ok=False), **condition("False", reason), "steps": []}
    (failed, *_) = read(runs=[task_run(f"{RUN}-fetch", "fetch", ended), *RUNS[1:]]).record.steps
    assert classify(failed) is found


def test_the_attempts_before_a_task_was_cancelled_have_failed() -> None:
    first = attempt("p-test-1", 21, 40, ok=False)
    ended = attempt("p-test-1-retry1", 45, 60, ok=False) | condition("False", "TaskRunCancelled")
    found = read(runs=[task_run(f"{RUN}-test-1", "test", {**ended, "retriesStatus": [first]})]).record.steps
    assert [e.outcome for e in found if e.step == "test"] == [Outcome.FAILED, Outcome.UNKNOWN]


def test_equal_parameters_have_equal_fingerprints() -> None:
    def mark(value: str) -> str | None:
        raw = task_run(f"{RUN}-fetch", "fetch", attempt("p", 1, 2), params=[{"name": "x", "value": value}])
        return next(e for e in read(runs=[raw]).record.steps if e.step == "fetch").input_fingerprint

    assert mark("1") == mark("1") != mark("2")


def test_whose_run_it_is() -> None:
    assert str(workflow_of(pipeline_run())) == "Pipeline/ci/build"
    assert workflow_of({"metadata": {"name": "x"}, "spec": {"pipelineSpec": {}}}) is None
    resolved = {"metadata": {"labels": {"tekton.dev/pipeline": "p"}}, "spec": {"pipelineRef": {"resolver": "git"}}}
    assert str(workflow_of(resolved)) == "Pipeline/default/p"


@pytest.mark.parametrize(
    ("ref", "fetched"),
    [
        ({"name": "build"}, None),
        ({"name": "build", "bundle": "registry.example/x"}, "resolver bundles"),
        ({"resolver": "git", "params": [{"name": "url", "value": "x"}]}, "resolver git"),
        ({"resolver": "cluster", "params": [{"name": "name", "value": "build"}]}, None),
        ({"resolver": "cluster", "params": [{"name": "namespace", "value": "ci"}]}, None),
        ({"resolver": "cluster", "params": [{"name": "namespace", "value": "$(params.x)"}]}, None),
        (
            {"resolver": "cluster", "params": [{"name": "namespace", "value": "tools"}]},
            "resolver cluster from namespace tools",
        ),
    ],
)
def test_what_fetched_the_pipeline_of_a_run_is_kept(ref: dict[str, Any], fetched: str | None) -> None:
    assert read({**pipeline_run(), "spec": {"pipelineRef": ref}}).record.fetched == fetched


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_any_object_gives_a_definition_and_a_record(a: Any, b: Any) -> None:
    for spec in (
        a,
        {"tasks": a, "finally": b},
        {"tasks": [{"name": "x", "taskSpec": a, "matrix": b, "params": a, "when": b}]},
    ):
        raw = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "p"}, "spec": spec}
        assert isinstance(define(raw), WorkflowDefinition)
    for status in (a, {"pipelineSpec": a, "childReferences": b, "skippedTasks": a, "conditions": b}):
        runs: list[Any] = [
            {"metadata": a, "status": b},
            task_run("x", "y", {"steps": a, "retriesStatus": b, "conditions": a}),
        ]
        for own in (a, {"pipelineRef": a}, {"pipelineRef": {"resolver": a, "params": b}}):
            found = read_run({"metadata": b, "spec": own, "status": status}, runs, KEY)
            assert found.record.workflow == KEY
        workflow_of({"metadata": a, "spec": b})


def test_the_queue_of_kueue_that_admits_its_pods_is_a_label_of_the_pipeline() -> None:
    raw = {"kind": "Pipeline", "apiVersion": "tekton.dev/v1", "metadata": {"name": "build"}, "spec": {"tasks": []}}
    assert define(raw).declared == {}  # type: ignore[union-attr]
    raw["metadata"] = {"name": "build", "labels": {"kueue.x-k8s.io/queue-name": "team", "app": "x"}}
    assert define(raw).declared == {"kueue.x-k8s.io/queue-name": "team", "podByPod": True}  # type: ignore[union-attr]
