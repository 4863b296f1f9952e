"""A process that starts on an existing history analyses what has changed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from concertmaster.controller.changes.cycle import Candidate
from concertmaster.controller.profiles import last_analyses
from concertmaster.controller.profiles.request import AnalysisRequest, ProfileAnalysis
from concertmaster.core.model import Category, WorkflowKey
from concertmaster.core.rules import FleetMember
from concertmaster.core.schedules.timetable import Timetable
from concertmaster.core.units import DAY
from concertmaster.history import HistoryFull
from concertmaster.kube.objects import PROFILES
from tests.support.builders import recommendation
from tests.support.controller.harness import INTERVAL, NOW, Bed, FakeAnalyzer, report, run

ETL = WorkflowKey("demo", "CronJob", "etl")
RAISE = recommendation("memory-request.a", category=Category.COST)

DAILY = Timetable(("0 2 * * *",), "Europe/Berlin")


class Telling(FakeAnalyzer):
    """Also says what others and the HTTP side want to know."""

    def __call__(self, request: AnalysisRequest) -> ProfileAnalysis:
        found = super().__call__(request)
        member = FleetMember(request.definition.key, np.array([[NOW - 50.0, NOW, 25.0, 3.0]]), DAILY, late=60.0)
        return replace(found, candidates=(Candidate(RAISE, 0.9),), detail=b'{"a": 1}', member=member, waits=True)


def bed(**earlier: Any) -> Bed:
    made = Bed(**earlier)
    made.analyzer = Telling()
    return made


@pytest.fixture
def before() -> Bed:
    """A process that has analysed its one workflow and come to rest."""
    made = bed()
    made.cronjob()
    made.profile()
    made.history.runs_of["etl"] = [run("etl", i) for i in range(3)]
    made.run()
    made.run(seconds=INTERVAL)
    return made


def restarted(before: Bed) -> Bed:
    """The next process on the same cluster and history."""
    fresh = bed(history=before.history)
    fresh.client.objects = before.client.objects
    fresh.now = before.now
    return fresh


def test_nothing_is_analysed_or_written_again(before: Bed) -> None:
    after = restarted(before)
    after.run(seconds=INTERVAL)
    after.run(seconds=INTERVAL)
    assert after.analyzer.requests == []
    assert after.writes() == []
    assert after.state()["Ready"] == ("True", "Analyzed")


def test_what_was_analysed_by_a_clock_that_was_ahead_is_analysed_again(before: Bed) -> None:
    """It found no run in the window that it took for the present, and said so until the next run ended."""
    before.now += 40 * DAY
    for _ in range(3):  # until it has come to rest again
        before.run(seconds=INTERVAL)
    ahead = len(before.analyzer.requests)
    before.now -= 40 * DAY
    before.run()
    assert before.analyzer.requests[ahead:]


def test_what_changes_and_details_need_is_there_without_an_analysis(before: Bed) -> None:
    after = restarted(before)
    after.run(seconds=INTERVAL)
    uid = after.client.objects[PROFILES.path("demo", "etl")]["metadata"]["uid"]
    assert after.profile_reconciler.candidates(uid) == (Candidate(RAISE, 0.9),)
    assert after.outputs.details.get("demo", "etl", uid) == b'{"a": 1}'
    fleet = after.profile_reconciler._fleet
    member, waits = fleet.member(ETL)
    assert waits
    assert member is not None
    kept = member.runs.tolist(), member.timetable, member.late
    assert kept == ([[NOW - 50.0, NOW, 25.0, 3.0]], DAILY, 60.0)
    assert fleet.fleet is not None


def test_pods_that_came_while_nobody_looked_count_when_they_end_a_run(before: Bed) -> None:
    before.history.stale = set(before.history.kept)
    quiet = restarted(before)
    quiet.run(seconds=INTERVAL)
    assert quiet.analyzer.requests == []
    assert not quiet.history.stale
    quiet.history.runs_of["etl"].append(run("etl", 9))
    quiet.history.stale = set(quiet.history.kept)
    after = restarted(quiet)
    after.run(seconds=INTERVAL)
    assert after.status()["advice"] == ["4 runs"]


def test_recommendations_that_cannot_be_read_are_found_again(before: Bed) -> None:
    """The row is whole, and what it keeps of them is not."""
    (uid, content), *_ = before.history.kept.items()
    row = last_analyses._DECODER.decode(content)
    spoilt = msgspec.structs.replace(row, record=replace(row.record, applicable=row.record.applicable[:-9]))
    before.history.kept[uid] = msgspec.msgpack.encode(spoilt)
    after = restarted(before)
    after.run(seconds=INTERVAL)
    assert len(after.analyzer.requests) == 1
    assert after.profile_reconciler.candidates(uid) == (Candidate(RAISE, 0.9),)


def _emptied(after: Bed) -> None:
    after.client.objects[PROFILES.path("demo", "etl")]["status"] = {}


def _policy(after: Bed) -> None:
    after.policy(objectives={"duration": {"p95": "5m"}})


def _missing(after: Bed) -> None:
    after.sources.reports["default"] = report(missing=("kube_pod_info: gone.",))


def _damaged(after: Bed) -> None:
    after.history.kept = {uid: content[:-3] for uid, content in after.history.kept.items()}


def _old(after: Bed) -> None:
    after.now += 86_400.0


@pytest.mark.parametrize("change", [_emptied, _policy, _missing, _damaged, _old])
def test_whatever_else_changed_is_analysed(before: Bed, change: Callable[[Bed], None]) -> None:
    after = restarted(before)
    change(after)
    after.run(seconds=INTERVAL)
    assert len(after.analyzer.requests) == 1
    assert after.status()["advice"] == ["3 runs"]


def test_another_build_of_the_same_version_analyses_anew(before: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_analyses, "code_digest", lambda: "another")
    after = restarted(before)
    after.run(seconds=INTERVAL)
    assert len(after.analyzer.requests) == 1


def test_a_full_disk_costs_the_next_start_and_nothing_else(before: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise HistoryFull("the disk is full")

    after = restarted(before)
    monkeypatch.setattr(after.history, "keep_analysis", full)
    _policy(after)
    after.run(seconds=INTERVAL)
    assert after.state()["Ready"] == ("True", "Analyzed")
