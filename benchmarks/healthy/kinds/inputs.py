"""Inputs: large and small ones, known to the metrics or not, that grow, come in bursts, or need another pool."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from benchmarks.healthy.law import GI, HOUR, MI, Flow, Kind, Rng, Run, Starts, Step, in_sequence
from benchmarks.healthy.starts import at_random, bursts, every, with_backfill

_SIZE = {"variance": "the size of the input"}
_LARGEST = 12.0  # times the median sample


def _alignment(starts: Starts, *, spread: float = 1.0, sized: bool) -> Flow:
    """Samples from 1 to 400 times as large as the smallest, with memory for the largest."""

    def prepare(run: Run) -> None:
        run.load = float(np.clip(run.varied(spread), 0.03, _LARGEST))

    steps = in_sequence(
        Step("fetch", 60, 0.15, fixed=30, scales=1, cpu_request=0.5, memory_request=400 * MI),
        Step("align", 1500, 0.1, fixed=120, scales=0.95, cpu_request=8, memory_request=18 * GI, memory_used=1 / 3,
             memory_grows=1 / 18),
        Step("sort", 300, 0.1, fixed=40, scales=1, cpu_request=2, memory_request=4 * GI),
        Step("call", 900, 0.15, fixed=100, scales=1, cpu_request=4, memory_request=8 * GI),
    )  # fmt: skip
    steps = tuple(replace(step, sized=sized) for step in steps)
    return Flow("alignment", steps, starts, prepare=prepare, hidden={} if sized else _SIZE)


def samples_of_unknown_size(rng: Rng) -> Flow:
    """Each sample takes as long as it is large, which no metric shows."""
    return _alignment(at_random(6), sized=False)


def samples_of_known_size(rng: Rng) -> Flow:
    """Each sample takes as long as it is large, as the metrics show."""
    return _alignment(at_random(6), sized=True)


def samples_of_any_known_size(rng: Rng) -> Flow:
    """Each sample takes as long as it is large, as the metrics show; sizes vary still more."""
    return _alignment(at_random(12), spread=1.3, sized=True)


def more_large_inputs(rng: Rng) -> Flow:
    """Inputs of two sizes, of which the large one has become more frequent."""

    def prepare(run: Run) -> None:
        run.load = 3.0 if run.chance(0.75 if run.age < 4.0 else 0.3) else 1.0

    steps = in_sequence(Step("fetch", 100, 0.2), Step("process", 300, 0.15, scales=1))
    return Flow(
        "mixed", steps, at_random(10), prepare=prepare, hidden=_SIZE,
        true={"degradation": "its runs do take longer now"},
    )  # fmt: skip


def memory_for_rare_inputs(rng: Rng) -> Flow:
    """A request of 8 GiB for the input in 25 that needs 6; the others need 1.5."""

    def prepare(run: Run) -> None:
        run.load = 4.0 if run.chance(0.04) else 1.0

    steps = in_sequence(
        Step("solve", 300, 0.2, scales=0.8, memory_request=8 * GI, memory_used=0.0, memory_grows=1.5 / 8,
             memory_spread=0.05),
        Step("report", 200, 0.2),
    )  # fmt: skip
    hidden = {"right-size": "that inputs before these runs needed four times as much"}
    return Flow("rare-inputs", steps, at_random(6), prepare=prepare, hidden=_SIZE | hidden)


def pool_for_large_inputs(rng: Rng) -> Flow:
    """Large inputs run on a pool with more memory: its executions take longer because of the inputs."""

    def prepare(run: Run) -> None:
        run.load = run.varied(0.8)

    def node(run: Run) -> tuple[str, float]:
        pool, count = ("highmem", 4) if run.load > 1.6 else ("standard", 8)
        return f"{pool}-{run.rng.integers(0, count)}", 1.0

    steps = in_sequence(Step("load", 300, 0.1, scales=0.9), Step("solve", 500, 0.1, scales=0.9))
    return Flow("pools", steps, at_random(10), prepare=prepare, node=node, hidden=_SIZE)


def _growing(*, sized: bool) -> Flow:
    def prepare(run: Run) -> None:
        run.load = math.exp(-0.01 * run.age) * run.varied(0.2)

    steps = in_sequence(Step("load", 300, 0.1, scales=1, sized=sized), Step("index", 600, 0.1, scales=1, sized=sized))
    return Flow("growing", steps, every(4 * HOUR), "cron", "0 */4 * * *", prepare=prepare)


def growing_known_inputs(rng: Rng) -> Flow:
    """Inputs that grow by 1% a day, as the metrics show."""
    return _growing(sized=True)


def growing_unknown_inputs(rng: Rng) -> Flow:
    """Inputs that grow by 1% a day, which no metric shows."""
    return _growing(sized=False)


def every_seventh_is_full(rng: Rng) -> Flow:
    """Six incremental runs, then a full one."""

    def prepare(run: Run) -> None:
        run.load = (3.5 if run.number % 7 == 0 else 1.0) * run.varied(0.1)

    steps = in_sequence(Step("plan", 60, 0.2), Step("copy", 600, 0.1, scales=1))
    hidden = {"variance": "which runs are full ones"}
    return Flow("seventh", steps, every(2 * HOUR), "cron", "0 */2 * * *", prepare=prepare, hidden=hidden)


def rarely_three_times_as_much(rng: Rng) -> Flow:
    """One input in 33 takes three times as long."""
    steps = in_sequence(Step("process", 1500, 0.15, rare=(0.03, 3.0)), Step("report", 300, 0.15))
    return Flow("rarely", steps, every(HOUR), "cron", "0 * * * *", hidden=_SIZE)


def backfill(rng: Rng) -> Flow:
    """Thirty runs at once, for earlier days, among those on schedule."""

    def prepare(run: Run) -> None:
        run.load = run.varied(0.15)

    starts = with_backfill(every(4 * HOUR), float(rng.uniform(3, 10)))
    steps = in_sequence(Step("load", 300, 0.1, scales=1, wait=2.0), Step("index", 500, 0.1, scales=1, wait=2.0))
    return Flow("backfill", steps, starts, prepare=prepare)


def bursts_of_events(rng: Rng) -> Flow:
    """Bursts of up to eleven runs that wait a few seconds for nodes."""
    steps = in_sequence(Step("parse", 120, 0.3, wait=8.0), Step("store", 200, 0.3, wait=8.0))
    return Flow("bursts", steps, bursts(3, 11, 20.0))


KINDS: tuple[Kind, ...] = (
    samples_of_unknown_size, samples_of_known_size, samples_of_any_known_size, more_large_inputs, memory_for_rare_inputs,
    pool_for_large_inputs, growing_known_inputs, growing_unknown_inputs, every_seventh_is_full,
    rarely_three_times_as_much, backfill, bursts_of_events,
)  # fmt: skip
