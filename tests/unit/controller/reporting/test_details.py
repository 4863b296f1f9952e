"""The HTTP side tells everything to those who may know, the same nothing to all others, and never too much."""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from concertmaster.api.views.runs import RunView, WorkflowRuns
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.health import Health
from concertmaster.controller.reporting.details import Details, Observed
from concertmaster.controller.reporting.server import Server
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.daily import RUN, Baseline, DailyRow, RecommendationOutcome
from concertmaster.core.model.policy import AnalysisSettings, Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.history import HistoryError
from concertmaster.report import daily, detail
from concertmaster.report.result import view as view_of
from concertmaster.report.runs.served import recent_runs
from tests.support.core.cases import cases

UID = "0b5b6b4e-8a0e-4a4e-9a63-0d6b8d0a7c11"


def served(details: Details, ask: Callable[[str], Any]) -> Any:
    """What ``ask`` gets from a server with these details; it is called with the server's address, in a thread."""

    async def scenario() -> Any:
        server = Server("127.0.0.1", 0, Health(stall_after=60.0), Telemetry(), details)
        await server.start()
        try:
            return await asyncio.to_thread(ask, f"http://127.0.0.1:{server.bound_port}")
        finally:
            await server.stop()

    return asyncio.run(scenario())


def get(url: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_who_knows_the_uid_gets_all_recommendations() -> None:
    case = next(c for c in cases() if c.name == "over-requested")
    found = case.analysed()
    details = Details()
    details.put("demo", case.name, UID, detail.encode(detail.document(view_of(found), case.name)))
    status, headers, body = served(
        details, lambda at: get(f"{at}/api/v1/namespaces/demo/workflowprofiles/{case.name}?uid={UID}")
    )
    document = json.loads(body)
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Cache-Control"] == "no-store"
    assert [r["id"] for r in document["recommendations"]] == [r.id for r in found.recommendations]
    first = document["recommendations"][0]
    assert isinstance(first["evidence"], list)
    assert first["edits"]
    assert "patches:" in first["kustomize"]
    assert {s["name"] for s in document["steps"]} == {"extract", "transform", "load"}


@pytest.mark.parametrize(
    "path",
    [
        "demo/workflowprofiles/etl",
        "demo/workflowprofiles/etl?uid=",
        f"demo/workflowprofiles/etl?uid={UID[:-1]}2",
        f"demo/workflowprofiles/etl?uid={UID}%00",
        f"other/workflowprofiles/etl?uid={UID}",
        f"demo/workflowprofiles/none?uid={UID}",
        f"demo/workflowprofiles/etl?uid={'a' * 5000}",
        f"demo/workflowprofiles/%C3%A9%ff?uid={UID}",
    ],
)
def test_everybody_else_gets_the_same_nothing(path: str) -> None:
    details = Details()
    details.put("demo", "etl", UID, b'{"secret": 1}')
    status, _, body = served(details, lambda at: get(f"{at}/api/v1/namespaces/{path}"))
    assert status == 404
    assert b"secret" not in body
    assert json.loads(body)["message"] == "no analysis of such a profile is kept"


def test_a_shard_names_the_one_that_has_the_namespace() -> None:
    details = Details()
    details.put("demo", "etl", UID, b'{"secret": 1}')
    details.elsewhere = {"other": "cm-1", "demo": None}.get
    asked = [f"{n}/workflowprofiles/etl{part}?uid={UID}" for n in ("other", "demo") for part in ("", "/days")]
    answers = served(details, lambda at: [get(f"{at}/api/v1/namespaces/{path}") for path in asked])
    assert [(status, json.loads(body)) for status, _, body in answers[:3]] == [
        (200, {"shard": "cm-1"}),
        (200, {"shard": "cm-1"}),
        (200, {"secret": 1}),
    ]
    assert answers[3][0] == 404


@pytest.mark.parametrize(
    ("path", "method"),
    [("", "GET"), ("/demo/workflowprofiles", "GET"), ("/demo/workflowprofiles/etl", "POST"),
     ("/demo/workflowprofiles/etl", "DELETE"), ("/demo/workflowprofiles/etl/../../x", "GET")],
)  # fmt: skip
def test_there_is_no_list_and_nothing_to_write(path: str, method: str) -> None:
    details = Details()
    details.put("demo", "etl", UID, b'{"secret": 1}')
    status, _, body = served(details, lambda at: get(f"{at}/api/v1/namespaces{path}?uid={UID}", method))
    assert status in (404, 405)
    assert b"secret" not in body


def test_memory_is_bounded_and_the_stalest_goes_first() -> None:
    details = Details(most_bytes=2000)
    for i in range(100):
        details.put("demo", f"p{i}", f"uid-{i}", os.urandom(80))
    kept = [i for i in range(100) if details.get("demo", f"p{i}", f"uid-{i}") is not None]
    assert kept == list(range(kept[0], 100))
    assert 5 < len(kept) < 100
    details.put("demo", "big", "uid", os.urandom(5000))
    assert details.get("demo", "big", "uid") is None
    assert details.get("demo", "p99", "uid-99") is not None  # what never fits takes nobody's place


def test_what_the_history_keeps_takes_no_memory_and_is_served_from_there() -> None:
    """And only to those who know the uid."""
    details, rows = Details(most_bytes=200), dict[str, bytes | None]()
    details.stored = rows.get
    for uid in (f"uid-{i}" for i in range(100)):
        details.put("demo", uid, uid, uid.encode())
        rows[uid] = details.packed("demo", uid)
        details.release("demo", uid)
    assert [details.get("demo", f"uid-{i}", f"uid-{i}") for i in range(100)] == [
        f"uid-{i}".encode() for i in range(100)
    ]
    assert details.get("demo", "uid-1", "uid-2") is None
    assert details.packed("demo", "uid-1") == rows["uid-1"]
    details.put("demo", "uid-1", "uid-1", b"renewed")  # not kept yet
    assert details.get("demo", "uid-1", "uid-1") == b"renewed"
    del rows["uid-2"]  # a history that was set aside
    assert details.get("demo", "uid-2", "uid-2") is None


def test_an_answer_that_the_history_cannot_give_is_an_error_and_not_nothing() -> None:
    def away(_: str) -> bytes | None:
        raise HistoryError("the disk is gone")

    details = Details()
    details.put("demo", "etl", UID, b"{}")
    details.release("demo", "etl")
    details.stored = away
    status, _, body = served(details, lambda at: get(f"{at}/api/v1/namespaces/demo/workflowprofiles/etl?uid={UID}"))
    assert status == 503
    assert "disk" not in json.loads(body)["message"]


def test_a_new_profile_of_the_same_name_does_not_inherit() -> None:
    details = Details()
    details.put("demo", "etl", "old", b"{}")
    details.put("demo", "etl", "new", b"[]")
    assert details.get("demo", "etl", "old") is None
    assert details.get("demo", "etl", "new") == b"[]"
    details.keep_only({"old"})
    assert details.get("demo", "etl", "new") is None


def test_the_document_is_cut_to_size_and_says_so() -> None:
    view = view_of(next(c for c in cases() if c.name == "over-requested").analysed())
    step, item = view["steps"][0], view["recommendations"][0]
    view["steps"] = [{**step, "name": f"s{i}", "dragSeconds": float(i)} for i in range(500)]
    view["recommendations"] = [{**item, "id": f"r{i}", "because": "x" * 400} for i in range(2000)]
    found = detail.document(view, "etl")
    assert len(detail.encode(found)) <= detail.MAX_BYTES
    assert len(found["recommendations"]) + found["moreRecommendations"] == 2000
    assert len(found["steps"]) + found["moreSteps"] == 500
    assert found["recommendations"][0]["id"] == "r0"


class Recorded:
    """A history with one row a day of two steps."""

    @property
    def store(self) -> Recorded:
        return self

    daily = store

    def rows(self, key: WorkflowKey, step: str = RUN) -> list[DailyRow]:
        if step not in (RUN, "load"):
            return []
        return [DailyRow(20410 + n, step, 3, 2, 1, 2, 120.0, 55.0, 65.0, cost=1.5, score=80) for n in range(2)]

    def baseline(self, key: WorkflowKey) -> Baseline | None:
        return Baseline(1e9, 12, 60.0, 70.0, 1.0, 0.5, 90)

    def adoptions(self, key: WorkflowKey) -> list[RecommendationOutcome]:
        return [RecommendationOutcome("timeout.load", "Dismissed", 1e9, 2e9, money=3.0)]


def test_who_knows_the_uid_gets_the_daily_rows() -> None:
    details = Details()
    details.history = cast(HistoryProvider, Recorded())
    details.put("demo", "etl", UID, b"{}", WorkflowKey("demo", "CronJob", "etl"))
    at = "/api/v1/namespaces/demo/workflowprofiles/etl/days"
    status, _, body = served(details, lambda root: get(f"{root}{at}?uid={UID}"))
    document = json.loads(body)
    assert status == 200
    assert document["baseline"]["p95Seconds"] == 70.0
    assert document["adoptions"] == [
        {"id": "timeout.load", "state": "Dismissed", "first": 1e9, "since": 2e9, "verdict": None}
    ]
    assert document["days"][0] == {
        "day": "2025-11-18", "runs": 3, "succeeded": 2, "failed": 1, "timed": 2, "meanSeconds": 60.0, "p50Seconds": 55.0,
        "p95Seconds": 65.0, "cost": 1.5, "wastedCost": None, "queueSeconds": None, "metrics": {}, "score": 80,
    }  # fmt: skip
    assert daily.rows(document["days"]) == Recorded().rows(WorkflowKey("", "", ""))
    _, _, body = served(details, lambda root: get(f"{root}{at}?uid={UID}&step=load"))
    assert json.loads(body)["step"] == "load"
    assert served(details, lambda root: get(f"{root}{at}?uid=wrong"))[0] == 404


def test_a_history_that_cannot_be_read_is_unavailable() -> None:
    class Broken(Recorded):
        def rows(self, key: WorkflowKey, step: str = RUN) -> list[DailyRow]:
            raise HistoryError("damaged")

    details = Details()
    details.history = cast(HistoryProvider, Broken())
    details.put("demo", "etl", UID, b"{}", WorkflowKey("demo", "CronJob", "etl"))
    path = f"/api/v1/namespaces/demo/workflowprofiles/etl/days?uid={UID}"
    assert served(details, lambda root: get(f"{root}{path}"))[0] == 503


class TestRunsOfTheHistory:
    """Every run that the history keeps is at hand, not only the newest, which the analysis comes with."""

    CASE = next(c for c in cases() if c.name == "over-requested")
    AT = "/api/v1/namespaces/demo/workflowprofiles/etl/runs"

    def details(self, path: Path, most: int = 200, lost: int = 0) -> Details:
        """With the runs of the case; ``lost``: pods of the newest that have not ended yet."""
        history = HistoryProvider(str(path / "history.db"))
        key, newest = self.CASE.definition.key, self.CASE.runs[-1]
        given = {r.run: r.steps for r in self.CASE.runs}
        history.store.add({key: given | {newest.run: newest.steps[: len(newest.steps) - lost]}})
        details = Details()
        details.history = history
        details.put("demo", "etl", UID, b"{}", key)
        policy = Policy(analysis=AnalysisSettings(max_runs=most))
        details.observed = {UID: Observed(self.CASE.definition, policy, newest.end)}
        return details

    def test_all_are_listed_and_each_is_shown_in_full(self, tmp_path: Path) -> None:
        details = self.details(tmp_path)
        status, _, body = served(details, lambda root: get(f"{root}{self.AT}?uid={UID}"))
        listed = WorkflowRuns.model_validate_json(body)
        newest_first = [r.run for r in reversed(self.CASE.runs)]
        assert (status, listed.total, [r.run for r in listed.runs]) == (200, 30, newest_first)
        _, _, body = served(details, lambda root: get(f"{root}{self.AT}?uid={UID}&run={newest_first[-1]}"))
        oldest = RunView.model_validate_json(body)
        assert oldest.run == newest_first[-1]
        assert [p.step for p in oldest.critical_path] == ["extract", "transform", "load"]

    def test_the_newest_are_put_into_the_analysis_when_somebody_asks(self, tmp_path: Path) -> None:
        """They are those that its analysis would have come with; runs that ended since are none of them."""
        details, flow, newest = self.details(tmp_path), self.CASE.definition, self.CASE.runs[-1]
        now, policy = self.CASE.runs[-3].end or 0.0, details.observed[UID].policy
        assert isinstance(details.history, HistoryProvider)
        runs = details.history.store.runs(flow.key, limit=200, definition=flow, as_of=newest.end)
        result = analyze_workflow(flow, runs, policy, profile="etl", now=now)
        without = detail.document(view_of(result), "etl")
        details.put("demo", "etl", UID, detail.encode(without), flow.key)
        _, _, body = served(details, lambda root: get(f"{root}/api/v1/namespaces/demo/workflowprofiles/etl?uid={UID}"))
        assert without["recent"] is None
        whole = detail.document(view_of(result), "etl", None, recent_runs(result.analysis))
        assert json.loads(body) == json.loads(detail.encode(whole))
        assert json.loads(body)["recent"]["runs"][0]["run"] == self.CASE.runs[-3].run

    def test_the_newest_are_put_together_once_for_each_analysis(self, tmp_path: Path) -> None:
        details, flow = self.details(tmp_path), self.CASE.definition
        first = detail.encode(detail.document(view_of(self.CASE.analysed()), "etl"))
        details.put("demo", "etl", UID, first, flow.key)
        before = details.get("demo", "etl", UID)
        assert before is not None
        assert details.get("demo", "etl", UID) is before
        observed, details.observed = details.observed, {}
        details.put("demo", "etl", UID, first.replace(b'"etl"', b'"new"'), flow.key)  # another analysis
        assert (
            json.loads(details.get("demo", "etl", UID) or b"")["recent"] is None
        )  # not known yet what they are read with
        details.observed = observed
        again = json.loads(details.get("demo", "etl", UID) or b"")
        assert again["profile"] == "new"
        assert len(again["recent"]["runs"]) > 5

    def test_there_are_as_many_as_the_policy_analyses(self, tmp_path: Path) -> None:
        _, _, body = served(self.details(tmp_path, most=7), lambda root: get(f"{root}{self.AT}?uid={UID}"))
        assert json.loads(body)["total"] == 7

    def test_a_run_in_progress_is_none_of_them(self, tmp_path: Path) -> None:
        _, _, body = served(self.details(tmp_path, lost=1), lambda root: get(f"{root}{self.AT}?uid={UID}"))
        assert json.loads(body)["total"] == 29

    @pytest.mark.parametrize("asked", ["uid=wrong", "uid=", f"uid={UID}&run=none"])
    def test_others_and_unknown_runs_get_nothing(self, tmp_path: Path, asked: str) -> None:
        assert served(self.details(tmp_path), lambda root: get(f"{root}{self.AT}?{asked}"))[0] == 404

    def test_before_the_first_cycle_there_are_none(self, tmp_path: Path) -> None:
        details = self.details(tmp_path)
        details.observed = {}
        assert served(details, lambda root: get(f"{root}{self.AT}?uid={UID}"))[0] == 404


def test_runs_are_read_one_after_the_other_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    details, reading, most = Details(), [0], [0]

    def slowly(*_: str) -> bytes:
        reading[0] += 1
        most[0] = max(most[0], reading[0])
        time.sleep(0.05)
        reading[0] -= 1
        return b"{}"

    monkeypatch.setattr(details, "runs", slowly)

    def many(root: str) -> list[int]:
        with ThreadPoolExecutor(4) as pool:
            return [a[0] for a in pool.map(lambda _: get(f"{root}{TestRunsOfTheHistory.AT}?uid={UID}"), range(4))]

    assert served(details, many) == [200] * 4
    assert most == [1]
