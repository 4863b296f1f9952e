"""``gpu-request``: GPUs that are held and idle, and those that are used little."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model.policy import Pricing
from tests.support.builders import container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, Work, noise, scenario
from tests.support.core.scenarios import STEPS, etl, measured, resources


def held(
    gpus: float,
    used: float | None,
    active: float | None,
    resource: str = "nvidia.com/gpu",
    runs: int = 42,
    every: int = 1,
) -> Scenario:
    """``transform``, which runs every so many runs, holds so many GPUs, of which so many were busy."""
    value = noise()

    def work(i: int) -> Work:
        own = measured(gpu_resource=resource, gpu_request=gpus, gpu_used=used, gpus_active=active)
        pods = {n: Pod(value(s), containers=own if n == "transform" else measured()) for n, s in STEPS.items()}
        return {n: pod for n, pod in pods.items() if n != "transform" or i % every == 0}

    requests = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={resource: f"{gpus:g}"})
    return scenario(etl(transform=requests), runs, work)


def test_the_busiest_run_says_how_many_are_needed() -> None:
    item = scenarios.gpu_request().one("gpu-request")
    assert item.action == "Lower GPU request of transform: 4 -> 1"
    assert "at most 1 of its 4 GPUs was busy at any time, mean utilization 16%" in item.because
    assert [(e.pointer, e.current, e.proposed) for e in item.edits] == [
        ("/spec/templates/2/container/resources/limits/nvidia.com~1gpu", "4", "1")
    ]
    assert "limits/nvidia.com~1gpu" in item.how
    assert not item.automatic
    assert item.saving_per_month is not None
    hours = (
        sum(e.held or 0.0 for r in scenarios.gpu_request().runs for e in r.steps if e.step == "transform") / 42 / 3600
    )
    rate = scenarios.gpu_request().analysis().cost.runs_per_month
    assert rate is not None
    assert item.saving_per_month.likely == pytest.approx(3 * hours * rate * 0.95, rel=0.01)


def test_several_of_its_gpus_were_busy() -> None:
    assert "at most 2 of its 4 GPUs were busy at any time" in held(4, 1.2, 2.0).one("gpu-request").because


def test_how_often_a_conditional_step_runs_is_uncertain() -> None:
    """It ran in 14 of 42 runs, so that it runs in 23 to 46% of all."""
    item = held(4, 0.66, 1.0, every=3).one("gpu-request")
    saving = item.saving_per_month
    assert saving is not None
    assert saving.low < 0.69 * saving.likely
    assert saving.high > 1.37 * saving.likely


def test_a_gpu_that_is_never_busy_is_given_back() -> None:
    item = held(1, 0.0, 0.0).one("gpu-request")
    assert item.action == "Run transform without a GPU: 1 -> 0"
    assert "none of its GPU was" not in item.because
    assert "its GPU was never busy" in item.because
    assert [e.proposed for e in item.edits] == ["0"]


def test_of_several_containers_the_one_that_holds_them_is_named() -> None:
    own = container(name="train", gpu_resource="nvidia.com/gpu", gpu_request=4.0, gpu_used=0.5, gpus_active=1.0)
    pods = {n: Pod(s, containers=(*measured(), *([own] if n == "transform" else []))) for n, s in STEPS.items()}
    item = scenario(etl(), 20, lambda _: pods).one("gpu-request")
    assert item.id == "gpu-request.transform.train"
    assert item.action == "Lower GPU request of transform/train: 4 -> 1"


def test_one_that_is_used_little_is_shared() -> None:
    item = held(1, 0.12, 1.0).one("gpu-request")
    assert item.action == "Share the GPU of transform, or use a smaller kind"
    assert "is 12% (median)" in item.because
    assert item.edits == ()


@pytest.mark.parametrize(
    ("busy", "shared"), [({*range(0, 42, 4)}, False), ({20, 40}, True), ({*range(20)}, True), (set(), True)]
)
def test_gpus_of_which_some_runs_use_more_than_half_are_not_shared(busy: set[int], shared: bool) -> None:
    """A median does not show the large data sets, for which two pods on a GPU would take twice as long."""
    value = noise()

    def work(i: int) -> Work:
        own = measured(gpu_resource="nvidia.com/gpu", gpu_request=1, gpu_used=0.8 if i in busy else 0.1, gpus_active=1)
        return {n: Pod(value(s), containers=own if n == "transform" else measured()) for n, s in STEPS.items()}

    requests = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"nvidia.com/gpu": "1"})
    assert bool(scenario(etl(transform=requests), 42, work).recommended("gpu-request")) == shared


@pytest.mark.parametrize(
    ("gpus", "used", "active", "resource"),
    [
        (1, 0.8, 1.0, "nvidia.com/gpu"),  # busy
        (4, None, None, "nvidia.com/gpu"),  # no DCGM series
        (4, None, None, "amd.com/gpu"),
        (1, 0.1, 1.0, "nvidia.com/mig-1g.5gb"),  # a slice already
    ],
)
def test_busy_unknown_and_sliced_ones_are_left_alone(
    gpus: float, used: float | None, active: float | None, resource: str
) -> None:
    assert held(gpus, used, active, resource).recommended("gpu-request") == []


@pytest.mark.parametrize("since", [30, 39])
def test_use_of_an_earlier_number_of_gpus_is_not_that_of_today(since: int) -> None:
    """From run ``since`` on it holds four GPUs, and keeps all of them busy."""

    def work(i: int) -> Work:
        gpus = 4.0 if i >= since else 1.0
        own = measured(gpu_resource="nvidia.com/gpu", gpu_request=gpus, gpu_used=0.8 * gpus, gpus_active=gpus)
        return {n: Pod(s, containers=own) if n == "transform" else s for n, s in STEPS.items()}

    limits = {"nvidia.com/gpu": "4"}
    manifest = etl(transform=resources(requests={"cpu": "1", "memory": "1Gi"}, limits=limits))
    assert scenario(manifest, 42, work).recommended("gpu-request") == []


def test_too_few_runs_say_nothing() -> None:
    assert held(4, 0.5, 1.0, runs=4).recommended("gpu-request") == []


def test_gpus_are_part_of_what_a_run_costs() -> None:
    busy = held(1, 1.0, 1.0)
    dear = replace(busy, pricing=Pricing(gpu_hour=10.0)).analysis().cost.per_run
    free = replace(busy, pricing=Pricing(gpu_hour=0.0)).analysis().cost.per_run
    assert dear is not None
    assert free is not None
    hours = sum(e.held or 0.0 for r in busy.runs for e in r.steps if e.step == "transform") / 42 / 3600
    assert dear.total - free.total == pytest.approx(10.0 * hours, rel=0.01)
    assert dear.wasted == pytest.approx(free.wasted)


@pytest.mark.parametrize(
    ("all_of_them", "says"),
    [
        ({*range(20)}, "Lower GPU request of transform: 4 -> 1"),
        ({3, 12, 20, 29, 38}, None),  # now and then, and it may be again
        ({2}, None),  # once: chance may have left it out since
        ({*range(39)}, None),  # three runs since: fewer than are required
    ],
)
def test_gpus_that_runs_have_ceased_to_use_are_not_needed(all_of_them: set[int], says: str | None) -> None:
    value = noise()

    def work(i: int) -> Work:
        active = 4.0 if i in all_of_them else 1.0
        own = measured(gpu_resource="nvidia.com/gpu", gpu_request=4, gpu_used=0.8 * active, gpus_active=active)
        return {n: Pod(value(s), containers=own if n == "transform" else measured()) for n, s in STEPS.items()}

    requests = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"nvidia.com/gpu": "4"})
    found = scenario(etl(transform=requests), 42, work).recommended("gpu-request")
    assert [r.action for r in found if r.action.startswith("Lower")] == ([] if says is None else [says])
    if says is not None:
        assert "at most 1 of its 4 GPUs was busy at any time, mean utilization 20% in 22 runs" in found[0].because
