"""Workflows with nothing to fix: they vary, follow the day and the week, grow a little, fail and are tried again."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.advice.law import DAY, HOUR
from benchmarks.advice.plant import Flow, Rng, base, fitted


def healthy(rng: Rng, name: str) -> Flow:
    """One workflow; CV 3 to 40%, requests used to 50 to 95%."""
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
