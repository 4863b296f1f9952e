"""Statuses of many workflows as rows and sums."""

from __future__ import annotations

import pytest

from concertmaster.api.views.fleet import Amounts
from concertmaster.core.times import parse_time
from concertmaster.report.workflows.coverage import freshness_text, none_text
from concertmaster.report.workflows.fields import seconds_of
from concertmaster.report.workflows.fleet import Filter, FleetView
from concertmaster.report.workflows.rows import result_rows, workflow_row
from tests.support.web.objects import Raw, change, hostile, profile, recommendation, result, running

NOW = parse_time("2027-01-31T01:00:00Z")


def view(*profiles: Raw, changes: tuple[Raw, ...] = (), now: float = NOW) -> FleetView:
    return FleetView(profiles, changes, now)


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ("21m04s", 1264.0),
        ("2h05m", 7500.0),
        ("850ms", 0.85),
        ("3.2s", 3.2),
        ("3d04h", 273600.0),
        ("unknown", None),
        (5, None),
    ],
)
def test_durations_of_a_status_are_read_back(shown: object, seconds: float | None) -> None:
    assert seconds_of(shown) == seconds


def test_a_status_becomes_a_row() -> None:
    row = workflow_row(profile())
    assert (row.namespace, row.kind, row.workflow, row.labels["team"]) == (
        "etl",
        "WorkflowTemplate",
        "nightly-0",
        "data",
    )
    assert (row.p50_seconds, row.success_percent, row.open, row.severity) == (1200.0, 96.7, 1, "Medium")
    assert row.runs_per_month == pytest.approx(60.0)  # 28 intervals in 14 days
    assert row.cost_per_month == pytest.approx(30.0)
    assert row.healthy is True
    assert workflow_row(profile(objectives=["success: Missed, 80% of 99%"])).healthy is False
    assert workflow_row(profile(recommendations=[recommendation(severity="High")])).healthy is False


@pytest.mark.parametrize("status", [None, {}, {"recommendations": [{"id": 3}], "results": [{"id": "x"}], "runs": {}}])
def test_whatever_a_hand_made_of_a_status_is_survived(status: object) -> None:
    broken = profile() | {"status": status}
    found = view(broken)
    assert found.summary.workflows == 1
    assert found.summary.not_analysed == 1
    assert found.rows[0].healthy is None


def test_sums_over_the_fleet() -> None:
    other = recommendation(2, impact="3 run-hours, 2 failed runs a month")
    third = recommendation(3, impact="1.5 failed runs, 4 EUR a month")
    found = view(
        profile(0),
        profile(1, results=[result()], recommendations=[recommendation(), other, third]),
        changes=(change(),),
    )
    assert found.summary.workflows == 2
    assert found.summary.available == Amounts(run_hours=3.0, failed_runs=3.5, money={"EUR": 4.0, "USD": 25.0})
    assert found.summary.cost_per_month == pytest.approx({"USD": 60.0})
    assert found.summary.waiting_changes == 1
    assert found.adoption.results == {"Improved": 1}
    assert [view(changes=(change(restored=value),)).adoption.rolled_back for value in (True, False)] == [1, 0]


def test_a_measured_saving_is_what_the_present_cost_would_be_without_it() -> None:
    (row,) = result_rows(profile(results=[result()]))
    assert row.saving is not None
    assert row.saving.money == pytest.approx({"USD": 30.0})  # half was saved: as much again would be paid
    (row,) = result_rows(profile(results=[result(measured="Duration -20% (-25 to -15%)")]))
    assert row.saving is not None
    assert row.saving.run_hours == pytest.approx(20 / 60 * 60 * 0.25)
    unpriced = profile(results=[result()])
    del unpriced["status"]["summary"]["costPerMonth"], unpriced["status"]["summary"]["costPerRun"]
    assert result_rows(unpriced)[0].saving is None
    for more in ({"verdict": "Same"}, {"undone": True}, {"measured": "nothing"}):
        (row,) = result_rows(profile(results=[result(**more)]))
        assert row.saving is None


def test_failures_that_were_saved_are_points_of_the_runs() -> None:
    (row,) = result_rows(profile(results=[result(measured="Failures -8% (-12 to -4%)")]))
    assert row.saving is not None
    assert row.saving.failed_runs == pytest.approx(0.08 * 60)  # however many still fail


def test_filters_leave_changes_of_other_workflows_out() -> None:
    found = view(profile(0), profile(1), profile(2, namespace="ml"), changes=(change(), change(1, profile="nightly-1")))
    assert [r.profile for r in found.chosen(Filter(label="team=ml")).rows] == ["nightly-1"]
    assert [c.name for c in found.chosen(Filter(label="team=ml")).waiting] == ["change-1"]
    assert len(found.chosen(Filter(namespace="ml")).rows) == 1
    assert len(found.chosen(Filter(text="NIGHTLY-2")).rows) == 1
    assert len(found.chosen(Filter(severity="High")).rows) == 0
    assert len(found.chosen(Filter(severity="Medium", kind="WorkflowTemplate")).rows) == 3


def test_workflows_with_too_few_runs_are_not_counted_as_healthy() -> None:
    few = profile(1, advice=["Insufficient data: 2 of 5 required runs in 14d."], recommendations=[])
    new = profile(2) | {"status": {}}
    found = view(few, new)
    assert (found.summary.healthy, found.summary.unhealthy, found.summary.not_analysed) == (0, 0, 2)
    assert none_text(found) == "No recommendations for 2 workflows: 1 with insufficient data, 1 not analyzed yet."
    missed = profile(1, advice=["Insufficient data: 2 of 5 required runs in 14d."], objectives=["success: Missed, 80%"])
    assert view(missed).summary.unhealthy == 1


def ready(status: str, reason: str) -> list[Raw]:
    return [{"type": "Ready", "status": status, "reason": reason, "message": ""}]


def test_figures_that_are_not_up_to_date_are_said_to_be_old() -> None:
    fresh = profile(0)
    few = profile(1, conditions=ready("False", "TooFewRuns"))
    unread = profile(2, conditions=ready("False", "Stale"), dataUntil="2027-01-30T20:19:00Z")
    forgotten = profile(3, dataUntil="2027-01-28T00:00:00Z")  # by an operator that is gone
    new = profile(4, conditions=ready("False", "Pending")) | {"status": {"conditions": ready("False", "NotFound")}}
    found = view(fresh, few, unread, forgotten, new)
    assert [row.stale for row in found.rows] == [False, False, True, True, False]
    assert found.summary.stale == 2
    assert freshness_text(found) == (
        "2 of 5 workflows are not up to date: showing figures based on data up to 2027-01-30 20:19 UTC or earlier."
        " To find out why: kubectl concertmaster doctor"
    )
    assert freshness_text(view(fresh, few)) == ""
    assert freshness_text(view(unread)).startswith(
        "1 of 1 workflow is not up to date: showing figures based on data up to"
    )


def test_runs_that_are_still_being_read_are_said_to_change_the_figures() -> None:
    reading = [profile(i, conditions=ready("True", "Backfilling")) for i in range(2)]
    first = profile(2) | {"status": {"conditions": ready("False", "Backfilling")}}  # without figures
    assert freshness_text(view(*reading, first, profile(3))) == (
        "Older runs of 2 of 4 workflows are still being read: recommendations and amounts may change with them"
    )
    assert freshness_text(view(reading[0], profile(1, conditions=ready("False", "Stale")))).startswith(
        "Older runs of 1 of 2 workflows are still being read: recommendations and amounts may change with them. 1 of 2"
    )


def test_a_change_in_a_phase_of_a_newer_operator_waits_for_nobody() -> None:
    assert [c.name for c in view(changes=(change(), change(1, phase="Paused"), change(2, phase=None))).waiting] == [
        "change-0",
        "change-2",
    ]


def test_pages_are_sorted_and_stable() -> None:
    profiles = [profile(i, score=i) for i in range(30)]
    found = view(*profiles)
    assert [r.score for r in found.page("score", limit=3)] == [0, 1, 2]
    assert [r.score for r in found.page("score", limit=3, reverse=True)] == [29, 28, 27]
    assert [r.profile for r in found.page("nonsense", offset=28)] == [r.profile for r in found.page()][28:]


def test_a_run_is_late_when_its_schedule_passed_and_data_reaches_beyond() -> None:
    due = parse_time("2027-02-01T00:00:00Z")
    seen = "2027-02-01T03:00:00Z"
    assert not view(profile(dataUntil=seen), now=due + 600).late
    assert [row.profile for row, _ in view(profile(dataUntil=seen), now=due + 3600).late] == ["nightly-0"]
    assert not view(profile(), now=due + 3600).late, "data that ends before the run was due says nothing"


def test_runs_in_progress_are_listed_late_ones_first_and_counted() -> None:
    calm = profile(0, running=[running(name="calm", deadline="2027-02-01T00:10:00Z")])
    late = running(name="behind", deadline="2027-02-01T02:00:00Z", late=True)
    behind = profile(1, running=[late, "edited by hand", {"deadline": "soon"}])
    found = view(calm, behind, profile(2))
    assert [(r.workflow, r.run, r.late) for r in found.running] == [
        ("nightly-1", "behind", True),
        ("nightly-0", "calm", False),
        ("nightly-1", "", False),
    ]
    assert found.running[2].deadline is None
    assert (found.summary.running, found.summary.running_late) == (3, 1)


def test_hostile_texts_are_data() -> None:
    found = view(*hostile())
    assert found.summary.workflows == len(found.rows) == 7
    assert found.summary.missed_objectives > 0


def test_an_action_that_kubectl_cuts_off_is_written_in_full_and_workflows_have_their_own_names() -> None:
    action = "Reduce scheduling latency (41% of run time), mainly for upload"
    flow = profile(recommendations=[recommendation(0) | {"action": action}], objectives=["success: Missed, 80% of 99%"])
    flow["status"]["summary"]["top"] = action[:40] + "…"
    assert workflow_row(flow).top == action
    flow["status"]["summary"]["top"] = "Something else…"
    assert workflow_row(flow).top == "Something else…"
    flow["status"]["summary"]["target"] = "CronJob/upload"
    (objective,) = view(flow).objectives
    assert (objective.profile, objective.workflow) == ("nightly-0", "upload")


def test_missed_objectives_are_ordered_by_how_far_they_are_from_their_target() -> None:
    given = (
        ["duration p95: Missed, 38m06s (target <= 35m00s), degrading"],  # 9% over
        ["success: Missed, 49.5% (target >= 99.0%), steady", "duration p50: Met, 1m00s (target <= 1h00m), steady"],
        [
            "tokens per run: Missed, 1.2e+06 (target <= 100000), unknown",
            "queue time p95: Unknown, unknown (target <= 1m00s)",
        ],
        ["cost per run: Missed, as somebody wrote it"],
        ["cost per run: Missed, 0.06 EUR (target <= 0.05 EUR), steady"],  # 20% over
    )
    rows = view(*(profile(n, objectives=lines) for n, lines in enumerate(given))).objectives
    assert [(o.profile, o.name) for o in rows] == [
        ("nightly-2", "tokens per run"),
        ("nightly-1", "success"),
        ("nightly-4", "cost per run"),
        ("nightly-0", "duration p95"),
        ("nightly-3", "cost per run"),
        ("nightly-2", "queue time p95"),
        ("nightly-1", "duration p50"),
    ]
    assert [o.margin for o in rows] == pytest.approx([-11.0, -0.5, -0.2, -186 / 2100, None, None, 59 / 60])


def test_the_cost_of_a_workflow_has_its_currency_where_no_recommendation_names_one() -> None:
    euros = profile(1, recommendations=[], namespace="b")
    euros["status"]["summary"]["currency"] = "EUR"
    found = view(profile(0, recommendations=[recommendation(impact="5 EUR a month")]), euros)
    assert found.summary.cost_per_month == pytest.approx({"EUR": 60.0})


def test_the_most_valuable_actions_name_copies_once() -> None:
    tenants = [profile(0, namespace=f"team-{n}") for n in range(12)]
    found = view(*tenants, profile(1))
    copies, other = found.top_actions()
    assert (copies.namespaces, other.namespaces) == (12, 1)
    assert copies.impact.money_per_month == pytest.approx(12 * 12.5)
    assert copies.interval is not None
    assert (copies.interval.low, copies.interval.high) == pytest.approx((120.0, 180.0))
    assert len(found.top(20)) == 13, "programs get each of them"
