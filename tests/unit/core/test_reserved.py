"""What a pod reserves: the same for sizes, costs, checks and pod-level resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.changes.admission.pods import as_declared
from concertmaster.core.changes.admission.quotas import pod_sizes
from concertmaster.core.model import POD, ContainerFact, ContainerSpec, WorkflowGraph
from concertmaster.core.model.policy import Pricing
from concertmaster.core.reserved import Reservation, reservation
from concertmaster.engines.common.pod_level import pod_level
from tests.support.builders import daily, definition, step

ASKED = st.none() | st.integers(1, 64 * 8).map(lambda n: n / 8)
AMOUNTS = st.lists(st.tuples(st.booleans(), ASKED), min_size=1, max_size=6)
PODS = st.lists(st.tuples(st.sampled_from(["main", "init", "native"]), ASKED), min_size=1, max_size=6)


def test_the_largest_init_container_is_kept_beyond_those_that_run_together() -> None:
    rows = [("fetch", True, 3.0), ("check", True, 0.5), ("main", False, 1.0)]
    found = reservation(rows)
    assert found == Reservation(1.0, 3.0, "fetch")
    assert (found.total, found.kept) == (3.0, 2.0)
    beside = reservation([*rows, ("proxy", False, 2.5)])
    assert (beside.total, beside.kept) == (3.5, 0.0)


def test_unknown_amounts_reserve_nothing() -> None:
    assert reservation([("fetch", True, None), ("main", False, None)]) == Reservation()
    assert reservation([]).total == 0.0


@given(AMOUNTS)
def test_what_is_reserved_is_the_larger_of_both(rows: list[tuple[bool, float | None]]) -> None:
    running = fsum(asked or 0.0 for init, asked in rows if not init)
    first = max((asked or 0.0 for init, asked in rows if init), default=0.0)
    found = reservation((str(n), *row) for n, row in enumerate(rows))
    assert found.total == max(running, first)
    assert found.together + found.kept == pytest.approx(found.total)


def kubernetes(rows: Sequence[tuple[str, float | None]]) -> float:
    """``AggregateContainerRequests`` of k8s.io/component-helpers/resource, of one resource. ``rows``: kind and request of
    each container; those of the spec's ``initContainers`` are in their order."""
    together = fsum(asked or 0.0 for kind, asked in rows if kind == "main")
    started = most = 0.0
    for kind, asked in rows:
        if kind == "native":
            together, started = together + (asked or 0.0), started + (asked or 0.0)
            most = max(most, started)
        elif kind == "init":
            most = max(most, started + (asked or 0.0))
    return max(together, most)


@given(PODS)
def test_definition_runs_checks_and_cost_count_as_kubernetes_does(rows: list[tuple[str, float | None]]) -> None:
    """The minimum of a pod-level request, by what is declared and by what ran; what the check of a change and the pods that
    a quota has room for expect the API server to count; and the hours that are charged."""
    expected = kubernetes(rows)
    specs = [
        ContainerSpec(str(n), init=kind == "init", sidecar=kind == "native", native=kind == "native", cpu_request=asked)
        for n, (kind, asked) in enumerate(rows)
    ]
    declared = pod_level({"resources": {"requests": {"cpu": "64"}}}, specs, "spec", [], at=None)
    assert declared is not None and declared.least.get("cpu", 0.0) == expected
    one = replace(step("load"), containers=tuple(specs))
    assert as_declared(one, settings=None).total("requests").get("cpu", 0.0) == expected
    assert pod_sizes([one], ()).largest.get("cpu", 0.0) == expected
    # No metric has the order of init containers: what ran counts as if the sidecars among them had been the first.
    expected = kubernetes(sorted(rows, key=lambda row: row[0] != "native"))
    facts = tuple(
        ContainerFact(str(n), init=kind == "init", sidecar=kind == "native", cpu_request=asked)
        for n, (kind, asked) in enumerate(rows)
    )
    assert _least(facts) == expected
    (run,) = daily(WorkflowGraph((step("load"),)), 1, lambda _: {"load": 3598.0}, containers=lambda _: facts)
    cost = Costs(Pricing(cpu_core_hour=1.0, memory_gib_hour=1.0)).run(run)
    if any(kind != "init" and asked for kind, asked in rows):
        assert cost is not None and cost.requested == pytest.approx(expected)


def _least(facts: Sequence[ContainerFact]) -> float:
    spec = replace(step("load"), pod=ContainerSpec(POD, cpu_request=64.0))
    (run,) = daily(WorkflowGraph((spec,)), 1, lambda _: {"load": 3598.0}, containers=lambda _: tuple(facts))
    pod = with_pods(definition(spec), [run])[0].graph.steps[0].pod
    assert pod is not None
    return pod.least.get("cpu", 0.0)
