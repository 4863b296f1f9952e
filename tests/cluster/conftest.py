"""Every test in this directory needs the test bed's real processes, and says so with a marker."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import install_crds

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory (the hook sees those of all directories)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture
def bed(cluster: Cluster) -> Cluster:
    """The shared cluster with our kinds installed."""
    install_crds(cluster)
    return cluster
