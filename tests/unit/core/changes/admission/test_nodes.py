"""Nodes with taints that keep the pods of a workflow away, by the nodes its pods ran on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.nodes import Nodes, TaintedNode
from concertmaster.core.changes.admission.service_pods import ServiceMoment, ServicePods
from concertmaster.core.model import ContainerSpec, StepSpec, WorkflowKey
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import Environment, analyze_workflow
from concertmaster.core.rules import Fleet, FleetMember, member
from tests.support.builders import NOW
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Scenario

CONTROL = "node-role.kubernetes.io/control-plane=:NoSchedule"
GPU = "nvidia.com/gpu=present:NoSchedule"
NIGHT = "night=only:NoExecute"


def _tainted(*taints: str, cpu: float = 8.0) -> TaintedNode:
    return TaintedNode(frozenset(taints), {"cpu": cpu, "memory": 4e9})


ALL = Nodes(
    {"cpu": 32.0, "memory": 4e9},
    {"cpu": 64.0, "memory": 20e9},
    tainted={"c1": _tainted(CONTROL), "g1": _tainted(GPU, cpu=32.0), "g2": _tainted(GPU, NIGHT)},
    open={"cpu": 8.0, "memory": 4e9},
    names=frozenset({"a", "b"}),
)


@pytest.mark.parametrize(
    ("seen", "cores", "largest", "left_out"),
    [
        ({"a"}, 16.0, 8.0, 3),
        ({"a", "g1"}, 48.0, 32.0, 2),  # g2 has another taint, too
        ({"g2"}, 56.0, 32.0, 1),
        ({"a", "c1", "g2"}, 64.0, 32.0, 0),
        ({"a", "gone"}, 56.0, 32.0, 1),  # who knows which taints that had, but hardly that of a control plane
        ({"c1", "gone"}, 64.0, 32.0, 0),
        (set(), 64.0, 32.0, 0),
    ],
)
def test_nodes_whose_taints_no_pod_was_seen_to_tolerate_are_left_out(
    seen: set[str], cores: float, largest: float, left_out: int
) -> None:
    found = ALL.reached(seen)
    assert (found.all["cpu"], found.largest["cpu"], found.left_out) == (cores, largest, left_out)
    scales = replace(ALL, all={}).reached(seen)
    assert (scales.all, scales.largest["cpu"]) == ({}, largest)


def test_services_of_nodes_that_are_left_out_take_nothing() -> None:
    left = {"cpu": np.array([6.0, 8.0, 1.0]), "pods": np.array([100.0, 90.0, 80.0])}
    moment = ServiceMoment(NOW, left, {"cpu": 9.0, "pods": 60.0}, True, ("a", "b", "c1"))
    nodes = replace(ALL, all={"cpu": 24.0}, tainted={"c1": _tainted(CONTROL)}, services=ServicePods((moment,)))
    found = nodes.reached({"b"})
    assert found.services is not None
    assert found.services.held("cpu") == [2.0]
    assert found.services.fits([{"cpu": 1.0, "pods": 1.0}]) == [[14]]
    assert nodes.beside_services([{"cpu": 1.0}]) == 15
    assert nodes.reached({"a"}).services is found.services, "worked out once for all that are kept from the same nodes"


def _spread(made: Scenario, *nodes: str) -> Scenario:
    """The same runs, whose pods ran on these nodes in turn."""
    runs = tuple(
        replace(run, steps=tuple(replace(e, node=nodes[i % len(nodes)]) for i, e in enumerate(run.steps)))
        for run in made.runs
    )
    return replace(made, runs=runs)


@pytest.mark.parametrize(("nodes", "limit"), [(("a",), 4), (("a", "c1"), 8)])
def test_a_limit_is_raised_to_what_fits_on_the_nodes_it_may_use(nodes: tuple[str, ...], limit: int) -> None:
    made = _spread(scenarios.parallelism(), *nodes)
    room = Nodes(all={"cpu": 12.0}, tainted={"c1": _tainted(CONTROL)}, names=frozenset({"a"}))
    environment = Environment(capacity=Capacity(nodes=room))
    found = analyze_workflow(made.definition, made.runs, Policy(), profile="wfp", now=NOW, environment=environment)
    (item,) = [r for r in found.recommendations if r.rule == "parallelism"]
    assert item.proposed == f"{limit} pods at a time"
    told = "1 node is left out, whose taints none of its pods was seen to tolerate" in item.evidence
    assert told is (limit == 4)


def test_workflows_on_nodes_of_their_own_do_not_share_these() -> None:
    made = scenarios.parallelism()
    taints = {
        nodes: member(made.definition, _spread(made, *nodes).runs, RunFigures(), ALL).taints
        for nodes in (("g1",), ("a", "a", "g1"), ("a",), ("g1", "g2"))
    }
    assert taints == {("g1",): {GPU}, ("a", "a", "g1"): set(), ("a",): set(), ("g1", "g2"): set()}
    rows = np.array([[NOW - 1000.0, NOW, 8000.0, 0.0]])
    mine, train = (FleetMember(WorkflowKey("demo", "Job", name), rows) for name in ("mine", "train"))
    fleet = Fleet((mine, replace(train, taints=frozenset([GPU]))))
    spans = rows[:, :2]
    for tolerated, cores in ((None, 8.0), (frozenset(), 0.0), (frozenset([CONTROL]), 0.0), (frozenset([GPU]), 8.0)):
        assert fleet.among(tolerated).load(mine.key, spans) == pytest.approx(cores)


def test_a_pod_that_fits_on_no_node_left_is_bound_by_the_largest_of_them() -> None:
    step = StepSpec("a", containers=(ContainerSpec("main", cpu_request=1.0),))
    assert Capacity(nodes=ALL.reached({"a"})).request("cpu", None).most == 8.0
    assert Capacity(nodes=ALL.reached({"a"})).pods([step]) == (16, "what all nodes have allocatable")
