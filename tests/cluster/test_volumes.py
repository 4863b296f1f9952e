"""``volume-size`` on a real API server: its command enlarges a claim where the StorageClass allows that, and only there."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import apply
from tests.support.core.scenarios import SCENARIOS


def bound(cluster: Cluster, namespace: str, *, expandable: bool) -> None:
    """The claim ``warehouse`` of 10Gi, as it is once it has its volume."""
    kind = f"{namespace}-{'grows' if expandable else 'fixed'}"
    meta = {"name": "warehouse", "namespace": namespace}
    storage: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": kind}
    volume = {
        **storage,
        "capacity": {"storage": "10Gi"},
        "hostPath": {"path": "/none"},
        "claimRef": {**meta, "kind": "PersistentVolumeClaim", "apiVersion": "v1"},
    }
    apply(
        cluster,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": kind},
            "provisioner": "example.com/none",
            "allowVolumeExpansion": expandable,
        },
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": kind}, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta,
            "spec": {**storage, "volumeName": kind, "resources": {"requests": {"storage": "10Gi"}}},
        },
    )
    status = {"status": {"phase": "Bound", "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"]}}
    patch = ["--subresource=status", "--type=merge", "-p", json.dumps(status)]
    cluster.kubectl("-n", namespace, "patch", "pvc", "warehouse", *patch)


@pytest.mark.parametrize("expandable", [True, False])
def test_the_command_enlarges_a_claim_whose_class_allows_it(cluster: Cluster, namespace: str, expandable: bool) -> None:
    bound(cluster, namespace, expandable=expandable)
    of = SCENARIOS["volume-size"]()
    manifest = {**of.manifest, "metadata": {**of.manifest["metadata"], "namespace": namespace}}
    item = replace(of, manifest=manifest).one("volume-size")
    words = shlex.split(item.how)
    assert words[0] == "kubectl"
    answer = cluster.run_kubectl(*words[1:])
    asked = cluster.get("pvc", "warehouse", "-n", namespace)["spec"]["resources"]["requests"]["storage"]
    if expandable:
        assert answer.returncode == 0, answer.stderr
        assert asked == item.proposed == "15Gi"
    else:
        assert answer.returncode != 0
        assert asked == "10Gi"
