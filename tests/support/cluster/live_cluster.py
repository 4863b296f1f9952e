"""A cluster with Argo Workflows installed and live runs in it."""

from __future__ import annotations

from collections.abc import Callable

from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import ARGO_CRDS, ARGO_WORKFLOW, install_kinds
from tests.support.cluster.operator_bed import install_crds

ARGO = "argoproj.io/v1alpha1"

PLACE = "default"


def own_cluster(make_control_plane: Callable[..., ControlPlane]) -> Cluster:
    """A cluster for one test, with the project's kinds and without Argo's."""
    found = make_control_plane().cluster
    install_crds(found)
    return found


def install_argo(cluster: Cluster) -> None:
    """Install the kinds of Argo's definitions and runs."""
    install_kinds(cluster, ARGO_CRDS, ARGO_WORKFLOW)
