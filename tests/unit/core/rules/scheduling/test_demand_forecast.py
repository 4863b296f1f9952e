"""The demand of the next days: hours, cores and starts from schedules and history, and the line about the peak."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.changes.admission.service_pods import ServiceMoment, ServicePods
from concertmaster.core.fleet.demand import Demand, PastRun, Workload, forecast_demand
from concertmaster.core.model import RunRecord, WorkflowKey
from concertmaster.core.rules import Fleet, FleetMember, member
from concertmaster.core.schedules.scheduler import late_within
from concertmaster.core.schedules.timetable import Timetable
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY, HOUR
from concertmaster.engines.define import define_all
from tests.support.builders import NOW
from tests.support.core import scenarios
from tests.support.core.scenario_builder import cron_job, define, simulate

MIDNIGHT = NOW - NOW % DAY
DAYS = 2


def _every_day(name: str, hour: float, cores: float, seconds: float, days: int = 28, kind: str = "CronJob") -> Workload:
    starts = [MIDNIGHT - d * DAY + hour * HOUR for d in range(days, 0, -1)]
    return Workload(name, kind, [PastRun(s, s + seconds, cores * seconds, 2 * cores * seconds) for s in starts])


def test_a_schedule_puts_its_cores_into_its_hours() -> None:
    load = replace(_every_day("a", 3, 8.0, 5400), upcoming=(MIDNIGHT + DAY + 3 * HOUR,))
    found = forecast_demand([load], NOW, 48)
    hours = {h.start: h for h in found.hours}
    assert hours[MIDNIGHT + DAY + 3 * HOUR].cores == pytest.approx(8.0)
    assert hours[MIDNIGHT + DAY + 4 * HOUR].cores == pytest.approx(4.0)  # the second half hour of 90 minutes
    assert hours[MIDNIGHT + DAY + 3 * HOUR].gib == pytest.approx(16.0)
    assert hours[MIDNIGHT + DAY + 3 * HOUR].runs == 1.0
    assert sum(h.cores for h in found.hours) == pytest.approx(12.0)


def _demand(line: str, hours: int) -> Demand:
    """Of a workflow of that schedule, whose runs of the last two days took a minute."""
    table = Timetable((line,))
    past = [(t, t + 60.0, 120.0, 0.0) for t in table.starts(NOW - DAYS * DAY, NOW - 60.0).tolist()]
    key = WorkflowKey("demo", "CronWorkflow", "poll")
    return Fleet((FleetMember(key, np.array(past).reshape(-1, 4), table),)).demand(NOW, hours)


@pytest.mark.parametrize(("minutes", "hours"), [("*", range(24)), ("*/5", range(24)), ("*/2", range(8, 20))])
def test_a_frequent_schedule_is_forecast_as_far_as_any_other(minutes: str, hours: range) -> None:
    found = _demand(f"{minutes} {hours[0]}-{hours[-1]} * * *", 72)
    assert {h.start % DAY // HOUR for h in found.hours if h.cores} == set(hours)
    each = 60 / int(minutes[2:] or 1)
    assert sum(h.runs for h in found.hours) == pytest.approx(3 * len(hours) * each, abs=1)


def test_a_frequent_schedule_of_weekdays_has_none_on_a_weekend_some_days_ahead() -> None:
    """The days beyond the first hundreds of its starts were as the last one before them."""
    found = _demand("*/5 8-20 * * 1-5", 7 * 24)
    assert {weekend(h.start) for h in found.hours if h.runs} == {False}
    assert sum(h.runs for h in found.hours) == pytest.approx(5 * 13 * 12, abs=1)


def test_a_monthly_schedule_is_forecast_when_it_is_due_and_not_at_its_past_rate() -> None:
    past = [PastRun(t, t + HOUR, 3600.0, 0.0) for t in (NOW - 30 * DAY * k for k in range(4, 0, -1))]
    found = forecast_demand([Workload("close", "CronJob", past, ())], NOW, 72)
    assert not any(h.runs for h in found.hours)


@pytest.mark.parametrize("apart", [DAY, 905.0, 700.0])  # since the schedule was changed; as they do; by hand, too
@pytest.mark.parametrize(
    ("late", "gap"), [(0.0, 1200.0), (299.0, 1200.0), (300.0, 900.0), (math.inf, 900.0), (None, 600.0)]
)
def test_starts_due_while_a_run_is_in_progress_are_not_forecast_where_forbid_skips_them(
    late: float | None, gap: float, apart: float
) -> None:
    """Runs of a quarter of an hour, due every ten minutes: with Forbid, every other one is skipped, or as late as it may
    be at most."""
    past = [PastRun(t, t + 900.0, 900.0, 0.0) for t in (NOW - apart * k for k in range(100, 0, -1))]
    ahead = [NOW + 600.0 * k for k in range(1, 500)]
    found = forecast_demand([Workload("often", "CronWorkflow", past, ahead, late)], NOW, 48)
    assert sum(h.runs for h in found.hours) == pytest.approx(48 * HOUR / gap, abs=2)


def test_runs_take_as_long_as_the_newest_where_forbid_skips_starts() -> None:
    """They took half an hour until a release, and five minutes since."""
    past = [
        PastRun(t, t + (1800.0 if k > 300 else 300.0), 900.0, 0.0)
        for k in range(600, 0, -1)
        for t in (NOW - 1800.0 * k,)
    ]
    ahead = [NOW + 600.0 * k for k in range(1, 500)]
    found = forecast_demand([Workload("often", "CronWorkflow", past, ahead, 0.0)], NOW, 48)
    assert sum(h.runs for h in found.hours) == pytest.approx(48 * 6, abs=2)


@pytest.mark.parametrize(("deadline", "job", "workflow"), [(None, math.inf, 0.0), (90, 90.0, 90.0), (0, 0.0, 0.0)])
@pytest.mark.parametrize("policy", ["Forbid", "Allow", "Replace"])
def test_whether_starts_take_place_is_what_the_schedule_and_the_controller_say(
    policy: str, deadline: int | None, job: float, workflow: float
) -> None:
    """Without a deadline, a CronJob makes up for the last start that Forbid held back, and a CronWorkflow does not."""
    said = {"concurrencyPolicy": policy} | ({"startingDeadlineSeconds": deadline} if deadline is not None else {})
    template = scenarios.every_ten_minutes(policy)
    cron = {**template, "spec": {**template["spec"], **said}}
    named = {"workflowTemplateRef": {"name": "etl"}}
    trigger = {
        **cron,
        "metadata": {**cron["metadata"], "name": "often"},
        "spec": {**cron["spec"], "suspend": False, "workflowSpec": named},
    }
    plain = {
        "spec": cron["spec"]["workflowSpec"],
        "metadata": {"namespace": cron["metadata"]["namespace"], "name": "etl"},
    }
    started = define_all([{**plain, "apiVersion": cron["apiVersion"], "kind": "WorkflowTemplate"}, trigger])
    made = cron_job()
    made = {**made, "spec": {**made["spec"], **said}}
    for definition, expected in ((define(made), job), (define(cron), workflow), (started[0], workflow)):
        assert late_within(definition) == (expected if policy == "Forbid" else None)


def test_without_a_schedule_the_hours_of_the_past_count_weekends_apart() -> None:
    weekdays = [s for d in range(28, 0, -1) if int((s := MIDNIGHT - d * DAY + 9 * HOUR) // DAY + 3) % 7 < 5]
    load = Workload("a", "Job", [PastRun(s, s + HOUR, 3600.0, 3600.0) for s in weekdays])
    found = forecast_demand([load], NOW, 7 * 24)
    busy = [h for h in found.hours if h.cores > 0]
    assert len(busy) == 5
    assert all(h.cores == pytest.approx(1.0, rel=0.1) for h in busy)
    assert all(int(h.start // DAY + 3) % 7 < 5 for h in busy)


def test_weekends_are_apart_in_a_window_of_two_weeks() -> None:
    """Whose oldest start is some hours younger than the window."""
    starts = [NOW - 14 * DAY + HOUR * k for k in range(1, 14 * 24)]
    past = [PastRun(t, t + 600.0, 600.0, 600.0) for t in starts if not weekend(t)]
    found = forecast_demand([Workload("a", "WorkflowTemplate", past)], NOW, 7 * 24)
    assert all(h.runs == 0 for h in found.hours if weekend(h.start))


def test_the_bound_of_starts_without_a_schedule_holds_how_many_there_are() -> None:
    """Runs of half an hour on two cores, that start at random once in two hours: nine of ten hours are within it."""
    rng, held = np.random.default_rng(2), []
    for _ in range(20):
        starts = NOW - 10 * DAY + np.cumsum(rng.exponential(2 * HOUR, 300))
        runs = [PastRun(t, t + 1800.0, 3600.0, 0.0) for t in starts.tolist()]
        found = forecast_demand([Workload("a", "WorkflowTemplate", [r for r in runs if r.start < NOW])], NOW, 48)
        for hour in (h for h in found.hours if h.cores > 0.0):
            parts = (min(r.end, hour.start + HOUR) - max(r.start, hour.start) for r in runs)
            held.append(sum(2.0 * max(0.0, p) / HOUR for p in parts) <= hour.cores_high)
    assert sum(held) >= 0.83 * len(held)


def test_a_new_workflow_is_taken_from_similar_ones_or_said_to_be_unknown() -> None:
    new = Workload("new", "CronJob", [], (MIDNIGHT + DAY + HOUR,))
    similar = [_every_day(f"w{i}", 5, float(i), 3600) for i in range(1, 6)]
    found = forecast_demand([new, *similar], NOW, 48)
    assert found.estimated == ("new",)
    hour = next(h for h in found.hours if h.start == MIDNIGHT + DAY + HOUR)
    assert dict(hour.by_workflow) == {"new": pytest.approx(3.0)}  # the median of 1 to 5 cores
    few = forecast_demand([new, *similar[:3]], NOW, 48)
    assert few.unknown == ("new",)


def test_a_suspended_workflow_is_not_forecast_and_said_to_be_left_out() -> None:
    held = replace(_every_day("a", 3, 8.0, 5400), suspended=True)
    found = forecast_demand([held, _every_day("b", 5, 1.0, 3600), Workload("new", "Job", [], suspended=True)], NOW, 48)
    assert {name for h in found.hours for name, _ in h.by_workflow} == {"b"}
    assert (found.suspended, found.unknown) == (("a",), ())
    scenario = scenarios.demand_forecast()
    assert scenario.fleet is not None
    more = Fleet(
        (*scenario.fleet.members, scenarios.daily_member("giant", 2.0, 9.0, 3000, timetable=None, suspended=True))
    )
    item = replace(scenario, fleet=more).one("demand-forecast")
    assert item.because.endswith("of which this workflow takes 80%; 1 suspended workflow not counted")


SUSPENDED = replace(define(scenarios.every_ten_minutes("Forbid")), suspended=True)


def _runs(starts: list[float], seconds: float = 60.0) -> list[RunRecord]:
    value = {step.name: seconds / 2 for step in SUSPENDED.graph.steps}
    return [simulate(SUSPENDED.graph, value, number=i, start=t) for i, t in enumerate(starts)]


DUE = NOW - NOW % 600.0
ON_TIME = [DUE - 600.0 * k + 4.0 for k in range(40, 0, -1)]
BY_HAND = [DUE - 5000.0 * k + 211.0 for k in range(40, 0, -1)]


@pytest.mark.parametrize(
    ("starts", "seconds", "suspended"),
    [
        (ON_TIME, 60.0, True),
        ([DUE - 930.0 * k for k in range(40, 0, -1)], 925.0, True),  # each begins as the one before ends
        (BY_HAND, 60.0, False),
        ([*BY_HAND[:12], *ON_TIME], 60.0, True),
        ([], 60.0, True),
    ],
)
def test_a_workflow_that_others_start_although_its_schedule_is_suspended_goes_on(
    starts: list[float], seconds: float, suspended: bool
) -> None:
    runs = _runs(sorted(starts), seconds)
    found = member(SUSPENDED, runs, RunFigures())
    assert (found.suspended, found.timetable) == (suspended, None)
    resumed = member(replace(SUSPENDED, suspended=False), runs, RunFigures())
    assert (resumed.suspended, resumed.timetable) == (False, Timetable(("*/10 * * * *",)))


def test_a_template_whose_schedules_are_all_suspended_is_suspended() -> None:
    cron = scenarios.every_ten_minutes("Forbid")
    named = {**cron["spec"], "workflowSpec": {"workflowTemplateRef": {"name": "etl"}}}
    template = {**cron, "kind": "WorkflowTemplate", "spec": cron["spec"]["workflowSpec"]}
    template["metadata"] = {**cron["metadata"], "name": "etl"}
    for held, other in ((True, True), (False, True)):
        triggers = [
            {**cron, "metadata": {**cron["metadata"], "name": name}, "spec": {**named, "suspend": suspend}}
            for name, suspend in (("often", held), ("seldom", other))
        ]
        made = next(d for d in define_all([template, *triggers]) if d.key.kind == "WorkflowTemplate")
        found = member(made, _runs(ON_TIME), RunFigures())
        assert found.suspended is held
        assert (found.timetable is None) is held


def test_unequal_runs_widen_the_bound() -> None:
    runs = [
        PastRun(s, s + HOUR, c * HOUR, 0.0)
        for k in range(10)
        for s, c in [(MIDNIGHT - (k + 1) * DAY, 2.0 + 6.0 * (k % 2))]
    ]
    hour = max(forecast_demand([Workload("a", "Job", runs)], NOW, 24).hours, key=lambda h: h.cores)
    assert hour.cores_high > hour.cores + 3.0


def test_runs_of_unequal_length_widen_the_bound_of_the_hours_in_which_they_end() -> None:
    runs = [
        PastRun(s, s + length, 4.0 * length, 0.0)
        for k in range(10)
        for s, length in [(MIDNIGHT - (k + 1) * DAY, (3000.0, 6000.0)[k % 2])]
    ]
    ahead = (MIDNIGHT + DAY,)
    hours = {h.start: h for h in forecast_demand([Workload("a", "CronJob", runs, ahead)], NOW, 48).hours}
    second = hours[MIDNIGHT + DAY + HOUR]
    assert second.cores == pytest.approx(4.0 / 3.0)  # 0 or 2.67
    assert second.cores_high == pytest.approx(second.cores + 1.28 * 1.47, rel=0.05)
    assert hours[MIDNIGHT + DAY].cores_high < 4.9


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_few_large_runs_count_with_what_they_take(scheduled: bool) -> None:
    """Two of seven take five times as long, on twice as many cores."""
    runs = [
        PastRun(s, s + 1200.0 * longer, 1200.0 * longer * cores, 2400.0 * longer * cores)
        for k in range(28)
        for longer, cores in [(5.0, 4.0) if k % 7 < 2 else (1.0, 2.0)]
        for s in [MIDNIGHT - (k + 1) * DAY]
    ]
    ahead = (MIDNIGHT + DAY,) if scheduled else None
    found = forecast_demand([Workload("a", "CronJob", runs, ahead)], MIDNIGHT + 1.0, 30)
    core_hours = (5 * 1200.0 * 2.0 + 2 * 6000.0 * 4.0) / 7 / HOUR
    assert sum(h.cores for h in found.hours) == pytest.approx(core_hours, rel=0.01)
    assert sum(h.gib for h in found.hours) == pytest.approx(2.0 * core_hours, rel=0.01)


def test_the_peak_is_reported_to_the_workflow_that_makes_it() -> None:
    scenario = scenarios.demand_forecast()
    item = scenario.one("demand-forecast")
    # 4 cores for 15 of 60 minutes plus half a core for half an hour
    assert "1.2 cores at" in item.action
    assert "02:00 UTC" in item.action
    assert "of which this workflow takes 80%" in item.because
    assert replace(scenario, fleet=None).recommended("demand-forecast") == []


def test_one_of_many_that_make_the_peak_together_is_not_to_be_moved() -> None:
    """Forty copies of a workflow start at the same hour."""
    made = scenarios.demand_forecast()
    assert made.fleet is not None
    copies = [scenarios.daily_member(f"copy-{i}", 2.0, 3.9, 900) for i in range(39)]
    found = replace(made, fleet=Fleet((made.fleet.members[0], *copies))).one("demand-forecast")
    assert "move" not in found.action
    assert "of which this workflow, the largest of 40, takes 3%" in found.because
    assert "move this workflow" in made.one("demand-forecast").action


def test_a_peak_of_the_workflow_alone_is_as_high_at_any_other_hour() -> None:
    scenario = scenarios.demand_forecast()
    assert scenario.fleet is not None
    item = replace(scenario, fleet=Fleet(scenario.fleet.members[:1])).one("demand-forecast", minPeakCores="0.1")
    assert "move this workflow" not in item.action
    assert "of which this workflow takes 100%" in item.because
    assert item.expected == "no pod of that hour stays pending"


def test_a_workflow_is_not_moved_among_others_that_reserve_as_much_at_any_hour() -> None:
    """Its core on top of their two is the peak wherever it runs."""
    made = scenarios.demand_forecast()
    assert made.fleet is not None
    all_day = [scenarios.daily_member(f"{hour}-{i}", float(hour), 0.5, 3600) for hour in range(24) for i in range(4)]
    found = replace(made, fleet=Fleet((made.fleet.members[0], *all_day))).one("demand-forecast", minPeakPercent="120")
    assert found.current == "peak of 3 cores"
    assert "move this workflow" not in found.action


def test_others_and_flat_demand_are_silent() -> None:
    scenario = scenarios.demand_forecast()
    assert scenario.fleet is not None
    big = scenarios.daily_member("giant", 2.0, 100.0, 3000)
    assert replace(scenario, fleet=Fleet((*scenario.fleet.members, big))).recommended("demand-forecast") == []
    assert scenario.recommended("demand-forecast", minPeakPercent="100000") == []
    assert scenario.recommended("demand-forecast", minPeakCores="2") == []  # 1.2 cores are no peak to plan for there


def test_what_services_request_at_that_hour_is_stated_beside_the_cores() -> None:
    scenario = scenarios.demand_forecast()
    services = ServicePods(
        tuple(ServiceMoment(NOW - h * HOUR, {}, {"cpu": 12.0 if h else 3.0}) for h in range(24, -1, -3))
    )
    item = replace(scenario, capacity=Capacity(nodes=Nodes(all={"cpu": 16.0}, services=services))).one(
        "demand-forecast"
    )
    assert "allocatable beside the 12 cores that pods outside workflows request, pods of that hour" in item.otherwise
    assert "allocatable, pods of that hour" in scenario.one("demand-forecast").otherwise
