from __future__ import annotations

import json
import shlex

import pytest
import yaml

from concertmaster.core.lifecycle import commands
from concertmaster.core.model import (
    ContainerSpec,
    Edit,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.engines.jobs.traits import JOB
from concertmaster.engines.tekton.traits import TEKTON
from tests.support.builders import definition, step

POINTER = "/spec/templates/3/container/resources"


def _patch_of(command: str) -> list[dict[str, object]]:
    words = shlex.split(command)
    found: list[dict[str, object]] = json.loads(words[words.index("-p") + 1])
    return found


def test_a_patch_tests_the_template_name_and_the_literal_old_value() -> None:
    spec = step("load", index=3)
    edit = commands.resource_edit(spec.containers[0], "memory", "448Mi")
    assert edit == Edit(f"{POINTER}/requests/memory", "1Gi", "448Mi")
    command = commands.patch(definition(spec), (edit,))
    assert command is not None
    assert command.startswith("kubectl -n demo patch workflowtemplate nightly-etl --type=json -p ")
    assert _patch_of(command) == [
        {"op": "test", "path": "/spec/templates/3/name", "value": "load"},
        {"op": "test", "path": f"{POINTER}/requests/memory", "value": "1Gi"},
        {"op": "replace", "path": f"{POINTER}/requests/memory", "value": "448Mi"},
    ]


def test_missing_parents_are_added_once_and_siblings_kept() -> None:
    bare = ContainerSpec("main", resources_pointer=POINTER)
    spec = StepSpec("load", template="load", containers=(bare,))
    edits = tuple(e for r, v in (("memory", "448Mi"), ("cpu", "250m")) if (e := commands.resource_edit(bare, r, v)))
    assert commands.json_patch(definition(spec), edits)[1:] == [
        {"op": "test", "path": POINTER, "value": None},
        {"op": "add", "path": POINTER, "value": {"requests": {"memory": "448Mi"}}},
        {"op": "test", "path": f"{POINTER}/requests/cpu", "value": None},
        {"op": "add", "path": f"{POINTER}/requests/cpu", "value": "250m"},
    ]
    limited = ContainerSpec("main", resources_pointer=POINTER, resources={"limits": {"memory": "2Gi"}})
    spec = StepSpec("load", template="load", containers=(limited,))
    edit = commands.resource_edit(limited, "memory", "448Mi")
    assert edit is not None
    assert commands.json_patch(definition(spec), (edit,))[1:] == [
        {"op": "test", "path": f"{POINTER}/requests", "value": None},
        {"op": "add", "path": f"{POINTER}/requests", "value": {"memory": "448Mi"}},
    ]


def test_a_cron_jobs_container_is_tested_by_name() -> None:
    at = "/spec/jobTemplate/spec/template/spec/containers/0"
    container = ContainerSpec("report", resources_pointer=f"{at}/resources", resources={"requests": {"cpu": "1"}})
    spec = StepSpec("report", containers=(container,))
    cron = WorkflowDefinition(WorkflowKey("demo", "CronJob", "report"), JOB, WorkflowGraph((spec,)))
    edit = commands.resource_edit(container, "cpu", "250m")
    assert edit is not None
    command = commands.patch(cron, (edit,))
    assert command is not None
    assert command.startswith("kubectl -n demo patch cronjob report --type=json -p ")
    assert _patch_of(command) == [
        {"op": "test", "path": f"{at}/name", "value": "report"},
        {"op": "test", "path": f"{at}/resources/requests/cpu", "value": "1"},
        {"op": "replace", "path": f"{at}/resources/requests/cpu", "value": "250m"},
    ]
    for_git = yaml.safe_load(commands.kustomize(cron, (edit,)) or "")["patches"][0]["patch"]
    assert yaml.safe_load(for_git) == [  # the API server stores 1 for 1000m in Git
        {"op": "test", "path": f"{at}/name", "value": "report"},
        {"op": "replace", "path": f"{at}/resources/requests/cpu", "value": "250m"},
    ]


def test_a_tekton_step_is_tested_by_its_name_in_the_manifest_and_its_task() -> None:
    at = "/spec/tasks/1/taskSpec/steps/0"
    named = ContainerSpec("step-go", resources_pointer=f"{at}/computeResources", resources={"requests": {"cpu": "1"}})
    unnamed = ContainerSpec("step-unnamed-1", resources_pointer="/spec/tasks/1/taskSpec/steps/1/computeResources")
    db = ContainerSpec(
        "sidecar-db", resources_pointer="/spec/tasks/1/taskSpec/sidecars/0/computeResources", sidecar=True
    )
    graph = WorkflowGraph((StepSpec("build", containers=(named, unnamed, db)),))
    ci = WorkflowDefinition(WorkflowKey("demo", "Pipeline", "ci"), TEKTON, graph)
    edits = [commands.resource_edit(c, "cpu", "250m") for c in (named, unnamed, db)]
    found = commands.json_patch(ci, [e for e in edits if e is not None])
    assert [(o["path"], o["value"]) for o in found if str(o["path"]).endswith("/name")] == [
        ("/spec/tasks/1/name", "build"),
        (f"{at}/name", "go"),
        ("/spec/tasks/1/taskSpec/sidecars/0/name", "db"),
    ]
    for_git = yaml.safe_load(commands.kustomize(ci, tuple(e for e in edits if e is not None)) or "")["patches"][0][
        "patch"
    ]
    tested = [o["path"] for o in yaml.safe_load(for_git) if o["op"] == "test" and o["value"] is not None]
    assert all(path.endswith("/name") for path in tested)  # Tekton's webhook stores 1 for 1000m in Git


def test_a_step_of_a_task_is_changed_in_the_task() -> None:
    """Two Tasks have the same pointers: only the one that is meant is tested and changed."""
    pointer = "/spec/steps/0/computeResources"
    compiles, deploys = (
        ContainerSpec(f"step-{n}", resources_pointer=pointer, resources={"requests": {"cpu": cpu}}, holder=holder)
        for n, cpu, holder in (("go", "2", "compile"), ("push", "100m", "deploy"))
    )
    graph = WorkflowGraph((StepSpec("a", containers=(deploys,)), StepSpec("b", containers=(compiles,))))
    ci = WorkflowDefinition(WorkflowKey("demo", "Pipeline", "ci"), TEKTON, graph)
    assert ci.holders == ("compile", "deploy")
    edit = commands.resource_edit(compiles, "cpu", "500m")
    assert edit == Edit(f"{pointer}/requests/cpu", "2", "500m", "compile")
    assert commands.patch(ci, (edit,)) == (
        "kubectl -n demo patch task compile --type=json -p "
        '\'[{"op":"test","path":"/spec/steps/0/name","value":"go"},'
        '{"op":"test","path":"/spec/steps/0/computeResources/requests/cpu","value":"2"},'
        '{"op":"replace","path":"/spec/steps/0/computeResources/requests/cpu","value":"500m"}]\''
    )
    written = commands.kustomize(ci, (edit,))
    assert written is not None
    (entry,) = yaml.safe_load(written)["patches"]
    assert entry["target"] == {"group": "tekton.dev", "version": "v1", "kind": "Task", "name": "compile"}


def test_other_fields_keep_their_type_and_test_what_is_there() -> None:
    spec = step("load", index=3, pointer="/spec/templates/3")
    of = definition(spec)
    fresh = commands.field_edit("/spec/templates/3/retryStrategy", None, {"limit": "2"})
    there = commands.field_edit("/spec/parallelism", 2, 6)
    assert (there.current, there.proposed) == ("2", "6")
    assert commands.json_patch(of, (fresh, there)) == [
        {"op": "test", "path": "/spec/templates/3/name", "value": "load"},
        {"op": "test", "path": "/spec/templates/3/retryStrategy", "value": None},
        {"op": "add", "path": "/spec/templates/3/retryStrategy", "value": {"limit": "2"}},
        {"op": "test", "path": "/spec/parallelism", "value": 2},
        {"op": "replace", "path": "/spec/parallelism", "value": 6},
    ]


def test_the_kustomize_form_makes_the_same_patch() -> None:
    spec = step("load", index=3)
    of = definition(spec)
    edit = commands.resource_edit(spec.containers[0], "memory", "448Mi")
    assert edit is not None
    written = commands.kustomize(of, (edit,))
    assert written is not None
    (entry,) = yaml.safe_load(written)["patches"]
    assert entry["target"] == {
        "group": "argoproj.io",
        "version": "v1alpha1",
        "kind": "WorkflowTemplate",
        "name": "nightly-etl",
    }
    assert yaml.safe_load(entry["patch"]) == commands.json_patch(of, (edit,))


def test_what_cannot_be_patched_gives_no_command() -> None:
    container = ContainerSpec("main")
    assert commands.resource_edit(container, "cpu", "1") is None
    assert commands.patch(definition(), ()) is None
    assert commands.kustomize(definition(), ()) is None


def test_names_are_quoted_for_the_shell() -> None:
    assert commands.explain("a b", "demo", "x.y") == "kubectl concertmaster explain -n demo 'a b' x.y"


def test_an_empty_object_is_distinguished_from_none() -> None:
    """The API server writes ``resources: {}`` into its own kinds; the file in Git need not have it."""
    bare = ContainerSpec("main", resources_pointer=POINTER, empty_resources=True)
    of = definition(StepSpec("load", template="load", containers=(bare,)))
    edit = commands.resource_edit(bare, "memory", "448Mi")
    assert edit is not None
    assert commands.json_patch(of, (edit,))[1] == {"op": "test", "path": POINTER, "value": {}}
    written = commands.kustomize(of, (edit,))
    assert written is not None
    assert "{}" not in written


def test_a_patch_looks_through_the_steps_as_often_for_many_edits_as_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    at = "/spec/jobs/{}/template/spec/containers/0/resources"  # outside the templates of Argo, and called by nothing
    specs = [StepSpec(f"s{n}", containers=(ContainerSpec("main", resources_pointer=at.format(n)),)) for n in range(200)]
    edits = [e for s in specs if (e := commands.resource_edit(s.containers[0], "memory", "448Mi")) is not None]
    asked: list[str] = []

    def sized(step: StepSpec) -> tuple[ContainerSpec, ...]:
        asked.append(step.name)
        return step.containers

    monkeypatch.setattr(StepSpec, "sized", property(sized))
    counts = []
    for some in (edits[-1:], edits):
        asked.clear()
        commands.json_patch(definition(*specs), some)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 5 * len(specs)
