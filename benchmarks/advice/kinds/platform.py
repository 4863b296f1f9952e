"""Planted problems of schedules, volumes, GPUs and metrics, and those only reported as minor items."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks.advice.law import DAY, GI, HOUR, NOW, SLICE, Volume
from benchmarks.advice.numbers import Number, amount
from benchmarks.advice.plant import Flow, Kind, Plant, Rng, chain_seconds
from benchmarks.advice.simulation import starts
from benchmarks.advice.truth import ended_so
from concertmaster.core.model import Outcome, Recommendation
from concertmaster.core.model.policy import Objectives, Policy, Quantiles

_VOLUME_MONTH = 0.08  # per GiB
_HALF_HOUR = HOUR / 2


def every_half_hour(rng: Rng, flow: Flow, engine: str, low: float, high: float) -> Flow:
    """A half-hourly schedule, with runs longer in the same proportion."""
    seconds = float(rng.uniform(low, high)) * _HALF_HOUR
    flow = replace(flow, engine=engine, every=_HALF_HOUR, schedule="*/30 * * * *", noise=0.05)
    if engine == "cronjob":
        return replace(flow, steps=(replace(flow.steps[1], after=(), seconds=seconds),))
    factor = seconds / chain_seconds(flow)
    return replace(flow, steps=tuple(replace(s, seconds=s.seconds * factor) for s in flow.steps))


def _minutes(line: str) -> float:
    """Minutes between two starts of a simple cron schedule."""
    minute, hour, *_ = line.split()
    if minute.startswith("*/"):
        return float(minute[2:])
    return 60.0 * float(hour[2:]) if hour.startswith("*/") else 60.0 if hour == "*" else 1440.0


def _fits(seconds: float) -> Number:
    """Whether the proposed interval is at least that duration and at most three times as long."""
    return lambda item: seconds <= 60.0 * _minutes(item.proposed) <= 3 * seconds


def starts_skipped(rng: Rng, flow: Flow) -> Plant:
    """A CronWorkflow whose runs take longer than its interval; Forbid skips starts due meanwhile."""
    flow = every_half_hour(rng, flow, "cron", 1.2, 1.7)
    bad = replace(flow, meets="Forbid")
    number = _fits(chain_seconds(flow))
    return Plant("starts-skipped", bad, flow, ("overlapping-runs",), None, "", number=number, also=_LONG)


def starts_late(rng: Rng, flow: Flow) -> Plant:
    """A CronJob whose runs take longer than its interval; each run starts as soon as the previous one has ended."""
    flow = every_half_hour(rng, flow, "cronjob", 1.3, 1.8)
    bad = replace(flow, meets="Forbid")
    number = _fits(chain_seconds(flow))
    return Plant("starts-late", bad, flow, ("overlapping-runs",), None, "", number=number, also=_LONG)


def runs_replaced(rng: Rng, flow: Flow) -> Plant:
    """A CronJob with concurrencyPolicy Replace: some runs are deleted when the next one is due."""
    flow = every_half_hour(rng, flow, "cronjob", 0.8, 0.9)
    bad = replace(flow, meets="Replace", noise=float(rng.uniform(0.18, 0.25)))
    rules, also = ("overlapping-runs",), ("objective-at-risk", "variance", "timeout", *_LONG)
    lost = partial(ended_so, outcome=Outcome.UNKNOWN)
    return Plant("runs-replaced", bad, flow, rules, None, "failed_runs", also=also, counted=lost)


def runs_beside(rng: Rng, flow: Flow) -> Plant:
    """Parallel runs that compete for nodes."""
    flow = every_half_hour(rng, flow, "cron", 0.85, 0.92)
    flow = replace(flow, meets="Allow", noise=float(rng.uniform(0.13, 0.18)))
    bad = replace(flow, crowding=float(rng.uniform(1.4, 1.7)))
    also = ("variance", "degradation", "straggler", *_LONG)
    return Plant("runs-beside", bad, flow, ("overlapping-runs",), None, "run_minutes", also=also, bound=True)


_LONG = ("split-long-step",)


def _holds(low: float, high: float) -> Number:
    """Whether the size of the proposed volume in bytes is within these bounds."""
    return lambda item: low <= amount(item.proposed) <= high


def volume_filling(rng: Rng, flow: Flow) -> Plant:
    """A claim shared by all runs that will be full in a few days."""
    used, growth = float(rng.uniform(40, 80)) * GI, float(rng.uniform(0.5, 2)) * GI
    left = float(rng.uniform(3, 10))
    volume = Volume("warehouse", used + growth * left, used, growth)
    bad = flow.having("load", volume=volume)
    failing = [t for _, t in starts(flow, NOW + 30 * DAY + 2 * HOUR, 30 * DAY) if volume.at(t, 0.0) >= volume.capacity]
    number = _holds(used + 25 * growth, 2 * used + 60 * growth)
    return Plant(
        "volume-filling", bad, flow, ("volume-size",), None, "failed_runs", number=number, amount=float(len(failing))
    )


def volume_tight(rng: Rng, flow: Flow) -> Plant:
    """A claim per run that the largest runs nearly fill."""
    used = float(rng.uniform(20, 60)) * GI
    flow = replace(flow, engine="argo")
    bad = flow.having("transform", volume=Volume("work", used * 1.25, used, cv=0.08, each=True))
    number = _holds(used * 1.25, used * 2.2)
    return Plant("volume-tight", bad, flow, ("volume-size",), None, "", number=number, also=("retry-policy",))


def volume_large(rng: Rng, flow: Flow) -> Plant:
    """A claim of which no run uses a tenth."""
    used = float(rng.uniform(10, 40)) * GI
    capacity = round(used * float(rng.uniform(10, 20)) / GI) * GI
    bad = flow.having("load", volume=Volume("warehouse", capacity, used, cv=0.02))
    saved = (capacity - 1.4 * used) / GI * _VOLUME_MONTH
    number = _holds(used * 1.1, used * 2)
    return Plant("volume-large", bad, flow, ("volume-size",), None, "money", number=number, amount=saved)


def gpus_idle(rng: Rng, flow: Flow) -> Plant:
    """More GPUs than are ever busy."""
    held, busy = int(rng.integers(2, 6)), int(rng.integers(0, 2))
    flow = flow.having("enrich", seconds=900.0)
    bad = flow.having("enrich", gpus=held, gpus_busy=busy)
    mended = flow.having("enrich", gpus=busy, gpus_busy=busy)

    def number(item: Recommendation) -> bool:
        return item.proposed == f"nvidia.com/gpu: {busy}"

    return Plant("gpus-idle", bad, mended, ("gpu-request",), "enrich", "money", number=number, also=_LONG)


def gpus_little_used(rng: Rng, flow: Flow) -> Plant:
    """Whole GPUs that are all busy, but seldom: half as many would do, shared by slices or time-slicing."""
    held, use = 2 * int(rng.integers(1, 3)), float(rng.uniform(0.05, 0.2))
    flow = flow.having("enrich", seconds=900.0)
    bad = flow.having("enrich", gpus=held, gpus_busy=held, gpu_use=use)
    mended = flow.having("enrich", gpus=held // 2, gpus_busy=held // 2, gpu_use=2 * use)

    def number(item: Recommendation) -> bool:
        return item.action.startswith("Share the GPUs of enrich") and "MIG slice, time-slicing" in item.proposed

    return Plant("gpus-little-used", bad, mended, ("gpu-request",), "enrich", "money", number=number, also=_LONG)


def slices_idle(rng: Rng, flow: Flow) -> Plant:
    """More slices of a GPU than are ever busy."""
    held, busy = int(rng.integers(3, 8)), int(rng.integers(1, 3))
    flow = flow.having("enrich", seconds=900.0, gpu_resource=SLICE)
    bad = flow.having("enrich", gpus=held, gpus_busy=busy)
    mended = flow.having("enrich", gpus=busy, gpus_busy=busy)

    def number(item: Recommendation) -> bool:
        return item.proposed == f"{SLICE}: {busy}"

    return Plant("slices-idle", bad, mended, ("gpu-request",), "enrich", "money", number=number, also=_LONG)


def slow_step(rng: Rng, flow: Flow) -> Plant:
    """A missed duration objective of a step that uses many cores: only its owner can make it faster."""
    rest = chain_seconds(flow) - flow.step("transform").seconds
    seconds = rest * float(rng.uniform(0.75, 0.9))  # less than half of the run: splitting it is a different problem
    flow = flow.having("transform", seconds=seconds, cpu=3.0, cpu_request=3.9)
    policy = Policy(objectives=Objectives(duration=Quantiles(p95=chain_seconds(flow) * 0.85)))
    mended = flow.having("transform", seconds=flow.step("transform").seconds / 2)
    rules, also = ("bottleneck",), ("split-long-step", "parallel-steps")
    return Plant("slow-step", flow, mended, rules, "transform", "run_minutes", also=also, policy=policy, bound=True)


def unsampled(rng: Rng, flow: Flow) -> Plant:
    """A scrape interval that misses most pods."""
    bad = replace(flow, sampled=float(rng.uniform(0.1, 0.3)))
    return Plant("unsampled", bad, flow, ("data-quality",), None, "", number=_says("scrape"), minor=True)


def no_time_limit(rng: Rng, flow: Flow) -> Plant:
    """No step has a time limit, and none has ever needed one."""
    bad = replace(flow, steps=tuple(replace(s, timeout=None) for s in flow.steps))
    return Plant("no-time-limit", bad, flow, ("best-practices",), None, "", number=_says("time limits"), minor=True)


def busy_hour(rng: Rng, flow: Flow) -> Plant:
    """A daily workflow that causes the busiest hour of an otherwise small cluster."""
    hour = int(rng.integers(1, 6))
    flow = replace(flow, engine="cron", every=DAY, begin=hour * HOUR, schedule=f"0 {hour} * * *", meets="Forbid")
    bad = flow.having("extract", seconds=1500.0, cpu=20.0, cpu_request=24.0)
    others = tuple(
        replace(flow, name=f"{flow.name}-{h}", seed=flow.seed + h, begin=h * HOUR, schedule=f"0 {h} * * *")
        for h in (9, 13, 17)
    )
    number = _says(f"{hour:02d}:00 UTC")
    return Plant("busy-hour", bad, flow, ("demand-forecast",), None, "", number=number, others=others, minor=True)


def _says(words: str) -> Number:
    return lambda item: words in item.action


KINDS: tuple[Kind, ...] = (
    starts_skipped, starts_late, runs_replaced, runs_beside, volume_filling, volume_tight, volume_large, gpus_idle,
    slow_step, unsampled, no_time_limit, busy_hour, gpus_little_used, slices_idle,
)  # fmt: skip
