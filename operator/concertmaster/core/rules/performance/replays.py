"""Gain of changes whose effect differs from run to run, which a single what-if cannot express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concertmaster.core import arrays as np
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf, replay
from concertmaster.core.analysis.replay.gain import SURE, Gain, paired_gain
from concertmaster.core.model import Interval


def scaled(
    runs: Sequence[ExecutedRun], factors: Mapping[str, Mapping[str, float]], error: Interval = SURE
) -> tuple[Gain, list[float], list[float]]:
    """Gain when each step takes ``factors[run][step]`` times as long, and the makespans (s) before and after. ``error``: of
    the gain by that of the factors, in parts of it."""
    before: list[float] = []
    after: list[float] = []
    for run in runs:
        if run.usable:
            before.append(run.replayed)
            scales = tuple((step, factor) for step, factor in factors.get(run.run, {}).items() if factor != 1.0)
            after.append(replay(run, WhatIf(scales=scales)) if scales else run.replayed)
    if not before:
        return Gain(None, None, 0, "not enough data: no run can be replayed"), before, after
    base, saved = np.array(before), np.array(before) - np.array(after)
    return paired_gain(saved, base, error), before, after
