"""Argo WorkflowTemplates with nested and dynamic steps, and their definitions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from concertmaster.core.model import LabelRequirement, WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.engines import define
from concertmaster.engines.argo.traits import ARGO
from tests.support.engines.argo_oracle import leaf, template

RUN = "etl-x7k2z"

TASK_NAMES = ["fetch", "a", "build-all", "z9"]


def spec_of(main: dict[str, Any], *templates: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"entrypoint": "main", "templates": [{"name": "main", **main}, *templates], **fields}


def the_definition(spec: dict[str, Any], name: str = "etl") -> WorkflowDefinition:
    found = define(template(name, spec))
    assert found is not None
    assert found.graph.problems == ()
    return found


# Of whose runs the pods do not carry the labels that select them.
PICKED = WorkflowDefinition(
    WorkflowKey("data", "WorkflowProfile", "adhoc"),
    ARGO,
    WorkflowGraph(inferred=True),
    run_kind="Workflow",
    run_prefixes=("adhoc-",),
    run_selector=(LabelRequirement("app", "In", ("etl",)),),
)

NESTED = spec_of(
    {
        "dag": {
            "tasks": [
                {"name": "extract", "template": "run"},
                {
                    "name": "prepare",
                    "template": "inner",
                    "dependencies": ["extract"],
                    "withItems": ["x", {"b": 1, "a": "(2)"}],
                },
                {"name": "train", "template": "run", "dependencies": ["prepare"], "onExit": "note"},
            ]
        }
    },
    {
        "name": "inner",
        "steps": [
            [{"name": "fetch", "template": "run", "withSequence": {"count": "3"}}],
            [{"name": "clean", "template": "run"}, {"name": "check", "template": "plain"}],
        ],
    },
    leaf("run", retryStrategy={"limit": 2}),
    leaf("plain"),
    leaf("note"),
    onExit="note",
)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Random workflows: dags and steps, two levels deep, with fan-out, retries and exit handlers."""

    def spread() -> dict[str, Any]:
        kind = draw(st.sampled_from(["", "", "withItems", "withSequence"]))
        if kind == "withItems":
            value = st.one_of(
                st.text(max_size=5),
                st.integers(0, 99),
                st.booleans(),
                st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
            )
            return {kind: draw(st.lists(value, min_size=1, max_size=3))}
        return {kind: {"count": str(draw(st.integers(1, 3)))}} if kind else {}

    def body(callees: list[str]) -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from(TASK_NAMES), min_size=1, max_size=4, unique=True))
        tasks = [{"name": n, "template": draw(st.sampled_from(callees)), **spread()} for n in names]
        if draw(st.integers(0, 1)):
            groups: list[list[dict[str, Any]]] = [[]]
            for t in tasks:
                apart = draw(st.booleans())
                if groups[-1] and apart:
                    groups.append([])
                groups[-1].append(t)
            return {"steps": groups}
        for i, t in enumerate(tasks):
            before = draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []
            if before:
                t["dependencies"] = before
            if draw(st.integers(0, 5)) == 0:
                t["onExit"] = "note"
        return {"dag": {"tasks": tasks}}

    retried = leaf("run", retryStrategy={"limit": 3})
    inner = {"name": "inner", **body(["run", "plain"])}
    fields: dict[str, Any] = {"onExit": "note"} if draw(st.booleans()) else {}
    if draw(st.integers(0, 4)) == 0:
        fields["retryStrategy"] = {"limit": 2}  # on dags and steps too, which adds "(0)" inside node names
    return spec_of(body(["run", "plain", "inner"]), inner, retried, leaf("plain"), leaf("note"), **fields)


DYNAMIC = spec_of(
    {
        "dag": {
            "tasks": [
                {"name": "list", "template": "list"},
                {
                    "name": "work",
                    "template": "run",
                    "dependencies": ["list"],
                    "withParam": "{{tasks.list.outputs.result}}",
                },
                {"name": "end", "template": "list", "dependencies": ["work"]},
            ]
        }
    },
    leaf("list"),
    leaf("run", retryStrategy={"limit": 4}),
)
