"""ConfigMaps of Argo: sizes of semaphores, entries of caches, and whatever else stands in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.engines.argo.config_maps import (
    CONTROLLER,
    cache_content,
    caches_of,
    semaphore_size,
    semaphores_of,
    workflow_defaults,
)
from concertmaster.engines.define import define_all
from tests.support.core.scenario_builder import argo, define, task

MEMO = {"memoize": {"key": "x", "maxAge": "1h", "cache": {"configMap": {"name": "etl-cache"}}}}


def cache(data: Any, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "etl-cache", "namespace": "argo", "labels": labels}, "data": data}


def test_what_a_workflow_names() -> None:
    lock = {"synchronization": {"semaphore": {"configMapKeyRef": {"name": "limits", "key": "db"}}}}
    whole = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "runs"}}], "mutexes": [{"name": "m"}]}
    of = define(argo(task("a"), task("b"), templates={"a": MEMO, "b": lock}, synchronization=whole))
    assert caches_of(of) == ("etl-cache",)
    assert semaphores_of(of) == {"semaphore/limits/runs": ("limits", "runs"), "semaphore/limits/db": ("limits", "db")}


def test_a_semaphore_of_another_namespace_is_not_that_of_the_same_name_here() -> None:
    there = {"namespace": "shared", "configMapKeyRef": {"name": "limits", "key": "db"}}
    both = {"semaphores": [there, {"configMapKeyRef": {"name": "limits", "key": "db"}}],
            "mutexes": [{"name": "m"}, {"name": "m", "namespace": "shared"}]}  # fmt: skip
    of = define(argo(task("a"), templates={"a": {"synchronization": both}}))
    locks = ("semaphore/shared:limits/db", "semaphore/limits/db")
    assert set(of.graph.steps[0].locks) == {"mutex/m", "mutex/shared:m", *locks}
    assert semaphores_of(of) == {"semaphore/limits/db": ("limits", "db")}


@pytest.mark.parametrize("own", [None, "demo", "{{workflow.namespace}}"])
def test_a_semaphore_may_name_the_namespace_of_its_workflow(own: str | None) -> None:
    here = {"namespace": own, "configMapKeyRef": {"name": "limits", "key": "db"}}
    of = define(argo(task("a"), templates={"a": {"synchronization": {"semaphore": here}}}, synchronization={
        "mutexes": [{"name": "m", "namespace": own}]}))  # fmt: skip
    assert of.key.namespace == "demo" and of.locks == ("mutex/m",)
    assert semaphores_of(of) == {"semaphore/limits/db": ("limits", "db")}


def test_entries_of_a_cache_have_their_times_and_size() -> None:
    entry = {"nodeID": "n", "creationTimestamp": "2026-11-20T10:00:00Z", "lastHitTimestamp": "2026-11-20T11:00:00Z"}
    data = {"a": json.dumps(entry), "b": "{", "c": json.dumps({"nodeID": "n"}), "d": 3}
    found = cache_content(cache(data, **{"workflows.argoproj.io/configmap-type": "Cache"}))
    assert found is not None
    assert [used - made for made, used in found.entries] == [3600.0]
    assert found.size > len(json.dumps(entry))
    assert cache_content(cache(data)) is None


@pytest.mark.parametrize(("value", "size"), [("3", 3), ("0", None), ("many", None), (None, None), ({}, None)])
def test_sizes(value: Any, size: int | None) -> None:
    assert semaphore_size({"data": {"db": value}}, "db") == size
    assert semaphore_size({}, "db") is None


BOMB = "\n".join(
    ["    a0: &a0 {x: 1, y: 2}", *(f"    a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}" for i in range(1, 60))]
)
DEFAULTS = """
metadata: {labels: {team: platform}}
spec:
  activeDeadlineSeconds: 3600
  parallelism: 5
  retryStrategy: {limit: 2}
  ttlStrategy: {secondsAfterCompletion: 600}
  templateDefaults: {timeout: 30m}
"""


@pytest.mark.parametrize(
    "data",
    [
        {"workflowDefaults": DEFAULTS},
        {"config": "parallelism: 9\nworkflowDefaults:\n" + "".join(f"  {line}\n" for line in DEFAULTS.splitlines())},
    ],
)
def test_defaults_of_the_controller_lie_below_the_spec(data: dict[str, str]) -> None:
    controller = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONTROLLER, "namespace": "argo"},
        "data": data,
    }
    bare, own = argo(task("a")), argo(task("a"), name="own", parallelism=3, retryStrategy={"limit": 7})
    plain, of_own = define_all([bare, own, controller])
    assert plain.graph.parallelism == 5 and plain.graph.parallelism_pointer is None  # it is not set in this object
    assert (plain.graph.steps[0].retry_limit, plain.graph.steps[0].timeout_seconds) == (2, 1800.0)
    assert {"activeDeadlineSeconds", "ttlStrategy"} <= plain.declared.keys()
    (note,) = plain.notes
    assert (
        "workflowDefaults of the Argo controller set activeDeadlineSeconds, parallelism, templateDefaults, retry"
        in note
    )
    assert (of_own.graph.parallelism, of_own.graph.steps[0].retry_limit) == (3, 7)
    alone = define_all([bare])[0]
    assert alone.graph.parallelism is None and alone.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"workflowDefaults": "spec: ["},
        {"workflowDefaults": "text"},
        {"config": "- a"},
        {"workflowDefaults": "spec: &s\n  podMetadata: *s"},
        {"workflowDefaults": "spec: {parallelism: 1, parallelism: 2}"},  # the controller decodes it strictly
        {"workflowDefaults": f"spec:\n  podMetadata:\n{BOMB}"},
    ],
)
def test_a_controller_without_defaults_changes_nothing(data: Any) -> None:
    assert workflow_defaults({"data": data}) == {}


def test_defaults_are_below_what_a_cron_workflow_sets() -> None:
    controller = {"kind": "ConfigMap", "metadata": {"name": CONTROLLER}, "data": {"workflowDefaults": DEFAULTS}}
    bare = argo(task("a"))
    cron = {
        **bare,
        "kind": "CronWorkflow",
        "spec": {"schedule": "0 * * * *", "workflowSpec": {**bare["spec"], "parallelism": 2}},
    }
    (definition,) = define_all([cron, controller])
    assert definition.graph.parallelism == 2
    assert definition.graph.parallelism_pointer is None  # beside it stands a limit of time that is not
