"""What slow nodes add to runs: removed from trends of steps and runs, by replay where other steps run beside them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import pytest

from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.nodes.delays import elsewhere
from concertmaster.core.analysis.nodes.slow import SlowNodes, slow_nodes
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from tests.support.builders import run_record
from tests.support.core.scenario_builder import Pod, Work, argo, noise, scenario, task
from tests.support.counting import all_calls

FAN_OUT = argo(task("load", withItems=list(range(8))))


def test_what_a_slow_node_adds_is_what_the_run_waits_for() -> None:
    """On the slow node ``split`` takes 60 s longer and ``load`` 200, of which the run waits for 100 beside ``scan``."""
    value = noise(spread=0.01)
    flow = argo(task("split"), task("scan", "split"), task("load", "split"), task("end", "scan", "load"))

    def pod(seconds: float, i: int, slow: bool) -> Pod:
        return Pod(value(seconds * (2 if slow else 1)), node="n0" if slow else f"n{1 + i % 3}")

    def work(i: int) -> Work:
        split, load = pod(60, i, i % 5 == 1), pod(200, i, i % 5 == 0)
        return {"split": split, "scan": Pod(value(300), node="n9"), "load": load, "end": value(60)}

    analysis = scenario(flow, 60, work).analysis()
    assert analysis.slow_nodes is not None
    assert analysis.slow_nodes.title == "node n0"
    assert analysis.slow_nodes.ratio == pytest.approx(2, rel=0.05)
    there = {r.run: next(e.step for e in r.steps if e.node == "n0") for r in analysis.runs if _has(r, "n0")}
    assert set(analysis.node_delays) == set(there)
    for run, seconds in analysis.node_delays.items():
        assert seconds == pytest.approx({"split": 60, "load": 100}[there[run]], rel=0.2)


def test_runs_on_a_slow_node_are_not_reported_once_for_each_step_that_ran_there() -> None:
    """The node is the problem, and a recommendation of its own."""
    value = noise(spread=0.01)
    flow = argo(task("a"), task("b", "a"), task("c", "b"))

    def work(i: int) -> Work:
        there = {0: "a", 1: "b"}.get(i % 7)
        return {s: Pod(value(400 if s == there else 200), node="n0" if s == there else f"n{1 + i % 3}") for s in "abc"}

    analysis = scenario(flow, 90, work).analysis()
    assert analysis.slow_nodes is not None
    assert len(insights(replace(analysis, node_factors={}, node_delays={})).slow) == 2
    assert insights(analysis).slow == ()


def _has(run: RunRecord, node: str) -> bool:
    return any(e.node == node for e in run.steps)


def test_nothing_is_taken_off_where_nodes_are_alike() -> None:
    value = noise(spread=0.05)
    flow = argo(task("split"), task("load", "split"))

    def work(i: int) -> Work:
        return {n: Pod(value(200), node=f"n{(i + k) % 4}") for k, n in enumerate(("split", "load"))}

    analysis = scenario(flow, 60, work).analysis()
    assert analysis.slow_nodes is None
    assert analysis.node_delays == {}


def test_a_step_that_takes_no_longer_there_keeps_its_time() -> None:
    """``call`` waits for an API, on n0 until that node is drained: it is not slower from then on."""
    value = noise(spread=0.03)
    flow = argo(task("split"), task("load", "split"), task("call", "load"))

    def pod(i: int, slow: bool) -> Pod:
        return Pod(value(400 if slow else 200), node="n0" if slow else f"n{1 + i % 3}")

    def work(i: int) -> Work:
        call = Pod(value(400), node="n0" if i < 60 else f"n{1 + i % 3}")
        return {"split": pod(i, i % 4 == 0), "load": pod(i, i % 4 == 1), "call": call}

    made = scenario(flow, 80, work)
    slow = made.analysis().slow_nodes
    assert slow is not None and slow.unaffected == {"call"}
    assert made.recommended("degradation") == []
    item = made.one("node-skew")
    assert item.gain_seconds is not None
    assert item.gain_seconds.high < 200.0  # in half of the runs one pod takes 200 s longer there
    assert "not counted, as fast there as elsewhere: call" in item.evidence


def test_a_slow_pool_of_thousands_of_nodes() -> None:
    """The work grows with the number of executions, not with that times the number of nodes."""

    def cluster(nodes: int, runs: int) -> list[RunRecord]:
        rng = random.Random(1)
        names = [f"gke-{'old' if k < nodes // 40 else 'new'}-{k}" for k in range(nodes)]

        def execution(pod: int) -> StepExecution:
            node = rng.choice(names)
            seconds = 100.0 * rng.lognormvariate(0.0, 0.05) * (1.5 if "old" in node else 1.0)
            return StepExecution(
                "load", pod=f"p{pod}", started=0.0, finished=seconds, outcome=Outcome.SUCCEEDED, node=node
            )

        return [run_record([execution(200 * i + k) for k in range(200)], run=f"r{i}") for i in range(runs)]

    few, many = cluster(400, 60), cluster(4000, 60)
    assert all_calls(lambda: slow_nodes(many, RunFigures())) < 1.5 * all_calls(lambda: slow_nodes(few, RunFigures()))
    slow = slow_nodes(cluster(4000, 320), RunFigures())
    assert slow is not None
    assert slow.title == "pool gke-old-*"
    assert slow.ratio == pytest.approx(1.5, rel=0.02)


def _autoscaled(factors: Mapping[str, float], old: Callable[[int], float] = lambda i: 0.3) -> Callable[[int], Work]:
    """Eight pods on nodes named by addresses, each of which lives a day (six runs), and takes ``factors`` of its instance
    type as long. ``old``: the probability by run that a node is an m4."""
    value, chance = noise(), random.Random(3)

    @cache
    def nodes(day: int) -> list[tuple[str, str]]:
        found = []
        for _ in range(8):
            older = chance.random() < old(6 * day)
            kind = chance.choice([k for k in factors if k.startswith("m4") == older])
            found.append((f"ip-10-0-{chance.randrange(4)}-{chance.randrange(999)}.ec2.internal", kind))
        return found

    def work(i: int) -> Work:
        taken = [chance.choice(nodes(i // 6)) for _ in range(8)]
        return {"load": [Pod(value(200 * factors[kind]), node=node, instance_type=kind) for node, kind in taken]}

    return work


@pytest.mark.parametrize(
    ("factors", "title", "types"),
    [
        ({"m4.large": 1.4, "m5.large": 1.0}, "instance type m4.large", ("m4.large",)),
        (
            {"m4.large": 1.4, "m4.xlarge": 1.4, "m5.large": 1.0, "m5.xlarge": 1.0},
            "instance types m4.*",
            ("m4.large", "m4.xlarge"),
        ),
        ({"m4.large": 2.0, "m4.xlarge": 1.0, "m5.large": 1.0}, "instance type m4.large", ("m4.large",)),
    ],
)
def test_an_instance_type_is_named_where_an_autoscaler_keeps_no_node(
    factors: Mapping[str, float], title: str, types: tuple[str, ...]
) -> None:
    """No node runs enough pods to be compared alone, and the names of nodes tell no pool."""
    made = scenario(FAN_OUT, 84, _autoscaled(factors))
    slow = made.analysis().slow_nodes
    assert slow is not None
    assert (slow.title, slow.types) == (title, types)
    assert slow.ratio == pytest.approx(max(factors.values()), rel=0.07)
    item = made.one("node-skew")
    assert item.action.startswith(f"Avoid {title} for this workflow")
    assert item.proposed.endswith(f"node.kubernetes.io/instance-type NotIn {' and '.join(types)}")


def test_types_that_are_alike_are_not_named() -> None:
    assert scenario(FAN_OUT, 84, _autoscaled({"m4.large": 1.0, "m5.large": 1.0})).analysis().slow_nodes is None


def test_more_nodes_of_a_slower_type_are_no_regression_of_the_step() -> None:
    made = scenario(FAN_OUT, 84, _autoscaled({"m4.large": 1.4, "m5.large": 1.0}, lambda i: 0.02 if i < 48 else 0.5))
    assert made.recommended("degradation") == []
    assert made.one("node-skew").action.startswith("Avoid instance type m4.large")


def test_an_item_that_took_longest_by_its_retries_is_what_the_run_waits_for() -> None:
    """Without the slow node, the item there ends before the one whose first attempt failed elsewhere."""
    failed = StepExecution("load", "0", node="n1", started=0.0, finished=150.0, outcome=Outcome.FAILED)
    again = StepExecution("load", "0", 1, node="n2", started=160.0, finished=310.0, outcome=Outcome.SUCCEEDED)
    slow = StepExecution("load", "1", node="n0", started=0.0, finished=200.0, outcome=Outcome.SUCCEEDED)
    found = SlowNodes("node n0", frozenset({"n0"}), 2.0, 0.1, 20, 20, 60)
    assert elsewhere([run_record([failed, again, slow], run="r")], RunFigures(), found) == {}
    longest = replace(slow, finished=400.0)
    (factors,) = elsewhere([run_record([failed, again, longest], run="r")], RunFigures(), found).values()
    assert factors == {"load": pytest.approx(310 / 400)}
