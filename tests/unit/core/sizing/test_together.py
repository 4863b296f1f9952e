"""Requests of many steps worked out at once are those of each step alone, to the last bit."""

from __future__ import annotations

import math
import random
from unittest import mock

import numpy as np
import pytest

from concertmaster.core.sizing import (
    CpuUse,
    MemoryUse,
    cpu_request,
    cpu_requests,
    memory,
    memory_request,
    memory_requests,
)
from concertmaster.core.sizing.waste import fit_loss

LENGTHS = (2, 3, 5, 7, 7, 7, 12, 30, 33, 40, 99, 120)


def memory_uses(seed: int) -> list[MemoryUse]:
    chance = random.Random(seed)
    uses = []
    for count in LENGTHS * 3:
        growth, spread = chance.choice((0.0, 0.05)), chance.choice((0.0, 0.1, 0.6))
        peaks = [3e8 * chance.lognormvariate(0, spread) * math.exp(growth * i) for i in range(count)]
        seconds = [chance.choice((10.0, 5000.0)) * chance.lognormvariate(0, 0.4) for _ in range(count)]
        inputs = [2.0 * p for p in peaks] if chance.random() < 0.2 else None
        if chance.random() < 0.2:
            peaks[0] = math.nan
        times = None if chance.random() < 0.5 else [float(t) for t in chance.sample(range(1000), count)]
        uses.append(MemoryUse(peaks, seconds, times, inputs, chance.choice((None, 3e8, 5e9))))
    return uses


def cpu_uses(seed: int) -> list[CpuUse]:
    chance = random.Random(seed)
    uses = []
    for count in LENGTHS * 3:
        growth = chance.choice((0.0, 0.05))
        used = [0.3 * chance.lognormvariate(0, 0.4) * math.exp(growth * i) for i in range(count)]
        if chance.random() < 0.3:
            used = [round(cores, 1) for cores in used]
        seconds = [60.0 * chance.lognormvariate(0, 0.4) for _ in range(count)]
        throttled = None if chance.random() < 0.5 else [chance.random() * 0.2 for _ in range(count)]
        uses.append(
            CpuUse(used, None, throttled, seconds, chance.choice((None, 0.3)), chance.choice((None, 1.0)), None)
        )
    return uses


@pytest.mark.parametrize("seed", range(5))
def test_memory_requests_of_many_steps_are_those_of_each(seed: int) -> None:
    uses = memory_uses(seed)
    alone = [memory_request(u.peaks, u.durations, u.times, u.inputs, u.current_request) for u in uses]
    assert memory_requests(uses) == alone
    assert any(size.drifting for size in alone)


@pytest.mark.parametrize("seed", range(5))
def test_cpu_requests_of_many_steps_are_those_of_each(seed: int) -> None:
    uses = cpu_uses(seed)
    alone = [
        cpu_request(u.mean_cores, u.peak_cores, u.throttled_shares, u.durations, u.on_critical_path_share, *_limits(u))
        for u in uses
    ]
    assert cpu_requests(uses) == alone


def _limits(use: CpuUse) -> tuple[float | None, float | None]:
    return use.current_request, use.current_limit


@pytest.mark.parametrize("count", [7, 40, 120])
def test_the_level_is_that_of_one_sample(count: int) -> None:
    """The rows of several samples against the loss of one, which a model of inputs uses."""
    chance = np.random.default_rng(count)
    peaks, seconds = 3e8 * chance.lognormal(0, 0.2, (6, count)), 900.0 * chance.lognormal(0, 0.4, (6, count))
    options = memory.MemoryOptions()
    levels, totals, wastes = memory.fit_losses(peaks, seconds, options).best(options)
    for row in range(6):
        one = fit_loss(np.zeros(count), peaks[row], seconds[row], options, is_factor=False)
        assert (levels[row], totals[row], wastes[row]) == one.best(options)


def test_steps_of_equally_many_runs_are_worked_out_at_once() -> None:
    uses = [u for u in memory_uses(1) if u.inputs is None and len(u.peaks) == 7 and not math.isnan(u.peaks[0])]
    with mock.patch.object(memory, "fit_losses", side_effect=memory.fit_losses) as fitted:
        memory_requests(uses)
    assert len(uses) > 3
    assert fitted.call_count == 1
