"""Planted problems beside something that hides them: a season, a small request, a schedule, an objective still met."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks.advice.kinds.platform import every_half_hour
from benchmarks.advice.kinds.reliability import growing
from benchmarks.advice.law import DAY, HOUR, MI
from benchmarks.advice.numbers import retried, sized, slower, within
from benchmarks.advice.plant import Flow, Kind, Plant, Rng
from benchmarks.advice.truth import ended_so
from concertmaster.core.model import Outcome

MINUTES = "run_minutes"


def degraded_in_season(rng: Rng, flow: Flow) -> Plant:
    """One step that is slower since a certain date, in runs that take longer by day and shorter at weekends."""
    flow = replace(flow, daily=float(rng.uniform(0.1, 0.2)), weekly=float(rng.uniform(0.1, 0.25)))
    flow = flow.having("transform", seconds=900.0)
    bad = flow.having("transform", since=float(rng.uniform(3, 7)), factor=float(rng.uniform(1.4, 1.8)))
    also, number = (
        ("split-long-step",),
        slower("transform", bad.step("transform").factor, 0.2),
    )  # medians of other hours
    return Plant("degraded-in-season", bad, flow, ("degradation",), "transform", MINUTES, also=also, number=number)


def network_bound(rng: Rng, flow: Flow) -> Plant:
    """A step that waits for the network, with a CPU request that fits the little it uses."""
    cpu = float(rng.uniform(0.06, 0.2))
    flow = flow.having("transform", seconds=900.0, cpu=cpu, cpu_request=round(cpu / 0.75, 3))
    bad = flow.having("transform", receives=float(rng.uniform(30, 90)) * MI)
    mended = flow.having("transform", seconds=900.0 * 0.5 * (1.0 + cpu))  # half of what is not computation
    number = within(r"moves ([\d.]+) MiB", bad.step("transform").receives / MI, 0.2)
    return Plant("network-bound", bad, mended, ("io-bound",), "transform", MINUTES, number=number, bound=True)


def idle_over(rng: Rng, flow: Flow) -> Plant:
    """One long step that requests a multiple of the little CPU it uses, and waits for nothing that is seen."""
    cpu = float(rng.uniform(0.12, 0.28))
    flow = flow.having("transform", seconds=900.0, cpu=cpu, cpu_request=round(cpu / 0.75, 3))
    bad = flow.having("transform", cpu_request=round(cpu * float(rng.uniform(5, 10)), 2))
    number = sized("transform", "requests.cpu", cpu, cpu * 1.6 + 0.05)
    return Plant("cpu-over-idle", bad, flow, ("right-size",), "transform", "money", number=number)


def runs_stopped(rng: Rng, flow: Flow) -> Plant:
    """A CronWorkflow with concurrencyPolicy Replace: pods of some runs are stopped, and fail, when the next one is due."""
    flow = every_half_hour(rng, flow, "cron", 0.88, 0.95)
    bad = replace(flow, meets="Replace", noise=float(rng.uniform(0.12, 0.18)))
    lost = partial(ended_so, outcome=Outcome.FAILED)
    rules, also = ("overlapping-runs",), ("objective-at-risk", "variance", "timeout", "split-long-step")
    number = within(r"\((\d+%) are stopped", lost(bad) * bad.every / (30 * DAY), 0.2)
    return Plant("runs-stopped", bad, flow, rules, None, "failed_runs", also=also, number=number, counted=lost)


def objective_passed(rng: Rng, flow: Flow) -> Plant:
    """Growth that has passed an objective which the window as a whole still meets."""
    plant, _ = growing(rng, flow, float(rng.uniform(0.92, 0.96)))
    return replace(plant, kind="objective-passed", number=lambda item: ": missed objective of " in item.action)


def flaky_within_the_objective(rng: Rng, flow: Flow) -> Plant:
    """Transient failures of few of many runs: success meets its objective, and every month a dozen runs fail."""
    flow = replace(flow, every=2 * HOUR)
    bad = flow.having("load", transient=float(rng.uniform(0.03, 0.045)), retries=0)
    mended = bad.having("load", retries=2)
    also = ("objective-at-risk",)
    return Plant("flaky-few", bad, mended, ("retry-policy",), "load", "failed_runs", also=also, number=retried(1, 3))


KINDS: tuple[Kind, ...] = (
    degraded_in_season, network_bound, idle_over, runs_stopped, objective_passed, flaky_within_the_objective,
)  # fmt: skip
