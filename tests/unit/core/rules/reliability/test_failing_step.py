"""``failing-step``: a row of failures at one step, distinguished from bad luck and from what other rules fix."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Severity, StepExecution
from concertmaster.core.rules.intervals import share_interval
from tests.support.builders import MI
from tests.support.core import scenarios
from tests.support.core.scenario_builder import DAY, Pod, Scenario, Work, noise, pipeline, scenario
from tests.support.core.scenarios import etl


def made(fails: dict[int, str], count: int = 42, step: str = "transform") -> Scenario:
    """Runs of three steps; run i fails at ``step`` with a reason."""
    value = noise()

    def work(i: int) -> Work:
        seconds = {"extract": 60.0, "transform": 300.0, "load": 30.0}
        return {n: Pod(value(s), fails=fails.get(i) if n == step else None) for n, s in seconds.items()}

    return scenario(etl(), count, work)


def test_says_which_step_reason_since_when_what_changed_and_what_it_wastes() -> None:
    item = scenarios.failing_step().one("failing-step")
    assert item.id == "failing-step.transform"
    assert item.severity is Severity.CRITICAL
    assert item.action == "Fix transform: the last 7 runs in a row failed there with Error"
    assert item.because.startswith("7 of 42 runs (14d) failed at transform, one after the other since 2025-10-0")
    assert (
        "; changed at the same time: image of transform from registry.example/etl:1 to registry.example/etl:2; the last"
        in item.because
    )
    assert "the last success ended 2025-10-0" in item.because
    assert "4m2" in item.otherwise  # 60 s of extract and 200 s of transform
    assert "0.232 USD a month" in item.otherwise  # 90 runs of 265 s with a core and a GiB at 0.035 USD an hour
    assert item.saving_per_month is None, "runs that succeed cost as much"


def test_of_images_of_single_runs_that_of_the_first_failure_is_named_and_called_no_change() -> None:
    built = scenarios.failing_step()
    runs = [
        replace(
            r,
            steps=tuple(
                replace(e, containers=tuple(replace(c, image=f"ci:{i}") for c in e.containers)) for e in r.steps
            ),
        )
        for i, r in enumerate(built.runs)
    ]
    because = replace(built, runs=tuple(runs)).one("failing-step").because
    assert "; images differ from run to run, the first of these runs had ci:35; the last" in because
    assert "changed" not in because


def test_exit_code_and_message_are_reported_where_live_objects_know_them() -> None:
    of = scenarios.failing_step()
    runs = tuple(
        replace(r, steps=tuple(replace(e, exit_code=3, message="no such table") if e.outcome is Outcome.FAILED else e
                               for e in r.steps))
        for r in of.runs
    )  # fmt: skip
    item = replace(of, runs=runs).one("failing-step")
    assert "with Error, exit code 3" in item.action
    assert any("no such table" in e for e in item.evidence)


def test_a_workflow_that_never_worked_says_so() -> None:
    item = made(dict.fromkeys(range(8), "Error"), count=8).one("failing-step")
    assert "no run succeeded" in item.because
    assert "8 of 8 runs" in item.because


@pytest.mark.parametrize(
    "fails",
    [
        {},
        {40: "Error", 41: "Error"},  # two are no row
        {38: "Error", 39: "Error", 40: "Error"},  # the newest succeeded
        {i: "Error" for i in range(42) if i % 2 or i >= 39},  # every second run fails anyway: no news
        {39: "OOMKilled", 40: "OOMKilled", 41: "OOMKilled"},
        {39: "DeadlineExceeded", 40: "DeadlineExceeded", 41: "DeadlineExceeded"},
    ],
)
def test_silence_beside_it(fails: dict[int, str]) -> None:
    assert made(fails).recommended("failing-step") == []


@pytest.mark.parametrize(("reason", "found"), [("TaskRunTimeout", 0), ("PipelineRunTimeout", 1)])
def test_what_the_time_limit_of_a_pipeline_run_ends_is_no_other_rule_about(reason: str, found: int) -> None:
    of = pipeline({"requests": {"cpu": "1", "memory": "1Gi"}})
    made = scenario(of, 42, lambda i: {"work": Pod(60, fails=reason if i >= 36 else None)})
    assert len(made.recommended("failing-step")) == found


def test_another_step_each_time_and_unknown_ends_are_silent() -> None:
    of = made(dict.fromkeys(range(39, 42), "Error"))
    other = made({40: "Error"}, step="extract")
    runs = tuple(other.runs[40] if i == 40 else r for i, r in enumerate(of.runs))
    assert replace(of, runs=runs).recommended("failing-step") == []
    unknown = tuple(replace(r, outcome=Outcome.UNKNOWN) if i >= 39 else r for i, r in enumerate(of.runs))
    assert replace(of, runs=unknown).recommended("failing-step") == []


def test_no_retry_is_recommended_where_every_run_fails() -> None:
    """Retries helped until a week ago."""
    value = noise()

    def work(i: int) -> Work:
        lost = i == 9 or i >= 34
        tried = Pod(value(300), failures=((200.0, "Error"),) if i % 2 else (), fails="Error" if lost else None)
        return {"extract": value(60), "transform": tried, "load": value(30)}

    of = scenario(etl(), 42, work)
    assert of.recommended("retry-policy"), "the case must tempt the other rule"
    ids = [r.id for r in of.recommended()]
    assert ids[0] == "failing-step.transform"
    assert "retry-policy.transform" not in ids


def test_a_failure_that_successful_runs_have_too_is_not_what_ends_the_others() -> None:
    found = made(dict.fromkeys(range(36, 42), "Error"), step="load")

    def failing(run: RunRecord, *names: str) -> RunRecord:
        return replace(
            run, steps=tuple(replace(e, outcome=Outcome.FAILED) if e.step in names else e for e in run.steps)
        )

    tolerated = tuple(failing(r, "extract") for r in found.runs)
    assert replace(found, runs=tolerated).one("failing-step").id == "failing-step.load"
    nothing_else = tuple(replace(r, steps=tuple(e for e in r.steps if e.step != "load")) for r in tolerated)
    assert replace(found, runs=nothing_else).recommended("failing-step") == []


def test_more_failures_since_a_day_are_reported_though_some_runs_succeed() -> None:
    item = made({i: "Error" for i in range(25, 42) if i % 3}).one("failing-step")
    assert item.id == "failing-step.transform"
    assert item.action.startswith("Fix transform: 12 of 17 runs failed there with Error since 2025-10-0")
    assert "0 of the 25 before" in item.because
    assert item.failures_avoided is not None
    assert 0.4 < item.failures_avoided.low < 11 / 18 - 0.5 / 26 < item.failures_avoided.high
    assert f"{100 * item.failures_avoided.likely:.0f}% of the runs no longer fail" == item.expected


def test_a_row_within_an_increase_is_judged_by_the_rate_since_then() -> None:
    """Half of the runs fail since the 26th: three in a row at the end do not mean that all of them will."""
    (item,) = made(dict.fromkeys((26, 27, 29, 30, 31, 33, 35, 39, 40, 41), "Error")).recommended("failing-step")
    assert item.severity is not Severity.CRITICAL
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely < 0.75
    (item,) = made(dict.fromkeys((26, *range(31, 42)), "Error")).recommended("failing-step")
    assert item.severity is Severity.CRITICAL


@pytest.mark.parametrize(("streak", "critical"), [(3, False), (6, True)])
def test_a_row_that_occasional_failures_bring_by_chance_is_none(streak: int, critical: bool) -> None:
    """One of six runs fails: among a hundred, three failures in a row are likely somewhere, six are not."""
    fails = {*range(0, 92, 6), *range(100 - streak, 100)}
    found = made(dict.fromkeys(fails, "Error"), 100).recommended("failing-step")
    assert any(r.severity is Severity.CRITICAL for r in found) is critical


def test_what_an_increase_costs_is_not_promised_with_hindsight() -> None:
    """The interval holds the true increase nine times in ten, although its start is chosen so that failures lie behind."""
    chance, within, found = random.Random(1), 0, 0
    for _ in range(120):
        fails = {i: "Error" for i in range(14, 28) if chance.random() < 0.35}
        for item in made(fails, 28).recommended("failing-step"):
            if "since" in item.action and item.failures_avoided is not None and item.severity is not Severity.CRITICAL:
                found += 1
                within += item.failures_avoided.low <= 0.35 <= item.failures_avoided.high
    assert found > 20
    assert within / found >= 0.9


def test_failures_that_are_over_are_not_reported() -> None:
    assert made({i: "Error" for i in range(10, 24) if i % 3}).recommended("failing-step") == []


def test_failures_that_retries_do_not_help_are_reported_as_they_are() -> None:
    value = noise()

    def work(i: int) -> Work:
        tried = Pod(value(300), failures=((200.0, "Error"), (200.0, "Error")), fails="Error")
        return {"extract": value(60), "transform": tried if i % 5 == 0 else value(300), "load": value(30)}

    item = scenario(etl(), 42, work).one("failing-step")
    assert "9 of 42 runs failed at transform" in item.because
    assert "0 of 18 retries helped" in item.because
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely == pytest.approx(9 / 42)


@pytest.mark.parametrize(("share", "found"), [(0.75, 1), (0.35, 0)])
def test_a_step_without_retries_at_which_most_runs_fail_is_reported(share: float, found: int) -> None:
    """No number of retries would be enough; where fewer fail, a retry may be."""
    chance = random.Random(4)
    of = made({i: "Error" for i in range(42) if chance.random() < share})
    assert len(of.recommended("failing-step")) == found


def _retried(fails: set[int], count: int) -> Scenario:
    """Run i of these fails at ``transform``, and two retries do not help. All runs are within two weeks."""
    value = noise()

    def work(i: int) -> Work:
        tried = Pod(value(300), failures=((200.0, "Error"), (200.0, "Error")), fails="Error")
        return {"extract": value(60), "transform": tried if i in fails else value(300), "load": value(30)}

    return scenario(etl(), count, work, every=14 * DAY / count)


@pytest.mark.parametrize(
    ("fails", "lately"),
    [
        pytest.param({26, 29, 33, 37, 40}, (4, 17), id="hardly by chance: five of sixteen, less hindsight"),
        pytest.param({20, 25, 30, 35, 40}, (4, 23), id="not likely by chance"),
        pytest.param({15, 21, 27, 33, 39}, None, id="well possible by chance"),
        pytest.param({2, 10, 18, 26, 34}, None, id="all along"),
        pytest.param({5, 18, 30, 41}, None, id="of a single failure nobody can tell"),
        pytest.param({26, 28, 30, 31}, None, id="over since"),
    ],
)
def test_failures_that_are_likely_new_may_cost_what_the_runs_since_then_show(
    fails: set[int], lately: tuple[int, int] | None
) -> None:
    """Of 42 runs too few failed to say since when."""
    item, count = _retried(fails, 42).one("failing-step"), len(fails)
    assert f"{count} of 42 runs failed there" in item.action
    assert "since" not in item.action
    avoided, throughout = item.failures_avoided, share_interval(count, 42)
    assert avoided is not None
    assert throughout is not None
    least, likely = (0.0, throughout.likely / 2) if item.upper_bound else (throughout.low, throughout.likely)
    assert (avoided.low, avoided.likely) == (least, likely)
    assert item.upper_bound == ("may be over" in item.because) == (max(fails) == 31)
    later = share_interval(*lately) if lately else throughout
    assert later is not None
    assert avoided.high == pytest.approx(later.high)


@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(set(range(80, 92)), id="one outage, a week ago"),
        pytest.param({*range(20, 32), *range(60, 66)}, id="two outages"),
        pytest.param({i for i in range(20, 44) if i % 3}, id="an outage with a success now and then"),
        pytest.param({i for i in range(20, 44) if i % 3} | {150}, id="and a failure since"),
    ],
)
def test_an_outage_that_is_over_is_not_reported_although_retries_did_not_help(fails: set[int]) -> None:
    assert _retried(fails, 200).recommended("failing-step") == []


def test_failures_that_became_rarer_are_reported_as_frequent_as_they_are_now() -> None:
    """Eight of nine runs failed for a while, and one of ten has failed since."""
    item = _retried({*(i for i in range(36) if i % 9), *range(45, 156, 10)}, 156).one("failing-step")
    assert "12 of the newest 120 runs failed there" in item.action
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely == pytest.approx(0.1)


def test_what_failures_cost_is_not_understated_where_nobody_can_tell_since_when() -> None:
    """A third of the runs fails since a few days ago; of fewer than half a dozen failures the start is mostly not clear."""
    chance, within, unclear = random.Random(2), 0, 0
    for _ in range(60):
        fails = {i for i in range(27, 42) if chance.random() < 1 / 3}
        for item in _retried(fails, 42).recommended("failing-step"):
            if "since" not in item.action and item.failures_avoided is not None:
                unclear += 1
                within += item.failures_avoided.low <= 1 / 3 <= item.failures_avoided.high
    assert unclear > 10
    assert within / unclear >= 0.9


@pytest.mark.parametrize(
    ("fails", "count"),
    [({*range(42)} - {20, 41}, 42), ({*range(20)} - {9, 19}, 20), ({*range(20)} - {10}, 20)],
)
def test_a_step_at_which_most_runs_fail_is_reported_although_some_succeed(fails: set[int], count: int) -> None:
    assert len(_retried(fails, count).recommended("failing-step")) == 1


def unexplained(fails: dict[int, str]) -> Scenario:
    """Runs that fail at ``transform``, of which nothing is known of why."""
    of = made(fails)
    return replace(of, runs=tuple(replace(r, steps=tuple(map(_without_reason, r.steps))) for r in of.runs))


def _without_reason(e: StepExecution) -> StepExecution:
    return replace(e, reason=None, containers=tuple(replace(c, reason=None) for c in e.containers))


def test_failures_of_unknown_reason_are_no_case_for_retries() -> None:
    """They may be OOM kills, or executions that a time limit stopped."""
    fails = dict.fromkeys(range(3, 42, 6), "Error")
    assert [r.id for r in made(fails).recommended("retry-policy")] == ["retry-policy.transform"]
    of = unexplained(fails)
    assert of.recommended("retry-policy") == []
    (gap,) = of.recommended("data-quality")
    assert "the reasons of 7 of 7 failed executions are unknown" in gap.because
    assert "kube_pod_container_status_terminated_reason" in gap.action


def test_retries_that_were_seen_to_help_need_no_reason() -> None:
    def work(i: int) -> Work:
        tried = Pod(300, failures=((200.0, "Error"),) if i % 4 else (), fails="Error" if i % 7 == 3 else None)
        return {"extract": 60.0, "transform": tried, "load": 30.0}

    of = scenario(etl(), 42, work)
    known = of.recommended("retry-policy")
    runs = tuple(replace(r, steps=tuple(map(_without_reason, r.steps))) for r in of.runs)
    assert [r.action for r in replace(of, runs=runs).recommended("retry-policy")] == [r.action for r in known]
    assert len(known) == 1


def test_exit_codes_are_reasons() -> None:
    of = unexplained(dict.fromkeys(range(3, 42, 6), "Error"))
    coded = tuple(
        replace(r, steps=tuple(replace(e, exit_code=3) if e.outcome is Outcome.FAILED else e for e in r.steps))
        for r in of.runs
    )
    of = replace(of, runs=coded)
    assert len(of.recommended("retry-policy")) == 1
    assert of.recommended("data-quality") == []


def test_an_increase_of_failures_of_unknown_reason_says_so() -> None:
    fails = {i: "Error" for i in range(25, 42) if i % 3}
    known, item = made(fails).one("failing-step"), unexplained(fails).one("failing-step")
    assert item.action.startswith(
        "Find out why transform fails: 12 of 17 runs failed there with an unknown reason since"
    )
    assert "the reasons of 12 of 12 failures are unknown" in item.evidence[0]
    assert item.confidence == known.confidence / 2
    assert item.failures_avoided == known.failures_avoided


def test_a_row_of_failures_of_unknown_reason_says_so() -> None:
    item = unexplained(dict.fromkeys(range(34, 42), "OOMKilled")).one("failing-step")
    assert item.action == "Find out why transform fails: the last 8 runs in a row failed there with an unknown reason"


def in_init(fails: dict[int, str], limit: float | None = None, name: str = "fetch") -> Scenario:
    """Runs that fail at ``transform`` before its work starts, in an init container of this memory ``limit`` (bytes)."""
    of = made(fails)

    def ended(e: StepExecution) -> StepExecution:
        if e.outcome is not Outcome.FAILED:
            return e
        why = next(c.reason for c in e.containers if c.reason)
        fetch = ContainerFact(name, init=True, reason=why, memory_limit=limit)
        return replace(e, containers=(fetch, *(replace(c, reason=None) for c in e.containers)))

    return replace(of, runs=tuple(replace(r, steps=tuple(map(ended, r.steps))) for r in of.runs))


@pytest.mark.parametrize("fails", [range(34, 42), range(20, 42, 2)])
def test_an_init_container_that_is_oom_killed_at_an_unknown_limit_is_named(fails: range) -> None:
    """Without the limit there is no size to recommend, so that no other rule is about it."""
    of = in_init(dict.fromkeys(fails, "OOMKilled"))
    assert of.recommended("memory-request") == []
    item = of.one("failing-step")
    assert item.action.startswith("Raise the memory limit of init container fetch of transform: ")
    assert "with OOMKilled in init container fetch" in item.action
    sized = in_init(dict.fromkeys(fails, "OOMKilled"), 64 * MI)
    assert sized.recommended("failing-step") == []
    assert (
        sized.one("memory-request").action
        == "Raise memory request and limit of init container transform/fetch: not set -> 192Mi"
    )


def test_the_executor_that_is_oom_killed_is_named_with_its_limit() -> None:
    """As where it downloads large artifacts. Its resources are in the configuration of the engine, and in no workflow."""
    of = in_init(dict.fromkeys(range(34, 42), "OOMKilled"), 512 * MI, "init")
    assert of.recommended("memory-request") == []
    item = of.one("failing-step")
    assert item.action.startswith("Raise the memory limit of init container init of transform: ")
    assert "init container init was OOM-killed at its limit of 512Mi" in item.evidence


def test_a_failing_init_container_is_named() -> None:
    item = in_init(dict.fromkeys(range(34, 42), "Error")).one("failing-step")
    assert item.action == "Fix transform: the last 8 runs in a row failed there with Error in init container fetch"


def test_a_row_of_failures_like_an_earlier_one_is_one_case_of_two() -> None:
    """An outage each Monday is no reason to expect that all runs of a month fail, nor excludes it."""
    item = made(dict.fromkeys([*range(20, 24), *range(38, 42)], "Error")).one("failing-step")
    assert item.severity is Severity.CRITICAL
    assert "; an earlier row of 4 runs that failed there was over 2025-" in item.because
    assert "until that ends, and again the next time" in item.otherwise
    avoided = item.failures_avoided
    assert avoided is not None
    assert (avoided.likely, avoided.high) == (pytest.approx(8 / 42), 1.0)
    assert avoided.low < 4 / 42
    alone = made(dict.fromkeys(range(38, 42), "Error")).one("failing-step")
    assert "earlier row" not in alone.because
    assert alone.failures_avoided is not None
    assert alone.failures_avoided.likely == pytest.approx(4 / 42)
    assert alone.failures_avoided.low < avoided.low


def test_one_row_of_failures_before_the_newest_runs_counts_as_far_as_the_window_does() -> None:
    item = made(dict.fromkeys(range(32, 40), "Error")).one("failing-step")
    assert item.action.startswith("Fix transform: 8 of 10 runs failed there with Error since")
    avoided = item.failures_avoided
    assert avoided is not None
    assert avoided.likely == pytest.approx(8 / 42)
    assert avoided.low < 4 / 42
    assert avoided.high > 0.9
    assert item.expected == f"19% of the runs no longer fail, {100 * avoided.high:.0f}% at most"
    assert "% of the runs keep failing at transform" in item.otherwise


def test_an_increase_of_failures_that_may_be_over_is_an_upper_bound_of_half_the_confidence() -> None:
    """A release failed a third of the runs for two days, and was fixed half a day ago."""
    going_on = dict.fromkeys(range(60, 100, 3), "Error")
    lately = made(dict.fromkeys(range(60, 88, 3), "Error"), 100)
    item, known = lately.one("failing-step"), made(going_on, 100).one("failing-step")
    assert item.because.endswith("; none of the newest 12 runs failed there, so it may be over")
    assert "may be over" not in known.because
    assert (item.upper_bound, known.upper_bound) == (True, False)
    assert item.confidence == known.confidence / 2
    assert item.failures_avoided is not None
    assert item.failures_avoided.low == 0.0
    assert item.expected.endswith(" at most")
    retries = lately.one("retry-policy")
    assert "so it may be over" in retries.because
    assert retries.confidence == pytest.approx(0.7 * 42 / 62 / 2)  # without a retry; of 42 executions


@pytest.mark.parametrize(
    ("strategy", "fails", "said"),
    [
        pytest.param({"limit": 2}, range(2, 42, 4), True, id="isolated failures, retried at once"),
        pytest.param({"limit": 2, "backoff": {"duration": "1m"}}, range(2, 42, 4), False, id="with a back-off"),
        pytest.param(None, range(2, 42, 4), False, id="of another engine's retries nothing is known"),
        pytest.param({"limit": 2}, [*range(2, 8), *range(16, 22), *range(30, 36)], False, id="outages of many runs"),
    ],
)
def test_useless_retries_that_start_at_once_are_named(
    strategy: dict[str, object] | None, fails: Sequence[int], said: bool
) -> None:
    """A rate limit passes within minutes, and retries of the same minute meet it again."""
    of = _retried(set(fails), 42)
    definition = etl(**({"transform": {"retryStrategy": strategy}} if strategy else {}))
    item = replace(of, manifest=definition).one("failing-step")
    assert ("and they start at once: its retryStrategy has no backoff" in item.because) is said
    assert any("retries help only after a pause" in line for line in item.evidence) is said
