"""Equal steps of many definitions are one object; nothing else about the definitions changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.controller.discovery import shared_steps
from concertmaster.controller.discovery.shared_steps import SharedSteps
from concertmaster.core.model import StepSpec, WorkflowDefinition
from concertmaster.engines.define import define


def template(name: str, image: str = "etl:1") -> WorkflowDefinition:
    tasks = [{"name": "a", "template": "work"}, {"name": "b", "template": "work", "dependencies": ["a"]}]
    container = {"image": image, "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, {"name": "work", "container": container}],
    }
    found = define(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": spec,
        },
        lambda kind, name: None,
        namespace="demo",
    )
    assert found is not None
    return found


def test_equal_steps_are_one_object() -> None:
    shared = SharedSteps()
    one, same, other = template("one"), template("same"), template("other", image="etl:2")
    first, second, third = (shared.share(d) for d in (one, same, other))
    assert (first, second, third) == (one, same, other)
    assert all(a is b for a, b in zip(first.graph.steps, second.graph.steps, strict=True))
    assert not any(a is b for a, b in zip(first.graph.steps, third.graph.steps, strict=True))


@pytest.mark.parametrize("number", [10**30, object()])
def test_what_cannot_be_compared_stays_as_it_is(number: Any) -> None:
    definition = template("one")
    odd: StepSpec = replace(definition.graph.steps[0], declared={"retryStrategy": number})
    definition = replace(definition, graph=replace(definition.graph, steps=(odd,)))
    assert SharedSteps().share(definition).graph.steps[0] is odd


def test_steps_that_nobody_has_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_steps, "_MIN_STEPS", 4)
    shared = SharedSteps()
    kept = shared.share(template("kept"))
    for version in range(50):
        shared.share(template("edited", image=f"etl:{version + 2}"))
        shared.keep_only([kept])
        assert len(shared._known) <= 6
    assert shared.share(template("again")).graph.steps[0] is kept.graph.steps[0]
