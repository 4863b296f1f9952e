from __future__ import annotations

import json
import shlex

from concertmaster.core import commands
from concertmaster.core.model import (
    ContainerSpec,
    Edit,
    Engine,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from tests.builders import definition, step

POINTER = "/spec/templates/3/container/resources"


def _patch_of(command: str) -> list[dict[str, object]]:
    words = shlex.split(command)
    found: list[dict[str, object]] = json.loads(words[words.index("-p") + 1])
    return found


def test_a_patch_tests_the_template_name_and_the_literal_old_value() -> None:
    spec = step("load", index=3)
    edit = commands.resource_edit(spec.containers[0], "memory", "448Mi")
    assert edit == Edit(f"{POINTER}/requests/memory", "1Gi", "448Mi")
    command = commands.set_resources(definition(spec), spec, spec.containers[0], (edit,))
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
    assert commands.resource_patch(spec, bare, edits)[1:] == [
        {"op": "add", "path": POINTER, "value": {"requests": {"memory": "448Mi"}}},
        {"op": "add", "path": f"{POINTER}/requests/cpu", "value": "250m"},
    ]
    limited = ContainerSpec("main", resources_pointer=POINTER, resources={"limits": {"memory": "2Gi"}})
    edit = commands.resource_edit(limited, "memory", "448Mi")
    assert edit is not None
    assert commands.resource_patch(spec, limited, (edit,))[1:] == [
        {"op": "add", "path": f"{POINTER}/requests", "value": {"memory": "448Mi"}}
    ]


def test_cron_jobs_are_set_with_kubectl_set_resources() -> None:
    container = ContainerSpec(
        "report",
        resources_pointer="/spec/jobTemplate/spec/template/spec/containers/0/resources",
        resources={"requests": {"cpu": "1"}},
    )
    spec = StepSpec("report", containers=(container,))
    cron = WorkflowDefinition(WorkflowKey("demo", "CronJob", "report"), Engine.JOB, WorkflowGraph((spec,)))
    edit = commands.resource_edit(container, "cpu", "250m")
    assert edit is not None
    assert (
        commands.set_resources(cron, spec, container, (edit,))
        == "kubectl -n demo set resources cronjob/report -c report --requests=cpu=250m"
    )


def test_what_cannot_be_patched_gives_no_command() -> None:
    container = ContainerSpec("main")
    assert commands.resource_edit(container, "cpu", "1") is None
    assert commands.set_resources(definition(), None, container, ()) is None


def test_names_are_quoted_for_the_shell() -> None:
    assert commands.explain("a b", "demo", "x.y") == "kubectl concertmaster explain -n demo 'a b' x.y"
