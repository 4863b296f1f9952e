"""A cluster with Argo Workflows installed and live runs in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from tests.support.chart.bed import minimal_crd
from tests.support.cluster.operator_bed import (
    apply,
    install_crds,
)

ARGO = "argoproj.io/v1alpha1"

DEMO_CRDS = Path(__file__).resolve().parents[3] / "examples" / "demo" / "argo-crds.yaml"

PLACE = "default"


def own_cluster(make_control_plane: Callable[..., ControlPlane]) -> Cluster:
    """A cluster for one test, with the project's kinds and without Argo's."""
    found = make_control_plane().cluster
    install_crds(found)
    return found


def install_argo(cluster: Cluster) -> None:
    """Install the kinds of workflows, definitions and runs."""
    cluster.kubectl("apply", "--server-side", "-f", str(DEMO_CRDS))
    apply(cluster, minimal_crd("argoproj.io", "v1alpha1", "Workflow", "workflows"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/workflows.argoproj.io", "--timeout=240s")
    cluster.kubectl("wait", "--for=condition=Established", "crd/workflowtemplates.argoproj.io", "--timeout=240s")
