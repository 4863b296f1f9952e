"""The engines' declarations fit together, and nothing outside of them knows their kinds."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from concertmaster.core.model import LabelRequirement, StepSpec, WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.engines import ENGINES
from concertmaster.engines.base import Engine
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.label_keys import MAX_WORDS, affordable, labels_in_use
from concertmaster.engines.registry import PATCHABLE, by_object, by_run, by_traits, object_kind, users_of
from tests.support.resources import known_resource

PACKAGE = Path(__file__).resolve().parents[3] / "operator" / "concertmaster"
KINDS = {
    kind.kind
    for engine in ENGINES
    if engine.traits != GRAPH
    for kind in (*engine.traits.kinds, *(run.object for run in engine.run_kinds))
}


def test_a_label_that_names_runs_of_one_workflow_costs_the_same_if_others_select_by_it() -> None:
    def declared(name: str, *selector: LabelRequirement, run_label: str | None = None) -> WorkflowDefinition:
        key = WorkflowKey("n", "WorkflowProfile", name)
        return WorkflowDefinition(key, GRAPH, WorkflowGraph((StepSpec("s", selector=selector),)), run_label=run_label)

    both = [
        (declared(f"r{i}", run_label=f"run-{i}"), declared(f"s{i}", LabelRequirement(f"run-{i}", "Exists")))
        for i in range(120)
    ]
    found = affordable([definition for pair in both for definition in pair])
    assert 0.9 * MAX_WORDS < sum(found.words.values()) <= MAX_WORDS


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: str(engine.traits.name))
def test_what_an_engine_declares_fits_together(engine: Engine) -> None:
    names = {kind.kind for kind in engine.traits.kinds}
    assert names >= set(engine.defining)
    assert names >= {kind for kinds in engine.companions.values() for kind in kinds}
    assert by_traits(engine.traits) is engine
    for kind in engine.traits.kinds:
        assert (by_object({"apiVersion": kind.api_version, "kind": kind.kind}) is engine) is (
            kind.kind in engine.defining
        )
        assert all("resource" in pattern.groupindex for pattern in kind.fields)
    for run in engine.run_kinds:
        raw = {"apiVersion": run.object.api_version, "kind": run.object.kind}
        assert any(other is engine and kind is run for other, kind in by_run(raw))


def test_runs_that_several_engines_observe_are_read_alike() -> None:
    """Whose run one is differs between a kind of objects and the labels of its pods; how it is read does not."""
    shared = [
        rows
        for run in (run for engine in ENGINES for run in engine.run_kinds)
        if len(rows := by_run({"apiVersion": run.object.api_version, "kind": run.object.kind})) > 1
    ]
    assert {engine.name for rows in shared for engine, _ in rows} == {"RayJob", "KubeRay"}
    for (preset, first), (product, second) in shared:
        assert (preset.name, product.name) == ("KubeRay", "RayJob"), "the labels of pods are the more specific"
        assert replace(first, workflow_of=second.workflow_of) == second


def test_no_two_engines_claim_one_name() -> None:
    declared = Counter((kind.group, kind.kind) for engine in ENGINES for kind in engine.traits.kinds)
    shorts = Counter(kind.short for engine in ENGINES for kind in engine.traits.kinds if kind.short is not None)
    for counted in (declared, shorts, Counter(engine.name for engine in ENGINES)):
        assert set(counted.values()) == {1}
    assert len(PATCHABLE) == sum(bool(kind.fields) for engine in ENGINES for kind in engine.traits.kinds)


@pytest.mark.parametrize("written", [True, "true"])
def test_the_users_of_a_cluster_wide_template_are_known_however_the_scope_is_written(written: object) -> None:
    """The schema of a minimal CRD takes any value."""
    refs = [{"name": "lib", "clusterScope": written}, {"name": "own", "clusterScope": "false"}]
    raw = {"spec": {"templates": [{"steps": [[{"templateRef": ref}]]} for ref in refs]}}
    for kind, name in (("ClusterWorkflowTemplate", "lib"), ("WorkflowTemplate", "own")):
        (way,) = (way for way in users_of(kind) if way.users == "WorkflowTemplate")
        assert way.names(raw, None) == {name}


def test_resources_of_kinds_take_the_version_that_was_asked_for() -> None:
    resource = known_resource("tekton.dev/v1beta1", "TaskRun")
    assert resource.path("ci") == "/apis/tekton.dev/v1beta1/namespaces/ci/taskruns"
    assert object_kind("v1", "Pod") is None


def test_workflows_that_nobody_declared_need_the_labels_of_all_engines() -> None:
    assert labels_in_use(()).keys == ()
    assert set(labels_in_use((), undeclared=True).keys) == {key for engine in ENGINES for key in engine.pod_labels}


def _compared(tree: ast.Module) -> set[str]:
    """Text constants that code compares with or looks up, beside what it prints or gives as an example."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Compare | ast.Dict | ast.Subscript | ast.match_case)]
    inner = [c for n in nodes for c in ast.walk(n) if isinstance(c, ast.Constant) and isinstance(c.value, str)]
    examples = {
        id(c)
        for call in ast.walk(tree)
        if isinstance(call, ast.keyword) and call.arg == "examples"
        for c in ast.walk(call)
    }
    return {str(c.value) for c in inner if id(c) not in examples}


@pytest.mark.parametrize("room", ["api", "controller", "core", "kube", "prometheus", "history", "report", "settings"])
def test_no_room_names_a_kind_of_an_engine(room: str) -> None:
    """A new engine is one package: whoever asks for a kind by its name would have to be changed too."""
    for path in (PACKAGE / room).rglob("*.py"):
        assert not _compared(ast.parse(path.read_text())) & KINDS - {"Task"}, path
