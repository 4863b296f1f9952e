"""Runs before and after a change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from concertmaster.core.model import Outcome, RunRecord, StepExecution
from tests.support.builders import KEY, MI, container, run_record

HOUR = 3600.0


def run(
    number: int,
    start: float,
    seconds: float,
    *,
    outcome: Outcome = Outcome.SUCCEEDED,
    reason: str | None = None,
    cpu: float = 1.0,
    items: int = 1,
    size: float | None = None,
    attempts: int = 1,
    memory: tuple[int, int] = (600, 1024),
) -> RunRecord:
    """One run of one step. ``memory``: peak and request of its container in MiB."""
    peak, request = (mebibytes * MI for mebibytes in memory)
    steps = tuple(
        StepExecution(
            "train",
            str(i),
            attempt=a,
            created=start,
            started=start,
            finished=start + seconds,
            outcome=outcome if a == attempts - 1 else Outcome.FAILED,
            reason=reason,
            input_size=size,
            containers=(container(cpu_request=cpu, memory_request=request, memory_sampled_peak=peak),),
        )
        for i in range(items)
        for a in range(attempts)
    )
    end = None if outcome is Outcome.RUNNING else start + seconds
    return run_record(steps, workflow=KEY, run=f"r{number}", start=start, end=end, outcome=outcome)


def series(seconds: Sequence[float], begin: float, first: int = 0, **more: object) -> list[RunRecord]:
    return [run(first + i, begin + i * HOUR, s, **more) for i, s in enumerate(seconds)]  # type: ignore[arg-type]


def noisy(seed: int, count: int, mean: float = 600.0, spread: float = 0.1) -> list[float]:
    return list(mean * np.exp(spread * np.random.default_rng(seed).standard_normal(count)))
