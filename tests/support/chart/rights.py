"""Permissions that the chart grants, and those that the operator used."""

from __future__ import annotations

from tests.support.chart.bed import Bed

ARGO = "argoproj.io/v1alpha1"

DISCOVER = [
    {"apiVersion": ARGO, "kind": "WorkflowTemplate"},
    {"apiVersion": ARGO, "kind": "ClusterWorkflowTemplate"},
    {"apiVersion": "tekton.dev/v1", "kind": "Pipeline"},
    {"apiVersion": "batch/v1", "kind": "CronJob"},
]

Triple = tuple[str, str, str]  # group, resource, verb


# Permissions of every authenticated client by Kubernetes' system:basic-user and system:discovery.
EVERYBODY = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}


def used(bed: Bed, place: str, account: str = "cm-concertmaster") -> tuple[set[Triple], set[str]]:
    """Permissions used, and requests that were denied."""
    calls = bed.audit.calls(place, account)
    assert calls
    rights = {(c.group, c.resource, c.verb) for c in calls if c.resource and c.code not in (401, 403)}
    denied = {f"{c.verb} {c.uri}" for c in calls if c.code in (401, 403)}
    paths = {c.uri.partition("?")[0] for c in calls if not c.resource}
    assert all(p.startswith(("/api", "/version")) for p in paths), paths
    return rights - EVERYBODY, denied
