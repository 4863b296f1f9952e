"""``schedule-clash``: waiting while others hold the nodes, and a start that meets less of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.model import Recommendation, RunRecord, WorkflowKey
from concertmaster.core.rules import Fleet, FleetMember
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.schedule_clash import _moved, evaluate
from concertmaster.core.schedules.timetable import Timetable
from tests.support.builders import DAY, NOW
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, argo, cron_job, noise, scenario, task
from tests.support.core.scenarios import at_two, daily_member


def test_moves_the_start_to_where_it_meets_nobody() -> None:
    item = scenarios.schedule_clash().one("schedule-clash")
    assert "crawl and index reserve" in item.because
    # crawl and index hold the nodes from 2:00 to 2:50: half an hour before, the runs of 25 min are over by then
    assert item.proposed == "30 1 * * *"
    assert "earlier it would meet 0 cores" in item.because
    (edit,) = item.edits
    assert (edit.pointer, edit.current, edit.proposed) == ("/spec/schedule", '"0 2 * * *"', '"30 1 * * *"')
    assert item.expected.endswith(", if half of the wait is removed, at most all of it")


def test_a_list_of_one_schedule_moves_in_its_place_and_one_of_another_object_by_a_command() -> None:
    clash, of = scenarios.schedule_clash(), argo(task("job"))
    starts: dict[str, Any] = {"schedules": ["0 2 * * *"]}
    own = {**of, "kind": "CronWorkflow", "spec": {**starts, "workflowSpec": of["spec"]}}
    (edit,) = replace(clash, manifest=own).one("schedule-clash").edits
    assert (edit.pointer, edit.current, edit.proposed) == ("/spec/schedules/0", '"0 2 * * *"', '"30 1 * * *"')
    several = {**own, "spec": {**own["spec"], "schedules": ["0 2 * * *", "0 2 * * 1"]}}
    assert replace(clash, manifest=several).recommended("schedule-clash") == []
    starts["workflowSpec"] = {"workflowTemplateRef": {"name": "nightly-etl"}}
    night = {**of, "kind": "CronWorkflow", "metadata": {"name": "night", "namespace": "demo"}, "spec": starts}
    item = replace(clash, manifest=of, others=(night,)).one("schedule-clash")
    assert item.edits == ()
    assert item.how.startswith("kubectl -n demo patch cronworkflow night --type=json -p ")


def clashing_with(cores: float, **other: Any) -> Recommendation:
    """What is recommended to the report beside a crawl of that many cores at the same time."""
    fleet = Fleet((daily_member("report", 2.0, 4.0, 1500), daily_member("crawl", 2.0, cores, 1500, **other)))
    return replace(at_two(600.0), fleet=fleet).one("schedule-clash")


def test_workflows_that_clash_move_to_different_starts() -> None:
    """Both were to move to the same minute: the smaller one gets the better start."""
    assert clashing_with(5.0).proposed == "30 1 * * *"
    assert clashing_with(3.0).proposed == "30 2 * * *"


def test_what_runs_far_more_often_is_not_expected_to_move() -> None:
    assert clashing_with(3.0, timetable=Timetable(("*/10 * * * *",))).proposed == "30 1 * * *"


@pytest.mark.parametrize(("schedule", "turn"), [("0 * * * *", 1), ("*/10 * * * *", 0)])
def test_who_moves_first_is_asked_of_those_that_start_about_as_often(schedule: str, turn: int) -> None:
    """More starts than a few hundred in two weeks counted as that many: six an hour were about as often as one."""
    hourly = daily_member("etl", 2.0, 4.0, 1500, timetable=Timetable(("0 * * * *",)))
    fleet = Fleet((hourly, daily_member("poll", 2.0, 3.0, 1500, timetable=Timetable((schedule,)))))
    assert fleet.turn(hourly.key, hourly.runs[:, :2], NOW)[0] == turn


def test_a_node_that_an_autoscaler_adds_for_each_run_is_no_clash() -> None:
    clash = scenarios.schedule_clash()
    runs = tuple(
        replace(run, steps=tuple(replace(e, node=f"node-{i}") for e in run.steps)) for i, run in enumerate(clash.runs)
    )
    assert replace(clash, runs=runs).recommended("schedule-clash") == []
    some = (*runs[:5], *clash.runs[5:])
    assert replace(clash, runs=some).recommended("schedule-clash") != []


@pytest.mark.parametrize(
    ("line", "proposed"),
    [("0 */2 * * *", "30 */2 * * *"), ("0 1-23/2 * * 1-5", "30 1-23/2 * * 1-5"), ("50 */2 * * *", "20 */2 * * *")],
)
def test_a_schedule_of_several_hours_moves_within_them(line: str, proposed: str) -> None:
    """Another workflow holds the nodes for 25 minutes from each of its starts on."""
    value = noise()
    own = scenario(
        cron_job(schedule=line, resources={"requests": {"cpu": "4", "memory": "8Gi"}}),
        60,
        lambda _: {"job": Pod(value(600), wait=value(600))},
        every=2 * 3600.0,
    )
    spans = [(run.start, (run.start or 0.0) + 1500.0, 20 * 1500.0, 0.0) for run in own.runs]
    beside = Fleet((FleetMember(WorkflowKey("demo", "CronJob", "x"), np.array(spans)),))
    assert replace(own, fleet=beside).one("schedule-clash").proposed == proposed


def test_pods_that_wait_for_those_of_their_own_run_do_so_at_any_hour() -> None:
    """Four pods at a time: the others of sixteen wait for them, wherever the schedule puts them."""

    def job(first: float) -> Scenario:
        return scenario(
            cron_job(schedule="0 2 * * *", completions=16, parallelism=16),
            20,
            lambda _: {"job": [Pod(300.0, wait=first + 302.0 * (item // 4)) for item in range(16)]},
            every=DAY,
            capacity=Capacity(nodes=Nodes(all={"cpu": 4.0})),
        )

    spans = [(run.start, run.end, 4000.0, 0.0) for run in job(1.0).runs]
    beside = Fleet((FleetMember(WorkflowKey("demo", "CronJob", "x"), np.array(spans)),))
    assert replace(job(1.0), fleet=beside).recommended("schedule-clash") == []
    item = replace(job(900.0), fleet=beside).one("schedule-clash")
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(900.0, rel=0.1)


def test_silence_without_waiting_without_others_or_without_a_better_hour() -> None:
    fleet = scenarios.schedule_clash().fleet
    assert replace(at_two(2.0), fleet=fleet).recommended("schedule-clash") == []
    assert at_two(600.0).recommended("schedule-clash") == []
    assert replace(at_two(600.0), fleet=Fleet()).recommended("schedule-clash") == []
    always = Fleet(tuple(daily_member(f"w{h}", float(h), 30.0, 3600) for h in range(24)))
    assert replace(at_two(600.0), fleet=always).recommended("schedule-clash") == []


@pytest.mark.parametrize(("days", "proposed"), [(4, []), (9, ["30 1 * * *"])])
def test_a_start_that_met_less_by_chance_is_not_proposed(days: int, proposed: list[str]) -> None:
    """Others at random hours are met by some runs and not by those at another start, of ten starts the more so."""
    beside = Fleet((daily_member("uploads", 2.0, 40.0, 3000, days=days),))
    found = replace(at_two(600.0), fleet=beside).recommended("schedule-clash")
    assert [item.proposed for item in found] == proposed


def test_a_suspended_schedule_is_not_moved_and_nobody_moves_away_from_one() -> None:
    clash = scenarios.schedule_clash()
    assert clash.fleet is not None
    held = [replace(m, suspended=True, timetable=None) for m in clash.fleet.members]
    assert replace(clash, fleet=Fleet(held)).recommended("schedule-clash") == []
    quiet = replace(daily_member("vacuum", 1.5, 60.0, 1800), suspended=True, timetable=None)
    assert replace(clash, fleet=Fleet((*clash.fleet.members, quiet))).one("schedule-clash").proposed == "30 1 * * *"
    running = Fleet((*clash.fleet.members, replace(quiet, suspended=False)))
    assert replace(clash, fleet=running).one("schedule-clash").proposed != "30 1 * * *"
    own = replace(clash.definition, suspended=True)
    assert list(evaluate(Evidence(replace(clash.analysis(), definition=own), "wfp", fleet=clash.fleet))) == []


def test_workflows_on_nodes_that_its_pods_cannot_use_do_not_clash() -> None:
    clash = scenarios.schedule_clash()
    assert clash.fleet is not None
    elsewhere = Fleet([replace(m, taints=frozenset(["gpu=:NoSchedule"])) for m in clash.fleet.members])
    own = Capacity(nodes=Nodes(left_out=1, tolerated=frozenset()))
    assert replace(clash, fleet=elsewhere).recommended("schedule-clash") != []  # which taints it tolerates is not known
    assert replace(clash, fleet=elsewhere, capacity=own).recommended("schedule-clash") == []


def test_lines_that_are_not_plain_get_no_recommendations() -> None:
    value = noise()
    odd = scenario(cron_job(schedule="*/10 2 * * 1-5"), 20, lambda _: {"job": value(100)})
    assert replace(odd, fleet=scenarios.schedule_clash().fleet).recommended("schedule-clash") == []


@pytest.mark.parametrize(
    "line", ["*/10 2 * * *", "\u00b2 2 * * *", "0 \u00b2 * * *", "9" * 5000 + " * * * *", "0 2 * *"]
)
def test_a_line_that_is_not_plain_is_not_moved(line: str) -> None:
    """The API server takes any text for a schedule; a superscript two is a digit to some and no number."""
    assert _moved(line, 30) is None
    assert _moved("0 2 * * *", 30) == "30 2 * * *"
    assert _moved("40 */2 * * *", 20) is None  # in the next hour, which is none of its own


@given(st.integers(0, 59), st.integers(0, 23), st.integers(-240, 240))
@example(0, 22, 120)
@example(0, 2, -120)
def test_a_daily_start_is_moved_by_so_many_minutes_within_its_day(minute: int, hour: int, minutes: int) -> None:
    later = hour * 60 + minute + minutes
    moved = _moved(f"{minute} {hour} * * 1-5", minutes)
    assert moved == (f"{later % 60} {later // 60} * * 1-5" if later in range(24 * 60) else None)


def test_runs_of_unknown_waits_do_not_count_as_without_one() -> None:
    whole = scenarios.schedule_clash()

    def hidden(run: RunRecord) -> RunRecord:
        return replace(run, steps=tuple(replace(e, created=None) for e in run.steps))

    half = replace(whole, runs=tuple(hidden(r) if k % 2 else r for k, r in enumerate(whole.runs)))
    every, some = whole.one("schedule-clash"), half.one("schedule-clash")
    assert every.gain_seconds is not None
    assert some.gain_seconds is not None
    assert some.gain_seconds.likely == pytest.approx(every.gain_seconds.likely, rel=0.05)
    assert replace(whole, runs=tuple(map(hidden, whole.runs))).recommended("schedule-clash") == []


def test_nothing_is_said_of_waits_that_are_not_known_even_if_any_counts() -> None:
    clash = scenarios.schedule_clash()
    runs = tuple(replace(r, steps=tuple(replace(e, created=None, scheduled=None) for e in r.steps)) for r in clash.runs)
    assert clash.recommended("schedule-clash", minWaitSeconds="0") != []
    assert replace(clash, runs=runs).recommended("schedule-clash", minWaitSeconds="0") == []
