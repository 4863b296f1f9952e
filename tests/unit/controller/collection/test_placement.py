"""Pods placed look by look end up where they would if all had come at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from concertmaster.controller.collection import placement as module
from concertmaster.controller.collection.placement import PodPlacer
from concertmaster.core.model import PodFact, StepExecution, WorkflowDefinition
from concertmaster.engines import assign
from concertmaster.prometheus.collect.collection import Collection
from tests.support.engines.argo_definitions import PICKED, spec_of, the_definition
from tests.support.engines.argo_oracle import Controller, leaf, pods

LOOP = spec_of(
    {
        "dag": {
            "tasks": [
                {"name": "list", "template": "list"},
                {"name": "each", "template": "each", "dependencies": ["list"], "withParam": "{{tasks.list.outputs.x}}"},
                {"name": "inner", "template": "inner", "dependencies": ["list"], "withItems": ["a", "b", "c"]},
                {"name": "join", "template": "join", "dependencies": ["each", "inner"]},
            ]
        }
    },
    {"name": "inner", "steps": [[{"name": "first", "template": "each"}], [{"name": "second", "template": "join"}]]},
    leaf("list"),
    leaf("each"),
    leaf("join"),
)


def collection(facts: Sequence[PodFact]) -> Collection:
    return Collection(0.0, 1.0, tuple(facts))


@pytest.mark.parametrize("first", ["pods", "object"])
def test_runs_selected_by_labels_their_pods_do_not_carry(first: str) -> None:
    """Labels of a Workflow are not those of its pods: its object says whose run it is, before or after its pods come."""
    placement, run = PodPlacer(), "adhoc-x7k2z"
    facts = a_run(run)
    other = a_run("adhoc-q9q9q")
    live = {("data", run): PICKED.key}
    if first == "pods":
        early = placement.place(collection([*facts, *other]), [PICKED], present=True)
        assert not early.executions and not placement.unplaced
        found = placement.place(collection([]), [PICKED], present=True, live=live)
    else:
        found = placement.place(collection([*facts, *other]), [PICKED], present=True, live=live)
    assert {e.uid for e in found.executions[PICKED.key].pop(run)} == {f.uid for f in facts}
    assert not found.executions[PICKED.key] and not placement.unplaced


def test_pods_that_carry_another_value_do_not_wait() -> None:
    facts = [replace(f, labels={"app": "web"}) for f in a_run("adhoc-x7k2z")]
    assert assign(facts, [PICKED]).undecided == ()


def placed(placement: PodPlacer, definition: WorkflowDefinition, looks: Sequence[Sequence[PodFact]]) -> dict[str, str]:
    """Step by pod after all looks."""
    found: dict[str, StepExecution] = {}
    for look in looks:
        for runs in placement.place(collection(look), [definition], present=True).executions.values():
            found |= {e.pod or "": e for rows in runs.values() for e in rows}
    return {pod: e.step for pod, e in found.items()}


def a_run(name: str) -> list[PodFact]:
    control = Controller(LOOP, name, param_items={"each": list(range(40))})
    return pods(control.execute(), name)


@pytest.mark.parametrize("seed", range(8))
def test_it_does_not_matter_which_pods_share_a_look(seed: int) -> None:
    definition = the_definition(LOOP)
    facts = a_run("etl-x7k2z")
    expected = {e.pod: e.step for r in assign(facts, [definition]).executions.values() for e in r["etl-x7k2z"]}
    random.Random(seed).shuffle(facts)
    assert placed(PodPlacer(), definition, [[fact] for fact in facts]) == expected


def test_a_look_with_items_of_a_long_fan_out_only_is_placed_at_once() -> None:
    definition = the_definition(LOOP)
    items = [fact for fact in a_run("etl-x7k2z") if "-each-" in fact.pod][:5]
    assert set(placed(PodPlacer(), definition, [items]).values()) == {"each"}


def test_a_pod_that_fits_no_step_of_its_template_is_no_matter_of_other_workflows() -> None:
    one, other = the_definition(LOOP), the_definition(LOOP, name="report")
    strange = PodFact("data", "etl-x7k2z-strange-123", "u", owner_kind="Workflow", owner_name="etl-x7k2z")
    placement = PodPlacer()
    placement.place(collection([strange]), [one, other], present=True)
    assert set(placement.unplaced) == {one.key}
    assert placement.namespace_unplaced == {}


def test_a_flood_of_one_namespace_takes_the_place_of_nobody_elses_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PODS", 10)
    monkeypatch.setattr(module, "MAX_RUNS", 10)
    placement, run = PodPlacer(), "adhoc-x7k2z"
    facts = a_run(run)[:4]
    theirs = replace(PICKED, key=replace(PICKED.key, namespace="theirs"))
    placement.place(collection(facts), [PICKED, theirs], present=True)
    flood = [
        PodFact("theirs", f"adhoc-{n}-a-1", f"f{n}", owner_kind="Workflow", owner_name=f"adhoc-{n}") for n in range(40)
    ]
    placement.place(collection(flood), [PICKED, theirs], present=True)
    live = {("data", run): PICKED.key} | {("theirs", f"adhoc-{n}"): theirs.key for n in range(40)}
    found = placement.place(collection([]), [PICKED, theirs], present=True, live=live)
    assert {e.uid for e in found.executions[PICKED.key][run]} == {f.uid for f in facts}
    assert len(found.executions[theirs.key]) == 6
