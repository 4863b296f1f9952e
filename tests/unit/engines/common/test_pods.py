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


def test_the_image_is_that_of_the_spec() -> None:
    """As the metrics have it. The kubelet reports another name of the same image, where the node has one."""
    raw = pod("a", 2, 20)
    raw["spec"] |= {
        "containers": [{"name": "main", "image": "ci:28"}],
        "initContainers": [
            {"name": "fetch", "image": "git:2"},
            {"name": "proxy", "image": "px", "restartPolicy": "Always"},
        ],
    }
    done = {"terminated": {"exitCode": 0}}
    rows = [
        {"name": "main", "image": "docker.io/library/ci:27", "state": done},
        {"name": "late", "image": "x", "state": done},
    ]
    inits = [{"name": name, "image": "other", "state": done} for name in ("fetch", "proxy")]
    raw["status"] |= {"containerStatuses": rows, "initContainerStatuses": inits}
    fact, _ = read_pod(reduced_pod(raw), Problems())
    seen = {c.name: (c.image, c.init, c.sidecar) for c in fact.containers}
    assert seen == {
        "fetch": ("git:2", True, False),
        "proxy": ("px", False, True),
        "main": ("ci:28", False, False),
        "late": ("x", False, False),
    }


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
