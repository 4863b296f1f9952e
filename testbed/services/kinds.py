"""CustomResourceDefinitions: the project's own, Argo's for the demo, and ones that accept any content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.services.cluster import Cluster

_ROOT = Path(__file__).resolve().parents[2]
CRDS = _ROOT / "crds"
ARGO_CRDS = _ROOT / "examples" / "demo" / "argo-crds.yaml"


def install_kinds(cluster: Cluster, *definitions: Path | Mapping[str, Any]) -> str:
    """Apply CustomResourceDefinitions, from files or directories and as objects, and wait until they are served; what
    kubectl says of them."""
    # Without validation by kubectl, which reads all schemas first; the API server validates them all the same.
    apply = ("apply", "--server-side", "--force-conflicts", "--validate=false", "-f")
    said = [cluster.kubectl(*apply, str(files)) for files in definitions if isinstance(files, Path)]
    objects = [found for found in definitions if not isinstance(found, Path)]
    if objects:
        listing = {"apiVersion": "v1", "kind": "List", "items": objects}
        said.append(cluster.kubectl(*apply, "-", input=json.dumps(listing)))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
    return "".join(said).rstrip()


def any_content(group: str, version: str, kind: str, plural: str, *, namespaced: bool = True) -> dict[str, Any]:
    """A CustomResourceDefinition that accepts any content, for products that the test bed does not run."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Groups below k8s.io are protected; products outside Kubernetes use them nevertheless.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"} if group.endswith(".k8s.io") else {},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}],
        },
    }


ARGO_WORKFLOW = any_content("argoproj.io", "v1alpha1", "Workflow", "workflows")
