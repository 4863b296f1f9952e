"""Steps worth a cache in templates with names that are no names of a ConfigMap or no part of a key."""

from __future__ import annotations

from tests.support.core.scenario_builder import Manifest, Pod, Scenario, argo, noise, scenario

BODY: Manifest = {
    "inputs": {"parameters": [{"name": "the_day"}]},
    "outputs": {"parameters": [{"name": "model", "valueFrom": {"path": "/tmp/model"}}]},
    "metadata": {"annotations": {"sim/outputs": '{"model": "1"}'}},
    "container": {"image": "registry.example/etl:1", "command": ["model"]},
}
GIVEN: Manifest = {"parameters": [{"name": "the_day", "value": "{{workflow.creationTimestamp}}"}]}


def _scenario(manifest: Manifest, step: str) -> Scenario:
    value = noise()
    return scenario(manifest, 42, lambda i: {step: Pod(value(600), inputs=f"day-{i // 3}")})


def capitals() -> Scenario:
    """A workflow of one template, whose name has capitals: Argo names the pod after the workflow alone."""
    manifest = argo(entrypoint="TrainModel", arguments=GIVEN)
    manifest["spec"]["templates"] = [{"name": "TrainModel", **BODY}]
    return _scenario(manifest, "TrainModel")


def inline() -> Scenario:
    """An inline template, which has no name, in a nested graph, where the step's name has a dot."""
    manifest = argo({"name": "part", "template": "part"})
    main, _ = manifest["spec"]["templates"]
    tasks = [{"name": "model", "inline": BODY, "arguments": GIVEN}]
    manifest["spec"]["templates"] = [main, {"name": "part", "dag": {"tasks": tasks}}]
    return _scenario(manifest, "part.model")


FORMS = {"capitals": capitals, "inline": inline}
