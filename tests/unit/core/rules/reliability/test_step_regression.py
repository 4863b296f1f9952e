"""``degradation`` of a step where the run times do not show it: some runs skip it, or other steps vary by more."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from concertmaster.core.model import Recommendation
from concertmaster.core.times import to_minute
from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, noise, scenario, task

_FLOW = argo(task("scan"), task("rebuild", "scan"), task("publish", "rebuild"))
_FULL = 0.4  # share of the runs that rebuild
_COUNT = 120
_SECONDS = {"scan": 200.0, "rebuild": 600.0, "publish": 100.0}
_ON_AVERAGE = 7 / 6  # times as long on six nodes of which one is twice as slow


def _flow(
    slower: float, *, share: float = _FULL, share_later: float = _FULL, quick: float = 1.0, seed: int = 1
) -> Scenario:
    """A ``share`` of the runs rebuild. Since the 61st run, ``share_later`` of them do, which takes ``slower`` times as long,
    and both other steps take ``quick`` times as long."""
    value, chance = noise(seed, spread=0.05), random.Random(seed)

    def work(i: int) -> Work:
        late = i >= _COUNT // 2
        usual = quick if late else 1.0
        steps = {"scan": value(100 * usual), "publish": value(50 * usual)}
        if chance.random() < (share_later if late else share):
            steps["rebuild"] = value(600 * (slower if late else 1.0))
        return steps

    return scenario(_FLOW, _COUNT, work, every=3 * 3600.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_conditional_step_that_became_slower_is_found_in_the_runs_that_have_it(seed: int) -> None:
    item = _flow(1.5, seed=seed).one("degradation")
    assert item.id == "degradation.rebuild"
    assert item.because.startswith("rebuild takes ")
    assert re.match(r"each run with rebuild \(\d+% of all\) \d+ to \d+% shorter, ", item.expected)


@pytest.mark.parametrize("seed", range(4))
def test_its_gain_is_that_of_a_run_on_average(seed: int) -> None:
    """300 s in those runs since then that rebuild."""
    made = _flow(1.5, seed=seed)
    later, mean = made.runs[_COUNT // 2 :], made.analysis().makespan.mean
    truth = 300 * sum(any(e.step == "rebuild" for e in run.steps) for run in later) / len(later)
    seconds, share = made.one("degradation").gain_seconds, made.one("degradation").gain_share
    assert seconds is not None
    assert share is not None
    assert mean is not None
    assert seconds.low < truth < seconds.high
    assert seconds.likely == pytest.approx(truth, rel=0.15)
    assert share.likely == pytest.approx(seconds.likely / mean)


def test_of_a_step_that_became_faster_again_what_is_left_counts() -> None:
    """Twice as long for a third of the runs, and since then half as long again as before."""
    value, chance = noise(1, spread=0.05), random.Random(1)

    def work(i: int) -> Work:
        steps = {"scan": value(100), "publish": value(50)}
        if chance.random() < _FULL:
            steps["rebuild"] = value(600 * (1.0 if i < 40 else 2.0 if i < 80 else 1.5))
        return steps

    made = scenario(_FLOW, _COUNT, work, every=3 * 3600.0)
    item, (_, fall) = (
        made.one("degradation"),
        next(s for s in made.analysis().steps if s.step == "rebuild").trend.points,
    )
    assert f", partly reverted around {to_minute(fall.time)}" in item.because
    later = [run for run in made.runs if (run.end or 0.0) >= fall.time]
    truth = 300 * sum(any(e.step == "rebuild" for e in run.steps) for run in later) / len(later)
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize("share_later", [0.2, 0.7])
def test_a_step_that_runs_more_or_less_often_is_no_regression(share_later: float) -> None:
    for seed in range(4):
        assert _flow(1.0, share_later=share_later, seed=seed).recommended("degradation") == []


@pytest.mark.parametrize(("share", "later"), [(0.3, 0.85), (0.2, 0.95), (0.1, 0.7)])
@pytest.mark.parametrize("seed", range(4))
def test_a_step_that_most_runs_now_take_and_few_took_is_no_regression(share: float, later: float, seed: int) -> None:
    """Then the median of the runs rises from that of those without it to that of those with it."""
    made = _flow(1.0, share=share, share_later=later, seed=seed)
    assert made.analysis().trend.points, "the case must tempt the rule"
    assert made.recommended("degradation") == []


@pytest.mark.parametrize("seed", range(4))
def test_beside_that_a_step_that_became_slower_is_found_with_what_it_adds(seed: int) -> None:
    item = _flow(1.5, share=0.3, share_later=0.85, seed=seed).one("degradation")
    assert item.id == "degradation.rebuild"
    assert item.gain_seconds is not None
    assert item.gain_seconds.low < 300 * 0.85 < item.gain_seconds.high


def test_a_step_that_was_added_makes_runs_longer() -> None:
    item = _flow(1.0, share=0.0, share_later=1.0).one("degradation")
    assert item.id == "degradation"
    assert "; rebuild runs in 100% of them, and in none before" in item.because


def test_what_other_steps_gained_does_not_hide_what_a_step_lost() -> None:
    assert _flow(1.2, quick=0.2).one("degradation").id == "degradation.rebuild"


@pytest.mark.parametrize(("aside", "found"), [(300, 0), (100, 1)])
def test_a_step_beside_a_longer_one_costs_nothing(aside: float, found: int) -> None:
    """Half as long again beside one of 300 or 100 s, while inputs nobody knows double the run time now and then."""
    value, vary = noise(3, spread=0.05), noise(5, spread=0.5)
    flow = argo(task("scan"), task("load", "scan"), task("check", "scan"))

    def work(i: int) -> Work:
        return {"scan": vary(300), "load": value(200 * (1.5 if i >= 42 else 1.0)), "check": value(aside)}

    made = scenario(flow, 84, work, every=4 * 3600.0)
    step = made.analysis().step("load")
    assert step is not None
    assert step.trend.points, "the case must tempt the rule"
    assert len(made.recommended("degradation")) == found


def test_a_regression_of_all_runs_is_told_once() -> None:
    """Steps that others skip are looked at only where the runs as a whole show nothing."""
    item = _flow(1.5, quick=2.0).one("degradation")
    assert "runs take" in item.because


def _on_nodes(slower: float, shares: tuple[float, float], seed: int) -> Scenario:
    """Three steps on six nodes of which the first is twice as slow; ``load`` is there in ``shares`` of the earlier and of
    the later half of the runs, and takes ``slower`` times as long in the later half."""
    value, chance = noise(seed, spread=0.05), random.Random(seed)
    flow = argo(task("scan"), task("load", "scan"), task("check", "load"))

    def work(i: int) -> Work:
        late = i >= _COUNT // 2

        def pod(seconds: float, share: float = 1 / 6) -> Pod:
            slow = chance.random() < share
            return Pod(value(seconds * (2 if slow else 1)), node=f"n{0 if slow else chance.randrange(1, 6)}")

        return {
            "scan": pod(300),
            "load": pod(300 * (slower if late else 1.0), shares[late]),
            "check": pod(300),
        }

    return scenario(flow, _COUNT, work, every=3 * 3600.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_node_does_not_hide_a_regression(seed: int) -> None:
    item = _on_nodes(1.35, (1 / 6, 1 / 6), seed).one("degradation")
    assert item.id == "degradation.load"
    assert "node n0 counted as fast as the others" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.low < 0.35 * 300 * _ON_AVERAGE < item.gain_seconds.high


def test_what_a_regression_adds_takes_longer_on_a_slow_node() -> None:
    gains = [_on_nodes(1.6, (1 / 6, 1 / 6), seed).one("degradation").gain_seconds for seed in range(8)]
    truth = 0.6 * 300 * _ON_AVERAGE
    assert sum(gain.likely for gain in gains if gain is not None) / 8 == pytest.approx(truth, rel=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_a_step_that_is_on_a_slow_node_more_often_is_no_regression(seed: int) -> None:
    made = _on_nodes(1.0, (0.1, 0.7), seed)
    assert made.recommended("node-skew")
    assert made.recommended("degradation") == []


def test_a_step_that_takes_over_the_work_of_another_is_not_promised_to_become_quicker() -> None:
    """Ten minutes of one step are in the next one since the 43rd run: runs take as long as before."""
    value = noise(2, spread=0.06)

    def work(i: int) -> Work:
        moved = 600 if i >= 42 else 0
        return {"scan": value(900 - moved), "rebuild": value(300 + moved), "publish": value(60)}

    item = scenario(_FLOW, 84, work, every=4 * 3600.0).one("degradation")
    assert item.id == "degradation.rebuild"
    assert "; scan takes 5m" in item.because
    assert item.because.endswith(": work may have moved")
    assert item.gain_seconds is not None
    assert item.gain_seconds.low == 0.0
    assert not item.minor
    assert item.gain_seconds.likely < 320
    assert item.expected.endswith(", at most if no work came from scan")


def test_work_that_moved_to_a_step_of_some_runs_may_bring_nothing() -> None:
    """As above, and one run in four does not rebuild: how often is not known exactly, and adds to the interval."""
    value = noise(2, spread=0.06)

    def work(i: int) -> Work:
        moved = 900 if i >= 42 and i % 4 else 0
        rebuild = {"rebuild": value(300 + moved)} if i % 4 else {}
        return {"scan": value(1200 - moved), **rebuild, "publish": value(60)}

    item = scenario(_FLOW, 84, work, every=4 * 3600.0).one("degradation")
    assert item.id == "degradation.rebuild"
    assert item.upper_bound
    assert not item.minor
    for gain in (item.gain_seconds, item.gain_share):
        assert gain is not None
        assert gain.low == 0.0


def test_more_items_are_named_as_what_makes_runs_longer() -> None:
    flow, value = argo(task("list"), task("work", "list"), parallelism=5), noise(3, spread=0.05)

    def work(i: int) -> Work:
        return {"list": value(20), "work": [value(100) for _ in range(25 if i >= 60 else 10)]}

    item = scenario(flow, 84, work, every=4 * 3600.0).one("degradation")
    assert "; work has 25 items in a run instead of 10 (medians)" in item.because


def _rise_on(node: Callable[[int, bool], str]) -> Recommendation:
    """All steps take 30% longer since the 61st run. ``node``: its name, by the run's number and whether it is one."""
    value = noise(4, spread=0.05)

    def work(i: int) -> Work:
        later = i >= 60
        factor = 1.3 if later else 1.0
        return {name: Pod(value(factor * seconds), node=node(i, later)) for name, seconds in _SECONDS.items()}

    return scenario(_FLOW, 84, work, every=4 * 3600.0).one("degradation")


@pytest.mark.parametrize(("share", "named"), [(1.0, True), (0.5, False)])
def test_nodes_of_another_kind_are_named(share: float, named: bool) -> None:
    """All pods since then are on other nodes, or half of them are."""
    chance = random.Random(4)
    item = _rise_on(lambda i, later: f"{'new' if later and chance.random() < share else 'old'}-{i % 4}")
    assert ("; all pods since then ran on new-*, none before (then old-*)" in item.because) is named


@pytest.mark.parametrize("domain", ["eu-west-1.compute.internal", "ec2.internal"])
def test_nodes_whose_names_are_addresses_are_no_kinds(domain: str) -> None:
    """Nodes that an autoscaler adds have addresses of other numbers, of which some share all but the last."""
    item = _rise_on(lambda i, _: f"ip-10-0-{i // 6}-{i % 6}.{domain}")
    assert "ran on" not in item.because


def test_nodes_of_another_kind_are_named_where_only_one_step_is_on_them() -> None:
    value, chance = noise(1, spread=0.05), random.Random(1)

    def work(i: int) -> Work:
        late = i >= _COUNT // 2
        steps: dict[str, float | Pod] = {"scan": value(100), "publish": value(50)}
        if chance.random() < _FULL:
            steps["rebuild"] = Pod(value(900 if late else 600), node=f"{'new' if late else 'old'}-{i % 4}")
        return steps

    item = scenario(_FLOW, _COUNT, work, every=3 * 3600.0).one("degradation")
    assert item.id == "degradation.rebuild"
    assert "; all its pods since then ran on new-*, none before (then old-*)" in item.because
