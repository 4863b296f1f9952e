"""``cpu-request``: what a raised CPU limit gains is bounded by what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.model import Recommendation
from tests.support.builders import container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, noise, scenario, task
from tests.support.core.scenarios import STEPS, etl, measured, resources


def test_a_limit_that_is_used_up_lacks_more_than_the_throttled_periods() -> None:
    item = scenarios.cpu_request().one("cpu-request")
    assert item.gain_seconds is not None
    amdahl, most = 300 * (0.4 - 0.4 / 1.7), 300 * 0.4
    assert item.gain_seconds.low == pytest.approx(amdahl / 2, rel=0.05)
    assert item.gain_seconds.likely == pytest.approx(most, rel=0.05)
    assert item.gain_seconds.high == pytest.approx(300 * (1 - 1 / 1.75), rel=0.05)  # all of the step by the new limit


def throttled(share: float, cores: float) -> Recommendation:
    """What is recommended for a step with a limit of one core that uses ``cores`` and is throttled in this share of its
    periods."""
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1"})
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        own = measured(cpu_limit=1.0, throttled_share=share, cpu_seconds=cores * seconds, cpu_sampled_seconds=seconds)
        return {n: Pod(seconds, containers=own) if n == "transform" else value(s) for n, s in STEPS.items()}

    return scenario(etl(transform=limited), 42, work).one("cpu-request")


def test_bursts_below_the_limit_on_average_gain_what_was_throttled() -> None:
    item = throttled(0.4, 0.5)
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(300 * (0.4 - 0.4 / 1.7), rel=0.05)


def test_a_step_that_mostly_waits_is_throttled_for_no_more_of_its_time_than_its_use_is_of_its_limit() -> None:
    """The kernel counts no period in which nothing was runnable: nine tenths of the periods are a quarter of the time."""
    item = throttled(0.9, 0.25)
    assert item.action.startswith("Raise CPU limit of transform: 1 -> 2")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(300 * 0.25 / 2, rel=0.05)
    assert item.gain_seconds.high == pytest.approx(300 * 0.25, rel=0.1)


def test_items_that_are_not_throttled_are_no_faster_with_a_higher_limit() -> None:
    """Of a fan-out, one item is throttled all the time, and another one takes nearly as long waiting for a service."""
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1"})

    def work(_: int) -> Work:
        busy = measured(cpu_limit=1.0, throttled_share=0.95, cpu_seconds=300.0, cpu_sampled_seconds=300.0)
        idle = measured(cpu_limit=1.0, throttled_share=0.0, cpu_seconds=27.0, cpu_sampled_seconds=270.0)
        return {"transform": [Pod(300.0, containers=busy), Pod(270.0, containers=idle)]}

    made = argo(task("transform", withItems=["a", "b"]), templates={"transform": limited})
    item = scenario(made, 42, work).one("cpu-request")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(30.0, rel=0.05)


def starved(now: str, run: Callable[[int], tuple[float, float, float]]) -> Scenario:
    """``transform`` requests ``now`` cores; in each of 40 runs it requested, used and waited (share of its time) so much."""

    def work(i: int) -> Work:
        requested, used, wait = run(i)
        own = measured(
            cpu_request=requested, cpu_seconds=300 * used, cpu_sampled_seconds=300.0, cpu_waiting_seconds=300 * wait
        )
        return {n: Pod(s, containers=own) if n == "transform" else s for n, s in STEPS.items()}

    return scenario(etl(transform=resources(requests={"cpu": now, "memory": "1Gi"})), 40, work)


@pytest.mark.parametrize(("raised", "says"), [(40, ["cpu-request.transform"]), (28, []), (37, [])])
def test_a_wait_under_an_earlier_request_is_not_one_of_today(raised: int, says: list[str]) -> None:
    """From run ``raised`` on it requests what it uses, and waits no more."""
    before, since = (1.0, 1.0, 0.5), (2.0, 1.95, 0.0)
    made = starved("2" if raised < 40 else "1", lambda i: before if i < raised else since)
    assert [r.id for r in made.recommended("cpu-request")] == says


def test_a_request_of_zero_is_none() -> None:
    """What waits without a request gets one by right-sizing, if at all: nothing is in proportion to zero."""
    assert [r.id for r in starved("0", lambda _: (0.0, 1.0, 0.5)).recommended("cpu-request")] == []


def test_throttling_under_an_earlier_limit_is_not_one_of_today() -> None:
    def made(raised: int) -> Scenario:
        def work(i: int) -> Work:
            limit, share = (1.0, 0.4) if i < raised else (2.0, 0.0)
            own = measured(cpu_limit=limit, throttled_share=share, cpu_seconds=270.0, cpu_sampled_seconds=300.0)
            return {n: Pod(s, containers=own) if n == "transform" else s for n, s in STEPS.items()}

        limits = {"cpu": "2" if raised < 40 else "1"}
        return scenario(etl(transform=resources(requests={"cpu": "1", "memory": "1Gi"}, limits=limits)), 40, work)

    assert made(40).one("cpu-request").action.startswith("Raise CPU limit of transform: 1 -> ")
    assert made(28).recommended("cpu-request") == []


def test_a_limit_finer_than_a_millicore_is_the_one_that_pods_have() -> None:
    """A definition keeps what was written, and the API server rounds it up for the pods."""

    def work(_: int) -> Work:
        own = measured(cpu_limit=0.334, throttled_share=0.4, cpu_seconds=90.0, cpu_sampled_seconds=300.0)
        return {n: Pod(s, containers=own) if n == "transform" else s for n, s in STEPS.items()}

    declared = resources(requests={"cpu": "0.3333", "memory": "1Gi"}, limits={"cpu": "0.3333"})
    item = scenario(etl(transform=declared), 40, work).one("cpu-request")
    assert item.action.startswith("Raise CPU limit of transform: 334m -> ")


@pytest.mark.parametrize("limit", ["4", None])
def test_waiting_under_an_earlier_limit_is_not_one_of_today(limit: str | None) -> None:
    """Time that is throttled counts as waited for CPU, too: from run 28 on the limit is higher, or none."""
    later = None if limit is None else float(limit)

    def work(i: int) -> Work:
        early = i < 28
        own = measured(
            cpu_request=1.0, cpu_limit=1.0 if early else later, throttled_share=0.4 if early else 0.0,
            cpu_waiting_seconds=135.0 if early else 0.0, cpu_seconds=270.0, cpu_sampled_seconds=300.0,
        )  # fmt: skip
        return {n: Pod(s, containers=own) if n == "transform" else s for n, s in STEPS.items()}

    limits = {"cpu": limit} if limit is not None else {}
    made = scenario(etl(transform=resources(requests={"cpu": "1", "memory": "1Gi"}, limits=limits)), 40, work)
    assert made.recommended("cpu-request") == []


def test_a_request_covers_what_each_run_would_have_used_with_its_own_wait() -> None:
    """Every run needs 2 cores: those that waited least used most, and not because they needed more."""
    waits = [0.1, 0.4, 0.5, 0.6]
    item = starved("1", lambda i: (1.0, 2.0 * (1.0 - waits[i % 4]), waits[i % 4])).one("cpu-request")
    assert item.proposed == "2"


def test_a_sidecar_short_of_cpu_promises_no_run_time() -> None:
    """How long its pod takes depends on the step's own container, which lacks nothing."""
    proxy = {
        "name": "proxy",
        "image": "registry.example/proxy:1",
        "resources": {"requests": {"cpu": "300m"}, "limits": {"cpu": "500m"}},
    }
    declared = resources(requests={"cpu": "1", "memory": "1Gi"}) | {"sidecars": [proxy]}

    def made(**short: float) -> Scenario:
        side = container(name="proxy", cpu_request=0.3, cpu_limit=0.5, cpu_seconds=90.0, cpu_sampled_seconds=300.0)
        pods = (*measured(), replace(side, **short))  # type: ignore[arg-type]
        work = {n: Pod(s, containers=pods) if n == "transform" else s for n, s in STEPS.items()}
        return scenario(etl(transform=declared), 40, lambda _: work)

    assert made(cpu_waiting_seconds=150.0).recommended("cpu-request") == []
    item = made(throttled_share=0.4).one("cpu-request")
    assert item.action.startswith("Raise CPU limit of transform/proxy: 500m -> ")
    assert item.gain_seconds is None
    assert item.expected == "no shorter run is predicted: it runs beside the step's own container"


def test_runs_that_wait_most_take_longest() -> None:
    """A minute of work that waits for a tenth of the time or for six tenths: 48 s are waited on average, 45% of all time."""
    requested = resources(requests={"cpu": "500m", "memory": "1Gi"})

    def work(i: int) -> Work:
        wait = 0.6 if i % 2 else 0.1
        seconds = 60.0 / (1.0 - wait)
        own = measured(
            cpu_request=0.5, cpu_seconds=60.0, cpu_sampled_seconds=seconds, cpu_waiting_seconds=wait * seconds
        )
        return {"transform": Pod(seconds, containers=own)}

    item = scenario(argo(task("transform"), templates={"transform": requested}), 42, work).one("cpu-request")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx((60 / 0.9 + 60 / 0.4) / 2 - 60, rel=0.03)


def test_no_more_is_promised_than_the_step_takes() -> None:
    """One run of six takes fifty times as long: the mean wait is hardly known, but is part of what the step takes."""
    requested = resources(requests={"cpu": "500m", "memory": "1Gi"})

    def work(i: int) -> Work:
        seconds = 3000.0 if i == 4 else 60.0
        own = measured(
            cpu_request=0.5, cpu_seconds=0.4 * seconds, cpu_sampled_seconds=seconds, cpu_waiting_seconds=0.6 * seconds
        )
        return {"transform": Pod(seconds, containers=own)}

    item = scenario(argo(task("transform"), templates={"transform": requested}), 6, work).one("cpu-request")
    assert item.gain_share is not None
    assert item.gain_share.likely == pytest.approx(0.6, rel=0.02)
    assert item.gain_share.likely < item.gain_share.high <= 1.0
