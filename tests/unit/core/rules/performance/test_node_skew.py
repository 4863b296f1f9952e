"""``node-skew``: slower nodes or pools, distinguished from nodes that merely get the longer steps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.model import RunRecord
from concertmaster.core.rules.performance.replays import scaled
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Work, argo, cron_job, noise, scenario, task
from tests.support.core.scenarios import STEPS, etl


def test_names_the_pool_and_how_much_slower_it_is() -> None:
    item = scenarios.node_skew().one("node-skew")
    assert "pool pool-b-*" in item.action
    factor = int(item.because.split("% longer")[0].rsplit(" ", 1)[1])
    assert 45 <= factor <= 55
    assert item.gain_share is not None
    assert 0.1 <= item.gain_share.likely <= 0.25  # two in five pods, a third of their time


def test_the_gain_is_known_no_better_than_how_much_slower_the_node_is() -> None:
    value = noise(spread=0.2)

    def work(i: int) -> Work:
        return {
            "load": [Pod(value(280 if k == i % 4 else 200), node=f"node{(k - i) % 4}", item=str(k)) for k in range(4)]
        }

    made = scenario(argo(task("load", withItems=list(range(4)))), 60, work)
    analysis, gain = made.analysis(), made.one("node-skew").gain_seconds
    slow, known = analysis.slow_nodes, scaled(analysis.recent, analysis.node_factors)[0].seconds
    assert slow is not None and known is not None and gain is not None
    assert 1.3 < slow.ratio * math.exp(-slow.off) < 1.4 < slow.ratio * math.exp(slow.off) < 1.6
    for end in ("low", "high"):
        by_runs, by_ratio = (math.log(getattr(each, end) / each.likely) for each in (known, slow.error))
        assert abs(math.log(getattr(gain, end) / gain.likely)) == pytest.approx(math.hypot(by_runs, by_ratio))


def test_a_single_node() -> None:
    value = noise()

    def work(i: int) -> Work:
        nodes = {n: (i + k) % 4 for k, n in enumerate(STEPS)}
        return {n: Pod(value(s * (2 if nodes[n] == 0 else 1)), node=f"node{nodes[n]}") for n, s in STEPS.items()}

    assert "node node0" in scenario(etl(), 42, work).one("node-skew").action


def test_pods_that_run_one_after_the_other_wait_for_all_before_them() -> None:
    """Eight pods two at a time: a slow one delays the others of its slot, but the run is not as long as the slow ones."""
    value = noise()

    def work(i: int) -> Work:
        nodes = [(i + k) % 4 for k in range(8)]
        return {"job": [Pod(value(200 if node == 0 else 100), node=f"node{node}") for node in nodes]}

    of = cron_job(parallelism=2, completions=8, completionMode="Indexed", backoffLimit=0)
    item = scenario(of, 40, work).one("node-skew")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(125, rel=0.15)  # two slots of 525 s on average, 400 s without


def test_only_runs_with_pods_on_both_count() -> None:
    """A run in two has all of its pods on node0, and twice the work besides."""
    value = noise()

    def work(i: int) -> Work:
        nodes = {n: 0 if i % 2 else (i // 2 + k) % 3 for k, n in enumerate(STEPS)}
        more = 2 if i % 2 else 1
        return {n: Pod(value(s * more * (1.5 if nodes[n] == 0 else 1)), node=f"n{nodes[n]}") for n, s in STEPS.items()}

    item = scenario(etl(), 42, work).one("node-skew")
    factor, counts = int(item.because.split("% longer")[0].rsplit(" ", 1)[1]), item.because.split(": ")[1]
    assert 45 <= factor <= 55
    assert counts.startswith("19 executions against 36 in 19 runs (14d) with pods on both")
    assert item.current == "67% of the executions run there"


def test_nodes_that_get_the_larger_runs_are_not_blamed() -> None:
    """All nodes are equally fast: large inputs are sent to one pool, or one node has the busy hours."""
    value, chance = noise(), random.Random(4)

    def by_size(_: int) -> Work:
        size = chance.lognormvariate(0, 0.8)
        pool = "highmem" if size > 1.6 else "std"
        return {n: Pod(value(s * size), node=f"{pool}-{chance.randrange(4)}") for n, s in STEPS.items()}

    def by_hour(i: int) -> Work:
        return {n: Pod(value(s * (1 + i % 3)), node=f"n-{i % 3}") for n, s in STEPS.items()}

    assert scenario(etl(), 80, by_size).recommended("node-skew") == []
    assert scenario(etl(), 60, by_hour).recommended("node-skew") == []


def test_nodes_that_exist_only_at_the_peak_are_not_blamed() -> None:
    """A run in three takes twice as long, and most of its pods run on nodes that were added for the peak."""
    value, chance = noise(), random.Random(5)

    def work(i: int) -> Work:
        def node() -> str:
            return (
                f"scale-{chance.randrange(4)}"
                if i % 3 == 0 and chance.random() < 0.7
                else f"base-{chance.randrange(4)}"
            )

        return {n: Pod(value(s * (2 if i % 3 == 0 else 1)), node=node()) for n, s in STEPS.items()}

    assert scenario(etl(), 80, work).recommended("node-skew") == []


def test_a_slow_node_is_not_blamed_on_the_others_of_its_pool() -> None:
    """A pool as a whole is named when its other nodes are slow as well."""

    def action(seed: int, *slow: int) -> str:
        value, chance = noise(seed), random.Random(seed)

        def work(_: int) -> Work:
            places = {n: chance.randrange(4) for n in STEPS}
            return {
                n: Pod(value(s * (2 if places[n] in slow else 1)), node=f"pool-{'ab'[places[n] // 2]}-{places[n]}")
                for n, s in STEPS.items()
            }

        return scenario(etl(), 80, work).one("node-skew").action

    for seed in range(6):
        assert "node pool-b-3 " in action(seed, 3)
        assert "pool pool-b-* " in action(seed, 2, 3)


def test_a_node_with_longer_steps_is_not_blamed() -> None:
    value = noise()
    places = {"extract": "node1", "transform": "node2", "load": "node1"}
    work = scenario(etl(), 42, lambda _: {n: Pod(value(s), node=places[n]) for n, s in STEPS.items()})
    assert work.recommended("node-skew") == []


def test_even_nodes_are_silent() -> None:
    value, chance = noise(spread=0.2), random.Random(2)
    even = scenario(etl(), 42, lambda _: {n: Pod(value(s), node=f"n-{chance.randrange(4)}") for n, s in STEPS.items()})
    assert even.recommended("node-skew") == []


def test_runs_that_vary_as_a_whole_are_no_fault_of_the_nodes_they_met() -> None:
    """Of 15 workflows whose runs vary by 30%, each on one of six nodes, none blames one."""
    blamed = 0
    for seed in range(15):
        value, chance = noise(seed, spread=0.3), random.Random(seed)

        def work(_: int, value: Callable[[float], float] = value, chance: random.Random = chance) -> Work:
            node, factor = f"n-{chance.randrange(6)}", value(1.0)
            return {n: Pod(s * factor, node=node) for n, s in STEPS.items()}

        blamed += bool(scenario(etl(), 28, work).recommended("node-skew"))
    assert blamed == 0


def test_pods_of_unknown_node_do_not_count_as_elsewhere() -> None:
    chance, whole = random.Random(5), scenarios.node_skew()

    def hidden(run: RunRecord) -> RunRecord:
        rows = [replace(e, node=None) if chance.random() < 0.3 else e for e in run.steps]
        return replace(run, steps=tuple(rows))

    item = replace(whole, runs=tuple(map(hidden, whole.runs))).one("node-skew")
    every = whole.one("node-skew").gain_seconds
    assert every is not None
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(every.likely, rel=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_a_step_that_takes_over_work_is_not_blamed_on_the_node_it_stays_on(seed: int) -> None:
    """Pods mostly return to the node they were on; from the 43rd run on one step does ten minutes of the work of another."""
    value, chance = noise(900 + seed, spread=0.06), random.Random(seed)
    at: dict[str, int] = {}

    def work(i: int) -> Work:
        moved = 600 if i >= 42 else 0

        def pod(step: str, seconds: float) -> Pod:
            if step not in at or chance.random() > 0.9:
                at[step] = chance.randrange(4)
            return Pod(value(seconds), node=f"n{at[step]}")

        return {"scan": pod("scan", 900 - moved), "rebuild": pod("rebuild", 300 + moved), "publish": pod("publish", 60)}

    flow = argo(task("scan"), task("rebuild", "scan"), task("publish", "rebuild"))
    assert scenario(flow, 84, work, every=4 * 3600.0).recommended("node-skew") == []


@pytest.mark.parametrize(("until", "kept", "found"), [(42, True, 1), (30, True, 0), (30, False, 0)])
def test_a_node_that_was_repaired_or_removed_is_not_blamed(until: int, kept: bool, found: int) -> None:
    """Of four nodes, one is slow in the runs before ``until``, and then as fast as the others or replaced by one that is."""
    value = noise()

    def work(i: int) -> Work:
        slow = 2.0 if i < until else 1.0
        name = "node0" if kept or i < until else "node4"
        places = [(i + k) % 4 for k in range(len(STEPS))]
        return {
            step: Pod(value(seconds) if at else value(seconds) * slow, node=f"node{at}" if at else name)
            for (step, seconds), at in zip(STEPS.items(), places, strict=True)
        }

    made = scenario(etl(), 42, work)
    assert len(made.recommended("node-skew")) == found
    assert made.analysis().slow_nodes is not None  # what it added to the earlier runs is no change of the steps
