"""PipelineRuns of Tekton Results, in a real PostgreSQL server, into the history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from concertmaster.archive import ArchiveRow, ArchiveTable, StatementFailed
from concertmaster.controller.archive.archived_runs import ArchivedRuns, ArchiveReport
from concertmaster.controller.archive.formats import ARGO, TEKTON
from concertmaster.controller.collection.gaps import Outages
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collector import Collector
from concertmaster.controller.health import Health
from concertmaster.core.model import InputSource, Outcome, WorkflowDefinition
from concertmaster.engines import define, whole_run
from concertmaster.engines.tekton.archived import lacks_parts
from testbed.services.postgres import PostgresServer
from tests.support.argo_archive import ArchiveTables, workflow
from tests.support.controller.harness import INTERVAL, FakeSources
from tests.support.engines.argo_definitions import NESTED, the_definition
from tests.support.engines.tekton_objects import condition, pipeline, task
from tests.support.tekton_results import ResultTables, finished

DAY = 86_400.0
NOW = 20.0 * DAY
BUILD = pipeline(
    task("fetch"),
    task("lint", "fetch"),
    task("test", "fetch"),
    task("deploy", "lint", "test"),
    finally_=[task("clean")],
)


class Bed:
    """One operator that reads one database."""

    def __init__(self, directory: Path, tables: ResultTables) -> None:
        self.tables = tables
        self.keeper = HistoryProvider(str(directory / "history.db"))
        self.results: ArchiveTable = tables.open()
        self.counts: list[str] = []
        self.now = NOW
        self.runs = ArchivedRuns(self.results, TEKTON, self.keeper, 14 * DAY, count=self.counts.append)

    def look(self, *definitions: WorkflowDefinition, most: int = 200) -> ArchiveReport:
        self.now += 60.0
        observed = definitions or (BUILD,)
        while (
            report := self.runs.read(observed, {d.key: (most, 14 * DAY) for d in observed}, self.now, lambda _: None)
        ).more:
            self.now += 1.0
        return report

    def names(self, definition: WorkflowDefinition = BUILD) -> list[str]:
        return [run.run for run in self.keeper.store.runs(definition.key, definition=definition)]


@pytest.fixture
def bed(tmp_path: Path, postgres: PostgresServer) -> Iterator[Bed]:
    made = Bed(tmp_path, ResultTables.fresh(postgres))
    yield made
    made.results.close()


def test_a_run_is_the_one_its_objects_were(bed: Bed) -> None:
    run, *parts = finished("build-1", NOW - DAY)
    bed.tables.put(run, *parts)
    report = bed.look()
    assert report.changed == {BUILD.key}
    assert report.notes == ()
    live = whole_run(run, BUILD, sorted(parts, key=lambda part: part["metadata"]["name"]))
    assert live is not None
    assert live.complete
    assert bed.keeper.store.live_record(BUILD.key, "build-1") == live.record
    assert live.record.outcome is Outcome.SUCCEEDED
    assert {step.step for step in live.record.steps} == {"fetch", "lint", "test", "deploy", "clean"}
    assert bed.counts == ["complete"]


def test_the_newest_are_read_and_no_more_than_are_analysed(bed: Bed) -> None:
    for n in range(12):
        bed.tables.put(*finished(f"build-{n:02}", NOW - DAY - n * 3600.0))
    bed.look(most=5)
    assert sorted(bed.names()) == [f"build-{n:02}" for n in range(5)]


def test_a_run_in_progress_is_read_when_it_has_ended(bed: Bed) -> None:
    bed.tables.put(*finished("build-0", NOW - DAY))
    bed.look()
    run, *parts = finished("build-1", NOW)
    going = {**run, "status": {k: v for k, v in run["status"].items() if k != "completionTime"}}
    bed.tables.put(going, written=NOW + 70.0)
    bed.look()
    assert bed.names() == ["build-0"]
    assert bed.counts == ["complete"], "it was not even fetched"
    bed.tables.put(run, *parts, written=NOW + 100.0)
    assert bed.look().changed == {BUILD.key}
    assert sorted(bed.names()) == ["build-0", "build-1"]


def test_a_run_whose_task_runs_are_not_there_yet_is_completed_when_they_are(bed: Bed) -> None:
    bed.tables.put(*finished("build-0", NOW - DAY))
    bed.look()
    run, *parts = finished("build-1", NOW)
    bed.tables.put(run, *parts[:2])
    bed.look()
    assert bed.counts == ["complete"]
    record = bed.keeper.store.live_record(BUILD.key, "build-1")
    assert record is not None
    assert record.steps == (), "of its end alone one can be sure"
    bed.tables.put(*parts[2:])
    bed.look()
    record = bed.keeper.store.live_record(BUILD.key, "build-1")
    assert record is not None
    assert len(record.steps) > 5
    assert bed.counts == ["complete"] * 2


def test_a_run_whose_task_runs_never_come_is_not_read_for_ever(bed: Bed) -> None:
    bed.tables.put(*finished("build-0", NOW - DAY), *finished("build-1", NOW - 600.0)[:2])
    for _ in range(20):
        bed.look()
    assert sorted(bed.counts) == ["complete", "end"]
    fetched: list[str] = []
    document = bed.results.document
    bed.results.document = lambda row: (fetched.append(row.name), document(row))[1]  # type: ignore[method-assign, func-returns-value]
    bed.look()
    assert fetched == []


def test_a_run_that_failed_before_its_first_task_is_not_read_again_and_again(bed: Bed) -> None:
    run = finished("build-1", NOW - 300.0)[0]
    run["status"] |= {"childReferences": [], "skippedTasks": [], **condition("False", "CouldntGetPipeline")}
    bed.tables.put(*finished("build-0", NOW - DAY), run)
    for _ in range(10):
        bed.look()
    assert bed.counts.count("end") <= 2, "going back and going on"


def test_a_run_that_is_only_written_again_is_not_fetched_again(bed: Bed) -> None:
    bed.tables.put(*finished("build-0", NOW - 2 * DAY), *finished("build-1", NOW - DAY))
    bed.look()
    bed.tables.put(finished("build-0", NOW - 2 * DAY)[0], written=NOW + 30.0)  # as when it is deleted
    report = bed.look()
    assert report.changed == set()
    assert bed.counts == ["complete"] * 2
    assert len(bed.names()) == 2


def test_the_newest_are_those_that_began_last_whenever_they_were_deleted(bed: Bed) -> None:
    for n in range(10):
        began = NOW - DAY - n * 3600.0
        bed.tables.put(*finished(f"build-{n}", began), written=NOW - DAY / 2 + n)
    bed.look(most=4)
    assert sorted(bed.names()) == [f"build-{n}" for n in range(4)]


def test_a_record_that_cannot_be_looked_into_costs_only_itself(bed: Bed) -> None:
    bed.tables.put(*finished("build-0", NOW - 2 * DAY), *finished("build-1", NOW - DAY))
    described = bed.results.described

    def damaged(row: ArchiveRow) -> ArchiveRow | None:
        if row.uid == "uid-ci-build-1":
            raise StatementFailed("the database of Tekton Results failed: missing chunk number 0 for toast value")
        return described(row)

    bed.results.described = damaged  # type: ignore[method-assign]
    report = bed.look()
    assert bed.names() == ["build-0"]
    assert any("uid-ci-build-1 cannot be read" in note for note in report.notes)


def test_annotations_of_task_runs_count_no_more_than_live(bed: Bed) -> None:
    """Only the API server's list of TaskRuns was reduced: the same run would have had another input size."""
    observed = replace(BUILD, inputs=(InputSource(step="fetch", annotation="example.com/bytes"),))
    run, *parts = finished("build-1", NOW - DAY)
    parts[0]["metadata"]["annotations"] = {"example.com/bytes": "100"}
    bed.tables.put(run, *parts)
    bed.look(observed)
    record = bed.keeper.store.live_record(BUILD.key, "build-1")
    assert record is not None
    assert all(step.input_size is None for step in record.steps)


def test_statuses_inside_a_run_of_the_former_version_name_its_task_runs() -> None:
    run, *parts = finished("build-1")
    children = run["status"].pop("childReferences")
    run["status"]["taskRuns"] = {c["name"]: {"pipelineTaskName": c["pipelineTaskName"], "status": {}} for c in children}
    assert not lacks_parts(run, parts)
    assert lacks_parts(run, parts[1:])
    partial = whole_run(run, BUILD, parts[1:])
    assert partial is not None
    assert not partial.complete


def test_runs_of_their_own_pipelines_are_found_by_their_selector(bed: Bed) -> None:
    profile = {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": "adhoc", "namespace": "ci"},
        "spec": {"runSelector": {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "namePrefix": "adhoc-"}},
    }
    adhoc = define(profile)
    assert adhoc is not None
    for name in ("adhoc-1", "other-1"):
        run, *parts = finished(name, NOW - DAY, **{"tekton.dev/pipeline": name})
        run["spec"] = {"pipelineSpec": run["status"]["pipelineSpec"]}
        bed.tables.put(run, *parts)
    bed.look(adhoc)
    assert bed.names(adhoc) == ["adhoc-1"]


def test_an_object_of_another_namespace_than_its_record_is_left_out(bed: Bed) -> None:
    bed.tables.put(*finished("build-1", NOW - DAY, "theirs"))
    bed.tables.raw("UPDATE results SET parent = 'ci'")
    report = bed.look()
    assert bed.names() == []
    assert report.notes == ("archived run ci/build-1 cannot be read: its object is that of theirs/build-1",)


def test_archives_of_two_engines_are_read_and_a_fault_of_one_concerns_its_own_runs(
    bed: Bed, postgres: PostgresServer
) -> None:
    etl = the_definition(NESTED)
    theirs = ArchiveTables.fresh(postgres)
    theirs.put(workflow("etl-1", NOW - DAY))
    bed.tables.put(*finished("build-1", NOW - DAY))
    archive = theirs.open()
    argo = ArchivedRuns(archive, ARGO, bed.keeper, 14 * DAY)
    both = Collector(
        FakeSources(),
        None,
        Health(stall_after=60.0),
        Outages(lambda: bed.keeper, INTERVAL),
        interval=INTERVAL,
        archives=[argo, bed.runs],
    )
    reach = {d.key: (200, 14 * DAY) for d in (etl, BUILD)}
    assert both.archived_runs((etl, BUILD), reach, NOW).changed == {etl.key, BUILD.key}
    bed.tables.grant("REVOKE", "FROM")
    theirs.put(workflow("etl-2", NOW))
    report = both.archived_runs((etl, BUILD), reach, NOW + 300.0)
    assert report.changed == {etl.key}
    (note,) = report.notes
    assert note.startswith("the database of Tekton Results postgresql://")
    assert note.endswith("Until then finished runs whose objects are gone are known from the metrics only.")

    def broken(*_: object) -> ArchiveReport:
        raise RuntimeError("unforeseen")

    bed.tables.grant()
    bed.tables.put(*finished("build-2", NOW))
    argo.read = broken  # type: ignore[method-assign]
    report = both.archived_runs((etl, BUILD), reach, NOW + 600.0)
    assert report.changed == {BUILD.key}
    assert report.notes == ("reading archived runs failed (RuntimeError); the operator's log has the details",)
    archive.close()
