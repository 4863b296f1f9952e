"""One cluster for all tests of the chart: RBAC on, audit log on, the kinds of other products there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.process import TemporaryDirectory
from testbed.pytest_plugin import require_binaries
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.kinds import install_kinds
from tests.support.chart.bed import OTHER_KINDS, Audit, Bed, Helm

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory (the hook sees those of all directories)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """The cluster: controllers and scheduler run, and simulated kubelets play pods, so that a rollout finishes."""
    options = Options(controller_manager=True, scheduler=True, kwok=True, nodes=1)
    require_binaries([*options.binaries(), "helm"])
    with TemporaryDirectory("concertmaster-chart-") as directory:
        audit = Audit(directory)
        chosen = Options(controller_manager=True, scheduler=True, kwok=True, nodes=1, apiserver_args=audit.arguments())
        with ControlPlane(chosen) as plane:
            install_kinds(plane.cluster, *OTHER_KINDS)
            helm = Helm(directory, plane.cluster.kubeconfig())
            yield Bed(plane, plane.cluster, helm, audit, directory)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster, for lint and template."""
    require_binaries(["helm"])
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture
def place(bed: Bed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with the release ``cm``'s objects removed afterwards."""
    name = bed.namespace(f"rights-{abs(hash(request.node.name)) % 10**8}")
    yield name
    bed.remove("cm", name)
    bed.cluster.run_kubectl("delete", "copol", "--all")
    bed.cluster.run_kubectl("delete", "namespace", name, "--wait=false")
