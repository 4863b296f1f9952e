"""A live Pod with what is read of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.model import ContainerFact, Outcome, PodFact
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.manifest import Problems, timestamp
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


def test_a_kill_before_the_last_start_is_known() -> None:
    killed = {"startedAt": "2026-08-01T02:00:00Z", "finishedAt": "2026-08-01T02:05:00Z", "reason": "OOMKilled"}
    ran = {"startedAt": "2026-08-01T02:06:00Z", "finishedAt": "2026-08-01T02:09:00Z", "reason": "Completed"}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    for state, last in (({"terminated": ran}, "startedAt"), (waiting, "finishedAt")):
        raw = pod("a", 2, 20)
        row = {"name": "main", "restartCount": 1, "state": state, "lastState": {"terminated": killed}}
        raw["status"] |= {"containerStatuses": [row]}
        (container,) = read_pod(reduced_pod(raw), Problems())[0].containers
        expected = timestamp((ran if last == "startedAt" else killed)[last])
        assert (container.restarted_after_oom, container.started) == (expected, timestamp(killed["startedAt"]))
        assert container.oom_killed and container.reason is None


def test_a_pod_that_failed_in_an_init_container_has_its_reason_and_exit_code() -> None:
    raw = pod("a", 2, 20, code=137)
    raw["spec"]["initContainers"] = [{"name": "proxy", "restartPolicy": "Always"}, {"name": "fetch"}]
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    stopped = {"terminated": {"exitCode": 143, "reason": "Error"}}
    waiting = [{"name": "dump", "state": {"waiting": {"reason": "PodInitializing"}}}]
    inits = [{"name": "proxy", "state": stopped}, {"name": "fetch", "state": ended}]
    raw["status"] |= {"containerStatuses": waiting, "initContainerStatuses": inits}
    fact, code = read_pod(reduced_pod(raw), Problems())
    e = execution(fact, "job")
    assert (code, e.outcome, e.reason) == (137, Outcome.FAILED, "OOMKilled")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (143, {}, "EvictionByEvictionAPI"),
        (143, {"reason": "Terminated"}, "Terminated"),
        (143, {"phase": "Running"}, None),  # still has its grace period
        (0, {}, None),
    ],
)
def test_a_pod_that_was_drained_says_so(code: int, status: dict[str, Any], expected: str | None) -> None:
    """Its container ended with "Error", as programs do that fail."""
    raw = pod("a", 2, 20, code=code)
    raw["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = "Error" if code else "Completed"
    raw["status"]["conditions"].append(
        {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    )
    raw["status"] |= status
    fact, _ = read_pod(reduced_pod(raw), Problems())
    e = execution(fact, "job")
    if expected is not None:
        assert (e.outcome, e.reason, classify(e)) == (Outcome.FAILED, expected, FailureClass.EVICTION)
    else:
        assert classify(e) is not FailureClass.EVICTION


FETCH, WORK = ContainerFact("fetch", init=True, reason="Error"), ContainerFact("main", started=5.0)


@pytest.mark.parametrize(
    ("containers", "phase", "expected"),
    [
        ((FETCH, ContainerFact("main")), "Failed", (Outcome.FAILED, "Error")),
        ((FETCH, ContainerFact("main")), None, (Outcome.FAILED, "Error")),
        ((FETCH, WORK), "Failed", (Outcome.FAILED, None)),  # it was started anew, and succeeded
        ((FETCH, WORK), None, (Outcome.UNKNOWN, "Vanished")),
        ((FETCH, ContainerFact("main")), "Succeeded", (Outcome.SUCCEEDED, None)),
    ],
)
def test_init_containers_tell_the_outcome_where_the_work_never_started(
    containers: tuple[ContainerFact, ...], phase: str | None, expected: tuple[Outcome, str | None]
) -> None:
    """The executor of Argo has an init container as well, which fails where an artifact is missing: that was a success."""
    fact = PodFact("ops", "a", "u", started=1.0, phase=phase, vanished=phase is None, containers=containers)
    e = execution(fact, "job", beside={"fetch", "wait"})
    assert (e.outcome, e.reason) == expected


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
