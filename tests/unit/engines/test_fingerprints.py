"""Fingerprints of definitions, which are stored with runs and changes: another one for the same object would tell all runs
before an upgrade from those since. Where that has to be, ``FINGERPRINT_EDITION`` is counted up with it: otherwise every
verification in progress would end, as that of an edited workflow."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.core.model.fingerprints import FINGERPRINT_EDITION
from concertmaster.engines import define_all
from concertmaster.engines.define import define

CONTAINER = {"name": "main", "image": "busybox:1.36", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}
POD = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
JOB = {"spec": {"backoffLimit": 2, "template": POD}}
ARGO = {
    "entrypoint": "main",
    "templates": [
        {"name": "main", "dag": {"tasks": [{"name": "a", "template": "work"}]}},
        {"name": "work", "container": {k: v for k, v in CONTAINER.items() if k != "name"}},
    ],
}
TASK = {"name": "a", "taskSpec": {"steps": [{"name": "s", "image": "busybox:1.36", "script": "true"}]}}
JOBSET = {"replicatedJobs": [{"name": "work", "replicas": 2, "template": JOB}]}
RAYJOB = {
    "entrypoint": "python job.py",
    "rayClusterSpec": {
        "headGroupSpec": {"template": POD},
        "workerGroupSpecs": [{"groupName": "w", "replicas": 2, "template": POD}],
    },
}


@pytest.mark.parametrize(
    ("kind", "version", "spec", "pinned"),
    [
        ("CronJob", "batch/v1", {"schedule": "0 2 * * *", "jobTemplate": JOB}, "df6f7f3f405e"),
        ("WorkflowTemplate", "argoproj.io/v1alpha1", ARGO, "e8bc4585d678"),
        ("Pipeline", "tekton.dev/v1", {"tasks": [TASK]}, "b8c3840d97f2"),
        ("JobSet", "jobset.x-k8s.io/v1alpha2", JOBSET, "1f10b2773941"),
        ("RayJob", "ray.io/v1", RAYJOB, "799e794bc64e"),
    ],
)
def test_an_upgrade_of_the_operator_changes_no_fingerprint(
    kind: str, version: str, spec: dict[str, Any], pinned: str
) -> None:
    raw = {"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "demo"}, "spec": spec}
    definition = define(raw, lambda kind, name: None, namespace="demo")
    assert definition is not None
    assert definition.fingerprint == pinned


ARGO_API = "argoproj.io/v1alpha1"
TEMPLATE = {
    "apiVersion": ARGO_API,
    "kind": "WorkflowTemplate",
    "metadata": {"name": "w", "namespace": "demo"},
    "spec": ARGO,
}


@pytest.mark.parametrize(
    ("kind", "namespace", "body", "pinned"),
    [
        (
            "CronWorkflow",
            "demo",
            {
                "spec": {
                    "schedule": "0 * * * *",
                    "workflowSpec": {
                        "workflowTemplateRef": {"name": "w"},
                        "arguments": {"parameters": [{"name": "x", "value": "2"}]},
                    },
                }
            },
            "cfca7f4da274",
        ),
        ("ConfigMap", "argo", {"data": {"workflowDefaults": "spec: {activeDeadlineSeconds: 7200}"}}, "995f2d250552"),
    ],
)
def test_nor_those_of_what_lies_over_a_template_and_below_it(
    kind: str, namespace: str, body: dict[str, Any], pinned: str
) -> None:
    name = "workflow-controller-configmap" if kind == "ConfigMap" else "nightly"
    version = "v1" if kind == "ConfigMap" else ARGO_API
    other = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **body}
    (definition,) = define_all([TEMPLATE, other])
    assert (FINGERPRINT_EDITION, definition.fingerprint) == (2, pinned)
