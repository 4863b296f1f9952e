"""A live Pod with what is read of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.engines.common.manifest import Problems
from concertmaster.engines.common.pods import read_pod, reduced_pod
from tests.support.engines.live_jobs import pod


def test_a_reduced_pod_reads_as_the_whole_one() -> None:
    raw = pod("a", 2, 20, code=137, labels={"job-name": "backup"})
    raw["metadata"] |= {"annotations": {"note": "x" * 9_000}, "managedFields": [{"fieldsV1": {"x": "y" * 9_000}}]}
    raw["spec"] |= {"containers": [{"name": "dump", "env": [{"name": "a", "value": "b" * 9_000}]}]}
    raw["status"]["containerStatuses"][0] |= {
        "restartCount": 1,
        "lastState": {"terminated": {"startedAt": "2026-11-20T00:00:01Z"}},
        "imageID": "sha256:" + "a" * 64,
    }
    reduced = reduced_pod(raw)
    assert read_pod(reduced, Problems()) == read_pod(raw, Problems())
    assert len(json.dumps(reduced)) < 1_000


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"metadata": [], "spec": "x", "status": 3},
        {"status": {"conditions": [1], "containerStatuses": [None, {"state": 5}], "initContainerStatuses": "x"}},
    ],
)
def test_what_is_no_pod_stays_readable(raw: dict[str, Any]) -> None:
    read_pod(reduced_pod(raw), Problems())
