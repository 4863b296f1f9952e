"""Sizes after another image: share of later runs that need more, by laws that the method does not know.

``python -m benchmarks.accuracy.releases [--steps N] [--seed S]``: steps of seven laws (one mode, two, half and half, Pareto,
a constant and a part that varies, light weekends, heavy Sundays), 3 to 80 runs of the old image every hour to every day,
and 5 to 45 runs of the new one, of eight kinds. ``before``: all runs count as they are.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from concertmaster.core.arrays import Floats
from concertmaster.core.sizing import MemorySize, MemoryUse, memory_requests
from concertmaster.core.sizing.rebased_peaks import RebasedFigures, moved

GI, DAY = 2.0**30, 86400.0
MONDAY = 4 * DAY
LOOKS = (5, 8, 14, 20, 30, 45)
LATER = 3000
Rng = np.random.Generator
Law = Callable[[Floats | None, int], Floats]
"""Peaks in bytes of so many runs at these days (0 is a Monday), None: on any day."""


def _law(rng: Rng) -> tuple[float, Law]:
    """A law and its usual peak."""
    kind, usual = int(rng.integers(0, 7)), float(np.exp(rng.uniform(np.log(0.3), np.log(8.0)))) * GI
    spread, often = float(rng.choice([0.02, 0.05, 0.1, 0.2, 0.4])), float(rng.uniform(0.03, 0.25))
    heavy, tail, fixed = float(rng.uniform(1.5, 4)), float(rng.uniform(3, 6)), float(rng.uniform(0.2, 0.8))

    def peaks(days: Floats | None, count: int) -> Floats:
        noise = np.exp(spread * rng.normal(size=count))
        weekday = rng.integers(0, 7, count) if days is None else np.floor(days) % 7
        factors = (
            noise,
            noise * np.where(rng.random(count) < often, heavy, 1.0),
            noise * np.where(rng.random(count) < 0.5, heavy, 1.0),
            (1.0 - rng.random(count)) ** (-1.0 / tail),
            fixed + (1.0 - fixed) * np.exp(0.5 * rng.normal(size=count)),
            noise * np.where(weekday >= 5, 1.0 / heavy, 1.0),
            noise * np.where(weekday == 6, heavy, 1.0),
        )
        return np.asarray(usual * factors[kind])

    return usual, peaks


def _released(kind: str, rng: Rng, usual: float, old: Law) -> Law:
    """The law of the new image."""
    less, more = float(rng.choice([0.15, 0.25, 0.5, 0.7])), float(rng.choice([1.3, 2.0, 4.0]))
    often, amount = float(rng.uniform(0.01, 0.1)), (1.0 - less) * 0.6 * usual

    def peaks(days: Floats | None, count: int) -> Floats:
        was = old(days, count)
        made = {
            "nothing": was,
            "a share": less * was,
            "an amount": np.maximum(was - amount, 0.05 * usual),
            "always the same": less * usual * np.exp(0.03 * rng.normal(size=count)),
            "rare large ones, new": less * was * np.where(rng.random(count) < often, 3.0, 1.0),
            "rare large ones, kept": np.where(was > 1.4 * usual, was, less * was),
            "varies more": less * was * np.exp(0.3 * rng.normal(size=count)),
            "more": more * was,
        }
        return np.asarray(made[kind])

    return peaks


KINDS = (
    "nothing", "a share", "an amount", "always the same", "rare large ones, new", "rare large ones, kept", "varies more",
    "more",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """After so many runs since: whether the release is found, the shares of later runs above the size and above that of all
    runs as they were, and both sizes over the 99th percentile of later runs."""

    runs: int
    found: bool
    above: float
    above_before: float
    size: float
    size_before: float


def size_after(
    values: Floats, first: int, days: Floats, asked: float, seconds: float
) -> tuple[float, float, RebasedFigures | None]:
    """The sizes (bytes) after a release at ``first`` and without regard to it."""
    times = MONDAY + DAY * days

    def use(peaks: Floats, at: int) -> MemoryUse:
        return MemoryUse(peaks[at:], np.full(peaks.size - at, seconds), times[at:], None, asked)

    found = moved(values.tolist(), [first], times.tolist())
    uses = [use(values, 0)]
    if found is not None:
        uses += [use(found.values, found.counted), use(values, first)]
    every, *others = map(_automatic, memory_requests(uses))
    if found is None:
        return every, every, None
    return (min(every, max(others)) if found.factor < 1.0 else max(others)), every, found


def _automatic(size: MemorySize | None) -> float:
    return math.inf if size is None else size.request


def looks(kind: str, seed: int, number: int) -> list[Look]:
    """One step, released once."""
    rng = np.random.default_rng((seed, KINDS.index(kind), number))
    usual, old = _law(rng)
    new = _released(kind, rng, usual, old)
    first = int(np.exp(rng.uniform(np.log(3.0), np.log(80.0))))
    apart = float(rng.choice([0.04, 0.17, 0.34, 1.0]))
    days = np.asarray(float(rng.uniform(0, 7)) + apart * np.arange(first + LOOKS[-1]), dtype=np.float64)
    values = np.concatenate([old(days[:first], first), new(days[first:], LOOKS[-1])])
    asked, seconds = float(rng.uniform(1.1, 6)) * float(values[:first].max()), float(rng.choice([60, 600, 1800]))
    later = new(None, LATER)
    enough = float(np.quantile(later, 0.99))
    made = []
    for runs in LOOKS:
        to = first + runs
        size, before, found = size_after(values[:to], first, days[:to], asked, seconds)
        above, above_before = (float(np.mean(later > s)) for s in (size, before))
        made.append(Look(runs, found is not None, above, above_before, size / enough, before / enough))
    return made


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("new image        runs  found  above, %: now, before   of those found: now, before  size / p99: now, before")
    for kind in KINDS:
        rows = [row for number in range(options.steps) for row in looks(kind, options.seed, number)]
        for runs in LOOKS:
            own = [row for row in rows if row.runs == runs]
            known = [row for row in own if row.found]
            print(
                f"{kind:22s} {runs:3d} {len(known) / len(own):6.0%}   {_above(own)}   {_above(known)}  "
                + " ".join(f"{_mean([getattr(r, name) for r in known]):5.2f}" for name in ("size", "size_before"))
            )
    return 0


def _above(rows: list[Look]) -> str:
    if not rows:
        return "-"
    return " ".join(f"{100.0 * float(np.mean([getattr(r, n) for r in rows])):5.2f}" for n in ("above", "above_before"))


def _mean(values: list[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(values)))) if values else math.nan


if __name__ == "__main__":
    sys.exit(main())
