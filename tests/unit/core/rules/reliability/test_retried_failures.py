"""``failing-step`` where retries help: what failed attempts cost the runs that succeed."""

from __future__ import annotations

import random

import pytest

from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, noise, scenario, task

_FLOW = argo(task("fetch"), task("transform", "fetch"), task("aside"))
_COUNT = 60


def _runs(
    share: float,
    *,
    step: str = "transform",
    reason: str = "Error",
    first: int = 0,
    last: int = _COUNT,
    good: float = 1.0,
    slower: int = _COUNT,
) -> Scenario:
    """From run ``first`` to ``last``, ``share`` of the executions of ``step`` fail after 150 s; a retry helps with
    probability ``good``. Fetching and transforming take 60 and 240 s, from run ``slower`` on fetching 180 s; what runs aside
    takes 100 s."""
    value, chance = noise(spread=0.03), random.Random(7)

    def work(i: int) -> Work:
        bad = first <= i < last and chance.random() < share
        failures = ((value(150), reason),) if bad else ()
        fails = reason if bad and chance.random() >= good else None
        seconds = {"fetch": 60.0 if i < slower else 180.0, "transform": 240.0, "aside": 100.0}
        return {
            name: Pod(value(s), failures=failures if name == step else (), fails=fails if name == step else None)
            for name, s in seconds.items()
        }

    return scenario(_FLOW, _COUNT, work, every=4 * 3600.0)


def test_failed_attempts_that_retries_make_good_are_reported_with_what_they_cost() -> None:
    """Each costs 150 s, the start of another pod and the pause before it, in about half of the runs."""
    made = _runs(0.5)
    item = made.one("failing-step")
    assert item.id == "failing-step.transform"
    failed = sum(
        e.attempt == 0 and len([o for o in run.steps if o.step == e.step]) > 1 for run in made.runs for e in run.steps
    )
    assert f"{failed} of {_COUNT + failed} attempts failed in {_COUNT} runs" in item.because
    assert f"{failed} of {failed} executions with failed attempts succeeded in the end" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.low < 163 * failed / _COUNT < item.gain_seconds.high
    assert item.failures_avoided is None


def test_it_says_since_when_they_are_more_frequent() -> None:
    item = _runs(0.8, first=40).one("failing-step")
    assert "more often since" in item.because
    assert "more often since" not in _runs(0.5).one("failing-step").because


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"share": 0.03}, id="rare"),
        pytest.param({"share": 1.0, "first": 20, "last": 26}, id="an outage that is over"),
        pytest.param({"share": 0.5, "reason": "OOMKilled"}, id="out of memory"),
        pytest.param({"share": 0.5, "reason": "DeadlineExceeded"}, id="stopped by a time limit"),
        pytest.param({"share": 0.5, "step": "aside"}, id="beside a longer path"),
    ],
)
def test_what_costs_little_or_is_reported_elsewhere_is_silent(case: dict[str, object]) -> None:
    assert _runs(**case).recommended("failing-step") == []  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["Evicted", "NodeLost", "DeletionByTaintManager"])
def test_attempts_lost_to_evictions_are_reported_with_their_reason(reason: str) -> None:
    """A quarter of the attempts lost on spot nodes: retries hide it from the success rate, not from the run time."""
    item = _runs(0.35, reason=reason).one("failing-step")
    assert item.action.startswith("Protect transform from eviction and loss of its node: ")
    assert f"of its attempts end with {reason}" in item.action
    assert item.proposed.startswith("nodes that are not reclaimed")
    assert item.gain_seconds is not None
    assert item.gain_seconds.low > 0


def test_retries_that_seldom_help_are_left_to_the_failures() -> None:
    assert not any("of its attempts" in item.action for item in _runs(0.5, good=0.3).recommended("failing-step"))


def test_runs_that_failed_for_good_count_also_since_run_times_changed() -> None:
    """Of 20 executions with a failed attempt since then, retries helped half."""
    made = _runs(0.5, good=0.5, slower=20)
    assert len(made.analysis().recent) == 30
    because = made.one("failing-step").because
    assert "30 of 60 attempts failed in 40 runs (7d)" in because
    assert "10 of 20 executions with failed attempts succeeded in the end" in because


@pytest.mark.parametrize(("resumes", "found"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_attempts_that_go_on_where_the_failed_one_ended_cost_nothing(resumes: bool, found: int, seed: int) -> None:
    """A training of an hour with checkpoints: whatever failed, its attempts together take as long as one."""
    value, chance = noise(seed, spread=0.15), random.Random(seed)

    def work(_: int) -> Work:
        seconds, failures, left = value(3600), [], 0.0
        left = seconds
        while chance.random() < 0.35 and len(failures) < 4:
            done = left * chance.uniform(0.2, 0.9)
            failures.append((done, "Error"))
            left -= done - 30 if resumes else 0.0
        return {"fetch": value(60), "transform": Pod(left, failures=tuple(failures))}

    made = scenario(argo(task("fetch"), task("transform", "fetch")), 60, work, every=4 * 3600.0)
    assert len(made.recommended("failing-step")) == found
