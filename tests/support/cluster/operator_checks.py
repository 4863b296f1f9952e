"""Permissions of the operator under test, and traces that it must never leave."""

from __future__ import annotations

from typing import Any

from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import (
    apply,
)


def assert_unsoiled(obj: dict[str, Any]) -> None:
    """Assert that an object has no finalizer and no annotation of the operator."""
    meta = obj["metadata"]
    assert "finalizers" not in meta
    assert set(meta.get("annotations") or ()) <= {"kubectl.kubernetes.io/last-applied-configuration"}


def grant_reading(cluster: Cluster, namespace: str) -> None:
    """Grant the permissions of a read-only installation in one namespace."""
    rules = [
        {"apiGroups": ["concertmaster.dev"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["concertmaster.dev"], "resources": ["workflowprofiles"], "verbs": ["create", "patch", "delete"]},
        {
            "apiGroups": ["concertmaster.dev"],
            "resources": ["workflowprofiles/status", "optimizationpolicies/status"],
            "verbs": ["patch"],
        },
        {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": ["get", "list", "watch"]},
    ]
    meta = {"name": "reader", "namespace": namespace}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "viewer@example.com"}
    group = "rbac.authorization.k8s.io"
    apply(
        cluster,
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [subject],
        },
    )
