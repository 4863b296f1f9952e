"""Workflows that hear of each other: whole pictures only, once an hour, and nobody who is not concerned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from concertmaster.controller.profiles.fleet_index import REBUILD_EVERY, FleetIndex
from concertmaster.controller.profiles.request import AnalysisRequest, ProfileAnalysis
from concertmaster.core.model import WorkflowKey
from concertmaster.core.rules import FleetMember
from concertmaster.core.schedules.timetable import Timetable
from concertmaster.core.units import DAY
from tests.support.controller.harness import INTERVAL, NOW, Bed, FakeAnalyzer, report, run

CLASH = [{"id": "schedule-clash", "action": "Start later"}]


def member(key: WorkflowKey, cores: float = 1.0) -> FleetMember:
    """An hour of so many cores each day, and once more tomorrow."""
    starts = NOW - 86400.0 * np.arange(5, 0, -1)
    runs = np.column_stack([starts, starts + 3600.0, np.full(5, 3600.0 * cores), np.zeros(5)])
    return FleetMember(key, runs, Timetable((datetime.fromtimestamp(NOW + 7200.0, tz=UTC).strftime("%M %H %d %m *"),)))


@dataclass
class Neighbours(FakeAnalyzer):
    """A recommendation that says how many others it was shown; those in ``clashing`` are reported so once there are any."""

    clashing: set[str] = field(default_factory=set)
    cores: dict[str, float] = field(default_factory=dict)

    def __call__(self, request: AnalysisRequest) -> ProfileAnalysis:
        name = request.definition.key.name
        found = super().__call__(request)
        document = {
            **found.document,
            "advice": [f"{len(request.environment.fleet.members) if request.environment.fleet else 0} in the fleet"],
        }
        if request.environment.fleet is not None and name in self.clashing:
            document["recommendations"] = CLASH
        own = member(request.definition.key, self.cores.get(name, 1.0))
        return replace(found, document=document, member=own, waits=name in self.clashing)


@pytest.fixture
def bed() -> Bed:
    """Three CronJobs; ``busy`` makes the peak, ``etl`` waits."""
    made = Bed()
    made.analyzer = Neighbours(clashing={"etl"}, cores={"busy": 9.0})
    for name in ("etl", "busy", "calm"):
        made.cronjob(name)
        made.profile(name, name)
        made.history.runs_of[name] = [run(name, i) for i in range(3)]
    return made


def analysed(bed: Bed) -> list[str]:
    found = sorted(c.definition.key.name for c in bed.analyzer.requests)
    bed.analyzer.requests.clear()
    return found


def test_only_whom_it_concerns_is_looked_at_again_and_at_once(bed: Bed) -> None:
    assert bed.run() is True  # wants to run again: the fleet is known now
    assert analysed(bed) == ["busy", "calm", "etl"]
    assert bed.status(name="etl")["advice"] == ["0 in the fleet"]
    queries = len(bed.sources.asked)
    assert bed.run(seconds=2.0) is False
    assert analysed(bed) == ["busy", "etl"]
    assert bed.status(name="etl")["recommendations"] == CLASH
    assert bed.status(name="calm")["advice"] == ["0 in the fleet"]
    assert not any(d.due for d in bed.sources.asked[queries:])  # nothing was asked of the metrics for it
    bed.writes()
    assert bed.run(seconds=INTERVAL) is False
    assert analysed(bed) == []
    assert bed.writes() == []


def test_new_runs_of_others_are_news_once_an_hour(bed: Bed) -> None:
    bed.run()
    bed.run(seconds=2.0)
    analysed(bed)
    calm = WorkflowKey("demo", "CronJob", "calm")
    for number in range(5):
        bed.history.runs_of["calm"].append(run("calm", 10 + number))
        bed.sources.changed.add(calm)
        bed.run(seconds=INTERVAL)
        assert analysed(bed) == ["calm"]
    bed.history.runs_of["calm"].append(run("calm", 20))
    bed.sources.changed.add(calm)
    assert bed.run(seconds=REBUILD_EVERY) is True
    bed.run(seconds=2.0)
    assert "etl" in analysed(bed)


def test_a_restart_does_not_take_back_what_rests_on_the_others(bed: Bed) -> None:
    bed.run()
    bed.run(seconds=2.0)
    before = bed.status(name="etl")
    fresh = Bed()
    fresh.client.objects.update(bed.client.objects)
    fresh.analyzer = Neighbours(clashing={"etl"}, cores={"busy": 9.0})
    fresh.history.runs_of = bed.history.runs_of
    fresh.run()
    assert fresh.status(name="etl") == before
    fresh.run(seconds=2.0)
    assert fresh.status(name="etl") == before
    assert {c.definition.key.name for c in fresh.analyzer.requests if c.environment.fleet is not None} >= {"etl"}


def test_half_a_past_makes_no_fleet(bed: Bed) -> None:
    bed.sources.reports["default"] = report(more=True)
    bed.run()
    assert all(c.environment.fleet is None for c in bed.analyzer.requests)
    bed.run(seconds=2.0)
    assert all(c.environment.fleet is None for c in bed.analyzer.requests)
    bed.sources.reports["default"] = report()
    bed.run(seconds=2.0)
    bed.run(seconds=2.0)
    assert any(c.environment.fleet is not None for c in bed.analyzer.requests)


def test_who_is_gone_is_no_neighbour() -> None:
    index = FleetIndex()
    keys = [WorkflowKey("demo", "CronJob", n) for n in ("a", "b")]
    for key in keys:
        index.learn(member(key), waits=True)
    assert index.settle(NOW)
    assert index.edition_for(keys[0]) == 1
    index.keep_only(keys[:1])
    assert index.settle(NOW + REBUILD_EVERY)
    assert index.fleet is not None
    assert [m.key for m in index.fleet.members] == keys[:1]
    assert index.edition_for(keys[1]) == 0
    assert not index.settle(NOW + 2 * REBUILD_EVERY)  # nothing changed


def test_a_clock_that_was_ahead_keeps_no_edition() -> None:
    index = FleetIndex()
    for name, now in (("a", NOW + 40 * DAY), ("b", NOW)):
        index.learn(member(WorkflowKey("demo", "CronJob", name)), waits=True)
        assert index.settle(now)
