"""Planted problems of failures, limits and objectives."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from benchmarks.advice.law import DAY, HOUR, MI
from benchmarks.advice.numbers import retried, seconds, sized, stated
from benchmarks.advice.plant import Flow, Kind, Plant, Rng, chain_seconds, wide
from benchmarks.advice.truth import runs_of
from concertmaster.core.model import Recommendation
from concertmaster.core.model.policy import Objectives, Policy, Quantiles


def out_of_memory(rng: Rng, flow: Flow) -> Plant:
    """A memory limit that some runs exceed."""
    own = flow.step("transform")
    limit = round(own.peak * rng.uniform(1.03, 1.07) / MI) * MI
    bad = flow.having("transform", peak_cv=0.05, memory_limit=limit, memory_request=limit, retries=0)
    mended = bad.having("transform", memory_limit=None)
    number = sized("transform", "limits.memory", own.peak * 1.12, own.peak * 2.2)
    return Plant(
        "oom", bad, mended, ("memory-request",), "transform", "failed_runs", also=("right-size",), number=number
    )


def leak(rng: Rng, flow: Flow) -> Plant:
    """A peak that grows until the limit causes OOM kills."""
    own = flow.step("enrich")
    growth = float(rng.uniform(0.04, 0.06))
    limit = round(own.peak * 0.93 / MI) * MI
    bad = flow.having("enrich", peak_growth=growth, peak_cv=0.02, memory_limit=limit, memory_request=limit, retries=0)
    mended = bad.having("enrich", memory_limit=None)
    number = sized("enrich", "limits.memory", own.peak, own.peak * 2.5)
    also = ("right-size", "objective-at-risk")
    return Plant("memory-ramp", bad, mended, ("memory-request",), "enrich", "failed_runs", also=also, number=number)


def flaky(rng: Rng, flow: Flow) -> Plant:
    """Transient failures that a retry would fix, without a retry."""
    bad = flow.having("load", transient=float(rng.uniform(0.1, 0.2)), retries=0)
    mended = bad.having("load", retries=2)
    also = ("objective-at-risk",)
    return Plant("flaky", bad, mended, ("retry-policy",), "load", "failed_runs", also=also, number=retried(1, 3))


def flaky_fan_out(rng: Rng, flow: Flow) -> Plant:
    """One of many items fails occasionally and is not retried."""
    bad = wide(flow, int(rng.integers(8, 20)), transient=float(rng.uniform(0.008, 0.015)), retries=0)
    mended = bad.having("transform", retries=2)
    rules, also = ("retry-policy",), ("objective-at-risk",)
    return Plant("flaky-item", bad, mended, rules, "transform", "failed_runs", also=also, number=retried(1, 3))


def flaky_but_retried(rng: Rng, flow: Flow) -> Plant:
    """Attempts of a long step that often fail, with retries that help: runs succeed, but take longer."""
    flow = flow.having("transform", seconds=0.6 * chain_seconds(flow))
    bad = flow.having("transform", transient=float(rng.uniform(0.25, 0.4)), retries=6)
    mended = bad.having("transform", transient=0.0)
    rules, also = ("failing-step",), ("retry-policy", "bottleneck", "split-long-step")
    return Plant("flaky-retried", bad, mended, rules, "transform", "run_minutes", also=also)


def hang(rng: Rng, flow: Flow) -> Plant:
    """A step that hangs occasionally, without a time limit."""
    bad = flow.having("extract", hang=float(rng.uniform(0.04, 0.08)), hang_seconds=4 * HOUR, timeout=None)
    mended = bad.having("extract", hang=0.0)
    also = ("variance", "bottleneck")
    number = stated(r"time limit of \S+: (\w+)", flow.step("extract").seconds * 1.1, 2 * HOUR)
    return Plant("hang", bad, mended, ("timeout",), "extract", "run_minutes", also=also, number=number, bound=True)


def tight(rng: Rng, flow: Flow) -> Plant:
    """A time limit that terminates healthy executions."""
    own = flow.step("transform")
    bad = flow.having("transform", cv=0.15, timeout=float(round(own.seconds * 1.2)), retries=0)
    mended = bad.having("transform", timeout=None)
    number = stated(r"time limit of .* -> (\w+)", own.seconds * 1.35, own.seconds * 4)  # 1.35: 99% of executions
    also = ("objective-at-risk",)
    return Plant("timeout-tight", bad, mended, ("timeout",), "transform", "failed_runs", also=also, number=number)


def broken_since(rng: Rng, flow: Flow) -> Plant:
    """Every run has failed at one step for a day or two."""
    bad = flow.having("load", since=float(rng.uniform(1, 3)), then_broken=1.0, retries=0)
    mended = bad.having("load", then_broken=0.0)
    also = ("objective-at-risk",)
    return Plant("broken", bad, mended, ("failing-step",), "load", "failed_runs", also=also, bound=True)


def failure_rate(rng: Rng, flow: Flow) -> Plant:
    """For some days a third of the runs has failed, despite retries."""
    bad = flow.having("enrich", since=float(rng.uniform(2.5, 5)), then_broken=float(rng.uniform(0.25, 0.4)), retries=1)
    mended = bad.having("enrich", then_broken=0.0)
    also = ("retry-policy", "objective-at-risk")
    return Plant("failure-rate", bad, mended, ("failing-step",), "enrich", "failed_runs", also=also)


def growing(rng: Rng, flow: Flow, limit: float) -> tuple[Plant, float]:
    """Run time that grows by about 2% a day, with an objective of the median ``limit`` times the present one; and the days
    until it is missed."""
    flow = replace(flow, every=2 * HOUR, noise=0.04)
    level = float(np.median([r.makespan for r in runs_of(flow)[1] if r.makespan]))
    rate = float(rng.uniform(0.018, 0.024))
    bad = replace(flow, steps=tuple(replace(s, growth=rate) for s in flow.steps))
    policy = Policy(objectives=Objectives(duration=Quantiles(p50=level * limit)))
    plant = Plant("growth", bad, flow, ("objective-at-risk",), None, "", also=("degradation",), policy=policy)
    return plant, math.log(limit) / rate


def growth(rng: Rng, flow: Flow) -> Plant:
    """Growth that leads beyond an objective. The number is the day with its interval, as the text states them."""
    plant, days = growing(rng, flow, float(rng.uniform(1.08, 1.14)))

    def number(item: Recommendation) -> bool:
        text = re.search(r"missed in (\S+) \(between (\S+) and (\S+) from now", item.otherwise)
        if text is None:
            return False
        likely, low, high = (seconds(words) / DAY for words in text.groups())
        return abs(likely / days - 1) <= 0.35 and 0.9 * low <= days <= 1.1 * high

    return replace(plant, number=number)


def missed(rng: Rng, flow: Flow) -> Plant:
    """A duration objective missed because of one long step."""
    flow = flow.having("transform", seconds=2400.0)
    policy = Policy(objectives=Objectives(duration=Quantiles(p95=chain_seconds(flow) * 0.75)))
    mended = flow.having("transform", seconds=1200.0)
    rules = ("split-long-step", "bottleneck", "cpu-request")
    also = ("parallel-steps", "degradation")
    return Plant(
        "objective-missed", flow, mended, rules, "transform", "run_minutes", also=also, policy=policy, bound=True
    )


KINDS: tuple[Kind, ...] = (
    out_of_memory, leak, flaky, flaky_fan_out, hang, tight, broken_since, failure_rate, growth, missed,
)  # fmt: skip
