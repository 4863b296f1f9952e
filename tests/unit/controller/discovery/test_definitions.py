"""From profiles to definitions: an object that cannot be read concerns its own profile and stops no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.api.conditions import Reason
from concertmaster.controller.discovery import definitions as module
from concertmaster.controller.discovery.config_maps import ArgoController
from concertmaster.controller.discovery.definitions import Definitions
from concertmaster.controller.discovery.targets import NO_TARGETS, refresh
from concertmaster.controller.object_cache import CachedObject
from concertmaster.core.times import parse_time
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.discover import ProblemKind
from concertmaster.kube.objects import CONFIG_MAPS, PROFILES, ObjectRef, Resource
from tests.support.controller.fakes import MemoryClient
from tests.support.controller.harness import Bed, run
from tests.support.core.scenario_builder import argo, task


@pytest.fixture
def bed() -> Bed:
    found = Bed()
    for name in ("etl", "bad"):
        found.cronjob(name)
        found.profile(name, name)
        found.history.runs_of[name] = [run(name, 1)]
    return found


def test_a_profile_of_an_object_nested_too_deeply_says_so_and_the_others_are_recommended(bed: Bed) -> None:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    for obj in bed.client.objects.values():
        if obj["kind"] == "CronJob" and obj["metadata"]["name"] == "bad":
            obj["spec"]["deep"] = deep
    bed.run()
    assert bed.status()["advice"] == ["1 runs"]
    assert bed.state(name="bad")["TargetResolved"] == ("False", "Unsupported")
    assert "nested deeper than 100 levels" in bed.message("TargetResolved", name="bad")


def test_a_definition_that_breaks_its_reader_is_left_out(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = module.define

    def broken(raw: Any, *args: Any, **more: Any) -> Any:
        if raw["metadata"]["name"] == "bad":
            raise RecursionError("maximum recursion depth exceeded")
        return real(raw, *args, **more)

    monkeypatch.setattr(module, "define", broken)
    bed.run()
    assert bed.status()["advice"] == ["1 runs"]
    assert bed.state(name="bad")["TargetResolved"] == ("False", "Unsupported")
    assert "is left out (RecursionError)" in bed.message("TargetResolved", name="bad")
    for present in (broken, real, broken, broken):  # logged once, and again after it could be read in between
        monkeypatch.setattr(module, "define", present)
        bed.cronjob("bad")  # another version of it
        bed.run(seconds=60.0)
    assert sum("reading the workflow of" in r.getMessage() for r in caplog.records) == 2


CONTROLLER = CONFIG_MAPS.path("argo", "workflow-controller-configmap")
TEMPLATES = Resource("argoproj.io/v1alpha1", "WorkflowTemplate", "workflowtemplates")


def with_defaults() -> tuple[MemoryClient, ArgoController, CachedObject]:
    """A template, and an Argo controller whose defaults have a parallelism of 5."""
    client = MemoryClient()
    client.put(TEMPLATES, "demo", "etl", spec=argo(task("a"))["spec"])
    client.put(
        CONFIG_MAPS, "argo", "workflow-controller-configmap", data={"workflowDefaults": "spec: {parallelism: 5}"}
    )
    spec = {"workflowRef": {"apiVersion": TEMPLATES.api_version, "kind": TEMPLATES.kind, "name": "etl"}}
    profile = CachedObject(ObjectRef(PROFILES, "demo", "etl", "u1"), 1, "1", 0.0, {}, json.dumps(spec))
    return client, ArgoController(client, AccessChecker(client), "argo"), profile


def test_defaults_of_the_argo_controller_are_part_of_a_definition() -> None:
    client, controller, profile = with_defaults()
    definitions = Definitions()
    targets = NO_TARGETS

    def parallelism() -> int | None:
        nonlocal targets
        targets = refresh(client, [TEMPLATES], (), targets, also=controller.defaults())
        definition = definitions.resolve(profile, targets).definition
        assert definition is not None
        return definition.graph.parallelism

    assert parallelism() == 5
    known = targets
    assert parallelism() == 5 and targets is known
    client.objects[CONTROLLER]["data"]["workflowDefaults"] = "spec: {parallelism: 7}"
    assert parallelism() == 7
    client.faults["GET", CONTROLLER] = [errors.Busy("busy", status=503)]
    assert parallelism() == 7
    del client.objects[CONTROLLER]
    assert parallelism() is None


def test_a_new_process_does_not_take_defaults_it_cannot_read_for_absent() -> None:
    """Else every workflow would look changed, once without them and once more with them."""
    client, controller, profile = with_defaults()
    definitions = Definitions()
    client.faults["GET", CONTROLLER] = [errors.Busy("busy", status=503)]
    targets = refresh(client, [TEMPLATES], (), NO_TARGETS, also=controller.defaults())
    waits = definitions.resolve(profile, targets)
    assert waits.definition is None and waits.finding.reason == Reason.TARGET_UNAVAILABLE
    assert "ConfigMap argo/workflow-controller-configmap cannot be read" in waits.finding.message
    targets = refresh(client, [TEMPLATES], (), targets, also=controller.defaults())
    definition = definitions.resolve(profile, targets).definition
    assert definition is not None and definition.graph.parallelism == 5


def test_defaults_that_are_denied_hold_nothing_up() -> None:
    client = MemoryClient()
    client.faults["GET", CONTROLLER] = [errors.Forbidden("no", status=403)]
    assert ArgoController(client, AccessChecker(client), "argo").defaults() is None


def wrote(at: str, part: str = "f:spec") -> list[dict[str, Any]]:
    return [
        {"manager": "kubectl", "time": at, "fieldsV1": {part: {}}},
        {"manager": "argo", "time": "2025-10-09T00:00:00Z", "fieldsV1": {"f:status": {}}, "subresource": "status"},
    ]


def test_a_definition_is_as_it_is_since_the_last_write_of_what_it_is_made_of() -> None:
    client, controller, profile = with_defaults()
    template = TEMPLATES.path("demo", "etl")
    ref = {"name": "late", "templateRef": {"name": "shared", "template": "work"}}
    client.put(TEMPLATES, "demo", "etl", spec=argo(task("a"), ref)["spec"])

    def since() -> float | None:
        targets = refresh(client, [TEMPLATES], (), NO_TARGETS, also=controller.defaults())
        definition = Definitions().resolve(profile, targets).definition
        assert definition is not None
        return definition.written

    def write(path: str, at: str, part: str = "f:spec") -> None:
        client.objects[path]["metadata"]["managedFields"] = wrote(at, part)

    write(template, "2025-09-01T00:00:00Z")
    write(CONTROLLER, "2025-08-01T00:00:00Z", "f:metadata")
    assert since() is None  # a template that it refers to is not there
    client.put(TEMPLATES, "demo", "shared", spec=argo(task("work"))["spec"])
    assert since() is None  # nor says this one when it was written
    write(TEMPLATES.path("demo", "shared"), "2025-09-03T00:00:00Z")
    assert since() == parse_time("2025-09-03T00:00:00Z")
    write(CONTROLLER, "2025-09-04T00:00:00Z", "f:data")
    assert since() == parse_time("2025-09-04T00:00:00Z")
    del client.objects[CONTROLLER]
    assert since() == parse_time("2025-09-03T00:00:00Z")


def test_the_argo_controller_is_read_where_that_is_allowed() -> None:
    client = MemoryClient()
    client.put(
        CONFIG_MAPS, "argo", "workflow-controller-configmap", data={"workflowDefaults": "spec: {parallelism: 5}"}
    )
    client.allows = lambda attributes: False  # type: ignore[method-assign]
    assert ArgoController(client, AccessChecker(client), "argo").defaults() is None
    assert ("GET", CONTROLLER) not in [call[:2] for call in client.calls]


def test_every_kind_of_problem_has_a_reason() -> None:
    assert set(module._REASONS) == set(ProblemKind)
