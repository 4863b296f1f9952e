"""ConfigMaps of Argo: sizes of semaphores, entries of caches, and whatever else stands in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.engines.argo.config_maps import cache_content, caches_of, semaphore_size, semaphores_of
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
