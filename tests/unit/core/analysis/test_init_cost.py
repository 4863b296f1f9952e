"""What a pod reserves beside the containers that run together: for the largest of its init containers, and for what its
RuntimeClass runs them in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.cost.runs import OVERHEAD, Costs, components
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.fleet.members import member
from concertmaster.core.model import ContainerFact, Outcome, WorkflowGraph
from concertmaster.core.model.policy import Pricing
from tests.support.builders import MI, container, daily, definition, step

PRICES = Pricing(cpu_core_hour=1.0, memory_gib_hour=1.0)
GRAPH = WorkflowGraph((step("load"),))
MAIN = container()
FETCH = ContainerFact("fetch", init=True, cpu_request=3.0, memory_request=512 * MI)
CHECK = ContainerFact("check", init=True, cpu_request=0.5, memory_request=4096 * MI)
HELD = 3602.0 / 3600.0  # hours: two seconds of startup, too


@pytest.mark.parametrize(
    ("init", "cores", "memory"), [((), 1, 1), ((FETCH,), 3, 1), ((CHECK,), 1, 4), ((FETCH, CHECK), 3, 4)]
)
def test_a_pod_is_charged_for_the_largest_request_of_its_init_containers(
    init: tuple[ContainerFact, ...], cores: float, memory: float
) -> None:
    runs = daily(GRAPH, 3, lambda _: {"load": 3600.0}, containers=lambda _: (*init, MAIN))
    costs = Costs(PRICES)
    cost = costs.run(runs[0])
    assert cost is not None
    assert cost.requested == pytest.approx((cores + memory) * HELD)
    parts = components(runs, costs)
    assert sum(p.per_run for p in parts) == pytest.approx(cost.total)
    kept = {p.container: p.unused for p in parts if p.init}
    expected = {"fetch": 2.0 * HELD} if FETCH in init else {}
    assert kept == pytest.approx({**expected, "check": 3.0 * HELD} if CHECK in init else expected)
    rows = member(definition(*GRAPH.steps), runs, RunFigures()).runs
    assert rows[0][2:] == pytest.approx([3602.0 * cores, 3602.0 * memory])


def test_what_a_pod_uses_beyond_its_requests_is_part_of_what_it_keeps() -> None:
    """A main container without requests that uses two of the three cores kept for an init container was charged for five."""
    main = container(cpu_request=None, cpu_seconds=7200.0, memory_request=None, memory_sampled_peak=256 * MI)
    runs = daily(GRAPH, 3, lambda _: {"load": 3600.0}, containers=lambda _: (FETCH, main))
    costs = Costs(PRICES)
    cost = costs.run(runs[0])
    assert cost is not None
    assert cost.requested == pytest.approx(3.5 * HELD)
    assert cost.total == pytest.approx(3.5 * HELD)
    rows = member(definition(*GRAPH.steps), runs, RunFigures()).runs
    assert rows[0][2:] == pytest.approx([3602.0 * 3.0, 3602.0 * 0.5])
    assert cost.wasted == pytest.approx(1.25 * HELD, rel=0.01)
    assert sum(p.per_run for p in components(runs, costs)) == pytest.approx(cost.total)


def test_a_pod_of_which_only_init_containers_are_known_has_no_price() -> None:
    (run,) = daily(GRAPH, 1, lambda _: {"load": 3600.0}, containers=lambda _: (FETCH,))
    assert Costs(PRICES).run(run) is None


@pytest.mark.parametrize("init", [(), (FETCH,)])
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_the_overhead_of_a_runtime_class_is_paid_beside_all_of_that(
    init: tuple[ContainerFact, ...], outcome: Outcome
) -> None:
    """It was in no sum. What runs the containers uses all of it: it is no waste, unless the attempt failed."""

    def costs(overhead: tuple[float, float] | None) -> tuple[list[float], float, list[float]]:
        runs = daily(GRAPH, 3, lambda _: {"load": 3600.0}, containers=lambda _: (*init, MAIN))
        runs = [replace(r, steps=tuple(replace(e, overhead=overhead, outcome=outcome) for e in r.steps)) for r in runs]
        found, parts = Costs(PRICES), components(runs, Costs(PRICES))
        cost = found.run(runs[0])
        assert cost is not None
        assert sum(p.per_run for p in parts) == pytest.approx(cost.total)
        own = sum(p.per_run for p in parts if p.container == OVERHEAD)
        reserved = member(definition(*GRAPH.steps), runs, RunFigures()).runs[0][2:]
        return [cost.requested, cost.used, cost.wasted, cost.total], own, list(reserved)

    without, nothing, held = costs(None)
    amounts, own, more = costs((0.5, 1536 * MI))
    failed = outcome is Outcome.FAILED
    added = [2.0 * HELD, 2.0 * HELD, 2.0 * HELD if failed else 0.0, 2.0 * HELD]
    assert [a - b for a, b in zip(amounts, without, strict=True)] == pytest.approx(added)
    assert (nothing, own) == (0.0, pytest.approx(2.0 * HELD))
    assert [a - b for a, b in zip(more, held, strict=True)] == pytest.approx([3602.0 * 0.5, 3602.0 * 1.5])
