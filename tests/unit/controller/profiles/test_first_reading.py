"""Where reading the past takes long, the newest runs of a workflow are analysed once before the older ones are read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.api.conditions import Reason
from concertmaster.controller.profiles.request import AnalysisRequest, ProfileAnalysis
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.model import WorkflowKey
from concertmaster.kube.objects import EVENTS
from tests.support.controller.harness import INTERVAL, NOW, Bed, FakeAnalyzer, report, run

ETL = WorkflowKey("demo", "CronJob", "etl")


class Saying(FakeAnalyzer):
    """Says of a provisional analysis what the real one does."""

    def __call__(self, request: AnalysisRequest) -> ProfileAnalysis:
        found = super().__call__(request)
        return replace(found, ready=replace(found.ready, reason=Reason.BACKFILLING)) if request.provisional else found


def connected(bed: Bed) -> Bed:
    bed.analyzer = Saying(more={"recommendations": [{"id": "right-size"}]})
    return bed


def reading(*, long: bool = True) -> SourceReport:
    return report(more=True, unread={ETL: NOW}, long=long)


@pytest.fixture
def bed() -> Bed:
    made = connected(Bed())
    made.cronjob()
    made.profile()
    read(made, 6)
    made.sources.reports["default"] = reading()
    return made


def read(bed: Bed, runs: int) -> None:
    bed.history.runs_of["etl"] = [run("etl", i) for i in range(runs)]
    bed.sources.changed = {ETL}


def analyses(bed: Bed) -> list[tuple[int, bool, bool]]:
    """Runs, and whether provisional now and before."""
    return [(len(c.runs), c.provisional, c.was_provisional) for c in bed.analyzer.requests]


def test_what_is_soon_read_is_waited_for(bed: Bed) -> None:
    bed.sources.reports["default"] = reading(long=False)
    bed.run()
    assert analyses(bed) == []
    assert bed.state()["Ready"] == ("False", "Backfilling")


def test_the_newest_runs_are_analysed_once_and_all_of_them_when_they_are_read(bed: Bed) -> None:
    bed.run()
    assert analyses(bed) == [(6, True, False)]
    assert bed.state()["Ready"] == ("True", "Backfilling")
    for runs in (20, 40):
        read(bed, runs)
        bed.run(seconds=INTERVAL)
    assert len(analyses(bed)) == 1, "what comes in with each cycle is no reason for another"
    assert bed.status()["advice"] == ["6 runs"]
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    assert analyses(bed)[1:] == [(40, False, True)]
    assert bed.state()["Ready"] == ("True", "Analyzed")
    bed.run(seconds=INTERVAL)
    assert len(analyses(bed)) == 2
    assert bed.objects(EVENTS) == []


def test_the_end_of_the_reading_is_said_although_no_older_run_came(bed: Bed) -> None:
    bed.run()
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    assert analyses(bed) == [(6, True, False), (6, False, True)]


def test_too_few_runs_wait_for_more(bed: Bed) -> None:
    read(bed, 4)
    bed.run()
    bed.run(seconds=INTERVAL)
    assert analyses(bed) == []
    assert bed.state()["Ready"] == ("False", "Backfilling")
    read(bed, 5)
    bed.run(seconds=INTERVAL)
    assert analyses(bed) == [(5, True, False)]


def test_another_policy_is_followed_while_the_past_is_read(bed: Bed) -> None:
    bed.run()
    bed.policy(analysis={"minRuns": 6})
    bed.run(seconds=INTERVAL)
    assert analyses(bed) == [(6, True, False), (6, True, True)]


def test_a_restart_goes_on_where_the_last_process_was(bed: Bed) -> None:
    bed.run()
    after = connected(Bed(client=bed.client, history=bed.history))
    after.sources.reports["default"] = reading()
    after.now = bed.now + INTERVAL
    after.run()
    assert analyses(after) == []
    after.sources.reports["default"] = report()
    after.run(seconds=INTERVAL)
    assert analyses(after) == [(6, False, True)]
