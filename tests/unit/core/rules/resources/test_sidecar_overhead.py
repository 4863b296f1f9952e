"""``sidecar-overhead``: containers beside the step's own, by cost and by how long they keep the pod."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import ContainerFact, ContainerSpec, StepExecution
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.report.costs.components import view
from tests.support.builders import MI, NOW, container, daily, definition, step
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, Work, scenario
from tests.support.core.scenarios import STEPS, etl, measured


def test_a_sidecar_that_reserves_much_and_uses_little() -> None:
    item = scenarios.sidecar_overhead().one("sidecar-overhead")
    assert item.id == "sidecar-overhead.proxy"
    # half a core and 256Mi beside a core and 1Gi, both for the whole life of each pod
    assert "its requests are 32% of what a run costs" in item.because
    saving = item.saving_per_month
    assert saving is not None
    # it uses 3% of what it reserves; with a request at the target utilization of 70%, 3% / 0.7 of it stays reserved
    assert saving.low == pytest.approx(saving.likely * (1 - 0.033 / 0.7) / (1 - 0.033), rel=0.005)
    assert 0 < saving.low < saving.likely < saving.high


def test_how_often_pods_with_the_sidecar_run_is_uncertain() -> None:
    """They ran in 14 of 42 runs, so that they run in 23 to 46% of all."""
    full = scenarios.sidecar_overhead()
    rare = replace(
        full,
        runs=tuple(
            run
            if i % 3 == 0
            else replace(run, steps=tuple(replace(e, containers=e.containers[:-1]) for e in run.steps))
            for i, run in enumerate(full.runs)
        ),
    )
    always, seldom = (s.one("sidecar-overhead", minCostPercent="5").saving_per_month for s in (full, rare))
    assert always is not None and seldom is not None
    assert seldom.likely == pytest.approx(always.likely / 3, rel=0.02)
    assert always.high < 1.05 * always.likely
    assert seldom.high > 1.37 * seldom.likely
    assert seldom.low < 0.69 * seldom.likely


def test_runs_that_have_it_in_one_of_two_steps_count_in_order_of_time() -> None:
    """One step after the other would look like a level of the first half of the window, and another of the second."""
    full = scenarios.sidecar_overhead()
    turns = replace(
        full,
        runs=tuple(
            replace(
                run,
                steps=tuple(
                    replace(
                        e, containers=e.containers if e.step == ("transform", "extract")[i % 2] else e.containers[:-1]
                    )
                    for e in run.steps
                ),
            )
            for i, run in enumerate(full.runs)
        ),
    )
    saving = turns.one("sidecar-overhead", minCostPercent="1").saving_per_month
    assert saving is not None
    assert saving.high < 1.4 * saving.likely


@pytest.mark.parametrize(("removed", "says"), [(20, 0), (39, 0), (40, 1)])
def test_a_sidecar_that_the_newest_runs_lack_was_removed(removed: int, says: int) -> None:
    full = scenarios.sidecar_overhead()
    without = [replace(r, steps=tuple(replace(e, containers=e.containers[:-1]) for e in r.steps)) for r in full.runs]
    made = replace(full, runs=(*full.runs[:removed], *without[removed:]))
    assert len(made.recommended("sidecar-overhead", minCostPercent="5")) == says


def test_a_sidecar_that_was_added_costs_what_it_does_since_then() -> None:
    full = scenarios.sidecar_overhead()
    without = [replace(r, steps=tuple(replace(e, containers=e.containers[:-1]) for e in r.steps)) for r in full.runs]
    (always,) = full.recommended("sidecar-overhead", minCostPercent="5")
    added = replace(full, runs=(*without[:25], *full.runs[25:]))
    (later,) = added.recommended("sidecar-overhead", minCostPercent="5")
    assert always.saving_per_month is not None and later.saving_per_month is not None
    assert later.saving_per_month.likely == pytest.approx(always.saving_per_month.likely, rel=0.1)


def test_a_sidecar_is_paid_for_as_long_as_its_pod_is_on_a_node() -> None:
    """The pod waits ten minutes for a node, or on it, before any of its containers starts."""

    def saving(**earlier: float) -> float:
        full = scenarios.sidecar_overhead()
        moved = [
            replace(e, **{k: (getattr(e, k) or 0.0) - by for k, by in earlier.items()})
            for r in full.runs
            for e in r.steps
        ]
        by_pod = {e.pod: e for e in moved}
        runs = tuple(replace(r, steps=tuple(by_pod[e.pod] for e in r.steps)) for r in full.runs)
        found = replace(full, runs=runs).one("sidecar-overhead").saving_per_month
        assert found is not None
        return found.likely

    assert saving(created=600.0) == pytest.approx(saving())
    assert saving(created=600.0, scheduled=600.0) > 2 * saving()


def test_what_a_declared_sidecar_requests_is_told_once_by_right_size() -> None:
    injected = scenarios.sidecar_overhead()
    requests = {"requests": {"cpu": "500m", "memory": "256Mi"}}
    proxy = {"sidecars": [{"name": "proxy", "image": "registry.example/proxy:1", "resources": requests}]}
    declared = replace(injected, manifest=etl(**dict.fromkeys(STEPS, proxy)))
    assert not any(i.container == "proxy" for r in injected.recommended("right-size") for i in r.items)
    assert declared.recommended("sidecar-overhead") == []
    item = declared.one("right-size")
    assert {i.step for i in item.items if i.container == "proxy"} == set(STEPS)
    assert "transform/proxy used at most 0.01 cores of 500m" in item.because


def _lingering(seconds: float) -> Scenario:
    small = container(name="logs", cpu_request=0.01, memory_request=10 * MI, cpu_seconds=0.1, cpu_sampled_seconds=10.0)

    def work(_: int) -> Work:
        return {n: Pod(s, containers=(*measured(), small)) for n, s in STEPS.items()}

    made = scenario(etl(), 20, work)
    runs = tuple(
        replace(
            r,
            steps=tuple(
                replace(
                    e,
                    containers=tuple(
                        replace(c, finished=(c.finished or 0.0) + seconds) if c.name == "logs" else c
                        for c in e.containers
                    ),
                )
                for e in r.steps
            ),
        )
        for r in made.runs
    )
    return replace(made, runs=runs)


def test_a_sidecar_that_keeps_the_pod() -> None:
    item = _lingering(30.0).one("sidecar-overhead")
    assert "keeps pods alive 30s after the step has ended" in item.because
    assert "let it end with the step" in item.action
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(90)  # each of three steps in a row
    assert 80 < item.gain_seconds.low < 89 and 91 < item.gain_seconds.high < 100  # the error of a replay


def _outlived(*late: dict[str, float]) -> Scenario:
    """Runs in turn whose ``transform`` has small sidecars that outlive it by so many seconds."""

    def work(i: int) -> Work:
        sides = [container(name=name, cpu_request=0.01, memory_request=16 * MI) for name in late[i % len(late)]]
        return {n: Pod(s, containers=(*measured(), *sides)) if n == "transform" else s for n, s in STEPS.items()}

    def ended(e: StepExecution, seconds: dict[str, float]) -> StepExecution:
        facts = tuple(replace(c, finished=(e.finished or 0.0) + seconds.get(c.name, 0.0)) for c in e.containers)
        return replace(e, containers=facts)

    made = scenario(etl(), 30, work)
    runs = [replace(r, steps=tuple(ended(e, late[i % len(late)]) for e in r.steps)) for i, r in enumerate(made.runs)]
    return replace(made, runs=tuple(runs))


@pytest.mark.parametrize("logs", [30.0, 20.0])
def test_sidecars_that_outlive_the_step_together_are_one_recommendation(logs: float) -> None:
    """As those that ignore SIGTERM do, which the kubelet kills at once: without one of them, the other one still does."""
    made = _outlived({"proxy": 30.0, "logs": logs})
    item = made.one("sidecar-overhead")
    names = "logs and proxy" if logs == 30.0 else "proxy and logs"
    assert f"let {names} end with the step" in item.action
    assert f"{names} keep pods alive 30s after the step has ended (mean)" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(30.0)


def test_what_another_sidecar_outlives_is_not_gained() -> None:
    """``logs`` ends clearly too late only in a few runs, but in those it is the last one."""
    item = _outlived(*[{"proxy": 30.0, "logs": 4.0}] * 9, {"proxy": 30.0, "logs": 25.0}).one("sidecar-overhead")
    assert "let it end with the step" in item.action
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(0.9 * 26.0 + 0.1 * 5.0)


def test_a_sidecar_that_is_late_in_one_of_three_pods_is_found() -> None:
    item = _outlived({"proxy": 120.0}, {"proxy": 1.0}, {"proxy": 0.0}).one("sidecar-overhead")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(121.0 / 3)
    assert item.gain_seconds.low < 36.0 and item.gain_seconds.high > 44.0  # pods differ


def test_cheap_and_punctual_sidecars_are_silent() -> None:
    assert _lingering(1.0).recommended("sidecar-overhead") == []
    assert scenario(etl(), 20, lambda _: STEPS).recommended("sidecar-overhead") == []


def _since_release(long_from: int) -> Scenario:
    """``transform`` takes three times as long from that run on; each pod has a costly sidecar."""
    proxy = container(
        name="proxy", cpu_request=0.5, cpu_seconds=1.0, cpu_sampled_seconds=100.0, memory_sampled_peak=9 * MI
    )

    def work(i: int) -> Work:
        return {
            n: Pod(s * (3 if n == "transform" and i >= long_from else 1) + i % 3, containers=(*measured(), proxy))
            for n, s in STEPS.items()
        }

    return scenario(etl(), 42, work)


def test_a_sidecar_costs_what_it_does_since_run_times_changed() -> None:
    always, since = (_since_release(i).one("sidecar-overhead") for i in (0, 28))
    assert always.saving_per_month is not None and since.saving_per_month is not None
    assert since.saving_per_month.likely == pytest.approx(always.saving_per_month.likely, rel=0.02)
    assert "in 42 pods in 14 runs" in since.because
    rows = [r for r in view(_since_release(28).analysis(), [since]) if r["component"] == "proxy"]
    assert len(rows) == 3 and all(0.0 < row["afterPerMonth"] / row["perMonth"] < 0.02 for row in rows)


def test_a_sidecar_that_no_longer_keeps_pods_alive_is_silent() -> None:
    """For 20 of 42 runs ``transform`` ended 200 s before its pod."""
    proxy = container(name="proxy", cpu_request=0.01, memory_request=16 * MI)

    def work(i: int) -> Work:
        seconds = (500 if i < 20 else 300) + i % 3
        return {
            n: Pod(seconds if n == "transform" else s, containers=(*measured(), *([proxy] if n == "transform" else [])))
            for n, s in STEPS.items()
        }

    def ended(e: StepExecution, seconds: float) -> StepExecution:
        main, *others = e.containers
        return replace(e, containers=(replace(main, finished=(main.started or 0.0) + seconds), *others))

    made = scenario(etl(), 42, work)
    runs = [replace(r, steps=tuple(ended(e, STEPS[e.step]) for e in r.steps)) for r in made.runs]
    assert replace(made, runs=tuple(runs)).recommended("sidecar-overhead") == []


@pytest.mark.parametrize(("name", "says"), [("istio-proxy", 1), ("uploader", 0)])
def test_a_known_proxy_is_a_sidecar_where_it_is_written_as_any_other_container(name: str, says: int) -> None:
    """Another container that ends last may be part of the work."""
    declared = definition(
        replace(step("load"), containers=(*step("load").containers, ContainerSpec(name, cpu_request=0.1)))
    )

    def pods(_: str) -> tuple[ContainerFact, ...]:
        return container(), container(name=name, cpu_seconds=1.0)

    runs = []
    for run in daily(declared.graph, 14, lambda _: {"load": 840.0}, containers=pods):
        (e,) = run.steps
        own, beside = e.containers
        own = replace(own, started=e.started, finished=(e.started or 0.0) + 240.0)
        beside = replace(beside, started=e.started, finished=e.finished)
        runs.append(replace(run, steps=(replace(e, containers=(own, beside)),)))
    found = analyze_workflow(declared, runs, Policy(), profile="p", now=NOW).recommendations
    assert sum(item.rule == "sidecar-overhead" for item in found) == says
