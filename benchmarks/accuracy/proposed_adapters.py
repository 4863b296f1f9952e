"""The memory requests that ``right-size`` proposes, for the scorers: sizes of the method with headroom and rounded.

``python DATA/memsizing/score.py --protocol all --adapters benchmarks/accuracy/proposed_adapters.py`` scores what a user gets
by default, benchmarks/adapters.py the method that it rests on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

# Scorers load this file by path, possibly without the package installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

from benchmarks.accuracy import sizing_adapters
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.rules.resources.right_size import HEADROOM_PERCENT
from concertmaster.core.sizing import MemorySize, levels, memory_request, plain_memory

SizingPolicyCpu = sizing_adapters.SizingPolicyCpu


def proposed(size: MemorySize, current: float) -> float:
    """Memory request in bytes; a ``current`` one (bytes) that no run exceeded is not raised for headroom."""
    largest = size.largest_recent_peak
    target = max(size.request, (1.0 + HEADROOM_PERCENT["memory"] / 100.0) * largest)
    request = plain_memory(target) or target
    return min(request, current) if current >= largest else request


class SizingPolicy(sizing_adapters.SizingPolicy):
    """What is proposed for one step from the runs observed so far, by levels of input where memory follows it."""

    def allocate(self, input_bytes: float | None, preset_bytes: float) -> float | None:
        """The request of the level that covers the input; beyond all levels, and where one is enough, that of the
        template."""
        size = memory_request(self._peaks, self._durations, inputs=self._inputs, current_request=preset_bytes)
        if size is None:
            return None
        single = proposed(size, preset_bytes)
        if input_bytes is None or size.model is None:
            return single
        inputs, peaks = np.array(self._inputs), np.array(self._peaks)
        of_levels = levels(size.model, inputs, peaks, AnalysisSettings().memory_headroom)
        return next((request for largest, request in of_levels if input_bytes <= largest), single)
