"""Jobs and JobSets of the set."""

from __future__ import annotations

from typing import Any

from benchmarks.torture.workflows.parts import SMALL, Object


def _pod(seconds: int, **sim: str) -> Object:
    annotations = {
        "sim/startup": "0",
        "sim/duration": str(seconds),
        **{f"sim/{k.replace('_', '-')}": v for k, v in sim.items()},
    }
    return {
        "metadata": {"annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "work", "image": "sim/work:1", "command": ["work"], "resources": SMALL}],
        },
    }


def _again(template: Object) -> Object:
    """The pod with its containers restarted in place."""
    return {**template, "spec": {**template["spec"], "restartPolicy": "OnFailure"}}


def _job(name: str, template: Object, **spec: Any) -> Object:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


JOBS: tuple[Object, ...] = (
    _job("jb-single", _pod(3)),
    _job("jb-waves", _pod(2), completions=5, parallelism=2),
    _job("jb-indexed", _pod(2), completions=4, parallelism=2, completionMode="Indexed"),
    _job(
        "jb-retry",
        _pod(1, exit_code="1", fail_until="1"),
        completions=2,
        parallelism=2,
        completionMode="Indexed",
        backoffLimitPerIndex=2,
    ),
    _job("jb-failed", _pod(1, exit_code="1"), backoffLimit=0),
    _job(
        "jb-policy",
        _pod(2, exit_code="42"),
        completions=4,
        parallelism=2,
        completionMode="Indexed",
        backoffLimitPerIndex=1,
        maxFailedIndexes=3,
        podFailurePolicy={"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}]},
    ),
    _job(
        "jb-flaky",
        _pod(1, exit_code="1", fail_until="2"),
        completions=3,
        parallelism=3,
        completionMode="Indexed",
        backoffLimitPerIndex=3,
        podFailurePolicy={
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
    ),
    _job("jb-queued", _pod(3), completions=2, parallelism=2, suspend=True),
    _job("jb-paused", _pod(14), completions=3, parallelism=2, completionMode="Indexed"),
    _job("jb-deadline", _pod(60), completions=3, parallelism=2, completionMode="Indexed", activeDeadlineSeconds=6),
    _job(
        "jb-enough",
        _pod(3),
        completions=6,
        parallelism=3,
        completionMode="Indexed",
        successPolicy={"rules": [{"succeededCount": 2}]},
    ),
    _job(
        "jb-given-up",
        _pod(6, exit_code="1"),
        completions=6,
        parallelism=3,
        completionMode="Indexed",
        backoffLimitPerIndex=0,
        maxFailedIndexes=1,
    ),
    _job(
        "jb-stopped",
        _pod(4, exit_code="3", fail_until="1"),
        completions=4,
        parallelism=2,
        completionMode="Indexed",
        backoffLimitPerIndex=1,
        podFailurePolicy={
            "rules": [
                {"action": "Count", "onExitCodes": {"operator": "In", "values": [3]}},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [4]}},
            ]
        },
    ),
    _job(
        "jb-leader",
        _pod(4),
        completions=4,
        parallelism=2,
        completionMode="Indexed",
        backoffLimit=3,
        successPolicy={"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]},
    ),
    _job("jb-wide", _pod(2), completions=2, parallelism=5),
    _job("jb-work-queue", _pod(3), parallelism=3),
    _job(
        "jb-replaced",
        _pod(2, exit_code="9", fail_until="1"),
        completions=3,
        parallelism=3,
        completionMode="Indexed",
        backoffLimit=4,
        podReplacementPolicy="Failed",
        podFailurePolicy={
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
            ]
        },
    ),
    _job("jb-restarted", _again(_pod(1, exit_code="1", fail_until="2")), completions=2, parallelism=2, backoffLimit=6),
    _job(
        "jb-some-indexes",
        _pod(2, fail_percent="50"),
        completions=6,
        parallelism=3,
        completionMode="Indexed",
        backoffLimitPerIndex=1,
    ),
)


PAUSED = frozenset({"jb-paused"})  # suspended while their first pods run, and resumed later


def _set(name: str, *jobs: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name},
        "spec": {"replicatedJobs": list(jobs), **spec},
    }


def _part(name: str, template: Object, after: str | None = None, replicas: int = 1, **spec: Any) -> Object:
    found: Object = {"name": name, "replicas": replicas, "template": {"spec": {"template": template, **spec}}}
    return {**found, "dependsOn": [{"name": after, "status": "Complete"}]} if after else found


JOBSETS: tuple[Object, ...] = (
    _set(
        "js-staged", _part("load", _pod(2)), _part("workers", _pod(4), "load", 2), _part("report", _pod(1), "workers")
    ),
    _set(
        "js-indexed",
        _part("workers", _pod(3), None, 2, completions=2, parallelism=2, completionMode="Indexed"),
        _part("end", _pod(1), "workers"),
    ),
    _set(
        "js-ordered",
        _part("first", _pod(8)),
        _part("second", _pod(3), None, 2),
        _part("third", _pod(2)),
        startupPolicy={"startupPolicyOrder": "InOrder"},
    ),
    _set(
        "js-ready",
        _part("driver", _pod(9)),
        {**_part("workers", _pod(3), None, 2), "dependsOn": [{"name": "driver", "status": "Ready"}]},
        _part("end", _pod(1), "workers"),
    ),
    _set("js-queued", _part("load", _pod(2)), _part("end", _pod(2), "load"), suspend=True),
    _set("js-failed", _part("load", _pod(1)), _part("bad", _pod(1, exit_code="1"), "load", 1, backoffLimit=0)),
    _set(
        "js-fan-in",
        _part("left", _pod(2)),
        _part(
            "right",
            _pod(2, exit_code="1", fail_until="1"),
            None,
            2,
            completions=1,
            completionMode="Indexed",
            backoffLimitPerIndex=2,
        ),
        {
            **_part("join", _pod(3), None, 1, completions=2, parallelism=2, completionMode="Indexed"),
            "dependsOn": [{"name": "left", "status": "Complete"}, {"name": "right", "status": "Complete"}],
        },
        _part("end", _pod(1), "join"),
    ),
    _set(
        "js-leader",
        _part("leader", _pod(2, exit_code="1"), None, 1, backoffLimit=0),
        _part("workers", _pod(1), None, 2, backoffLimit=0),
        successPolicy={"operator": "All", "targetReplicatedJobs": ["leader"]},
        failurePolicy={
            "maxRestarts": 2,
            "rules": [{"name": "leader", "action": "FailJobSet", "targetReplicatedJobs": ["leader"]}],
        },
    ),
)
