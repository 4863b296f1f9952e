"""What comparisons say of runs before and after a change: once, and after each further run."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import Law, Rng, Rows, generator
from benchmarks.series.tally import Key, Tally
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import Comparison, compare, compare_amounts, watch

SIDES = ((4, 4), (6, 3), (12, 8), (40, 40), (100, 20))
TIMES = 2  # draws for each seed
BEFORE, LOOKS = 20, (5, 8, 12, 16, 20, 25, 30)  # runs before, and numbers of runs after it, at which it is looked
_CHANGED = (Verdict.WORSE, Verdict.IMPROVED)


def judge(law: Law, seed: int) -> Tally:
    """Comparisons of all sizes, without a change and with one."""
    tally = Tally()
    if not law.alike:
        return tally
    for part, (before, after) in enumerate(TIMES * SIDES):
        size = f"{before}, {after}"
        for factor in (1.0, law.factor):
            old, new = _drawn(
                law, generator(law.name, seed, 20_000 + 2 * part + (factor > 1.0)), (before, after), factor
            )
            zeros = bool((old == 0).any() or (new == 0).any())
            found = compare_amounts(old, new) if zeros else compare(old, new)
            _count(tally, law, size, factor, found, ends=not zeros)
    for factor in (1.0, law.factor):
        old, new = _drawn(law, generator(law.name, seed, 10_000 + (factor > 1.0)), (BEFORE, LOOKS[-1]), factor)
        verdict = _watched(old, new)
        name = "watched" if factor == 1.0 else "caught"
        hit = verdict in _CHANGED if factor == 1.0 else verdict is _due(law)
        tally.add(Key(law.name, name, f"{BEFORE}, {LOOKS[-1]}"), hit)
    return tally


def _drawn(law: Law, rng: Rng, sizes: tuple[int, int], factor: float) -> tuple[Rows, Rows]:
    """Values before and after the change of one series."""
    before = sizes[0]
    later = np.arange(sum(sizes)) >= before
    _, values = law.series(rng, np.where(later, factor, 1.0), later)
    return values[:before], values[before:]


def _count(tally: Tally, law: Law, size: str, factor: float, found: Comparison, *, ends: bool) -> None:
    if factor == 1.0:
        tally.add(Key(law.name, "called", size), found.verdict in _CHANGED)
        return
    tally.add(Key(law.name, "power", size), found.verdict is _due(law))
    if law.scales and ends:
        tally.add(Key(law.name, "ratio", size), found.low * (1.0 - 1e-9) <= factor <= found.high * (1.0 + 1e-9))


def _due(law: Law) -> Verdict:
    """What values that are larger, or smaller, are called."""
    return Verdict.IMPROVED if law.falls else Verdict.WORSE


def _watched(old: Rows, new: Rows) -> Verdict:
    """The verdict at the first look that decides."""
    for count in LOOKS:
        found = watch(old, new[:count], max_runs=LOOKS[-1])
        if found.verdict is not Verdict.INCONCLUSIVE:
            return found.verdict
    return Verdict.INCONCLUSIVE
