"""Every query of the dashboards on a real Prometheus that scrapes an operator: each is understood and has data."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from charts import boards, dashboards
from charts.boards import Panel
from concertmaster.controller.changes.writing.tally import RollbackReason, Tally
from concertmaster.controller.health import Health
from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.reporting.server import Server
from concertmaster.controller.reporting.telemetry import STAGES, Telemetry
from concertmaster.core.changes.checks import NAMES
from concertmaster.core.changes.ledger import Ledger, LedgerEntry
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.model import Outcome, WorkflowKey
from concertmaster.core.model.enums import Verdict
from concertmaster.report import result as results
from concertmaster.report.workflow_series import samples
from testbed.services.prometheus import PrometheusServer, Scrape
from tests.support.chart.bed import promql_of
from tests.support.core.cases import Case, cases

BOARDS = {"fleet": boards.FLEET, "workflow": boards.WORKFLOW, "changes": boards.CHANGES, "operator": boards.OPERATOR}
VALUES = {"__rate_interval": "10s", "namespace": "demo", "workflow": "regression", "kind": "WorkflowTemplate"}


def cycle(telemetry: Telemetry) -> None:
    """One cycle in which everything that is counted happens once."""
    t = telemetry
    for stage in STAGES:
        with CycleLog().stage(stage, t):
            pass
        t.failures.labels(stage).inc()
    t.cycle_seconds.observe(1.5)
    for result in ("success", "failure"):
        t.cycles.labels(result).inc()
    now = time.time()
    t.last_success.set(now)
    t.sources.queries.labels("default").inc(8)
    t.sources.up.labels("default").set(1)
    t.sources.data_until.labels("default").set(now - 60)
    t.observe_request("GET", 200)
    t.observe_request("PATCH", 409)
    t.writes.labels("profile", "written").inc()
    t.events.labels("posted").inc()
    t.profiles.labels("True").set(3)
    t.policies.labels("True").set(1)
    t.analyzed.inc(3)
    t.sources.unassigned.labels("NoProfile").set(2)
    tally = Tally(proposed=1, applied=1, conflicts=1, failed=1, orphaned=1, seconds=[5000.0])
    tally.verdicts.update(dict.fromkeys(Verdict, 1))
    tally.restored.update(dict.fromkeys(RollbackReason, 1))
    tally.refused.update(dict.fromkeys(NAMES, 1))
    tally.in_flight.update({"Applied": 1, "Verifying": 1})
    t.changes.observe(tally)


def analyzed(case: Case) -> Case:
    """The flaky workflow fails three times at the end, and the regression never meets its objective."""
    if case.name == "flaky":
        *others, a, b, c = case.runs
        return replace(case, runs=(*others, *(replace(r, outcome=Outcome.FAILED) for r in (a, b, c))))
    return case


@pytest.fixture(scope="module")
def telemetry() -> Telemetry:
    """Series as analyses of real cases give them."""
    found = Telemetry()
    late = {}
    for case in map(analyzed, cases()):
        result = case.analysed()
        memory = advance(RecommendationHistory(), Observation(result.analysis.now, results.current(result)))
        key = WorkflowKey("demo", "WorkflowTemplate", case.name)
        found.workflows.put(case.name, key, samples(result, memory))
        late[case.name] = int(case.name == "regression")
    found.workflows.late(late)
    lines = [LedgerEntry("demo/etl", "right-size", Verdict.IMPROVED, 1e9 + n, -0.3, -0.25) for n in range(3)]
    found.record_ledger(Ledger(lines))
    return found


@contextmanager
def serving(telemetry: Telemetry) -> Iterator[int]:
    """The operator's HTTP side in a thread; its port."""
    server = Server("127.0.0.1", 0, Health(stall_after=3600.0), telemetry)
    started, loop = threading.Event(), asyncio.new_event_loop()

    def run() -> None:
        loop.run_until_complete(server.start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(server.stop())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10)
        yield server.bound_port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_every_panel_and_annotation_has_data(
    telemetry: Telemetry, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    cycle(telemetry)
    with serving(telemetry) as port:
        store = make_prometheus([Scrape.of("concertmaster", f"http://127.0.0.1:{port}/metrics", "1s")])
        for _ in range(3):
            cycle(telemetry)
            store.wait_for_scrapes(1)
        for board, panels in BOARDS.items():
            for panel in panels:
                for expression, legend in panel.queries:
                    found = store.query(promql_of(expression, VALUES))
                    assert found, f"{board}: {panel.title} has no data: {expression}"
                    labels = set(re.findall(r"{{(\w+)}}", legend))
                    assert labels <= found[0]["metric"].keys(), f"{board}: {panel.title} has no {labels}: {expression}"
        (change,) = store.query(promql_of(boards.CHANGE_POINTS, VALUES))
        assert 1e12 < float(change["value"][1]) < 2e13, "milliseconds since 1970"


def test_the_files_are_what_the_panels_make() -> None:
    files = {name.removesuffix(".json"): json.loads(text) for name, text in dashboards.render().items()}
    assert files.keys() == BOARDS.keys()
    for name, document in files.items():
        assert document["uid"] == f"concertmaster-{name}"
        titles = [p["title"] for p in document["panels"]]
        assert titles == [p.title for p in BOARDS[name]]
        assert len(titles) == len(set(titles))
        for panel in document["panels"]:
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
            assert all(t.get("instant", False) == (panel["type"] == "table") for t in panel["targets"])


def test_variables_are_read_from_series_that_every_workflow_has() -> None:
    for name in ("fleet", "workflow"):
        document = json.loads(dashboards.render()[f"{name}.json"])
        queries = [v["query"] for v in document["templating"]["list"] if v["type"] == "query"]
        assert queries and all("concertmaster_workflow_run_late" in q for q in queries)


def test_hours_have_a_unit_and_a_workflow_is_chosen_by_its_kind_as_well() -> None:
    for panels in BOARDS.values():
        for panel in panels:
            assert (panel.unit == "h") is any("_hours" in e for e, _ in panel.queries), panel.title
    assert all('kind="$kind"' in e for p in boards.WORKFLOW for e, _ in p.queries)


def test_no_panel_asks_for_pods_by_prefix() -> None:
    panels: list[Panel] = [p for panels in BOARDS.values() for p in panels]
    assert not [p.title for p in panels for e, _ in p.queries if "kube_pod" in e or "$prefix" in e]
