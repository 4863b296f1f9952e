"""``queue-time.lock``: how large a semaphore has to be, where its size and the quota are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from concertmaster.core.analysis.shared.semaphores import SemaphoreUse, enough_places, mean_wait
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.model import ResourceQuota
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.changes.admission.service_pods import ServiceMoment, ServicePods
from concertmaster.core.model import Recommendation, RunRecord, StepExecution
from concertmaster.core.model.config_maps import NamedConfigMaps
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import Environment, analyze_workflow
from tests.support.builders import NOW
from tests.support.core.scenario_builder import Scenario, argo, noise, scenario, task
from tests.support.core.scenarios import measured
from tests.support.core.semaphore_scenario import waiting_scenario

MUTEX = {"synchronization": {"mutexes": [{"name": "production"}]}}


def locks(
    size: int | None,
    *,
    reported: int | None = None,
    capacity: Capacity | None = None,
    beside: float = 0.0,
    cores: float | None = None,
) -> list[Recommendation]:
    """What is recommended when the semaphore has ``size`` places and its ConfigMap says ``reported``; ``beside``: seconds of
    a step that needs none; ``cores``: that pods use."""
    of = waiting_scenario(size or 2, beside=beside)
    if cores is not None:
        own = measured(cpu_seconds=100.0 * cores, cpu_sampled_seconds=100.0)
        pods = ((r, tuple(replace(e, containers=own) for e in r.steps)) for r in of.runs)
        of = replace(of, runs=tuple(replace(r, steps=steps) for r, steps in pods))
    known = reported if reported is not None else size
    maps = NamedConfigMaps({"semaphore/limits/db": known} if known else {})
    definition = replace(of.definition, config_maps=maps)
    environment = Environment(capacity=capacity or Capacity())
    result = analyze_workflow(definition, of.runs, Policy(), profile="wfp", now=NOW, environment=environment)
    return [r for r in (*result.recommendations, *result.minor) if r.id == "queue-time.lock"]


def lock(size: int | None, **more: Any) -> Recommendation:
    """The only one of ``locks``."""
    (item,) = locks(size, **more)
    return item


def test_the_size_that_leaves_no_wait_is_recommended_with_its_command() -> None:
    item = lock(2)
    assert item.action == "Raise semaphore db: 2 -> 4"
    assert item.how == """kubectl -n demo patch configmap limits --type=merge -p '{"data":{"db":"4"}}'"""
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(302, rel=0.1)
    assert "2 at a time" in item.current


@pytest.mark.parametrize(("cores", "bound"), [(0.9, False), (0.05, True)])
def test_holders_that_mostly_wait_may_wait_for_what_the_semaphore_protects(cores: float, bound: bool) -> None:
    """A database that serves two at a time serves four no faster, which no run shows."""
    item = lock(2, cores=cores)
    assert (item.action, item.upper_bound) == ("Raise semaphore db: 2 -> 4", bound)
    assert item.gain_seconds is not None
    assert (item.gain_seconds.low == 0.0) is bound
    assert item.gain_seconds.likely == pytest.approx(151 if bound else 302, rel=0.1)
    assert any("must serve 4 of them at a time" in line for line in item.evidence) is bound


FULL = ServicePods((ServiceMoment(NOW, {"cpu": np.array([1.9, 1.2])}, {"cpu": 4.9}),))
CORES = {"requests.cpu": 2.0, "cpu": 2.0}


@pytest.mark.parametrize(
    ("capacity", "by"),
    [
        (Capacity(quotas=(ResourceQuota("team", CORES),)), "ResourceQuota team"),
        (Capacity(nodes=Nodes(all={"cpu": 2.0})), "what all nodes have allocatable"),
        (Capacity(nodes=Nodes(all={"cpu": 8.0}, services=FULL)), "the capacity left by pods outside workflows"),
    ],
)
def test_what_the_namespace_and_the_nodes_hold_bounds_the_size(capacity: Capacity, by: str) -> None:
    item = lock(1, capacity=capacity)
    assert item.action == f"Raise semaphore db: 1 -> 2 (limited by {by})"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(2 * 302, rel=0.1)  # two rounds instead of four


def test_a_size_that_leaves_runs_as_long_is_not_recommended() -> None:
    """Four equal holders take two rounds with three places, as with two."""
    assert locks(2, capacity=Capacity(nodes=Nodes(all={"cpu": 3.0}))) == []


@pytest.mark.parametrize(("beside", "gain"), [(400.0, 206), (500.0, 106)])
def test_the_gain_ends_where_a_run_waits_for_another_step(beside: float, gain: float) -> None:
    item = lock(2, beside=beside)
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(gain, rel=0.15)
    assert locks(2, beside=605.0) == []


def test_without_the_size_and_where_others_hold_it_no_size_is_named() -> None:
    unknown = lock(None)
    assert unknown.action.startswith("Hold lock db for less time")
    assert "kubectl concertmaster explain" in unknown.how
    others = lock(2, reported=4)  # four places would have been enough for these runs
    assert others.action.startswith("Hold lock db for less time")
    assert "other workflows hold db too" in " ".join(others.evidence)


def approved(*, seen: bool, held: float) -> Scenario:
    """``build``, an approval after half an hour, and ``deploy``, which then waits ``held`` seconds for a mutex; ``seen``:
    whether the run was read while the approval was there, which has no pod."""
    of = argo(
        task("build"),
        task("approve", "build"),
        task("deploy", "approve"),
        templates={"approve": {"container": None, "suspend": {}}, "deploy": MUTEX},
    )
    value = noise()
    plain = scenario(of, 20, lambda _: {"build": value(300), "approve": value(1800), "deploy": value(100)})

    def steps(run: RunRecord) -> Iterator[StepExecution]:
        for e in run.steps:
            if e.step == "deploy":
                moved = {n: getattr(e, n) + held for n in ("created", "scheduled", "started", "finished")}
                yield replace(e, **moved, ready=e.ready if seen else None)
            elif e.step != "approve":
                yield e
            elif seen:
                yield replace(e, pod=None, uid=None, node=None, containers=())

    runs = (replace(r, steps=tuple(steps(r)), end=(r.end or 0.0) + held) for r in plain.runs)
    return replace(plain, runs=tuple(runs))


@pytest.mark.parametrize(("seen", "held", "found"), [(True, 0.0, []), (False, 0.0, []), (True, 900.0, ["deploy"])])
def test_waiting_for_an_approval_is_no_waiting_for_a_lock(seen: bool, held: float, found: list[str]) -> None:
    of = approved(seen=seen, held=held)
    assert [r.step for r in of.recommended("queue-time") if r.id == "queue-time.lock"] == found


def test_the_wait_that_is_named_is_the_one_it_fires_for_where_most_runs_do_not_wait() -> None:
    free, held = approved(seen=True, held=0.0), approved(seen=True, held=3000.0)
    mixed = replace(free, runs=tuple((held if i % 3 == 0 else free).runs[i] for i in range(20)))
    (item,) = [r for r in mixed.recommended("queue-time") if r.id == "queue-time.lock"]
    assert item.current == "17m30s per run on average, at most 50m00s"


def test_a_lock_that_the_newest_runs_no_longer_wait_for_is_not_reported() -> None:
    free, held = approved(seen=True, held=0.0), approved(seen=True, held=3000.0)
    mixed = replace(free, runs=tuple((held if i % 2 == 0 and i < 10 else free).runs[i] for i in range(20)))
    assert [r for r in mixed.recommended("queue-time") if r.id == "queue-time.lock"] == []


def test_the_queue_serves_in_order() -> None:
    rows = [SemaphoreUse(0.0, 0.0, 10.0), SemaphoreUse(0.0, 10.0, 10.0), SemaphoreUse(1.0, 19.0, 10.0)]
    assert mean_wait(rows, 1) == pytest.approx((0 + 10 + 19) / 3)
    assert mean_wait(rows, 3) == 0.0
    found = enough_places(rows, 1, most=100)
    assert found is not None
    assert found.size == 3
    assert enough_places(rows, 1, most=1) is None
    assert enough_places([], 1, most=100) is None
