"""The engines' bed: one play under the real controllers, shared by all tests of the tier.

The control plane stops as soon as everything is read and deleted: the tests compare what was recorded. Start them
inside a network namespace: ``python -m testbed netns -- pytest tests/engines``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.engines import define_all
from concertmaster.engines.label_keys import labels_in_use
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, collect
from concertmaster.settings import MetricsSource
from testbed.install.components import ARGO_V4
from testbed.pytest_plugin import require_binaries
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options, argo_version
from testbed.services.engine_parts import require_namespace
from testbed.services.prometheus import PrometheusServer, scrapes_of
from tests.support.engines import scenario as scenarios
from tests.support.engines.scenario import NAMESPACE, Object, Scenario

HERE = Path(__file__).parent
SCRAPE_SECONDS = 2
FULL = argo_version() == ARGO_V4  # the newer version is played on the CRDs it is installed with
LARGE = 17_000  # bytes from which Argo compresses the node table, instead of a megabyte
PACKED = (
    ("zstd", "brotli") if FULL else ("gzip", "gzip")
)  # with what, in the play and on the other CRDs: 3.7 has no choice
LIMIT = 420  # the first test also waits for the play


def profile(name: str, **selector: object) -> Object:
    """A WorkflowProfile that picks runs by name and labels."""
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"runSelector": {"namePrefix": f"{name}-", **selector}},
    }


PROFILES = (
    profile("adhoc", apiVersion="argoproj.io/v1alpha1", kind="Workflow", matchLabels={"app": "etl"}),
    profile("picked", apiVersion="argoproj.io/v1alpha1", kind="Workflow", matchLabels={"team": "data"}),
    profile("training", apiVersion="jobset.x-k8s.io/v1alpha2", kind="JobSet"),
)
OTHER_CRDS = ("fan-items", "nested", "library", "retry-oom", "containers", "locked", "wide")
DECLARING = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "Pipeline", "Task", "CronJob", "Job")


@dataclass(frozen=True)
class Played:
    """The scenario, and what Prometheus reported once all objects were gone."""

    scenario: Scenario
    history: Collection


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this directory may take as long as the play (the hook sees those of all directories)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="session")
def played() -> Played:
    """Everything ran, was read, was deleted, and was collected from Prometheus; nothing runs any more."""
    options = replace(Options.engines(full_crds=FULL), argo_settings=packing(PACKED[0]))
    with bed(options) as cluster, PrometheusServer(scrapes_of(cluster, f"{SCRAPE_SECONDS}s")) as prometheus:
        scenario = scenarios.play(cluster)
        prometheus.wait_for_scrapes()  # the last ends are seen
        scenarios.remove(cluster)
        prometheus.wait_for_scrapes()  # and so is the emptiness
        return Played(scenario, _collected(prometheus, scenario))


def packing(algorithm: str) -> dict[str, str]:
    """Settings of Argo's controller with which it packs large node tables that way."""
    return {"MAX_WORKFLOW_SIZE": str(LARGE), "WORKFLOW_COMPRESSION_ALGORITHM": algorithm}


@contextmanager
def bed(options: Options) -> Iterator[Cluster]:
    """A control plane with engines. One at a time: their ports are fixed."""
    require_namespace()
    require_binaries([*options.binaries(), "prometheus", "promtool"])
    with ControlPlane(options) as control_plane:
        yield control_plane.cluster


def _collected(prometheus: PrometheusServer, scenario: Scenario) -> Collection:
    source = {"name": "default", "url": prometheus.url, "scrapeInterval": f"{SCRAPE_SECONDS}s"}
    client = PrometheusClient(MetricsSource.model_validate(source))
    until = time.time()
    return collect(
        client,
        namespaces=[NAMESPACE],
        since=scenario.begin - 60,
        until=until,
        now=until + client.source.delay_seconds,  # nothing more is coming
        label_keys=labels_in_use(defined(scenario).values()).keys,
    )


@pytest.fixture(scope="session")
def other_crds_scenario(played: Played) -> Scenario:
    """A few Argo runs on a server that has the CRDs which the play does not have: full ones for 3.7, minimal ones for 4.1.
    Runs after the play is over."""
    options = Options(
        controller_manager=True, scheduler=True, kwok=True, argo=True, full_crds=not FULL,
        argo_settings=packing(PACKED[1]),
    )  # fmt: skip
    with bed(options) as cluster:
        return scenarios.play_some(cluster, OTHER_CRDS)


@pytest.fixture(scope="session")
def scenario(played: Played) -> Scenario:
    """The objects as they stood at the end."""
    return played.scenario


@pytest.fixture(scope="session")
def history(played: Played) -> Collection:
    """Facts from Prometheus after the objects were deleted."""
    return played.history


@pytest.fixture(scope="session")
def definitions(scenario: Scenario) -> dict[WorkflowKey, WorkflowDefinition]:
    """What the objects declare, and the profiles with a runSelector."""
    return defined(scenario)


def defined(scenario: Scenario) -> dict[WorkflowKey, WorkflowDefinition]:
    """All workflows of the scenario. Jobs of a JobSet are none: their run is the set."""
    objects = [
        thing
        for kind in DECLARING
        for thing in scenario.objects[kind].values()
        if not any(o["kind"] == "JobSet" for o in thing["metadata"].get("ownerReferences", ()))
    ]
    found = define_all([*objects, *PROFILES], cluster_namespaces=[NAMESPACE])
    return {definition.key: definition for definition in found}


@pytest.fixture
def run(
    scenario: Scenario, definitions: dict[WorkflowKey, WorkflowDefinition], request: pytest.FixtureRequest
) -> object:
    """The run a test is ``about``, as its module's ``Run``, already compared with its status by its ``agree``."""
    found = request.module.Run(scenario, definitions, request.param)
    request.module.agree(found)
    return found
