"""Runs before and after a change, as logarithms of the usable durations with those of their inputs."""

from __future__ import annotations

from collections.abc import Iterable

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats.modes import of_one_unit
from concertmaster.core.stats.shift import GroupShift, group_shift
from concertmaster.core.stats.summary import as_floats

MIN_RUNS = 3  # per side; fewer do not show the spread
MAX_RUNS = 2000  # per side; more are thinned evenly, the interval is then far narrower than any margin

Durations = Iterable[float | None] | Floats


def prepared(
    before: Durations,
    after: Durations,
    inputs_before: Durations | None,
    inputs_after: Durations | None,
    most_after: int | None = None,
) -> tuple[GroupShift | None, bool, tuple[int, int]]:
    """The test of a shift (None: too few runs), whether input sizes are part of it, and the numbers of runs."""
    sides = [_side(before, inputs_before, None), _side(after, inputs_after, most_after)]
    counts = (sides[0][0].size, sides[1][0].size)
    if min(counts) < MIN_RUNS:
        return None, False, counts
    known = [np.isfinite(inputs) for _, inputs in sides]
    if all(k.sum() >= max(MIN_RUNS, 0.75 * k.size) for k in known):
        logs, sizes = zip(*((d[k], i[k]) for (d, i), k in zip(sides, known, strict=True)), strict=True)
        if of_one_unit(np.concatenate(sizes), np.concatenate(logs)):
            groups = group_shift(logs[0], logs[1], (sizes[0], sizes[1]))
            return groups, groups.covariate is not None, counts
    return group_shift(sides[0][0], sides[1][0]), False, counts


def _side(durations: Durations, inputs: Durations | None, most: int | None) -> tuple[Floats, Floats]:
    """Logs of the usable durations (the first ``most``) and of their input sizes (NaN where unknown)."""
    seconds = as_floats(durations)
    sizes = np.full(seconds.size, np.nan) if inputs is None else as_floats(inputs)
    if sizes.size != seconds.size:
        sizes = np.full(seconds.size, np.nan)
    usable = np.flatnonzero(np.isfinite(seconds) & (seconds > 0))[:most]
    if usable.size > MAX_RUNS:
        usable = usable[np.linspace(0, usable.size - 1, MAX_RUNS).astype(np.intp)]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_sizes = np.where(sizes > 0, np.log(sizes), np.nan)
    log_sizes[~np.isfinite(log_sizes)] = np.nan
    return np.log(seconds[usable]), log_sizes[usable]
