"""Failures, hangs, and volumes that fill up."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.law import DAY, GI, HOUR, MONTH, Change, Container, Flow, Volume
from benchmarks.graphs.plant import FAILURES, MINUTES, Kind, Plant, anywhere, changed, failed, hung, placed, unexplained
from benchmarks.graphs.remedies import edited
from benchmarks.graphs.shapes import any_of, chain, diamond, fan, flow, layers, two_paths
from benchmarks.graphs.simulation import fresh
from concertmaster.core.model import Recommendation


def out_of_memory(rng: Rng, name: str) -> Plant:
    """Large inputs, 4 to 20% of all, need more memory than the limit. The fix is the recommended limit, which need not be
    enough for all of them."""
    drawn = replace(flow(rng, name, any_of(rng, (chain, layers, two_paths, fan))), input_spread=0.5)
    at, share, limit = anywhere(rng, drawn), float(rng.uniform(0.04, 0.2)), 2 * GI
    usual = limit / math.exp(drawn.input_spread * NormalDist().inv_cdf(1.0 - share))
    pod = Container(memory=usual, memory_elasticity=1.0, memory_spread=0.02, memory_request=limit, memory_limit=limit)
    bad = drawn.having(at, containers=(pod,), retries=int(rng.choice([0, 0, 2])))
    fixed = bad.having(at, containers=(replace(pod, memory_limit=None),))
    return Plant(
        bad, fixed, ("memory-request",), at, FAILURES, also=unexplained(drawn), remedy=edited, shown=failed(at),
        note=f"{share:.0%}",
    )  # fmt: skip


def useless_retries(rng: Rng, name: str) -> Plant:
    """10 to 25% of the executions fail whatever is retried, late, and five or eight retries repeat the work. The fix is one
    that succeeds; fewer retries are a right answer too, whose saving is not compared."""
    drawn = flow(rng, name, any_of(rng))
    at = anywhere(rng, drawn)
    count = drawn.executions(drawn.step(at))
    share = float(rng.uniform(0.1, 0.25)) if count == 1 else 0.3 / count
    bad = drawn.having(at, retries=int(rng.choice([5, 8])), broken=share, fails_at=(0.7, 1.0))
    rules = ("failing-step", "retry-policy")
    return Plant(bad, drawn, rules, at, FAILURES, shown=failed(at), note=f"{share:.1%}")


def no_retries(rng: Rng, name: str) -> Plant:
    """5 to 20% of the runs fail at one step by chance, which has no retries. The fix is the recommended number of them."""
    drawn = flow(rng, name, any_of(rng))
    at = anywhere(rng, drawn)
    count = drawn.executions(drawn.step(at))
    share = float(rng.uniform(0.05, 0.2)) / count
    bad = drawn.having(at, transient=share)
    return Plant(
        bad, bad.having(at, retries=2), ("retry-policy",), at, FAILURES, remedy=edited, shown=failed(at),
        note=f"{share:.1%} of {count} executions",
    )  # fmt: skip


def partly_transient(rng: Rng, name: str) -> Plant:
    """10 to 25% of the runs fail at one step at first, half of them whatever is retried, and one, two or five retries help
    the others. The fix is the recommended limit, which hardly helps any of what is left, or one that succeeds."""
    drawn = flow(rng, name, any_of(rng))
    at, share, retries = anywhere(rng, drawn), float(rng.uniform(0.1, 0.25)), int(rng.choice([1, 2, 5]))
    each = share / 2 / drawn.executions(drawn.step(at))
    bad = drawn.having(at, retries=retries, broken=each, transient=each)

    def remedy(flow: Flow, item: Recommendation) -> Flow:
        return edited(flow, item) if item.rule == "retry-policy" else drawn

    rules = ("failing-step", "retry-policy")
    note = f"{share:.1%} of runs, {retries} retries"
    return Plant(bad, drawn, rules, at, FAILURES, remedy=remedy, shown=failed(at), note=note)


def costly_failures(rng: Rng, name: str) -> Plant | None:
    """20 to 40% of the attempts fail near their end and are retried: no run fails, all take longer. The fix is an end of the
    failures. The step takes most of the run, and varies: both may be said too."""
    drawn = flow(rng, name, any_of(rng, (chain, diamond, fan, two_paths)))
    at = placed(rng, drawn, 0.08)
    if at is None:
        return None
    share = float(rng.uniform(0.2, 0.4)) / drawn.step(at).items
    bad = drawn.having(at, retries=5, transient=share, fails_at=(0.8, 1.0))
    rules, also = ("failing-step", "retry-policy"), ("bottleneck", "variance")
    return Plant(bad, drawn, rules, at, MINUTES, also=also, shown=failed(at), note=f"{share:.1%}")


def hanging(rng: Rng, name: str) -> Plant | None:
    """2 to 8% of the runs have a step that hangs for hours. The fix is the recommended time limit, at which it ends and the
    run goes on. Such a step varies, and takes most of the run on average: both may be said too."""
    drawn = flow(rng, name, any_of(rng))
    at = placed(rng, drawn, 0.02)
    if at is None:
        return None
    share = float(rng.uniform(0.02, 0.08)) / drawn.executions(drawn.step(at))
    bad = drawn.having(at, hang=share, hang_seconds=4 * HOUR)

    def remedy(flow: Flow, item: Recommendation) -> Flow:
        limited = edited(flow, item).step(at).timeout
        return flow.having(at, hang_seconds=limited)

    return Plant(
        bad, drawn, ("timeout",), at, MINUTES, also=("variance", "bottleneck"), remedy=remedy, shown=hung(at, 2 * HOUR),
        note=f"{share:.1%} of attempts",
    )  # fmt: skip


def stopped_late(rng: Rng, name: str) -> Plant:
    """A time limit of the workflow stops 4 to 20% of the runs, those with large inputs. The fix is the recommended limit."""
    drawn = replace(flow(rng, name, any_of(rng)), input_spread=0.4)
    drawn = drawn.everywhere(elasticity=1.0)
    share = float(rng.uniform(0.04, 0.2))
    limit = float(np.quantile([run.makespan for run in fresh(drawn, 200)], 1.0 - share))
    return Plant(
        replace(drawn, limit=limit), drawn, ("timeout",), None, FAILURES, also=unexplained(drawn), remedy=edited,
        shown=lambda runs: sum(run.failed for run in runs) > 1, note=f"{share:.0%}",
    )  # fmt: skip


def failing_end(rng: Rng, name: str) -> Plant:
    """The last step fails in 25 to 70% of the runs. The fix is one that succeeds."""
    drawn = flow(rng, name, any_of(rng, (chain, diamond, fan)))
    at, share = drawn.steps[-1].name, float(rng.uniform(0.25, 0.7))
    bad = drawn.having(at, broken=share)
    return Plant(bad, drawn, ("failing-step", "retry-policy"), at, FAILURES, shown=failed(at), note=f"{share:.0%}")


def failing_since(rng: Rng, name: str) -> Plant:
    """The last step fails in 30 to 70% of the runs since some day. The fix is what it was before. As it has no
    retries, nobody can see that they would not help."""
    drawn = flow(rng, name, any_of(rng, (chain, diamond, fan)))
    at = drawn.steps[-1].name
    change = Change(since=float(rng.uniform(2, 7)), broken=float(rng.uniform(0.3, 0.7)))
    bad = drawn.having(at, change=change)
    note = f"{change.broken:.0%} since {change.since:.1f} d"
    return Plant(bad, drawn, ("failing-step",), at, FAILURES, also=("retry-policy",), shown=changed(at), note=note)


def filling_volume(rng: Rng, name: str) -> Plant:
    """A volume that is full within 13 days. The fix is room for a month; without it all runs fail from that day on."""
    drawn = flow(rng, name, any_of(rng, (chain, layers, two_paths)))
    at, capacity = anywhere(rng, drawn), 100 * GI
    growth, days = float(rng.uniform(0.3, 3)) * GI, float(rng.uniform(1, 13))
    bad = drawn.having(at, volume=Volume("work", capacity, capacity - days * growth, growth))
    lost = (MONTH - days * DAY) / bad.every
    return Plant(bad, drawn, ("volume-size",), None, FAILURES, amount=lost, note=f"full in {days:.1f} d")


KINDS: tuple[Kind, ...] = (
    out_of_memory, useless_retries, no_retries, partly_transient, costly_failures, hanging, stopped_late, failing_end,
    failing_since, filling_volume,
)  # fmt: skip
