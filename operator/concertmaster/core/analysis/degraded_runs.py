"""Which runs were degraded, and by which steps.

A problem that affects some of the runs (a slow dependency, a bad node, a cold cache) shows as a second, slower mode in a
step's durations. Not every slow mode is a problem: a step off the critical path, or one that takes over another's work,
may be slow without lengthening the run. A slow mode therefore counts only when the runs in it are longer overall. Runs
affected by the same set of steps form one problem; a step belongs to it when its durations differ strongly from those in
normal runs. The question is that of DeLag (Traini, Cortellessa, IEEE TSE 49(6), 2023); the method is our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats, Indices
from concertmaster.core.stats.modes import gaps
from concertmaster.core.stats.ranks import LARGE, cliffs_delta
from concertmaster.core.stats.robust import array_median
from concertmaster.core.stats.summary import as_floats

MIN_RUNS = 20  # with fewer runs a second mode cannot be distinguished from chance
MIN_SHARE = 0.02  # of the runs; rarer slow runs are outliers
MIN_PROBLEM = 3  # runs
MIN_SLOWER = 1.2  # a step that belongs to a problem takes at least 20% longer in it
MIN_EXTRA = 0.01  # and adds at least that share of the normal run duration
MIN_PROPAGATED_SHARE = 0.5  # the run loses at least that share of what the step loses


@dataclass(frozen=True, slots=True)
class DegradedRuns:
    """Runs (positions in the input) slowed by the same steps, those that lose most first; ``extra_seconds``: median loss per
    run."""

    runs: tuple[int, ...]
    steps: tuple[str, ...]
    extra_seconds: float


def find_degraded(
    steps: Sequence[str],
    durations: Floats | Sequence[Sequence[float | None]],
    totals: Iterable[float | None] | Floats,
) -> tuple[DegradedRuns, ...]:
    """The problems among ``totals`` (seconds, shape (runs,)), explained by ``durations`` (seconds, (runs, steps)), the
    largest total loss first.

    NaN or None in ``durations`` means that the step did not run; runs without a finite total are ignored.
    """
    table, total = np.array(durations, dtype=np.float64), as_floats(totals)
    known = np.flatnonzero(np.isfinite(total) & (total >= 0))
    if known.size < MIN_RUNS:
        return ()
    table, total = table[known], total[known]
    smallest = max(MIN_PROBLEM, MIN_SHARE * total.size)
    flagged, harmless = _slow_modes(table, total, smallest)
    groups = _groups(flagged, smallest)
    normal = np.asarray(~flagged.any(axis=0), dtype=np.bool_)
    problems = [_problem(steps, table, total, group, normal, harmless, known) for group in groups]
    return tuple(sorted(problems, key=lambda p: -p.extra_seconds * len(p.runs)))


def _slow_modes(table: Floats, total: Floats, smallest: float) -> tuple[Flags, set[int]]:
    """Flags (modes, runs) of runs in a slow mode that lengthens them; columns of the steps whose slow modes do not."""
    flags: list[Flags] = []
    harmless: set[int] = set()
    for column in range(table.shape[1]):
        seconds = table[:, column]
        known = np.isfinite(seconds) & (seconds >= 0)
        for gap in gaps(seconds[known]):
            slow, usual = known & (seconds > gap), known & (seconds <= gap)
            if slow.sum() < smallest or slow.sum() > usual.sum():
                continue
            step_loses = array_median(seconds[slow]) - array_median(seconds[usual])
            run_loses = array_median(total[slow]) - array_median(total[usual])
            if run_loses >= MIN_PROPAGATED_SHARE * step_loses and cliffs_delta(total[slow], total[usual]) >= LARGE:
                flags.append(slow)
                harmless.discard(column)
                break
            harmless.add(column)
    return np.array(flags, dtype=np.bool_).reshape(len(flags), total.size), harmless


def _groups(flagged: Flags, smallest: float) -> list[Indices]:
    """Runs grouped by their set of slow modes; rare sets are treated as chance and dropped."""
    hit = np.flatnonzero(flagged.any(axis=0))
    patterns, inverse, counts = np.unique(flagged[:, hit].T, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    return [hit[inverse == i] for i in range(len(patterns)) if counts[i] >= smallest]


def _problem(
    steps: Sequence[str],
    table: Floats,
    total: Floats,
    group: Indices,
    normal: Flags,
    harmless: set[int],
    known: Indices,
) -> DegradedRuns:
    usual = array_median(total[normal])
    lost: dict[str, float] = {}
    for column, name in enumerate(steps):
        inside, outside = table[group, column], table[normal, column]
        inside, outside = inside[np.isfinite(inside)], outside[np.isfinite(outside)]
        if column in harmless or inside.size < MIN_PROBLEM or outside.size < MIN_PROBLEM:
            continue
        seconds, before = array_median(inside), array_median(outside)
        slower = seconds >= MIN_SLOWER * before and seconds - before >= MIN_EXTRA * usual
        if slower and cliffs_delta(inside, outside) >= LARGE:
            lost[name] = seconds - before
    runs, names = tuple(int(run) for run in known[group]), sorted(lost, key=lost.__getitem__, reverse=True)
    return DegradedRuns(runs, tuple(names), array_median(total[group]) - usual)
