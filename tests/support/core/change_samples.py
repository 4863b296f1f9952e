"""Objects, recommendations and plans for the tests of changes."""

from __future__ import annotations

import copy
from typing import Any

from concertmaster.core.changes.plan import Plan, plan
from concertmaster.core.model import Category, Edit, Interval, Recommendation, Severity
from concertmaster.engines import PATCHABLE
from tests.support.builders import recommendation

Manifest = dict[str, Any]

TRAIN = "/spec/templates/1/container/resources/requests"


def template(**train: Any) -> Manifest:
    """A WorkflowTemplate: main with a parallelism of two, train with 2 cores and 2Gi."""
    container = {"image": "x", "resources": {"requests": {"cpu": "2", "memory": "2Gi"}}}
    container.update(train)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": "demo", "uid": "u-1", "resourceVersion": "41"},
        "spec": {
            "entrypoint": "main",
            "parallelism": 2,
            "templates": [
                {"name": "main", "dag": {"tasks": [{"name": "train", "template": "train"}]}},
                {"name": "train", "container": container},
            ],
        },
    }


def cron_job(resources: Manifest | None = None, **job: Any) -> Manifest:
    """A CronJob as stored by the API server."""
    container = {"name": "main", "image": "x", "resources": resources if resources is not None else {}}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "etl", "namespace": "demo", "uid": "u-2", "resourceVersion": "7"},
        "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}, **job}}},
    }


def recommended(*edits: Edit, **more: Any) -> Recommendation:
    """A recommendation to lower a request, unless ``more`` overrides it."""
    lower = {
        "action": "Lower it",
        "because": "it is idle",
        "otherwise": "it stays idle",
        "category": Category.COST,
        "severity": Severity.MEDIUM,
        "current": "2",
        "proposed": "1",
        "confidence": 0.9,
        "saving_per_month": Interval(10.0, 20.0, 30.0),
        "automatic": True,
    }
    return recommendation("cpu-request.train", edits=edits, **{**lower, **more})


def cpu(current: str | None = "2", proposed: str = "1500m", pointer: str = f"{TRAIN}/cpu") -> Edit:
    return Edit(pointer, current, proposed)


def faster(*edits: Edit, **more: Any) -> Recommendation:
    """A recommendation to raise the parallelism."""
    found = edits or (Edit("/spec/parallelism", "2", "3"),)
    return recommended(
        *found,
        **{
            "id": "parallelism",
            "rule": "parallelism",
            "step": None,
            "category": Category.PERFORMANCE,
            "gain_share": Interval(0.1, 0.2, 0.3),
            "saving_per_month": None,
            **more,
        },
    )


def planned(item: Recommendation | None = None, raw: Manifest | None = None, **more: Any) -> Plan:
    """The plan of ``item`` (default: 2 cores to 1500m) for ``raw``."""
    return plan(
        item or recommended(cpu()), copy.deepcopy(raw or template()), PATCHABLE, profile="etl", namespace="demo", **more
    )
