"""Workflows that Argo's own controller archived, read after their objects were deleted, against the objects."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from concertmaster.controller.archive.archived_runs import ArchivedRuns
from concertmaster.controller.archive.formats import ARGO
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.engines import define_all, whole_run
from concertmaster.engines.claims import Claims
from testbed.services.cluster import Cluster
from testbed.services.controlplane import Options
from testbed.services.postgres import PostgresServer
from tests.engines.conftest import FULL, PACKED, bed, packing
from tests.support.argo_archive import ArchiveTables
from tests.support.cluster.operator_bed import wait_for
from tests.support.engines import scenario as scenarios
from tests.support.engines.argo_runs import Run, agree, packed_with
from tests.support.engines.scenario import NAMESPACE, Object, Scenario

RUNS = (
    "fan-items", "fan-param", "fan-chain", "nested", "library", "conditions", "single", "retry-oom", "retry-exhausted",
    "containers", "locked", "wide",
)  # fmt: skip
STATUS = "workflows.argoproj.io/workflow-archiving-status"
VERSION = "later" if FULL else "4.0"
DAY = 86_400.0


@dataclass(frozen=True)
class Archived:
    """The objects at their end, and the tables in which the controller left them; nothing else runs any more."""

    scenario: Scenario
    tables: ArchiveTables
    definitions: Mapping[WorkflowKey, WorkflowDefinition]

    @property
    def workflows(self) -> list[Object]:
        return list(self.scenario.objects["Workflow"].values())


@pytest.fixture(scope="session")
def archived() -> Iterator[Archived]:
    """Runs after any other play: the controller's ports are fixed."""
    server = PostgresServer().start()
    try:
        options = Options(
            controller_manager=True, scheduler=True, kwok=True, argo=True, full_crds=FULL,
            argo_settings=packing(PACKED[0]), argo_archive=server,
        )  # fmt: skip
        with bed(options) as cluster:
            scenario = scenarios.play_some(cluster, RUNS)
            wait_for("all Workflows in the archive", lambda: _archived(cluster))
            cluster.kubectl("delete", "workflows.argoproj.io", "--all", "-n", NAMESPACE)
        tables = ArchiveTables(server, "public")
        tables.admit()
        found = define_all(scenario.objects["WorkflowTemplate"].values())
        yield Archived(scenario, tables, {definition.key: definition for definition in found})
    finally:
        server.close()


def _archived(cluster: Cluster) -> bool:
    rows = cluster.get("workflows.argoproj.io", "-n", NAMESPACE)["items"]
    return all(row["metadata"]["labels"].get(STATUS) == "Archived" for row in rows)


@pytest.fixture(scope="session")
def history(archived: Archived, tmp_path_factory: pytest.TempPathFactory) -> HistoryProvider:
    """What an operator knows that began after everything was deleted."""
    keeper = HistoryProvider(str(Path(tmp_path_factory.mktemp("archive")) / "history.db"))
    definitions = list(archived.definitions.values())
    runs = ArchivedRuns(archived.tables.open(), ARGO, keeper, 14 * DAY)
    reach = dict.fromkeys(archived.definitions, (200, 14 * DAY))
    report = runs.read(definitions, reach, time.time(), lambda _: None)
    assert (report.notes, report.more) == ((), False)
    return keeper


def test_an_archived_run_is_the_run_its_object_was(archived: Archived, history: HistoryProvider) -> None:
    assert len(archived.workflows) >= len(RUNS) - 1, "library has no runs of its own"
    claims, elsewhere = Claims(archived.definitions.values()), set()
    for raw in archived.workflows:
        key = WorkflowKey(NAMESPACE, "WorkflowTemplate", raw["spec"]["workflowTemplateRef"]["name"])
        if claims.of(raw) is None:  # it began at another entrypoint
            elsewhere.add(raw["metadata"]["name"])
            assert history.store.live_record(key, raw["metadata"]["name"]) is None
            continue
        live = whole_run(raw, archived.definitions[key], children=())
        assert live is not None
        assert live.complete
        assert history.store.live_record(key, raw["metadata"]["name"]) == live.record
    assert elsewhere == {"fan-items-x8t4w"}


@pytest.mark.parametrize("name", ["fan-items", "nested", "conditions", "retry-oom", "wide"])
def test_the_objects_are_what_the_controller_wrote(name: str, archived: Archived) -> None:
    """The other side of the comparison is itself compared with the status."""
    run = Run(archived.scenario, archived.definitions, name)
    agree(run)
    assert name != "wide" or packed_with(run.object["status"]) == PACKED[0], "archived unpacked, live packed"


def test_the_tables_are_those_the_other_tests_have(archived: Archived) -> None:
    assert archived.tables.columns() == ArchiveTables.fresh(archived.tables.server, before=VERSION).columns()
