"""What the chart grants, and what the operator used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chart.bed import Bed

ARGO = "argoproj.io/v1alpha1"

DISCOVER = [
    {"apiVersion": ARGO, "kind": "WorkflowTemplate"},
    {"apiVersion": ARGO, "kind": "ClusterWorkflowTemplate"},
    {"apiVersion": "tekton.dev/v1", "kind": "Pipeline"},
    {"apiVersion": "batch/v1", "kind": "CronJob"},
]

Triple = tuple[str, str, str]  # group, resource, verb


@pytest.fixture
def place(bed: Bed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with the release ``cm``'s objects removed afterwards."""
    name = bed.namespace(f"rights-{abs(hash(request.node.name)) % 10**8}")
    yield name
    bed.remove("cm", name)
    bed.cluster.run_kubectl("delete", "copol", "--all")
    bed.cluster.run_kubectl("delete", "namespace", name, "--wait=false")


# What every authenticated client may ask for by Kubernetes' own system:basic-user and system:discovery.
EVERYBODY = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}


def used(bed: Bed, place: str) -> tuple[set[Triple], set[str]]:
    """Rights used, and requests that were denied."""
    calls = bed.audit.calls(place, "cm-concertmaster")
    assert calls
    rights = {(c.group, c.resource, c.verb) for c in calls if c.resource and c.code not in (401, 403)}
    denied = {f"{c.verb} {c.uri}" for c in calls if c.code in (401, 403)}
    paths = {c.uri.partition("?")[0] for c in calls if not c.resource}
    assert all(p.startswith(("/api", "/version")) for p in paths), paths
    return rights - EVERYBODY, denied
