"""PipelineRuns and TaskRuns of Tekton's own controller, kept as Tekton Results keeps them, against the live objects."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from concertmaster.controller.archive.archived_runs import ArchivedRuns
from concertmaster.controller.archive.formats import TEKTON
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.engines import whole_run
from concertmaster.engines.tekton.live import workflow_of
from testbed.services.postgres import PostgresServer
from tests.support.engines.scenario import Object, Scenario
from tests.support.tekton_results import ResultTables

DAY = 86_400.0
Definitions = Mapping[WorkflowKey, WorkflowDefinition]


@pytest.fixture(scope="module")
def tables(scenario: Scenario) -> Iterator[ResultTables]:
    server = PostgresServer().start()
    try:
        tables = ResultTables.fresh(server)
        now = time.time()
        for kind in ("PipelineRun", "TaskRun"):
            for raw in scenario.objects[kind].values():
                tables.put(raw, written=None if raw["status"].get("completionTime") else now)
        yield tables
    finally:
        server.close()


def test_a_stored_run_is_the_run_its_objects_were(
    scenario: Scenario, definitions: Definitions, tables: ResultTables, tmp_path: Path
) -> None:
    keeper = HistoryProvider(str(tmp_path / "history.db"))
    observed = [d for d in definitions.values() if d.key.kind == "Pipeline"]
    runs = ArchivedRuns(tables.open(), TEKTON, keeper, 14 * DAY)
    reach = {d.key: (200, 14 * DAY) for d in observed}
    report = runs.read(observed, reach, time.time() + 60.0, lambda _: None)
    assert (report.notes, report.more) == ((), False)
    compared = 0
    for raw in scenario.objects["PipelineRun"].values():
        key = workflow_of(raw)
        if key is None or key not in reach or not raw["status"].get("completionTime"):
            continue
        live = whole_run(raw, definitions[key], _task_runs(scenario, raw["metadata"]["uid"]))
        assert live is not None
        assert live.complete, live.problems
        assert keeper.store.live_record(key, raw["metadata"]["name"]) == live.record
        compared += 1
    assert compared >= 5


def _task_runs(scenario: Scenario, owner: str) -> list[Object]:
    """Those of one run in the order in which the API server lists them."""
    found = (t for t in scenario.objects["TaskRun"].values() if _owner(t) == owner)
    return sorted(found, key=lambda t: str(t["metadata"]["name"]))


def _owner(obj: Object) -> str:
    return next((str(o["uid"]) for o in obj["metadata"].get("ownerReferences", ())), "")
