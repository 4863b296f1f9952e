"""``queue-time``: waiting for nodes and starting pods, when they are on the critical path and worth a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.analysis.insights import insights
from concertmaster.core.model import Outcome, Recommendation, RunRecord, StepExecution, Suspension
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.queue_time import RULE
from concertmaster.core.rules.scheduling.waits import window_of
from concertmaster.core.times import weekend
from concertmaster.report.status.insights import sentences
from tests.support.builders import DAY
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, argo, cron_job, noise, scenario, task


def test_says_how_much_where_and_what_it_asks_of_a_node() -> None:
    item = scenarios.queue_time().one("queue-time")
    assert item.id == "queue-time"
    assert "32% of the run time, 3m0" in item.because
    assert "at transform, whose pods ask for 1 core and 1Gi" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(191, rel=0.02)  # all 182 s of it, and the error of the replay
    assert item.gain_seconds.likely == pytest.approx(91, rel=0.05)


def test_pods_that_kueue_admits_wait_for_its_quota_too() -> None:
    """It admits the pods of Argo and Tekton one by one: until then they have no node."""
    waits = scenarios.queue_time()
    spec = {**waits.manifest["spec"], "podMetadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}}
    item = replace(waits, manifest={**waits.manifest, "spec": spec}).one("queue-time")
    assert "is waiting for Kueue (LocalQueue team) or a node on the critical path" in item.because
    assert item.proposed == "more quota for LocalQueue team, smaller requests, other hours or more nodes"


def test_slow_starts_are_distinguished() -> None:
    value = noise()
    of = argo(task("a"), task("b", "a"))
    item = scenario(of, 20, lambda _: {"a": Pod(value(60), startup=90.0), "b": value(60)}).one("queue-time")
    assert item.id == "queue-time.start"
    assert item.action.endswith("of run time), mainly for a")


@pytest.mark.parametrize(
    ("slow", "said", "otherwise"),
    [
        (
            Pod(300.0, wait=9000.0),
            "waiting for a node on the critical path in 42 runs (14d), 99.8% of it in 2 of them (up to 2h30m), mainly at a,"
            " whose pods ask for 1 core and 1Gi",
            "some runs keep waiting up to 2h30m for capacity, longer when the cluster fills up",
        ),
        (
            Pod(300.0, startup=9000.0),
            "pulling images and starting pods on the critical path in 42 runs (14d), 99.6% of it in 2 of them (up to 2h30m),"
            " mainly at a",
            "some runs keep paying up to 2h30m before their work begins",
        ),
    ],
    ids=["scheduling", "startup"],
)
def test_a_wait_of_few_runs_is_not_said_to_be_that_of_each(slow: Pod, said: str, otherwise: str) -> None:
    value = noise()
    item = scenario(argo(task("a")), 42, lambda i: {"a": slow if i in (9, 30) else Pod(value(300))}).one("queue-time")
    assert f"% of the run time is {said}" in item.because
    assert "per run" not in item.because
    assert item.otherwise == otherwise
    assert item.expected.startswith("an average run ")


def _waiting(seconds: Callable[[int], float], runs: int = 42) -> list[Recommendation]:
    """What is recommended where the run of that number waits so many seconds for a node; three runs a day."""
    value = noise()
    made = scenario(argo(task("a")), runs, lambda i: {"a": Pod(value(300), wait=seconds(i))})
    return [item for item in made.recommended("queue-time") if item.id == "queue-time"]


def test_a_wait_that_began_is_what_runs_lose_since_then() -> None:
    (item,), (always,) = _waiting(lambda i: 300.0 if i >= 15 else 1.0), _waiting(lambda _: 300.0)
    assert item.gain_seconds is not None
    assert always.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(always.gain_seconds.likely, rel=0.02)
    assert "in 27 runs (9d)" in item.because
    assert "in 42 runs (14d)" in always.because


def test_a_wait_that_has_ended_is_silent() -> None:
    assert _waiting(lambda i: 300.0 if i < 33 else 1.0) == []
    assert _waiting(lambda i: 300.0 if i < 39 else 1.0) != []  # one day without
    assert _waiting(lambda i: 300.0 if i % 7 < 5 else 1.0) != []  # days without come and go


@pytest.mark.parametrize("late", [-2.0, 2.0])
def test_daily_runs_are_of_a_day_each_though_they_begin_some_seconds_apart(late: float) -> None:
    value = noise()

    def jittered(number: int, run: RunRecord) -> RunRecord:
        by = late * (number % 2) - late * (number % 3)
        steps = [_later(e, by) for e in run.steps]
        return replace(run, start=(run.start or 0.0) + by, end=(run.end or 0.0) + by, steps=tuple(steps))

    daily = scenario(argo(task("a")), 14, lambda i: {"a": Pod(value(300), wait=300.0 if i < 11 else 1.0)}, every=DAY)
    daily = replace(daily, runs=tuple(jittered(i, run) for i, run in enumerate(daily.runs)))
    assert daily.recommended("queue-time") == []


def test_a_wait_on_a_single_day_tells_nothing_of_others() -> None:
    assert _waiting(lambda i: 3000.0 if 15 <= i < 18 else 1.0) == []
    assert _waiting(lambda i: 3000.0 if i in (15, 16, 17, 27, 28, 29) else 1.0) != []


def test_a_weekend_is_not_compared_with_working_days_alone() -> None:
    """Saturday to Friday, of which the weekend waits: whether Saturdays have stopped waiting is not known."""
    value = noise()
    flow = argo(task("a"))
    starts = [run.start or 0.0 for run in scenario(flow, 42, lambda _: {"a": value(300)}).runs]
    made = scenario(flow, 42, lambda i: {"a": Pod(value(300), wait=300.0 if weekend(starts[i]) else 1.0)})
    monday = next(i for i in range(6, 42) if weekend(starts[i - 1]) and not weekend(starts[i]))
    friday = max(i for i in range(monday, 42) if not weekend(starts[i]) and starts[i] < starts[monday] + 5 * DAY)
    week = replace(made, runs=made.runs[monday - 6 : friday + 1])
    assert len({int(start // DAY) for start in starts[monday : friday + 1]}) == 5
    (item,) = (r for r in week.recommended("queue-time") if r.id == "queue-time")
    assert f"in {len(week.runs)} runs" in item.because


def test_hours_without_waiting_are_no_end_of_it() -> None:
    assert _waiting(lambda i: 300.0 if i % 3 == 0 else 1.0) != []
    assert _waiting(lambda i: 300.0 if i % 3 < 2 else 1.0) != []


def test_an_hour_without_most_of_the_wait_is_not_named() -> None:
    value = noise()
    waits = scenario(
        argo(task("a")), 48, lambda i: {"a": Pod(value(200), wait=90.0 if i % 12 else 200.0)}, every=7200.0
    )
    assert "UTC" not in waits.one("queue-time").because


def test_the_hour_is_named_when_it_stands_out() -> None:
    value = noise()
    of = argo(task("a"))
    waits = scenario(of, 42, lambda i: {"a": Pod(value(200), wait=300.0 if i % 3 == 0 else 40.0)})
    hour = int(waits.runs[0].start % 86400 // 3600)  # type: ignore[operator]
    assert f"most of it at {hour:02d}:00 UTC" in waits.one("queue-time").because


def test_waiting_beside_a_longer_step_is_silent() -> None:
    value = noise()
    of = argo(task("a"), task("train"))
    assert (
        scenario(of, 20, lambda _: {"a": Pod(value(60), wait=200.0), "train": value(2000)}).recommended("queue-time")
        == []
    )
    calm = argo(task("a"))
    assert scenario(calm, 20, lambda _: {"a": value(600)}).recommended("queue-time") == []


def test_runs_that_begin_and_end_within_a_second_are_silent() -> None:
    """Their times have whole seconds, so that they take none."""
    short = scenario(argo(task("a")), 20, lambda _: {"a": Pod(0.0, wait=0.0, startup=0.0)})
    assert short.recommended("queue-time") == []


def test_steps_that_take_turns_at_a_lock_wait_for_it() -> None:
    value = noise()
    lock = {"synchronization": {"mutex": {"name": "db"}}}
    of = argo(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"), templates={"b": lock, "c": lock})
    turns = scenario(of, 20, lambda _: {"a": value(60), "b": value(300), "c": value(300), "d": value(60)})

    def delayed(run: RunRecord) -> RunRecord:
        by = {e.step: e for e in run.steps}
        late = (by["b"].finished or 0.0) - (by["c"].created or 0.0)
        rows = [_later(e, late) if e.step in "cd" else e for e in run.steps]
        return replace(run, steps=tuple(rows), end=(run.end or 0.0) + late)

    assert turns.recommended("queue-time") == []
    item = replace(turns, runs=tuple(delayed(r) for r in turns.runs)).one("queue-time")
    assert item.id == "queue-time.lock"
    assert "waiting for db on the critical path" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(303, rel=0.05)
    assert item.gain_seconds.likely == pytest.approx(152, rel=0.05)


def test_suspension_by_kueue_is_outside_the_run_time_and_names_the_queue() -> None:
    value, queue = noise(), noise(2)
    of = argo(task("a"))
    plain = scenario(of, 20, lambda _: {"a": value(300)})

    def suspended(run: RunRecord) -> RunRecord:
        return replace(run, suspension=Suspension(queue(600.0), "ClusterQueue batch", evictions=1))

    held = replace(plain, runs=tuple(suspended(r) for r in plain.runs))
    item = held.one("queue-time")
    assert item.id == "queue-time.suspended"
    assert item.action.startswith("Reduce the time runs are suspended in ClusterQueue batch: 10m")
    assert item.expected.startswith("from creation to end, each run ")
    assert item.gain_seconds is not None
    assert (item.gain_seconds.likely, item.gain_seconds.high) == pytest.approx((300, 600), rel=0.1)
    assert "66% of the time from creation to end" in item.because or "67% of the time" in item.because
    assert "before their first pod and after evictions, " in item.because
    assert "Kueue evicted them 20 times" in item.because
    assert "ClusterQueue batch, give runs a higher WorkloadPriorityClass, lower requests" in (item.proposed or "")
    assert held.analysis().makespan == plain.analysis().makespan
    split = insights(held.analysis()).split
    assert split is not None
    assert split.suspended == pytest.approx(600, rel=0.1)
    assert "not included: 10m" in " ".join(sentences(insights(held.analysis()), 20))
    unnamed = replace(plain, runs=tuple(replace(r, suspension=Suspension(600.0)) for r in plain.runs)).one("queue-time")
    assert unnamed.action == "Reduce the time runs are suspended: 10m00s per run"
    assert "before their first pod, " in unnamed.because
    assert (unnamed.proposed or "").startswith("raise the limit on concurrent runs")
    brief = [replace(r, suspension=Suspension(5.0)) for r in plain.runs]
    assert replace(plain, runs=tuple(brief)).recommended("queue-time") == []


def _later(e: StepExecution, seconds: float) -> StepExecution:
    """The execution, all of it so much later; what it depends on is done at the same time as before."""
    moved = {name: (getattr(e, name) or 0.0) + seconds for name in ("created", "scheduled", "started", "finished")}
    return replace(e, **moved, ready=e.ready if e.step == "c" else (e.ready or 0.0) + seconds)


def test_runs_get_no_more_than_all_of_their_time_shorter_without_suspension() -> None:
    """Suspended for 2 to 8 minutes, with 1 minute of work: the mean of five is known to 60%."""
    plain = scenario(argo(task("a")), 5, lambda _: {"a": 60.0})
    waits = (100.0, 300.0, 500.0, 200.0, 150.0)
    runs = tuple(replace(r, suspension=Suspension(w)) for r, w in zip(plain.runs, waits, strict=True))
    item = replace(plain, runs=runs).one("queue-time")
    assert item.gain_share is not None and item.gain_seconds is not None
    assert item.gain_seconds.high > 250.0 + 63.0, "more than runs take on average"
    assert item.gain_share.high < 1.0


def test_since_a_change_all_runs_wait_and_not_some() -> None:
    value = noise()
    made = scenario(argo(task("a")), 42, lambda i: {"a": Pod(value(300), wait=400.0 if i >= 27 else 1.0)})
    assert made.analysis().trend.points, "the case must tempt the rule"
    item = made.one("queue-time")
    assert "57% of the run time, 6m40s per run, is waiting for a node on the critical path in 15 runs" in item.because
    assert item.otherwise.startswith("runs keep waiting 6m4")


def _without(of: Scenario, since: int, *names: str) -> Scenario:
    """The scenario without these times of the pods of all runs before this one."""

    def hidden(run: RunRecord) -> RunRecord:
        return replace(run, steps=tuple(replace(e, **dict.fromkeys(names)) for e in run.steps))  # type: ignore[arg-type]

    return replace(of, runs=tuple(hidden(r) if k < since else r for k, r in enumerate(of.runs)))


def test_without_the_time_of_binding_the_wait_is_not_said_to_be_start_up() -> None:
    item = _without(scenarios.queue_time(), 42, "scheduled").one("queue-time")
    assert item.id == "queue-time"
    assert item.action.startswith("Reduce the time before pods work (33% of run time)")
    assert "is waiting for a node or starting pods on the critical path in 42 runs (14d)" in item.because
    assert item.proposed is not None
    assert item.proposed.startswith("collect kube_pod_status_scheduled_time")
    assert item.expected.endswith("if a quarter of the time is removed, at most all of it")


@pytest.mark.parametrize("absent", ["created", "scheduled"])
def test_runs_of_unknown_waits_do_not_count_as_without_one(absent: str) -> None:
    every = scenarios.queue_time().one("queue-time")
    some = _without(scenarios.queue_time(), 21, absent).one("queue-time")
    assert "32% of the run time, 3m0" in some.because
    assert "in 21 runs" in some.because
    assert some.gain_seconds is not None
    assert every.gain_seconds is not None
    assert some.gain_seconds.likely == pytest.approx(every.gain_seconds.likely, rel=0.05)


def test_too_few_known_waits_are_silent() -> None:
    assert _without(scenarios.queue_time(), 38, "created").recommended("queue-time") == []
    assert _without(scenarios.queue_time(), 42, "created").recommended("queue-time") == []


def test_a_pod_that_never_got_a_node_has_no_unknown_binding() -> None:
    value = noise()
    made = scenario(argo(task("a")), 42, lambda _: {"a": Pod(value(300), wait=400.0)})
    lost = replace(made.runs[3].steps[0], node=None, scheduled=None, started=None, outcome=Outcome.FAILED)
    item = replace(made, runs=tuple(replace(r, steps=(lost,)) if k == 3 else r for k, r in enumerate(made.runs)))
    assert "in 42 runs" in item.one("queue-time").because


def test_the_window_is_that_of_these_runs_and_not_of_as_many_others() -> None:
    value = noise()
    made = scenario(argo(task("a")), 42, lambda i: {"a": value(300 if i < 21 else 600)})
    evidence = Evidence(made.analysis(), "wfp")
    assert window_of(evidence, evidence.recent()) == "in 21 runs (7d)"
    assert window_of(evidence, evidence.analysis.executed[:21]) == "in 21 runs (14d)"


def test_a_suspended_schedule_starts_no_run_that_waits() -> None:
    """But runs that somebody starts by hand wait as before."""
    value = noise()
    made = scenario(cron_job("53 0,8,16 * * *"), 42, lambda _: {"job": Pod(value(300), wait=400.0)})
    evidence = Evidence(made.analysis(), "wfp")
    for held, said in ((False, 1), (True, 0)):
        definition = replace(evidence.analysis.definition, suspended=held)
        found = list(RULE.recommend(replace(evidence, analysis=replace(evidence.analysis, definition=definition))))
        assert len(found) == said
    by_hand = replace(evidence.analysis.definition, suspended=True, schedule="1 2 3 * *")
    assert len(list(RULE.recommend(replace(evidence, analysis=replace(evidence.analysis, definition=by_hand))))) == 1
