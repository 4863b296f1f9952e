"""Whose run a live object is, whether it is over, and what is certain of one that cannot be read wholly."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from concertmaster.core.model import (
    EngineTraits,
    JobFact,
    LabelRequirement,
    Outcome,
    PodFact,
    RunRecord,
    Source,
    StepExecution,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.engines import (
    Claims,
    LiveRun,
    assign,
    children,
    end_alone,
    ended,
    job_ends,
    run_kind,
)
from concertmaster.engines.argo.pods import as_in_history
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.common.placing import Candidates
from concertmaster.engines.common.runs import possible
from concertmaster.engines.jobs.traits import JOB
from tests.support.builders import run_record
from tests.support.engines.argo_definitions import NESTED, RUN, the_definition
from tests.support.engines.argo_oracle import Controller, pods, stamp
from tests.support.engines.job_objects import job
from tests.support.engines.job_objects import pod as job_pod
from tests.support.engines.json_values import JSON
from tests.support.engines.live_jobs import live_job
from tests.support.engines.tekton_objects import pipeline, pipeline_run, task


@pytest.mark.parametrize(
    ("spec", "own"),
    [
        ({"workflowTemplateRef": {"name": "etl"}}, True),
        ({"workflowTemplateRef": {"name": "etl"}, "entrypoint": "main"}, True),
        ({"workflowTemplateRef": {"name": "etl"}, "entrypoint": "backfill"}, False),
        ({"entrypoint": "earlier"}, True),  # of a CronWorkflow, whose entrypoint was another then
    ],
)
def test_a_run_at_another_entrypoint_of_a_template_is_none_of_its_runs(spec: dict[str, Any], own: bool) -> None:
    declared = the_definition(NESTED)
    assert declared.declared["entrypoint"] == "main"
    labels = {} if "workflowTemplateRef" in spec else {"workflows.argoproj.io/workflow-template": "etl"}
    meta = {"name": "etl-x7k2z", "namespace": declared.key.namespace, "labels": labels}
    run = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": spec}
    assert (Claims([declared]).of(run) is not None) is own


def picked(
    name: str, engine: EngineTraits = ARGO, namespace: str = "data", prefix: str = "", **labels: str
) -> WorkflowDefinition:
    """A profile with a runSelector."""
    return WorkflowDefinition(
        WorkflowKey(namespace, "WorkflowProfile", name),
        engine,
        WorkflowGraph(inferred=True),
        run_prefixes=(prefix,) if prefix else (),
        run_selector=tuple(LabelRequirement(k, "In", (v,)) for k, v in labels.items()),
    )


def workflow(name: str, **parts: Any) -> dict[str, Any]:
    """A Workflow without a template."""
    raw = Controller(NESTED, name).workflow()
    raw["spec"] = parts.pop("spec", {})
    raw["metadata"].update(parts)
    return raw


def test_a_run_belongs_to_the_template_it_names() -> None:
    etl = the_definition(NESTED)
    run = Controller(NESTED, "whatever").workflow()
    assert Claims([etl, picked("any", prefix="what")]).of(run) is etl
    assert Claims([picked("any", prefix="other")]).of(run) is None
    assert Claims([]).of(run) is None


def test_a_run_without_a_template_is_picked_by_the_longest_prefix_and_all_labels() -> None:
    wide, narrow = picked("wide", prefix="adhoc"), picked("narrow", prefix="adhoc-big")
    team = picked("team", team="data")
    claims = Claims([wide, narrow, team, picked("elsewhere", namespace="other", prefix="adhoc")])
    assert claims.of(workflow("adhoc-1")) is wide
    assert claims.of(workflow("adhoc-big-1")) is narrow
    assert claims.of(workflow("x", labels={"team": "data"})) is team
    assert claims.of(workflow("x", spec={"podMetadata": {"labels": {"team": "data"}}})) is team
    assert claims.of(workflow("x", labels={"team": "ml"})) is None
    of_pods = {"templates": ["odd", {"name": "a"}, {"name": "b", "metadata": {"labels": {"team": "data"}}}]}
    assert claims.of(workflow("x", spec=of_pods)) is team  # as the history sees it


def test_labels_of_a_run_are_not_copied_for_each_of_its_templates() -> None:
    team = picked("team", team="data")
    labels = {f"example.com/l{i}": "v" for i in range(2_000)}
    templates = [{"name": f"t{i}", "metadata": {"labels": {"a": str(i)}}} for i in range(2_000)]
    raw = workflow("x", labels=labels, spec={"templates": templates})
    tracemalloc.start()
    try:
        assert Claims([team]).of(raw) is None
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


def test_jobs_belong_to_their_cron_job_and_those_of_a_set_to_none() -> None:
    backup = job()
    loose = picked("jobs", JOB, "ops", prefix="backup")
    assert Claims([backup, loose]).of(live_job()) is backup
    assert Claims([loose]).of(live_job()) is loose
    of_a_set = live_job()
    of_a_set["metadata"]["ownerReferences"] = [{"kind": "JobSet", "name": "backup"}]
    assert Claims([backup, loose]).of(of_a_set) is None
    made = live_job()
    made["metadata"] |= {"ownerReferences": [], "name": "backup-x7k2z"}
    once = job("Job")
    assert Claims([once]).of(made) is once


def test_a_pipeline_run_belongs_to_its_pipeline() -> None:
    build = pipeline(task("fetch"))
    assert Claims([build]).of(pipeline_run()) is build
    assert Claims([build]).kinds == {"PipelineRun"}


@pytest.mark.parametrize(
    ("raw", "over"),
    [
        (Controller(NESTED, RUN).workflow(), True),
        (Controller(NESTED, RUN).workflow(phase="Error"), True),
        (Controller(NESTED, RUN).workflow(phase="Running"), False),
        (pipeline_run(), True),
        (pipeline_run(conditions=[{"type": "Succeeded", "status": "Unknown"}]), False),
        (live_job(), True),
        (live_job("Failed"), True),
        (live_job(None), False),
        (live_job("Suspended"), False),
        ({"kind": "ConfigMap", "status": {"phase": "Succeeded"}}, False),
    ],
)
def test_only_finished_runs_are_over(raw: dict[str, Any], over: bool) -> None:
    assert ended(raw) is over


def test_what_is_listed_with_a_run() -> None:
    assert children(Controller(NESTED, RUN).workflow()) is None
    task_runs = children(pipeline_run())
    assert task_runs is not None
    assert (task_runs.kind, task_runs.selector) == ("TaskRun", "tekton.dev/pipelineRun=build-x7k2z")
    raw = live_job()
    raw["spec"] = {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}}}
    found = children(raw)
    assert found is not None
    assert (found.kind, found.selector) == ("Pod", "batch.kubernetes.io/controller-uid=u1")


@given(JSON, JSON, JSON)
@settings(max_examples=60, deadline=None)
def test_no_object_makes_the_questions_fail(meta: Any, spec: Any, status: Any) -> None:
    claims = Claims([the_definition(NESTED), job(), picked("any", team="data"), picked("j", JOB, prefix="a")])
    for api, kind in (("argoproj.io/v1alpha1", "Workflow"), ("batch/v1", "Job"), ("tekton.dev/v1", "PipelineRun")):
        raw = {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec, "status": status}
        claims.of(raw)
        ended(raw)
        children(raw)


def read(raw: dict[str, Any], *parts: dict[str, Any]) -> LiveRun:
    reader = run_kind(raw)
    assert reader is not None
    key = reader.workflow_of(raw)
    assert key is not None
    return reader.read(raw, parts, key, None)


def test_the_end_of_a_run_whose_nodes_are_elsewhere() -> None:
    found = read(Controller(NESTED, RUN).workflow(nodes={}, offloadNodeStatusVersion="fnv:1", finishedAt=stamp(1500)))
    end = end_alone(found)
    assert end is not None
    assert (end.start, end.end, end.outcome, end.steps) == (1000.0, 1500.0, Outcome.SUCCEEDED, ())
    assert end_alone(read(Controller(NESTED, RUN).workflow(phase="Running"))) is None


def test_a_failed_job_without_pods_ended_when_it_was_found_to_have_failed() -> None:
    raw = live_job("Failed", completionTime=None)
    raw["status"]["conditions"][0]["lastTransitionTime"] = stamp(300)
    end = end_alone(read(raw))
    assert end is not None
    assert (end.start, end.end, end.outcome) == (1.0, 300.0, Outcome.FAILED)


def test_steps_of_runs_without_a_declared_graph_are_called_as_in_the_history() -> None:
    control = Controller(NESTED, RUN)
    nodes = control.execute()
    anything = picked("any", prefix="etl")
    live = read(control.workflow()).record
    seen = assign(pods(nodes, RUN), [anything]).executions[anything.key][RUN]
    named = as_in_history(live, anything)
    assert {e.pod: e.step for e in named.steps if e.pod} == {e.pod: e.step for e in seen}
    known = {e.step for e in named.steps}
    assert {a for e in named.steps for a in e.after or ()} <= known
    assert as_in_history(live, the_definition(NESTED)) is live


def ends(job_fact: JobFact, *facts: PodFact) -> list[RunRecord]:
    backup = job()
    return job_ends([job_fact], [backup], assign(facts, [backup]).executions)


FAILED = JobFact("ops", "backup-29333333", "CronJob", "backup", succeeded=False, started=10.0)


def test_a_failed_job_tells_its_end_whether_it_has_pods_or_not() -> None:
    (alone,) = ends(FAILED)
    assert (str(alone.workflow), alone.run, alone.outcome) == ("CronJob/ops/backup", "backup-29333333", Outcome.FAILED)
    assert (alone.source, alone.start, alone.end, alone.steps) == (Source.HISTORY, 10.0, None, ())
    assert ends(FAILED, job_pod("backup-29333333", "u1", phase=None)) == [alone]
    assert ends(replace(FAILED, owner_kind=None, owner_name=None)) == [alone]


def test_a_job_whose_pods_tell_everything_and_one_of_somebody_else_add_nothing() -> None:
    done = replace(FAILED, succeeded=True, finished=30.0)
    assert ends(done, job_pod("backup-29333333", "u1")) == []
    assert ends(done) == []
    (resumed,) = ends(replace(done, started=1e9), job_pod("backup-29333333", "u1"))
    assert (resumed.start, resumed.outcome) == (1e9, Outcome.SUCCEEDED)
    assert [r.outcome for r in ends(done, job_pod("backup-29333333", "u1", phase=None))] == [Outcome.SUCCEEDED]
    bad, good = job_pod("backup-29333333", "u1", phase="Failed"), job_pod("backup-29333333", "u2")
    assert [r.outcome for r in ends(done, bad)] == [Outcome.SUCCEEDED]  # by its success policy
    assert ends(done, bad, replace(good, pod="backup-29333333-b", created=20.0, started=21.0, finished=30.0)) == []
    assert ends(replace(FAILED, succeeded=None)) == []
    assert ends(replace(FAILED, owner_name="other")) == []
    assert ends(replace(FAILED, owner_kind="Workflow")) == []


@pytest.mark.parametrize(
    ("name", "labels", "may"),
    [("etl-1", {}, True), ("etl-1", {"team": "data"}, True), ("etl-1", {"team": "web"}, False), ("web-1", {}, False)],
)
def test_a_pod_without_the_selected_label_may_be_of_a_run_that_has_it(
    name: str, labels: dict[str, str], may: bool
) -> None:
    profile = picked("any", prefix="etl-", team="data")
    pod = PodFact("data", f"{name}-x", "u", labels=labels)
    assert possible("Workflow", name, pod, Candidates([profile])) == (profile.key,) * may


def test_executions_without_pods_keep_their_names() -> None:
    skipped = StepExecution("gate", outcome=Outcome.SKIPPED, after=("a",))
    key = WorkflowKey("data", "WorkflowProfile", "any")
    record = run_record([skipped], workflow=key, run="etl-1", start=0.0, end=1.0, source=Source.LIVE)
    assert as_in_history(record, picked("any")) == record


def test_what_a_run_was_created_from_is_enough_unless_something_selects_runs_by_name_or_label() -> None:
    etl, other = the_definition(NESTED), WorkflowKey("data", "WorkflowTemplate", "other")
    declared = Claims([etl, job()])
    assert declared.candidates("data", frozenset({etl.key, other})) == {etl.key}
    assert declared.candidates("data", frozenset({other})) == frozenset()
    assert declared.candidates("data", frozenset()) == frozenset()
    selecting, adhoc = Claims([etl, picked("adhoc", prefix="adhoc-")]), WorkflowKey("data", "WorkflowProfile", "adhoc")
    assert selecting.candidates("data", frozenset({other})) == {adhoc}
    assert selecting.candidates("data", frozenset({etl.key, other})) == {etl.key, adhoc}
    assert selecting.candidates("data", frozenset({etl.key})) == {etl.key}
    assert selecting.candidates("elsewhere", frozenset({other})) == frozenset()
    assert declared.of_kind("Workflow") == [etl.key]
    assert selecting.of_kind("Workflow") == [etl.key, adhoc]
