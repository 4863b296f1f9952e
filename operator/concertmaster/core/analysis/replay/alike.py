"""Runs of one layout, whose steps are computed at once over arrays of shape (steps, runs)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import MIN_SECONDS, latest_of
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.arrays import Floats

MIN_RUNS = 4  # runs; with fewer, one at a time is faster


@dataclass(frozen=True, slots=True)
class AlikeRuns:
    """Runs of one layout without limits, and their ``places`` among all. ``lengths``: seconds of every step, ``ends``: when
    it ends, both of shape (steps, runs); ``tails``: of shape (runs,). None of these arrays may be changed."""

    places: list[int]
    runs: list[ExecutedRun]
    lengths: Floats
    ends: Floats
    tails: Floats

    @classmethod
    def of(cls, runs: Sequence[ExecutedRun], places: list[int]) -> AlikeRuns:
        """The runs at these places."""
        members = [runs[k] for k in places]
        lengths = lengths_of(members)
        ends = ends_many(members[0].parents, lengths)
        return cls(places, members, lengths, ends, np.array([run.tail for run in members]))


class ExecutedRuns(tuple[ExecutedRun, ...]):
    """Runs as graphs, with what every what-if on them begins from: worked out once, whatever it changes."""

    @property
    def replayable(self) -> ExecutedRuns:
        """Those whose replay takes any time."""
        return self if self._replayable is None else self._replayable

    @cached_property
    def _replayable(self) -> ExecutedRuns | None:
        """None for all: an object that refers to itself would wait for the garbage collector."""
        kept = [run for run in self if run.replayed > MIN_SECONDS]  # NaN is not
        return None if len(kept) == len(self) else ExecutedRuns(kept)

    @cached_property
    def seconds(self) -> Floats:
        """The makespans of their unchanged replays in seconds, shape (runs,)."""
        return np.array([run.replayed for run in self])

    @cached_property
    def limited(self) -> list[int]:
        """Places of the usable runs with limits."""
        return [k for k, run in enumerate(self) if run.usable and run.limits]

    @cached_property
    def free(self) -> tuple[list[AlikeRuns], list[int]]:
        """The usable runs without limits, as ``alike`` gives them."""
        return alike(self, [k for k, run in enumerate(self) if run.usable and not run.limits])


def alike(runs: Sequence[ExecutedRun], places: Iterable[int]) -> tuple[list[AlikeRuns], list[int]]:
    """Runs without limits at these places: those that are computed together, and the places of those that are not."""
    groups = by_layout(runs, places)
    together = [AlikeRuns.of(runs, group) for group in groups if len(group) >= MIN_RUNS]
    return together, [k for group in groups if len(group) < MIN_RUNS for k in group]


def by_layout(runs: Sequence[ExecutedRun], places: Iterable[int]) -> list[list[int]]:
    """These places in ``runs``, in groups of runs with the same steps and edges: runs of one layout share these objects."""
    groups: dict[tuple[int, int], list[int]] = {}
    for k in places:
        run = runs[k]
        groups.setdefault((id(run.names), id(run.parents)), []).append(k)
    return list(groups.values())


def lengths_of(runs: Sequence[ExecutedRun]) -> Floats:
    """Seconds of every step of runs of one layout, shape (steps, runs)."""
    steps = len(runs[0].lengths)
    flat = np.fromiter(chain.from_iterable([run.lengths for run in runs]), float, steps * len(runs))
    lengths: Floats = np.ascontiguousarray(flat.reshape(len(runs), steps).T)
    return lengths


def unlimited_many(parents: Sequence[Sequence[int]], lengths: Floats) -> Floats:
    """Makespans in seconds of many runs in which nothing waits for a slot; ``lengths`` has shape (steps, runs), the result
    (runs,)."""
    longest: Floats = ends_many(parents, lengths).max(axis=0, initial=0.0)
    return longest


def ends_many(parents: Sequence[Sequence[int]], lengths: Floats, earlier: Floats | None = None) -> Floats:
    """When each step of many runs ends if nothing waits for a slot; both of shape (steps, runs). ``earlier``: these times of
    the first steps, as far as they are known."""
    ends = np.array(lengths, order="C")
    begin = 0
    if earlier is not None:
        begin = len(earlier)
        ends[:begin] = earlier
    rows = list(ends)  # views
    for step in range(begin, len(rows)):
        if parents[step]:
            rows[step] += latest_of(parents[step], rows)  # in place
    return ends
