"""Workflows without problems: they vary, follow daily and weekly patterns, grow a little, fail and are retried."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.advice.law import DAY, GI, HOUR, SLICE, Volume
from benchmarks.advice.plant import Flow, Rng, base, chain_seconds, fitted


def healthy(rng: Rng, name: str) -> Flow:
    """One workflow with a CV of 3 to 40% and requests of which 50 to 95% is used; some with busy GPUs or a
    slice of one, volumes with free space, and schedules that fit the duration of their runs."""
    flow = _usual(rng, name)
    if flow.every == HOUR and flow.schedule is not None:  # runs due while one is in progress would be detected
        factor = float(rng.uniform(0.35, 0.65)) * HOUR / chain_seconds(flow)
        flow = replace(flow, meets=str(rng.choice(["Forbid", "Allow", "Replace"])), noise=min(flow.noise, 0.1))
        flow = replace(flow, steps=tuple(replace(s, seconds=s.seconds * factor) for s in flow.steps))
    last = flow.steps[-1].name
    if rng.random() < 0.1:
        gpus = int(rng.integers(1, 5))
        flow = flow.having(last, gpus=gpus, gpus_busy=gpus)
        if gpus == 1:  # a slice that is used a little is already what is recommended to others
            flow = flow.having(last, gpu_resource=SLICE, gpu_use=0.15)
    return flow.having(last, volume=_volume(rng)) if rng.random() < 0.4 else flow


def _volume(rng: Rng) -> Volume:
    """A well-used volume, with months of free space if it grows."""
    capacity, share = float(rng.integers(5, 300)) * GI, float(rng.uniform(0.45, 0.7))
    used = share * capacity
    kind = int(rng.integers(0, 3))
    if kind == 0:
        return Volume("work", capacity, used, cv=0.05, each=True)
    growth = (capacity - used) / float(rng.uniform(60, 300)) if kind == 1 else 0.0
    return Volume("data", capacity, used, growth, cv=0.02)


def _usual(rng: Rng, name: str) -> Flow:
    engine = str(rng.choice(["argo", "cron", "tekton", "cronjob"]))
    every = float(rng.choice([1, 2, 3, 4, 6, 12, 24])) * HOUR
    flow = base(rng, name, every=every, engine=engine)
    low, high = sorted(rng.uniform(0.5, 0.95, 2))
    steps = []
    for step in flow.steps:
        made = fitted(step, float(rng.uniform(low, high)), float(rng.uniform(low, high)))
        made = replace(made, cv=float(rng.uniform(0.03, 0.4)), peak_cv=float(rng.uniform(0.01, 0.06)))
        if rng.random() < 0.25:
            made = replace(made, transient=float(rng.uniform(0.005, 0.04)), retries=3)
        steps.append(made)
    flow = replace(flow, steps=tuple(steps), noise=float(rng.uniform(0.0, 0.2)))
    if rng.random() < 0.4:
        flow = replace(flow, daily=float(rng.uniform(0.02, 0.2)))
    if rng.random() < 0.3:
        flow = replace(flow, weekly=float(rng.uniform(0.05, 0.3)))
    if rng.random() < 0.25:
        growth = float(rng.uniform(0.0005, 0.003))
        flow = replace(flow, steps=tuple(replace(s, growth=growth, peak_growth=growth / 2) for s in flow.steps))
    if engine == "cronjob":
        return replace(flow, steps=(replace(flow.steps[1], after=()),), schedule=_line(every))
    if engine in ("argo", "cron") and rng.random() < 0.5:
        flow = flow.having("transform", items=int(rng.integers(3, 12)), cv=float(rng.uniform(0.03, 0.15)))
    return replace(flow, schedule=_line(every)) if engine == "cron" else flow


def _line(every: float) -> str:
    return "0 0 * * *" if every >= DAY else f"0 */{int(every / HOUR)} * * *"
