"""Runs of one layout, whose steps are computed at once over arrays of shape (steps, runs)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from concertmaster.core import arrays as np
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.arrays import Floats

FEWEST = 4  # runs; with fewer, one at a time is faster


def by_layout(runs: Sequence[ExecutedRun], places: Iterable[int]) -> list[list[int]]:
    """These places in ``runs``, in groups of runs with the same steps and edges: runs of one layout share these objects."""
    alike: dict[tuple[int, int], list[int]] = {}
    for k in places:
        run = runs[k]
        alike.setdefault((id(run.names), id(run.parents)), []).append(k)
    return list(alike.values())


def lengths_of(runs: Sequence[ExecutedRun]) -> Floats:
    """Seconds of every step of runs of one layout, shape (steps, runs)."""
    steps = len(runs[0].lengths)
    flat = np.fromiter(chain.from_iterable([run.lengths for run in runs]), float, steps * len(runs))
    lengths: Floats = np.ascontiguousarray(flat.reshape(len(runs), steps).T)
    return lengths
