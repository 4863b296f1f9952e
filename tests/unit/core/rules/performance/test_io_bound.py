"""``io-bound``: a step that waits, with the cause where it can be seen, and an upper bound of what that costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.model import Interval
from concertmaster.core.model.policy import Objectives, Quantiles
from concertmaster.core.rules.evidence import Evidence
from tests.support.builders import MI
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Work, argo, noise, scenario, task
from tests.support.core.scenarios import etl, measured, resources


def test_stalls_on_the_disk_bound_the_gain() -> None:
    item = scenarios.io_bound().one("io-bound")
    assert item.id == "io-bound.transform"
    assert "stalled on the disk 60% of the time" in item.because
    assert "uses 0.1 cores" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(189, rel=0.02)  # all 180 s of them, and the error of the replay
    assert item.gain_seconds.likely == pytest.approx(90, rel=0.05)
    assert item.expected.endswith(", if half of the off-CPU time is removed, at most all of it")


def test_without_pressure_data_the_cpu_bounds_it_and_the_network_is_named() -> None:
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        quiet = measured(cpu_seconds=0.05 * seconds, cpu_sampled_seconds=seconds)
        return {"extract": value(60), "transform": Pod(seconds, containers=quiet), "load": value(30)}

    item = scenario(etl(), 20, work).one("io-bound")
    assert "disk stalls are not recorded" in item.because
    assert "calls to databases and services" in item.proposed
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(285, rel=0.05)
    assert item.gain_seconds.likely == pytest.approx(71, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "received", "read", "stalled", "idle"),
    [
        pytest.param(300, 900.0, 0.0, None, True, id="nothing moves"),
        pytest.param(300, 900.0, None, 0.0, True, id="no disk series, but PSI"),
        pytest.param(300, 900.0, None, None, False, id="the disk is not known"),
        pytest.param(300, None, 0.0, None, False, id="the network is not known"),
        pytest.param(300, 30e3, 0.0, None, False, id="a query"),
        pytest.param(300, 900.0, 50e6, None, False, id="a file"),
        pytest.param(90, 900.0, 0.0, None, False, id="a short step"),
    ],
)
def test_a_step_that_uses_neither_cpu_disk_nor_network_is_idle(
    seconds: float, received: float | None, read: float | None, stalled: float | None, idle: bool
) -> None:
    """Nobody knows what less of its waiting would gain; one that asks a database moves more than that."""
    value = noise()

    def work(_: int) -> Work:
        time = value(seconds)
        waits = measured(
            cpu_seconds=0.01 * time, cpu_sampled_seconds=time, fs_read_bytes=read, io_waiting_seconds=stalled
        )
        slow = Pod(time, containers=waits, network=None if received is None else (received, 0.0))
        return {"extract": value(60), "transform": slow, "load": value(30)}

    item = scenario(etl(), 20, work).one("io-bound")
    assert item.action.startswith(f"transform is {'idle' if idle else 'I/O-bound'}: 99% off-CPU")
    assert (item.gain_seconds is None) == idle
    assert item.expected.startswith("not known") == idle


def test_a_step_that_moves_much_over_the_network_is_named() -> None:
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        quiet = measured(cpu_seconds=0.1 * seconds, cpu_sampled_seconds=seconds, fs_read_bytes=1e6)
        slow = Pod(seconds, containers=quiet, network=(58e6 * seconds, 5e6 * seconds))
        return {"extract": value(60), "transform": slow, "load": value(30)}

    item = scenario(etl(), 20, work).one("io-bound")
    assert item.action == "transform is I/O-bound: 90% off-CPU"
    assert item.proposed == "compression, parallel transfers, or data that is nearer (same zone, a cache)"
    assert "moves 60 MiB a second over the network" in item.because
    assert "network: 60.1 MiB a second" in item.evidence


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ({}, 1),
        ({"gpu_request": 1.0, "gpu_used": 0.8}, 0),  # it trains
        ({"gpu_request": 1.0}, 0),  # it may
        ({"gpu_request": 1.0, "gpu_used": 0.1}, 1),
        ({"gpu_request": 1.0, "gpu_used": 0.8, "io_waiting_seconds": 180.0}, 0),
        ({"cpu_waiting_seconds": 240.0}, 0),  # the node is full
        ({"cpu_limit": 0.1, "throttled_share": 0.95}, 0),
        ({"cpu_limit": 1.0, "throttled_share": 0.95}, 1),  # in the few periods in which it runs
    ],
)
def test_who_computes_on_a_gpu_or_lacks_the_cpu_does_not_wait_for_something_else(
    seen: dict[str, float], found: int
) -> None:
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        quiet = measured(cpu_seconds=0.1 * seconds, cpu_sampled_seconds=seconds, **seen)
        return {"extract": value(60), "transform": Pod(seconds, containers=quiet), "load": value(30)}

    assert len(scenario(etl(), 20, work).recommended("io-bound")) == found


def test_what_a_gpu_does_is_no_part_of_the_bound() -> None:
    def work(_: int) -> Work:
        fed = measured(cpu_seconds=30.0, cpu_sampled_seconds=300.0, gpu_request=1.0, gpu_used=0.15)
        return {"extract": 60.0, "transform": Pod(300.0, containers=fed), "load": 30.0}

    item = scenario(etl(), 20, work).one("io-bound")
    assert "uses 0.1 cores and 0.15 GPUs while it runs" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(300 * 0.75, rel=0.06)


@pytest.mark.parametrize(
    ("cores", "stalled", "limit", "counted"),
    [(0.05, 0.0, None, True), (0.2, 0.0, None, False), (0.2, 0.6, None, True), (0.2, 0.0, 300.0, True)],
)
def test_some_use_of_the_cpu_and_no_cause_is_counted_only_for_a_missed_objective(
    cores: float, stalled: float, limit: float | None, counted: bool
) -> None:
    """Too large a request looks the same, and is what right-size names."""
    value = noise()

    def work(_: int) -> Work:
        seconds = value(600)
        used = {"cpu_seconds": cores * seconds, "cpu_sampled_seconds": seconds, "io_waiting_seconds": stalled * seconds}
        return {"extract": value(60), "transform": Pod(seconds, containers=measured(**used)), "load": value(30)}

    objectives = Objectives(duration=Quantiles(p50=limit))
    item = replace(scenario(etl(), 20, work), objectives=objectives).one("io-bound")
    assert (item.gain_seconds is not None) == counted


@pytest.mark.parametrize(("received", "found"), [(60e6, 1), (1e6, 0)])
def test_much_traffic_is_no_computation_however_small_the_request(received: float, found: int) -> None:
    """A request that fits a step that waits: four fifths of it are used."""
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        small = measured(cpu_seconds=0.12 * seconds, cpu_sampled_seconds=seconds, cpu_request=0.15)
        return {
            "extract": value(60),
            "transform": Pod(seconds, containers=small, network=(received * seconds, 0.0)),
            "load": value(30),
        }

    of = etl(transform=resources(requests={"cpu": "150m", "memory": "1Gi"}))
    assert len(scenario(of, 20, work).recommended("io-bound")) == found


def test_busy_steps_unknown_cpu_and_short_steps_are_silent() -> None:
    value = noise()
    assert scenario(etl(), 20, lambda _: {"extract": value(60), "transform": value(300)}).recommended("io-bound") == []
    unknown = measured(cpu_seconds=None, cpu_sampled_seconds=1.0)

    def work(_: int) -> Work:
        return {"extract": value(60), "transform": Pod(value(300), containers=unknown), "load": value(30)}

    assert scenario(etl(), 20, work).recommended("io-bound") == []


def test_a_small_request_is_no_sign_of_work_where_the_disk_stalls() -> None:
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        busy = measured(
            cpu_request=0.2, cpu_seconds=0.1 * seconds, cpu_sampled_seconds=seconds, io_waiting_seconds=0.6 * seconds
        )
        return {"extract": value(60), "transform": Pod(seconds, containers=busy), "load": value(30)}

    item = scenario(etl(transform=resources(requests={"cpu": "200m", "memory": "1Gi"})), 20, work).one("io-bound")
    assert "stalled on the disk 60% of the time" in item.because


@pytest.mark.parametrize("sidecar", [False, True])
def test_figures_refer_to_the_time_that_was_sampled(sidecar: bool) -> None:
    """The samples of each pod end after half of its life."""
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        half = 0.5 * seconds
        quiet = measured(
            cpu_seconds=0.1 * half, cpu_sampled_seconds=half, io_waiting_seconds=0.6 * half, fs_read_bytes=6 * MI * half
        )
        more = measured(name="log", cpu_seconds=0.0, cpu_sampled_seconds=half) if sidecar else ()
        slow = Pod(seconds, containers=(*quiet, *more), network=(30 * MI * half, 0.0))
        return {"extract": value(60), "transform": slow, "load": value(30)}

    item = scenario(etl(), 20, work).one("io-bound")
    assert item.action == "transform is I/O-bound: 60% off-CPU"
    assert "uses 0.1 cores" in item.because
    assert "stalled on the disk: 60% of the time (PSI)" in item.evidence
    assert "disk: 6.0 MiB a second" in item.evidence
    assert "network: 30.0 MiB a second" in item.evidence


def test_a_step_that_awaits_the_object_it_creates_is_not_io_bound() -> None:
    """An Argo ``resource`` template whose pod waits for a child Workflow."""
    value = noise()
    child = {"action": "create", "successCondition": "status.phase == Succeeded", "manifest": "kind: Workflow"}

    def work(_: int) -> Work:
        seconds = value(300)
        quiet = measured(cpu_seconds=0.02 * seconds, cpu_sampled_seconds=seconds)
        return {"extract": value(60), "transform": Pod(seconds, containers=quiet), "load": value(30)}

    flow = etl(transform={"resource": child})
    for body in flow["spec"]["templates"]:
        if body["name"] == "transform":
            del body["container"]
    assert scenario(etl(), 20, work).one("io-bound").id == "io-bound.transform"
    made = scenario(flow, 20, work)
    assert made.recommended("io-bound") == []
    (bottleneck,) = [r for r in made.recommended("bottleneck") if r.step == "transform"]
    assert "it waits for the object it creates" in bottleneck.because


def test_only_steps_that_can_gain_enough_are_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replay takes a simulation of every run, which hundreds of steps cannot have each."""
    asked: list[WhatIf] = []
    worth = Evidence.worth

    def counted(evidence: Evidence, change: WhatIf, *rest: float) -> tuple[Interval, Interval] | None:
        asked.append(change)
        return worth(evidence, change, *rest)

    monkeypatch.setattr(Evidence, "worth", counted)
    value = noise()

    def work(_: int) -> Work:
        steps = {"extract": value(30), "transform": value(300), "load": value(15)}  # the others take under a tenth
        return {
            name: Pod(seconds, containers=measured(cpu_seconds=0.05 * seconds, cpu_sampled_seconds=seconds))
            for name, seconds in steps.items()
        }

    assert scenario(etl(), 20, work).one("io-bound").id == "io-bound.transform"
    assert {name for change in asked for name, factor in change.scales if factor < 0.1} == {"transform"}


@pytest.mark.parametrize(("cores", "found"), [(0.9, 0), (0.01, 1)])
def test_a_step_that_waits_for_the_work_of_a_daemon_is_not_io_bound(cores: float, found: int) -> None:
    """The launcher of a distributed training: what its workers do is no call to a database."""
    value = noise()

    def work(_: int) -> Work:
        seconds = value(600)
        busy = measured(cpu_seconds=cores * seconds, cpu_sampled_seconds=seconds)
        quiet = measured(cpu_seconds=0.05 * seconds, cpu_sampled_seconds=seconds)
        return {
            "load": value(60),
            "workers": Pod(seconds + 5, containers=busy),
            "launch": Pod(seconds, containers=quiet),
        }

    tasks = task("load"), task("workers", "load"), task("launch", "workers")
    s = scenario(argo(*tasks, templates={"workers": {"daemon": True}}), 20, work)
    assert len(s.recommended("io-bound")) == found
    assert ("it waits for workers, so look" in s.one("bottleneck").because) == (not found)


def test_a_step_that_computes_does_not_wait_for_a_daemon_that_does_more() -> None:
    value = noise()

    def work(_: int) -> Work:
        seconds = value(600)
        own, of_database = (measured(cpu_seconds=c * seconds, cpu_sampled_seconds=seconds) for c in (0.95, 1.5))
        return {
            "load": value(60),
            "database": Pod(seconds + 5, containers=of_database),
            "model": Pod(seconds, containers=own),
        }

    tasks = task("load"), task("database", "load"), task("model", "database")
    because = scenario(argo(*tasks, templates={"database": {"daemon": True}}), 20, work).one("bottleneck").because
    assert "it uses 95% of the CPU it requests" in because
    assert "waits" not in because
