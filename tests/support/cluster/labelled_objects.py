"""Objects of runs whose steps are known by the labels of their pods: SparkApplications, TrainJobs and RayJobs. One has
failed, the others succeeded."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from testbed.series.lives import PodLife
from tests.support.cluster.labelled_pods import APPLICATION, EVERY


def taken(lives: Iterable[PodLife], last: str) -> list[PodLife]:
    """The pods, those with a container of that name deleted while they run: their end is never seen."""
    return [
        replace(
            pod,
            finished=None,
            deleted=pod.finished,
            containers=[replace(c, finished=None, terminated_reason=None) for c in pod.containers],
        )
        if any(c.name == last for c in pod.containers)
        else pod
        for pod in lives
    ]


def _times(count: int, end: float) -> list[tuple[str, str]]:
    """Start and end of each run in RFC 3339, a little before the first of its pods and after the last."""
    starts = [end - 2400.0 - (count - 1 - i) * EVERY for i in range(count)]
    return [(_text(start - 5.0), _text(start + 910.0)) for start in starts]


def _text(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def applications(namespace: str, count: int, end: float, failed: int) -> list[dict[str, Any]]:
    """The SparkApplications of ``labelled_pods.spark``."""
    return [
        {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "metadata": {
                "name": f"{APPLICATION}-{int((end - 2400.0 - (count - 1 - i) * EVERY) * 1e9)}",
                "namespace": namespace,
            },
            "spec": {"mode": "cluster"},
            "status": {
                "applicationState": {"state": "FAILED" if i == failed else "COMPLETED"},
                "sparkApplicationId": f"spark-{i:032x}",
                "lastSubmissionAttemptTime": first,
                "terminationTime": last,
            },
        }
        for i, (first, last) in enumerate(_times(count, end))
    ]


def train_jobs(namespace: str, names: Iterable[str], end: float, failed: int) -> list[dict[str, Any]]:
    """TrainJobs of these names, oldest first."""
    runs = list(names)
    return [
        {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 2}},
            "status": {
                "conditions": [
                    {"type": "Suspended", "status": "False", "reason": "Resumed", "lastTransitionTime": first},
                    {
                        "type": "Failed" if i == failed else "Complete",
                        "status": "True",
                        "reason": "JobsFailed" if i == failed else "JobsCompleted",
                        "lastTransitionTime": last,
                    },
                ]
            },
        }
        for i, (name, (first, last)) in enumerate(zip(runs, _times(len(runs), end), strict=True))
    ]


def ray_jobs(namespace: str, names: Iterable[str], end: float, failed: int) -> list[dict[str, Any]]:
    """RayJobs of these names, oldest first."""
    runs = list(names)
    return [
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"entrypoint": "python forecast.py", "shutdownAfterJobFinishes": True},
            "status": {
                "jobStatus": "FAILED" if i == failed else "SUCCEEDED",
                "jobDeploymentStatus": "Failed" if i == failed else "Complete",
                "startTime": first,
                "endTime": last,
            },
        }
        for i, (name, (first, last)) in enumerate(zip(runs, _times(len(runs), end), strict=True))
    ]
