"""Adapters for sizing, regression and scale-out between the data formats of the scorers and those of the product."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from concertmaster.core.sizing import MemorySize, cpu_request, memory_request, round_memory
from concertmaster.core.stats.regression import fit_memory, fit_runtime
from concertmaster.core.stats.scaleout import fit_scaleout


def in_template(size: MemorySize) -> float:
    """One request (bytes) rounded to the nearest plain quantity, but not down across the largest peak."""
    return round_memory(size.request, at_least=size.largest_recent_peak) or size.request


class SizingPolicy:
    """Memory request in bytes of one step, from the runs observed so far."""

    def __init__(self) -> None:
        self._peaks: list[float] = []
        self._inputs: list[float] = []
        self._durations: list[float] = []

    def observe(self, usage_bytes: float, input_bytes: float, runtime_s: float, preset_bytes: float) -> None:
        """Record one finished execution."""
        self._peaks.append(usage_bytes)
        self._inputs.append(input_bytes)
        self._durations.append(runtime_s)

    def allocate(self, input_bytes: float | None, preset_bytes: float) -> float | None:
        """The request: a function of input size if that is known before the start, else the quantity in the
        template."""
        size = memory_request(self._peaks, self._durations, inputs=self._inputs, current_request=preset_bytes)
        if input_bytes is not None and size is not None and size.model is not None:
            return size.model.request(input_bytes)
        return None if size is None else in_template(size)

    def retry(self, prev_bytes: float, n: int, preset_bytes: float) -> float:
        """The request after the n-th OOM kill: doubled, as the expected waste assumes."""
        return prev_bytes * 2.0


class SizingPolicyCpu:
    """CPU request in cores of one step, from the runs observed so far."""

    def __init__(self) -> None:
        self._cores: list[float] = []
        self._durations: list[float] = []

    def observe(self, used_cores: float, input_bytes: float, runtime_s: float, preset_cores: float) -> None:
        """Record one finished execution."""
        self._cores.append(used_cores)
        self._durations.append(runtime_s)

    def allocate(self, input_bytes: float | None, preset_cores: float) -> float | None:
        """The request for all further executions."""
        found = cpu_request(self._cores, self._durations)
        return found.request if found is not None and found.request < preset_cores else None


def runtime_model(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Run time in seconds by input size."""
    return fit_runtime(x, y).predict


def memory_model(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Peak memory in bytes by input size."""
    return fit_memory(x, y).predict


def scaleout_model(train: Sequence[tuple[int, float]]) -> Callable[[int], float]:
    """Run time in seconds by number of workers."""
    model = fit_scaleout([n for n, _ in train], [t for _, t in train])
    return lambda n: float(model.seconds(n))
