"""Workflows that share a cluster: the simulation does what it says, and a wrong recommendation counts as wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.clusters import __main__ as command
from benchmarks.clusters.kinds import HEALTHY, KINDS, PLANTED, planted
from benchmarks.clusters.kinds.plan import Plan
from benchmarks.clusters.law import DAY, HOUR, MINUTE, NOW, Before, Cluster, Events, Flow, Pool, Site, Step
from benchmarks.clusters.manifests import definition
from benchmarks.clusters.records import records
from benchmarks.clusters.remedies import failing, followed, makespan, pending, skipped
from benchmarks.clusters.report import lines
from benchmarks.clusters.runs import Run
from benchmarks.clusters.score import Fresh, Judged, Verdict, answers_to, history, judge
from benchmarks.clusters.services import known_services
from benchmarks.clusters.simulation import play
from benchmarks.clusters.starts import cron, starts
from concertmaster.core.model import Interval, Outcome, Recommendation
from tests.support.builders import recommendation

RECOMMENDATION = recommendation(
    "schedule-clash", proposed="0 3 * * *", confidence=1.0, gain_seconds=Interval(100.0, 400.0, 700.0)
)
BEGIN = NOW - 3 * DAY


def exact(name: str, *steps: Step, **law: object) -> Flow:
    """A workflow whose runs are all the same."""
    made = tuple(replace(s, spread=0.0) for s in steps)
    return replace(Flow(name, made, run_spread=0.0), **law)  # type: ignore[arg-type]


def site(*flows: Flow, cores: float = 8.0, **cluster: object) -> Site:
    return Site(flows, replace(Cluster((Pool("", 1, cores),)), **cluster))  # type: ignore[arg-type]


def runs(of: Site, name: str = "a", begin: float = BEGIN, end: float = NOW) -> list[Run]:
    return play(of, 1, begin, end)[name]


def seconds(of: Site, name: str = "a") -> list[int]:
    """Makespans to twenty seconds: the delays of controllers and nodes are less."""
    return [20 * int((run.makespan + 5.0) // 20) for run in runs(of, name)]


def pair() -> list[Flow]:
    """Two workflows of 600 s, the second a minute after the first."""
    return [exact(n, Step("x", 600.0, cores=4.0), schedule=f"{m} 2 * * *") for m, n in enumerate("ab")]


def utc(*time: int) -> float:
    return datetime(*time, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


def test_cron_lines_are_read_as_the_controllers_do() -> None:
    day = utc(2026, 6, 1), utc(2026, 6, 2)
    assert cron("*/20 1-2 * * *", "UTC", *day) == [day[0] + HOUR + MINUTE * m for m in (0, 20, 40, 60, 80, 100)]
    assert cron("0 2 * * *", "Europe/Berlin", *day) == [day[0]]
    assert cron("0 2 1 * *", "UTC", utc(2026, 5, 20), utc(2026, 6, 20)) == [day[0] + 2 * HOUR]
    assert len(cron("0 2 1-3,28-30 * *", "UTC", utc(2026, 6, 1), utc(2026, 7, 1))) == 6
    assert len(cron("0 2 * * 1-5", "UTC", utc(2026, 6, 1), utc(2026, 6, 15))) == 10
    assert len(cron("0 2 1 * 1", "UTC", utc(2026, 7, 1), utc(2026, 7, 15))) == 3  # either of them


def test_an_hour_that_is_left_out_has_no_start_and_one_that_comes_twice_has_two() -> None:
    spring, autumn = (utc(2026, 3, 28), utc(2026, 3, 31)), (utc(2026, 10, 31), utc(2026, 11, 3))
    assert len(cron("30 2 * * *", "Europe/Berlin", *spring)) == 2
    assert len(cron("30 3 * * *", "Europe/Berlin", *spring)) == 3
    assert len(cron("30 1 * * *", "America/New_York", *autumn)) == 4


def test_starts_by_schedule_events_and_hand_have_numbers_of_their_own() -> None:
    flow = Flow(
        "a",
        (),
        "0 2 * * *",
        events=Events(5.0, times=2),
        backfill=(NOW - DAY,),
        before=Before(NOW - DAY, "0 */6 * * *"),
    )
    found = starts(flow, 1, BEGIN, NOW)
    assert [s.number for s in found if s.scheduled] == list(range(9))
    assert sum(not s.scheduled for s in found) == 7
    assert found == starts(flow, 1, BEGIN, NOW)


def test_pods_wait_for_nodes_in_the_order_of_their_creation() -> None:
    a, b = pair()
    assert seconds(site(a, b)) == [600] * 3
    assert seconds(site(a, b, cores=4.0)) == [600] * 3
    assert seconds(site(a, b, cores=4.0), "b") == [1140] * 3
    assert pending(runs(site(a, b, cores=4.0), "b"), 0) == pytest.approx(540, abs=10)
    assert seconds(site(a, b, cores=4.0).roomy(), "b") == [600] * 3


def test_a_limit_a_lock_and_a_quota_let_pods_in_one_after_the_other() -> None:
    fan = Step("x", 600.0, items=4)
    flow = exact("a", fan, schedule="0 2 * * *")
    assert set(seconds(site(flow))) == {600}
    assert set(seconds(site(replace(flow, limit=2)))) == {1200}
    assert {round(run.makespan, -2) for run in runs(site(flow, quotas={"lab": 2.0}))} == {1200}
    locked = replace(flow, steps=(replace(fan, spread=0.0, lock="semaphore/limits/db"),))
    assert set(seconds(site(locked, semaphores={"semaphore/limits/db": 2}))) == {1200}
    assert {round(run.makespan, -2) for run in runs(site(locked))} == {2400}


def test_a_lock_of_whole_runs_delays_their_begin() -> None:
    a, b = (exact(name, Step("x", 600.0), schedule="0 2 * * *", run_lock="nightly") for name in "ab")
    late = runs(site(a, b), "b")
    assert {round(run.begun - run.start.due, -2) for run in late} == {600}
    assert seconds(site(a, b), "b") == [600] * 3
    held = [
        r.suspension.seconds for r in records(late, definition(b, site(b).cluster), NOW) if r.suspension is not None
    ]
    assert held == pytest.approx([600] * 3, abs=10)


def test_pods_of_higher_priority_come_first_and_evict_others() -> None:
    low = exact("a", Step("x", 600.0, cores=4.0), schedule="0 2 * * *")
    high = exact("b", Step("x", 300.0, cores=4.0), schedule="1 2 * * *", priority=1)
    both = site(low, high, cores=4.0)
    assert seconds(both) == [600] * 3
    evicting = both.on(preempts=True)
    assert seconds(evicting, "b") == [300] * 3
    assert {p.reason for run in runs(evicting) for p in run.pods} == {"PreemptionByScheduler", None}
    assert set(seconds(evicting)) == {960}
    once = replace(low, steps=(replace(low.steps[0], retries=0),))
    assert failing(runs(replace(evicting, flows=(once, high))), 0) == 1.0


def test_an_autoscaler_adds_nodes_and_removes_them() -> None:
    flow = exact("a", Step("x", 600.0, cores=4.0, items=2), schedule="0 */2 * * *")
    of = site(flow, pools=(Pool("", 0, 4.0, most=2, boot=200.0),))
    assert all(750 < run.makespan < 900 for run in runs(of))
    often = replace(of, flows=(replace(flow, schedule="*/15 * * * *"),))
    assert sum(run.makespan < 650 for run in runs(often)) > 200  # nodes are still there


def test_services_take_cores_of_each_node_and_more_by_day() -> None:
    fan = Step("x", 600.0, cores=2.0, items=2)
    pools = (Pool("", 2, 8.0, services=5.0, by_day=2.0),)
    night, noon, before = (
        site(exact("a", fan, schedule=line), pools=pools) for line in ("0 2 * * *", "0 12 * * *", "55 19 * * *")
    )
    assert seconds(night) == [600] * 3  # each node has three cores left
    assert seconds(noon) == [8 * 3600 + 600] * 3  # one core each, until they scale down
    assert seconds(before) == [900] * 3
    services = known_services(noon.cluster, NOW)
    assert services is not None
    assert services.fits([{"cpu": 1.0, "pods": 1.0}], [utc(2026, 6, 16, 2), utc(2026, 6, 16, 12)]) == [[6, 2]]


def test_spot_nodes_are_lost_with_their_pods_and_replaced() -> None:
    flow = exact("a", Step("x", 1200.0, retries=0), schedule="0 * * * *")
    of = site(flow, pools=(Pool("", 1, 4.0, lost=5 * HOUR),))
    lost = [run for run in runs(of, begin=NOW - 14 * DAY) if run.failed]
    assert 5 <= len(lost) <= 60
    assert {p.reason for run in lost for p in run.pods} == {"NodeLost"}
    made = definition(flow, of.cluster)
    assert {r.outcome for r in records(lost, made, NOW)} == {Outcome.FAILED}
    retried = replace(of, flows=(exact("a", Step("x", 1200.0, retries=9), schedule="0 * * * *"),))
    assert failing(runs(retried, begin=NOW - 14 * DAY), 0) == 0.0


def test_policies_skip_make_up_for_stop_or_allow_a_start() -> None:
    long = exact("a", Step("x", 1500.0), schedule="*/20 * * * *", policy="Forbid")
    due = len(starts(long, 1, BEGIN, NOW))
    assert skipped(runs(site(long)), due) == pytest.approx(0.5, abs=0.02)
    late = runs(site(replace(long, engine="cronjob")))
    assert skipped(late, due) == pytest.approx(0.2, abs=0.03)  # back to back
    stopped = runs(site(replace(long, policy="Replace")))
    assert failing(stopped, due) == pytest.approx(1.0, abs=0.01)
    assert failing(runs(site(replace(long, policy="Allow"))), due) == skipped(stopped, due) == 0.0


def test_work_is_slower_on_a_fuller_node_and_was_before_a_change() -> None:
    flow = exact("a", Step("x", 600.0, cores=4.0), schedule="0 2 * * *")
    assert seconds(site(flow, slowing=1.0)) == [900] * 3
    before = replace(flow, before=Before(NOW - DAY, "0 5 * * *", 2.0))
    assert seconds(site(before)) == [1200, 1200, 600]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_what_goes_on_and_is_repeatable(kind: str) -> None:
    plan = planted(kind, 3)
    assert KINDS[kind].__doc__
    assert plan == planted(kind, 3)
    assert bool(plan.rules) is (kind in PLANTED)
    assert plan.flow is None or plan.site.flow(plan.flow)
    for flow in plan.site.flows:
        read = definition(flow, plan.site.cluster)
        played = play(replace(plan.site, flows=(flow,)), 3, plan.now - DAY, plan.now)[flow.name]
        seen = {e.step for r in records(played, read, plan.now + DAY) for e in r.steps}
        assert seen <= {s.name for s in read.graph.steps}


def clash() -> Plan:
    """Two workflows at two o'clock on nodes for one of them; the second waits 540 s."""
    return Plan(site(*pair(), cores=4.0), ("schedule-clash",), "b")


def judged(plan: Plan, item: Recommendation, name: str = "b") -> Judged:
    flow = plan.site.flow(name)
    made = followed(plan.site, flow, item)
    assert made is not None
    return judge(Fresh(plan, 1), flow, item, made)


def test_an_effect_inside_and_outside_of_its_interval() -> None:
    right = judged(clash(), RECOMMENDATION)
    assert (right.verdict, right.costly) == (Verdict.INSIDE, False)
    assert right.true == pytest.approx(540, abs=10)
    low, high = (
        replace(RECOMMENDATION, gain_seconds=Interval(*g)) for g in ((10.0, 50.0, 100.0), (700.0, 800.0, 900.0))
    )
    assert judged(clash(), low).verdict is Verdict.LARGER
    assert judged(clash(), high).verdict is Verdict.SMALLER
    assert judged(clash(), replace(RECOMMENDATION, gain_seconds=None)).verdict is Verdict.PLAIN


def test_what_changes_nothing_or_lengthens_runs_is_wrong() -> None:
    assert judged(clash(), RECOMMENDATION, "a").verdict is Verdict.WRONG  # it never waited
    assert judged(clash(), replace(RECOMMENDATION, proposed="1 2 * * *")).verdict is Verdict.WRONG
    fan = exact("b", Step("x", 600.0, items=8), schedule="0 2 * * *")
    lower = replace(
        RECOMMENDATION, id="parallelism", rule="parallelism", gain_seconds=None, proposed="2 pods at a time"
    )
    plan = Plan(site(fan, cores=4.0))
    assert judged(plan, lower).verdict is Verdict.WRONG
    assert judged(plan, replace(lower, proposed="4 pods at a time")).verdict is Verdict.INSIDE


def test_a_gain_at_the_cost_of_others_is_costly() -> None:
    """Two pods at a time gain 600 s, and fill the nodes on which two others would have begun 540 s earlier."""
    wide = exact("a", Step("x", 600.0, cores=4.0, items=2), schedule="0 2 * * *", limit=1)
    others = [exact(name, Step("x", 600.0, cores=2.0), schedule="1 2 * * *") for name in "bc"]
    raised = replace(RECOMMENDATION, id="parallelism", rule="parallelism", proposed="2 pods at a time")
    assert judged(Plan(site(wide, *others)), raised, "a").costly
    assert not judged(Plan(site(wide, others[0])), raised, "a").costly
    assert not judged(Plan(site(wide, *others, cores=16.0)), raised, "a").costly


def test_remedies_are_carried_into_the_law() -> None:
    plan = planted("semaphore-too-small", 1)
    flow = plan.site.flow("etl")
    lock = replace(
        RECOMMENDATION, id="queue-time.lock", rule="queue-time", step="load", action="Raise", proposed="5 at a time"
    )
    raised, free = followed(plan.site, flow, lock), followed(plan.site, flow, replace(lock, action="Hold"))
    assert raised is not None and free is not None
    assert raised.site.cluster.semaphores == {"semaphore/limits/db": 5}
    assert min(free.site.cluster.semaphores.values()) > 1000
    overlap = replace(RECOMMENDATION, id="overlapping-runs", rule="overlapping-runs", proposed="*/30 * * * *")
    less = followed(plan.site, flow, replace(overlap, action="Start etl less often: a -> b"))
    assert less is not None
    assert less.site.flow("etl").schedule == "*/30 * * * *"
    assert followed(plan.site, flow, overlap) is None  # an interval in words
    assert followed(plan.site, flow, replace(RECOMMENDATION, rule="timeout")) is None


def test_only_what_names_the_problem_answers_it() -> None:
    plan = planted("semaphore-too-small", 1)
    lock = replace(RECOMMENDATION, id="queue-time.lock", rule="queue-time")
    assert answers_to(plan, lock)
    assert not answers_to(plan, replace(lock, id="queue-time"))
    assert not answers_to(plan, RECOMMENDATION)
    assert answers_to(clash(), RECOMMENDATION)


def test_a_history_is_judged_the_same_again() -> None:
    found = history("clash-daily", 1)
    assert found == history("clash-daily", 1)
    assert {j.id for j in found.judged} == {"schedule-clash", "queue-time"}
    assert found.demand.within <= found.demand.hours
    assert makespan([], 0) == 0.0


def test_the_command_writes_tables_with_a_cell_for_every_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clusters.json"
    kinds = ["mutex-for-each-item", "skipped-by-forbid", "weekdays-only", "monthly-beside"]
    options = ["--out", str(path), "--seeds", "1", "--jobs", "1", "--only", *kinds]
    monkeypatch.setattr(sys, "argv", ["clusters", *options])
    assert command.main() == 0
    written = json.loads(path.read_text())
    assert [row["kind"] for row in written["planted"]] == ["mutex-for-each-item", "skipped-by-forbid", "all"]
    assert [row["kind"] for row in written["healthy"]] == ["monthly-beside", "weekdays-only", "all"]
    page = lines(written)
    assert "2 kinds of problems and 2 kinds of workflows without one, 1 histories each." in " ".join(page)
    tables = "\n".join(page).split("\n\n")
    for table in (t.splitlines() for t in tables if t.startswith("|")):
        assert len({row.count("|") for row in table}) == 1


def test_no_kind_is_both_planted_and_healthy() -> None:
    assert not {*PLANTED} & {*HEALTHY}
