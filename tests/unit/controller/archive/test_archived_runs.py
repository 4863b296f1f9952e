"""Archived Workflows into the history: the same as live ones, each once, newest first, and faults that lose nothing."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from concertmaster.archive import ArchiveError, ArchivePage, ArchiveRow, StatementFailed, StatementTimedOut
from concertmaster.controller.archive import archived_runs
from concertmaster.controller.archive.archived_runs import OVERLAP_SECONDS, ArchivedRuns, ArchiveReport, Reach
from concertmaster.controller.archive.formats import ARGO
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.live.live_runs import LiveRuns
from concertmaster.controller.live.pending_runs import pack
from concertmaster.controller.live.run_kinds import KINDS, RunKinds
from concertmaster.core.model import (
    InputSource,
    Outcome,
    RunRecord,
    Source,
    Suspension,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines import assign, whole_run
from concertmaster.engines.argo.live import ORIGIN_LABELS
from concertmaster.history import HistoryFull
from concertmaster.kube.access import AccessChecker
from testbed.services.postgres import PostgresServer
from tests.support.argo_archive import ArchiveTables, workflow
from tests.support.controller.fakes import MemoryClient
from tests.support.engines.argo_definitions import DYNAMIC, NESTED, spec_of, the_definition
from tests.support.engines.argo_oracle import Controller, leaf, pods, stamp
from tests.support.engines.job_objects import job

ETL, OTHER, BACKUP = the_definition(NESTED), the_definition(NESTED, "other"), job()
DAY = 86_400.0
NOW = 30 * DAY
WORKFLOWS = next(kind.resource for kind in KINDS if kind.resource.kind == "Workflow")


def elsewhere(definition: WorkflowDefinition, namespace: str) -> WorkflowDefinition:
    return replace(definition, key=replace(definition.key, namespace=namespace))


@dataclass
class MemoryArchive:
    """``ArgoArchive`` without a server. ``fetched``: runs whose objects were asked for, ``referred``: of which only the
    template was; ``size``: rows of a page."""

    rows: list[tuple[ArchiveRow, str]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    referred: list[str] = field(default_factory=list)
    listed: int = 0
    size: int = 4
    fault: ArchiveError | None = None
    fails_after: int | None = None
    damaged: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    work: Callable[[], None] = lambda: None
    listing: Callable[[], None] = lambda: None

    def put(self, *workflows: Mapping[str, Any], document: str | None = None) -> None:
        for raw in workflows:
            meta = raw["metadata"]
            ended = datetime.fromisoformat(raw["status"]["finishedAt"]).timestamp()
            row = ArchiveRow(meta["uid"], meta["namespace"], meta["name"], ended, meta.get("labels", {}))
            self.rows = [r for r in self.rows if r[0].uid != row.uid]
            self.rows.append((row, json.dumps(raw) if document is None else document))

    def _ask(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _fetch(self, row: ArchiveRow) -> None:
        if row.name in self.damaged:
            raise StatementFailed("the workflow archive postgresql://db/argo failed: missing chunk (XX001)")
        if row.name in self.late:
            raise StatementTimedOut("the workflow archive postgresql://db/argo did not answer in time.")

    def newest(self, namespaces: Collection[str]) -> float | None:
        self._ask()
        return max((row.ended for row, _ in self.rows if row.namespace in namespaces), default=None)

    def page(
        self,
        namespaces: Collection[str],
        since: float,
        until: float,
        *,
        after: ArchiveRow | None = None,
        newest_first: bool = True,
    ) -> ArchivePage:
        self._ask()
        self.listed += 1
        self.listing()
        found = sorted(
            (row for row, _ in self.rows if row.namespace in namespaces and since <= row.ended <= until),
            key=lambda row: (row.ended, row.uid),
            reverse=newest_first,
        )
        if after is not None:
            place = (after.ended, after.uid)
            found = [r for r in found if (r.ended, r.uid) != place and ((r.ended, r.uid) < place) is newest_first]
        kept = [
            replace(r, labels={k: v for k, v in r.labels.items() if k in ORIGIN_LABELS}) for r in found[: self.size]
        ]
        return ArchivePage(kept, len(kept) == self.size)

    def described(self, row: ArchiveRow) -> ArchiveRow:
        return row

    def reference(self, row: ArchiveRow) -> Any:
        self._ask()
        self._fetch(row)
        self.referred.append(row.name)
        text = next(text for known, text in self.rows if known.uid == row.uid)
        return (json.loads(text).get("spec") or {}).get("workflowTemplateRef")

    def document(self, row: ArchiveRow) -> tuple[str | None, int]:
        self._ask()
        if self.fails_after is not None and len(self.fetched) >= self.fails_after:
            raise ArchiveError("the workflow archive postgresql://db/argo cannot be reached.")
        self._fetch(row)
        self.fetched.append(row.name)
        self.work()
        text = next(text for known, text in self.rows if known.uid == row.uid)
        return (None, 33 << 20) if text == "large" else (text, len(text))

    def close(self) -> None:
        pass


@dataclass
class Harness:
    """One operator's reading of an archive; ``restart`` keeps archive and history."""

    directory: Path
    archive: Any = field(default_factory=MemoryArchive)
    definitions: Sequence[WorkflowDefinition] = (ETL, BACKUP)
    now: float = NOW
    ticks: float = 0.0
    cost: float = 0.0  # seconds that pass at each look at the clock
    reach: Reach = (200, 14 * DAY)
    counts: list[str] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.keeper = HistoryProvider(str(self.directory / "history.db"))
        self.runs_of = ArchivedRuns(
            self.archive,
            ARGO,
            self.keeper,
            14 * DAY,
            count=self.counts.append,
            answers=self.answers.append,
            clock=self.clock,
        )

    def clock(self) -> float:
        self.ticks += self.cost
        return self.ticks

    def look(self, *definitions: WorkflowDefinition, later: float = 300.0) -> ArchiveReport:
        """One cycle's look, five minutes after the last."""
        self.now += later
        observed = definitions or self.definitions
        return self.runs_of.read(observed, {d.key: self.reach for d in observed}, self.now, lambda _: None)

    def passes(self, seconds: float) -> Callable[[], None]:
        """Work that takes so long."""

        def work() -> None:
            self.ticks += seconds

        return work

    def to_the_end(self, *definitions: WorkflowDefinition) -> list[ArchiveReport]:
        reports = [self.look(*definitions)]
        while reports[-1].more:
            reports.append(self.look(*definitions, later=1.0))
            assert len(reports) < 100
        return reports

    def names(self, definition: WorkflowDefinition = ETL) -> list[str]:
        return [run.run for run in self.keeper.store.runs(definition.key, definition=definition)]


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def ran(name: str, ago: float, **fields: Any) -> dict[str, Any]:
    """A run that began so many seconds before the first look."""
    return workflow(name, NOW - ago, **fields)


def placed(namespace: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The same in another namespace."""
    raw["metadata"]["namespace"] = namespace
    raw["metadata"]["uid"] += f"-{namespace}"
    return raw


# --- equal to live ----------------------------------------------------------------------------------------------------

FAILING = {"failures": lambda node: len(node) % 3}
LONG_MESSAGE = {"message": "child 'etl-9-1' failed with \0"}


def recorded() -> list[dict[str, Any]]:
    """Workflows of every kind that the history can hold: attempts, items of all types, nested and skipped parts, cache hits,
    failures, packed tables, waiting, no template, and tables that nobody can read any more."""
    nested, dynamic = ran("etl-nested", 5 * DAY, **FAILING), ran("etl-dynamic", 4 * DAY, spec=DYNAMIC, **FAILING)
    cached, failed = ran("etl-cached", 3 * DAY), ran("etl-failed", 2 * DAY, phase="Failed", **LONG_MESSAGE)
    for node in cached["status"]["nodes"].values():
        if node["type"] == "Pod":
            node["memoizationStatus"] = {"hit": True, "key": "k", "cacheName": "c"}
    for node in failed["status"]["nodes"].values():
        if node["type"] == "Pod":
            node |= {"phase": "Failed", "message": "OOMKilled (exit code 137)", "outputs": {"exitCode": "137"}}
            node["inputs"] = {"parameters": [{"name": "size", "value": "7Gi"}]}
            node["hostNodeName"] = "worker-1"
    skipped = ran("etl-skipped", 1.5 * DAY)
    last = list(skipped["status"]["nodes"].values())[-1]
    last |= {"phase": "Skipped", "type": "Skipped"}
    packed = ran("etl-packed", DAY)
    table = json.dumps(packed["status"].pop("nodes")).encode()
    packed["status"]["compressedNodes"] = base64.b64encode(gzip.compress(table)).decode()
    offloaded = ran("etl-offloaded", 0.5 * DAY, phase="Failed", nodes={}, offloadNodeStatusVersion="fnv:1")
    queued = ran("etl-queued", 0.4 * DAY)
    queued["metadata"]["creationTimestamp"] = stamp(NOW - 0.4 * DAY - 600.0)
    queued["spec"]["synchronization"] = {"mutexes": [{"name": "m"}]}
    adhoc = ran("adhoc-1", 0.3 * DAY, spec=spec_of(leaf("main")))
    adhoc["spec"] = {"entrypoint": "main", "templates": [leaf("main")], "arguments": {"parameters": []}}
    adhoc["metadata"]["labels"] = {"team": "data"}
    running = ran("etl-running", 0.2 * DAY, phase="Running")
    return [nested, dynamic, cached, failed, skipped, packed, offloaded, queued, adhoc, running]


def live_history(
    directory: Path, raws: Sequence[dict[str, Any]], definitions: Sequence[WorkflowDefinition]
) -> HistoryProvider:
    """The history of an operator that saw the objects while they existed."""
    client = MemoryClient()
    client.objects["/apis/argoproj.io/v1alpha1"] = {"metadata": {}, "resources": [{"name": "workflows"}]}
    directory.mkdir()
    keeper = HistoryProvider(str(directory / "live.db"))
    live = LiveRuns(client, RunKinds(client, AccessChecker(client), ()), keeper)
    live.refresh(definitions, lambda _: None)
    for raw in raws:
        if live.accepts(WORKFLOWS, raw):
            live.take(WORKFLOWS, raw, pack(WORKFLOWS, raw))
    live.read()
    return keeper


@pytest.mark.parametrize("before", ["3.6", "later"])
def test_what_is_known_from_the_archive_is_what_is_known_live(
    tmp_path: Path, postgres: PostgresServer, before: str
) -> None:
    inputs = (InputSource(parameter="size"),)
    adhoc = selecting(the_definition(spec_of(leaf("main")), "adhoc"), "adhoc-")
    definitions = (replace(ETL, inputs=inputs), adhoc)
    raws = recorded()
    live = live_history(tmp_path / "live", raws, definitions)
    tables = ArchiveTables.fresh(postgres, before=before)
    tables.put(*raws)
    with closing(tables.open()) as archive:
        harness = Harness(tmp_path, archive, definitions)
        assert harness.to_the_end()[-1].notes == ()
    for definition in definitions:
        names = {raw["metadata"]["name"] for raw in raws}
        ours = {n: r for n in names if (r := harness.keeper.store.live_record(definition.key, n)) is not None}
        theirs = {n: r for n in names if (r := live.store.live_record(definition.key, n)) is not None}
        assert ours == theirs
        assert len(ours) == (8 if definition.key == ETL.key else 1)
    found = {r.run: r for r in harness.keeper.store.runs(ETL.key, definition=definitions[0])}
    assert found["etl-failed"].source is Source.LIVE
    assert any(e.attempt for e in found["etl-nested"].steps)
    assert all(e.cache_hit for e in found["etl-cached"].steps)
    assert {e.exit_code for e in found["etl-failed"].steps} == {137}
    assert {e.input_size for e in found["etl-failed"].steps} == {7 * 2**30}
    assert any(e.after for e in found["etl-nested"].steps)


def selecting(definition: WorkflowDefinition, prefix: str) -> WorkflowDefinition:
    """A profile that picks runs by name."""
    key = WorkflowKey(definition.key.namespace, "WorkflowProfile", definition.key.name)
    graph = replace(definition.graph, inferred=True)
    return replace(definition, key=key, graph=graph, run_kind="Workflow", run_prefixes=(prefix,))


def test_pods_in_the_metrics_are_joined_to_an_archived_run(harness: Harness) -> None:
    control = Controller(NESTED, "etl-x7k2z")
    control.execute(NOW - DAY)
    placed = assign(pods(control.nodes, "etl-x7k2z"), [ETL])
    harness.keeper.store.add(placed.executions)
    (before,) = harness.keeper.store.runs(ETL.key, definition=ETL)
    assert (before.source, {e.after for e in before.steps}) == (Source.HISTORY, {None})
    harness.archive.put(ran("etl-x7k2z", DAY))
    assert harness.look().changed == {ETL.key}
    (run,) = harness.keeper.store.runs(ETL.key, definition=ETL)
    assert run.source is Source.LIVE
    assert any(e.after for e in run.steps)
    assert all(e.containers for e in run.steps if e.pod is not None), "usage comes from the metrics"


# --- what is read -----------------------------------------------------------------------------------------------------


def test_the_past_is_read_newest_first_down_to_the_window_and_once(harness: Harness) -> None:
    harness.archive.put(*(ran(f"r{n}", n * DAY) for n in range(1, 20)))
    (report,) = harness.to_the_end()
    assert report == ArchiveReport(frozenset({ETL.key}))
    assert harness.archive.fetched == [f"r{n}" for n in range(1, 14)]
    assert harness.look() == ArchiveReport()
    harness.restart()
    assert harness.look() == ArchiveReport()
    assert len(harness.archive.fetched) == 14, "the end that the mark stands at is read once more"
    assert harness.counts == ["complete"] * 14


def test_a_past_that_takes_longer_than_a_cycle_goes_on_also_after_a_restart(harness: Harness) -> None:
    harness.archive.put(*(ran(f"r{n:02}", n * 3600.0) for n in range(1, 31)))
    harness.cost = 2.0
    assert harness.look().more
    first = list(harness.archive.fetched)
    assert 0 < len(first) < 20
    harness.restart()
    harness.archive.put(ran("new", -60.0))
    reports = harness.to_the_end()
    assert len(reports) > 2
    assert harness.names() == [f"r{n:02}" for n in range(30, 0, -1)] + ["new"]
    assert len(harness.archive.fetched) < 31 + 3 * (len(reports) + 1), "little is read twice"


def test_thousands_of_ends_in_one_second_do_not_stop_it(harness: Harness) -> None:
    harness.archive.put(*(ran(f"r{n:02}", DAY, finishedAt=stamp(NOW - DAY + 500.0)) for n in range(30)))
    harness.cost = 4.0
    for _ in range(40):
        if not harness.look(later=1.0).more:
            break
    assert len(harness.names()) == 30


def test_what_is_archived_later_is_read_in_the_next_cycle_also_when_it_ended_before_the_last(harness: Harness) -> None:
    harness.archive.put(ran("a", 600.0))
    harness.look()
    harness.archive.put(ran("b", 300.0), ran("late", 600.0 + OVERLAP_SECONDS / 2))
    assert harness.look().changed == {ETL.key}
    assert harness.names() == ["late", "a", "b"]
    assert harness.look() == ArchiveReport()
    assert sorted(harness.archive.fetched) == ["a", "b", "late"]


@pytest.mark.parametrize("restart", ["never", "during", "after"])
def test_what_waited_for_an_archive_that_was_away_is_read_also_when_it_ended_long_before(
    harness: Harness, restart: str
) -> None:
    harness.archive.put(ran("a", 600.0))
    harness.look()
    harness.archive.fault = ArchiveError("the workflow archive postgresql://db/argo cannot be reached.")
    assert harness.look().notes
    assert harness.look(later=5 * 3600.0).notes
    if restart == "during":
        harness.restart()
        assert harness.look().notes
    harness.archive.fault = None
    harness.archive.put(ran("new", -5 * 3600.0))
    harness.look()
    if restart == "after":
        harness.restart()
    harness.archive.put(ran("waited", -600.0))
    harness.look()
    assert harness.names() == ["a", "waited", "new"]
    harness.look()
    fetched = harness.archive.fetched if restart == "never" else set(harness.archive.fetched)
    assert sorted(fetched) == ["a", "new", "waited"]


def test_an_archive_that_was_empty_is_read_from_its_first_run_on(harness: Harness) -> None:
    assert harness.look() == ArchiveReport()
    harness.archive.put(ran("first", 8 * 3600.0))  # by a clock that is eight hours behind
    harness.look()
    assert harness.names() == ["first"]
    harness.archive.put(ran("second", 8 * 3600.0 - 1800.0))
    harness.look()
    assert harness.names() == ["first", "second"]


def test_a_clock_that_is_ahead_hides_nothing(harness: Harness) -> None:
    harness.archive.put(ran("ahead", -10 * 3600.0))
    harness.look()
    harness.archive.put(ran("b", -60.0))
    harness.look()
    assert sorted(harness.names()) == ["ahead", "b"]
    harness.look()
    assert sorted(harness.archive.fetched) == ["ahead", "b"]


def test_a_retried_run_is_read_again_when_it_ends_once_more(harness: Harness) -> None:
    harness.archive.put(ran("a", DAY, phase="Failed"))
    harness.look()
    harness.archive.put(ran("a", DAY, finishedAt=stamp(NOW + 200.0)))
    again = ran("a", DAY)
    nodes = again["status"]["nodes"]
    again["status"]["finishedAt"] = nodes[max(nodes)]["finishedAt"] = stamp(NOW + 200.0)
    harness.archive.put(again)
    assert harness.look().changed == {ETL.key}
    (run,) = harness.keeper.store.runs(ETL.key, definition=ETL)
    assert run.outcome is Outcome.SUCCEEDED


def test_a_workflow_that_gets_its_profile_later_is_caught_up_on(harness: Harness) -> None:
    harness.archive.put(
        *(ran(f"e{n}", n * DAY) for n in (1, 2)), *(ran(f"o{n}", n * DAY, origin="other") for n in (1, 2))
    )
    harness.to_the_end()
    assert harness.names(OTHER) == []
    harness.restart()
    assert harness.to_the_end(ETL, OTHER)[0].changed == {OTHER.key}
    assert harness.names(OTHER) == ["o2", "o1"]


def test_a_history_that_was_dropped_is_read_again(harness: Harness) -> None:
    harness.archive.put(ran("a", DAY))
    harness.look()
    harness.keeper.tidy({OTHER.key: (200, 14 * DAY)}, harness.now)
    assert harness.names() == []
    harness.look()
    assert harness.names() == ["a"]


def test_a_second_profile_of_a_namespace_gets_the_runs_that_ended_since_the_first(harness: Harness) -> None:
    harness.archive.put(ran("e1", DAY))
    harness.to_the_end(ETL)
    harness.archive.put(ran("e2", -60.0), ran("o1", -30.0, origin="other"), ran("o2", -3 * 3600.0, origin="other"))
    harness.to_the_end(ETL)
    harness.archive.put(ran("e3", -400.0))
    harness.to_the_end(ETL)
    harness.to_the_end(ETL, OTHER)
    assert harness.names(OTHER) == ["o1", "o2"], "also one by a clock that is ahead"
    assert harness.names(ETL) == ["e1", "e2", "e3"]


def test_a_profile_that_was_away_for_a_while_gets_the_runs_of_that_time(harness: Harness) -> None:
    harness.archive.put(ran("e1", DAY), ran("o1", DAY, origin="other"))
    harness.to_the_end(ETL, OTHER)
    harness.look(ETL)
    harness.archive.put(ran("o2", -300.0, origin="other"), ran("e2", -310.0))
    harness.look(ETL)
    harness.to_the_end(ETL, OTHER)
    assert harness.names(OTHER) == ["o1", "o2"]


@pytest.mark.parametrize("restart", [False, True])
def test_more_runs_that_are_analysed_are_read_from_where_the_fewer_ended(harness: Harness, restart: bool) -> None:
    harness.reach = (5, 14 * DAY)
    harness.archive.put(*(ran(f"r{n:02}", n * 7200.0) for n in range(1, 31)))
    harness.to_the_end()
    assert harness.archive.fetched == [f"r{n:02}" for n in range(1, 6)]
    assert harness.look() == ArchiveReport()
    if restart:
        harness.restart()
    harness.reach = (12, 14 * DAY)
    harness.to_the_end()
    assert harness.names() == [f"r{n:02}" for n in range(12, 0, -1)]
    harness.reach = (200, 14 * DAY)
    harness.to_the_end()
    assert len(harness.names()) == 30


def test_after_a_restart_no_more_runs_are_read_than_are_kept(harness: Harness) -> None:
    harness.reach = (5, 14 * DAY)
    harness.archive.put(*(ran(f"r{n:02}", n * 7200.0) for n in range(1, 31)))
    harness.to_the_end()
    harness.archive.fetched.clear()
    harness.restart()
    harness.to_the_end()
    assert len(harness.archive.fetched) <= 2, "the newest, and one at the mark"


def test_inputs_that_change_while_the_operator_is_stopped_are_read_again(harness: Harness) -> None:
    raw = ran("a", DAY)
    for node in raw["status"]["nodes"].values():
        node["inputs"] = {"parameters": [{"name": "size", "value": "7Gi"}]}
    harness.archive.put(raw, ran("b", 3600.0))
    harness.look(ETL)
    harness.restart()
    sized = replace(ETL, inputs=(InputSource(parameter="size"),))
    harness.look(sized)
    known = harness.keeper.store.live_record(ETL.key, "a")
    assert known is not None
    assert {e.input_size for e in known.steps} == {7 * 2**30}


def test_another_history_is_filled_from_the_beginning(harness: Harness) -> None:
    """Also with what ended by a clock that is ahead, and with all that ended in the second of a mark."""
    ended = stamp(NOW - DAY + 500.0)
    harness.archive.put(ran("ahead", -3600.0), *(ran(f"r{n}", DAY, finishedAt=ended) for n in range(3)))
    harness.to_the_end()
    harness.look()
    harness.keeper._path = str(harness.directory / "other.db")
    harness.keeper.renew()
    harness.to_the_end()
    harness.look()
    assert sorted(harness.names()) == ["ahead", "r0", "r1", "r2"]


def test_a_second_short_fault_does_not_hide_the_first(harness: Harness) -> None:
    harness.archive.put(ran("a", 600.0))
    harness.look()
    away = ArchiveError("the workflow archive postgresql://db/argo cannot be reached.")
    for seconds in (5 * 3600.0, 300.0):
        harness.archive.fault = away
        harness.look()
        harness.look(later=seconds)
        harness.archive.fault = None
        harness.look()
    harness.archive.put(ran("new", -5 * 3600.0))
    harness.look()
    harness.archive.put(ran("waited", -600.0))
    harness.look()
    assert harness.names() == ["a", "waited", "new"]


# --- what is not read -------------------------------------------------------------------------------------------------


def test_objects_of_workflows_nobody_observes_are_not_fetched(harness: Harness) -> None:
    adhoc = ran("adhoc", DAY)
    adhoc["metadata"]["labels"], adhoc["spec"] = {}, {"entrypoint": "main"}
    harness.archive.put(ran("a", DAY, origin="unobserved"), adhoc)
    harness.to_the_end()
    assert (harness.archive.fetched, harness.archive.referred) == ([], ["adhoc"])


@pytest.mark.parametrize("labels", [{}, {"workflows.argoproj.io/cron-workflow": "nightly"}])
def test_a_run_that_only_refers_to_its_template_is_one_of_it(harness: Harness, labels: dict[str, str]) -> None:
    """So leaves it a controller before 4.0 where people or a CronWorkflow created it."""
    raw, other = ran("etl-1", DAY), ran("other-1", DAY, origin="unobserved")
    raw["metadata"]["labels"] = other["metadata"]["labels"] = labels
    harness.archive.put(raw, other)
    harness.to_the_end()
    assert harness.names() == ["etl-1"]
    assert harness.archive.fetched == ["etl-1"]


def test_a_run_of_a_template_that_a_schedule_started_is_one_of_the_template(harness: Harness) -> None:
    raw = ran("nightly-1", DAY)
    raw["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] = "nightly"
    harness.archive.put(raw)
    harness.to_the_end()
    assert harness.names() == ["nightly-1"]
    assert harness.archive.referred == []


def test_only_namespaces_that_are_observed_are_listed(harness: Harness) -> None:
    foreign = ran("foreign", DAY)
    foreign["metadata"]["namespace"] = "other-tenant"
    harness.archive.put(foreign, ran("own", DAY))
    harness.to_the_end()
    assert harness.archive.fetched == ["own"]


def test_a_namespace_of_many_archived_runs_does_not_hold_up_the_others(harness: Harness) -> None:
    """The others are read within one cycle, before and after the first reading; the many take as many as they need."""
    crowd = elsewhere(ETL, "crowd")

    def many(first: float) -> None:
        for n in range(40):
            raw = ran(f"crowd-{first:.0f}-{n:02}", first - n)
            raw["metadata"]["namespace"] = "crowd"
            harness.archive.put(raw)

    harness.archive.size = 10
    many(DAY)
    harness.archive.put(ran("quiet", 2 * DAY))

    def work() -> None:
        harness.ticks += 0.4

    harness.archive.work = work
    assert harness.look(ETL, crowd).more
    assert harness.names() == ["quiet"]
    assert 0 < len(harness.names(crowd)) < 40
    harness.to_the_end(ETL, crowd)
    assert len(harness.names(crowd)) == 40
    many(-100.0)
    harness.archive.put(ran("later", -150.0))
    assert harness.look(ETL, crowd).more
    assert harness.names() == ["quiet", "later"]
    harness.to_the_end(ETL, crowd)
    assert len(harness.names(crowd)) == 80


def test_a_single_run_is_read_in_the_first_cycle_however_many_others_have(harness: Harness) -> None:
    """Of the past and of what is new, whatever else waits."""
    crowds = [elsewhere(ETL, f"crowd-{n}") for n in range(4)]

    def many(first: float) -> None:
        for crowd in crowds:
            harness.archive.put(*(placed(crowd.key.namespace, ran(f"c{first:.0f}-{n}", first - n)) for n in range(60)))

    harness.archive.size = 500
    harness.archive.work = harness.passes(0.1)
    many(DAY)
    harness.archive.put(ran("quiet", 2 * DAY))
    assert harness.look(ETL, *crowds).more
    assert harness.names() == ["quiet"]
    assert all(harness.names(crowd) for crowd in crowds)
    harness.to_the_end(ETL, *crowds)
    many(-1000.0)
    harness.archive.put(ran("later", -900.0))
    assert harness.look(ETL, *crowds, later=1500.0).more
    assert harness.names() == ["quiet", "later"]
    harness.to_the_end(ETL, *crowds)
    assert [len(harness.names(crowd)) for crowd in crowds] == [120] * 4


def test_with_very_many_namespaces_each_has_its_turn(harness: Harness) -> None:
    spaces = [elsewhere(ETL, f"space-{n:02}") for n in range(40)]
    for space in spaces:
        harness.archive.put(*(placed(space.key.namespace, ran(f"r{n}", DAY - n)) for n in range(8)))
    harness.archive.size = 500
    harness.archive.work = harness.passes(0.4)
    for _ in range(4):
        harness.look(*spaces, later=1.0)
    assert all(harness.names(space) for space in spaces)
    harness.to_the_end(*spaces)
    assert {len(harness.names(space)) for space in spaces} == {8}


def test_rows_of_the_future_hold_up_neither_the_past_nor_others_nor_their_own(harness: Harness) -> None:
    """A tenant can set ``finishedAt``."""
    crowd = elsewhere(ETL, "crowd")
    harness.archive.put(ran("a", DAY), placed("crowd", ran("c", DAY)))
    harness.to_the_end(ETL, crowd)
    harness.archive.listing = harness.passes(0.1)
    ahead = [placed("crowd", ran(f"f{n}", -40_000.0 - n, origin="none")) for n in range(400)]
    harness.archive.put(*ahead, ran("o", 2 * DAY, origin="other"), ran("b", -60.0), placed("crowd", ran("d", -60.0)))
    assert not harness.look(ETL, OTHER, crowd).more
    assert (harness.names(OTHER), harness.names(), harness.names(crowd)) == (["o"], ["a", "b"], ["c", "d"])
    assert not harness.look(ETL, OTHER, crowd).more


def test_a_row_of_the_future_does_not_make_others_late(harness: Harness) -> None:
    harness.archive.put(ran("a", 5 * 3600.0))
    harness.look()
    harness.archive.put(ran("ahead", -10 * 3600.0))
    harness.look()
    harness.archive.put(ran("late", 5.4 * 3600.0))
    harness.look()
    assert sorted(harness.names()) == ["a", "ahead", "late"]


def test_a_row_far_beyond_every_clock_is_not_listed(harness: Harness) -> None:
    harness.archive.put(ran("a", DAY))
    harness.look()
    harness.archive.put(ran("never", -40 * DAY), ran("b", -60.0))
    harness.look()
    assert harness.archive.fetched == ["a", "b"]


def test_more_rows_than_can_be_listed_again_do_not_keep_a_namespace_from_going_on(harness: Harness) -> None:
    harness.archive.put(*(ran(f"r{n:02}", 3000.0 - n) for n in range(60)))
    harness.to_the_end()
    harness.archive.listing = harness.passes(1.0)
    harness.archive.put(ran("new", -60.0))
    harness.look()
    harness.look(later=1.0)
    assert harness.names()[-1] == "new"


def test_all_runs_of_one_second_are_read_in_several_namespaces(harness: Harness) -> None:
    crowd, ended = elsewhere(ETL, "crowd"), stamp(NOW - DAY + 500.0)
    for n in range(30):
        harness.archive.put(ran(f"r{n}", DAY, finishedAt=ended), placed("crowd", ran(f"c{n}", DAY, finishedAt=ended)))
    harness.archive.work = harness.passes(0.9)
    harness.reach = (30, 14 * DAY)
    harness.to_the_end(ETL, crowd)
    assert (len(harness.names()), len(harness.names(crowd))) == (30, 30)
    assert len(harness.archive.fetched) == 60


def test_a_cycle_asks_nothing_more_when_its_time_is_over(harness: Harness) -> None:
    harness.archive.put(*(ran(f"r{n:02}", n * 3600.0) for n in range(1, 31)))
    harness.look()
    harness.archive.listing = harness.archive.work = harness.passes(4.0)
    harness.archive.put(*(ran(f"n{n}", -10.0 * n) for n in range(1, 20)))
    began = harness.ticks
    harness.look()
    assert harness.ticks - began <= archived_runs.MAX_SECONDS + 2 * 4.0


def test_an_object_of_another_namespace_than_its_row_is_left_out(harness: Harness) -> None:
    raw, other = ran("a", DAY), ran("b", DAY)
    other["metadata"]["namespace"] = "secret"
    harness.archive.put(raw, document=json.dumps(other))
    (report,) = harness.to_the_end(ETL, elsewhere(ETL, "secret"))
    assert report.notes == ("archived run data/a cannot be read: its object is that of secret/b",)
    assert report.changed == frozenset()


def test_no_more_runs_are_fetched_than_are_kept(harness: Harness) -> None:
    harness.reach = (5, 14 * DAY)
    harness.archive.put(*(ran(f"r{n:02}", n * 3600.0) for n in range(1, 31)))
    harness.to_the_end()
    assert harness.archive.fetched == [f"r{n:02}" for n in range(1, 6)]


def test_no_more_runs_are_fetched_for_a_profile_that_picks_runs_by_name(harness: Harness) -> None:
    adhoc = selecting(the_definition(spec_of(leaf("main")), "adhoc"), "adhoc-")
    harness.reach = (5, 14 * DAY)
    harness.archive.put(*(ran(f"adhoc-{n}", n * 7200.0, origin="none") for n in range(1, 31)))
    harness.archive.put(*(ran(f"etl-{n}", n * 7200.0 + 60.0) for n in range(1, 31)))
    harness.to_the_end(ETL, adhoc)
    assert sorted(harness.archive.fetched) == sorted(f"{name}-{n}" for name in ("adhoc", "etl") for n in range(1, 6))


def test_a_schedule_with_a_profile_of_its_own_fetches_no_more_of_its_template(harness: Harness) -> None:
    nightly = replace(ETL, key=WorkflowKey("data", "CronWorkflow", "nightly"))
    harness.reach = (5, 14 * DAY)
    for n in range(1, 31):
        raw = ran(f"r{n:02}", n * 7200.0)
        raw["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] = "nightly"
        harness.archive.put(raw)
    harness.to_the_end(ETL, nightly)
    assert harness.archive.fetched == [f"r{n:02}" for n in range(1, 6)]


def test_without_a_workflow_of_argo_nothing_is_asked(harness: Harness) -> None:
    harness.archive.fault = ArchiveError("must not be asked")
    assert harness.look(BACKUP) == ArchiveReport()
    assert harness.answers == [], "nor is anything said of the archive"


# --- what is known is not lost ----------------------------------------------------------------------------------------


def test_what_the_object_said_is_not_replaced_by_the_archive(harness: Harness) -> None:
    harness.archive.put(ran("a", DAY))
    harness.look()
    known = harness.keeper.store.live_record(ETL.key, "a")
    assert known is not None
    queued = replace(known, suspension=Suspension(42.0))
    harness.keeper.store.add({}, records=[queued])
    harness.keeper.store.drop_watermarks(ARGO.source, harness.keeper.store.watermarks(ARGO.source))
    harness.restart()
    assert harness.look().changed == frozenset()
    assert harness.keeper.store.live_record(ETL.key, "a") == queued


def test_sizes_of_inputs_that_are_asked_for_later_are_read_again(harness: Harness) -> None:
    raw = ran("a", DAY)
    for node in raw["status"]["nodes"].values():
        node["inputs"] = {"parameters": [{"name": "size", "value": "7Gi"}]}
    harness.archive.put(raw)
    harness.look(ETL)
    known = harness.keeper.store.live_record(ETL.key, "a")
    assert known is not None
    harness.keeper.store.add({}, records=[replace(known, suspension=Suspension(42.0))])
    sized = replace(ETL, inputs=(InputSource(parameter="size"),))
    assert harness.look(sized).changed == {ETL.key}
    (run,) = harness.keeper.store.runs(ETL.key, definition=sized)
    assert {e.input_size for e in run.steps} == {7 * 2**30}
    assert run.suspension == Suspension(42.0)
    assert harness.look(sized) == ArchiveReport()
    assert harness.archive.fetched == ["a", "a"]


def test_an_end_that_was_all_the_object_said_gets_its_steps(harness: Harness) -> None:
    end = replace(_record(ran("a", DAY)), steps=())
    harness.keeper.store.add({}, records=[end])
    harness.archive.put(ran("a", DAY))
    harness.look()
    (run,) = harness.keeper.store.runs(ETL.key, definition=ETL)
    assert run.steps


def test_an_older_run_of_the_same_name_does_not_replace_the_newer(harness: Harness) -> None:
    harness.archive.put(ran("fixed", 5 * DAY), ran("fixed", DAY))
    harness.look()
    known = harness.keeper.store.live_record(ETL.key, "fixed")
    assert known is not None
    assert known.created == NOW - DAY - 1


def _record(raw: dict[str, Any]) -> RunRecord:
    run = whole_run(raw, ETL, children=())
    assert run is not None
    return run.record


# --- faults -----------------------------------------------------------------------------------------------------------


def test_an_archive_that_is_away_is_a_note_and_is_read_when_it_is_back(harness: Harness) -> None:
    harness.archive.put(*(ran(f"r{n}", n * 3600.0) for n in range(1, 9)))
    harness.archive.fails_after = 5
    report = harness.look()
    assert not report.more, "not asked again at once"
    assert "cannot be reached" in report.notes[0]
    assert "from the metrics only" in report.notes[0]
    assert harness.names() == ["r5", "r4", "r3", "r2", "r1"], "what was read stays"
    harness.archive.fails_after = None
    assert harness.look().notes == ()
    assert harness.answers == [False, True]
    assert len(harness.names()) == 8
    harness.archive.put(*(ran(f"n{n}", -10.0 * n) for n in range(1, 9)))
    harness.archive.fails_after = len(harness.archive.fetched) + 2
    assert harness.look().notes
    harness.archive.fails_after = None
    assert harness.look().notes == ()
    assert len(harness.names()) == 16, "of what was fetched and not stored nothing is taken for read"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "it is not a Workflow"),
        ("large", "its object has 33 MiB"),
        ("{}", "its object is that of None/None"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps({"metadata": 7, "status": []}), "its object is that of None/None"),
    ],
)
def test_a_row_that_makes_no_sense_costs_only_itself(harness: Harness, document: str, why: str) -> None:
    harness.archive.put(ran("a", 2 * DAY), ran("b", DAY))
    harness.archive.put(ran("bad", 1.5 * DAY), document=document)
    report = harness.look()
    assert report.notes[0].startswith("archived run data/bad cannot be read: ")
    assert why in report.notes[0]
    assert harness.names() == ["a", "b"]
    assert sorted(harness.counts) == ["complete", "complete", "unreadable"]


def test_a_row_that_the_server_cannot_read_costs_only_itself(harness: Harness) -> None:
    adhoc = ran("adhoc", 1.2 * DAY)
    adhoc["metadata"]["labels"] = {}
    harness.archive.damaged = frozenset({"adhoc", "bad", "later-bad"})
    harness.archive.put(ran("a", 2 * DAY), adhoc, ran("bad", 1.5 * DAY), ran("b", DAY))
    report = harness.look()
    assert report.notes == tuple(
        f"archived run data/{name} cannot be read: the workflow archive postgresql://db/argo failed: missing chunk (XX001)"
        for name in ("adhoc", "bad")
    )
    assert harness.names() == ["a", "b"]
    harness.archive.put(ran("later-bad", -60.0), ran("later", -90.0))
    harness.look()
    assert harness.names() == ["a", "b", "later"]
    assert harness.look() == ArchiveReport(), "reported once"
    assert harness.counts.count("unreadable") == 3


@pytest.mark.parametrize(("looks", "names"), [(2, ["a", "busy", "b"]), (3, ["a", "b"])])
def test_a_row_for_which_the_server_takes_too_long_is_tried_again_and_not_for_ever(
    harness: Harness, looks: int, names: list[str]
) -> None:
    harness.archive.put(ran("a", DAY))
    harness.look()
    harness.archive.late = frozenset({"busy"})
    harness.archive.put(ran("busy", -10.0), ran("b", -60.0))
    for _ in range(looks):
        (note,) = harness.look().notes
        assert note.startswith("archived run data/busy cannot be read: ")
    assert harness.names() == ["a", "b"], "it keeps nobody else out"
    harness.archive.late = frozenset()
    assert harness.look().notes == ()
    assert harness.names() == names
    assert harness.counts == ["complete", "complete", "complete" if looks < 3 else "unreadable"]


def test_an_object_too_deep_costs_only_itself(harness: Harness) -> None:
    raw = ran("deep", DAY)
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    raw["spec"]["arguments"] = deep
    harness.archive.put(raw)
    assert "nested deeper" in harness.look().notes[0]


def test_many_bad_rows_are_counted(harness: Harness) -> None:
    for n in range(9):
        harness.archive.put(ran(f"bad{n}", n * 3600.0), document="[]")
    notes = harness.look().notes
    assert len(notes) == 4
    assert notes[-1] == "6 further archived runs cannot be read"


def test_a_history_that_is_full_is_a_note_and_the_runs_are_read_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise HistoryFull("history has no space left.")

    harness.archive.put(ran("a", DAY))
    with monkeypatch.context() as patch:
        patch.setattr(harness.keeper.store, "add", full)
        report = harness.look()
    assert report.notes == ("archived runs wait to be stored: history has no space left.",)
    harness.look()
    assert harness.names() == ["a"]


def test_a_server_and_a_real_clock(tmp_path: Path, postgres: PostgresServer) -> None:
    """Paging, marks and restart on the tables of Argo itself."""
    tables = ArchiveTables.fresh(postgres)
    tables.put(*(ran(f"r{n:02}", n * 3600.0) for n in range(1, 21)))
    with closing(tables.open()) as archive:
        harness = Harness(tmp_path, archive)
        harness.cost = 3.0
        assert len(harness.to_the_end()) > 2
        assert len(harness.names()) == 20
        harness.restart()
        tables.put(ran("new", -60.0))
        assert harness.to_the_end()[-1].notes == ()
        assert harness.names()[-1] == "new"
