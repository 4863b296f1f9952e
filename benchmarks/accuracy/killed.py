"""Sizes after OOM kills: what later runs need beyond them, by laws that the method does not know.

``python -m benchmarks.accuracy.killed [--steps N] [--seed S]``: steps of seven laws with a limit that 2 to 60% of their runs
exceed. After 8 to 200 runs a size is worked out once (static); and after every twelfth of 324 runs, of which the last 84 are
known, wherever runs with the present limit were killed (raised until kept). ``before``: one and a half times the limit.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.sizing import memory_request
from concertmaster.core.sizing.oom_kills import RAISES, raised

GB, SECONDS, BOUND = 1e9, 600.0, 0.01
LATER, KNOWN, ALL, EVERY = 20_000, 84, 324, 12
MIN_RUNS, ABOUT = (
    5,
    1.1,
)  # runs with the present limit that count by themselves; increase that is recommended at the least
Rng = np.random.Generator
Law = Callable[[int], Floats]
"""What so many runs need, in GB."""


def law(kind: str, rng: Rng) -> Law:
    """One step of a kind."""
    tail, spread, wide = (
        float(rng.uniform(2, 6)),
        float(rng.choice([0.05, 0.1, 0.2, 0.4, 0.8])),
        float(rng.uniform(0.2, 1)),
    )
    often, heavy, fixed = float(rng.uniform(0.05, 0.4)), float(rng.uniform(1.5, 4)), float(rng.uniform(0.0, 0.9))
    shape, noise = float(rng.choice([0.5, 1, 2, 5, 20])), float(rng.uniform(0.02, 0.2))
    laws: dict[str, Law] = {
        "Pareto": lambda n: (1.0 - rng.random(n)) ** (-1.0 / tail),
        "log-normal": lambda n: np.exp(spread * rng.normal(size=n)),
        "gamma": lambda n: fixed + rng.gamma(shape, 1.0 / shape, n),
        "two levels": lambda n: np.exp(noise * rng.normal(size=n)) * np.where(rng.random(n) < often, heavy, 1.0),
        "by input": lambda n: (
            (fixed + (1 - fixed) * np.exp(wide * rng.normal(size=n))) * np.exp(noise * rng.normal(size=n))
        ),
        "uniform": lambda n: 1.0 + 3.0 * wide * rng.random(n),
        "Weibull": lambda n: fixed + rng.weibull(0.6 + 2.4 * often / 0.4, n),
    }
    return laws[kind]


KINDS = ("Pareto", "log-normal", "gamma", "two levels", "by input", "uniform", "Weibull")


def size(needs: Floats, limits: Floats, times: tuple[float, ...]) -> float:
    """GB for a step whose runs had these needs and limits (GB, oldest first), some of which were killed."""
    killed: Flags = needs > limits
    seen = np.minimum(needs, limits)
    died, others = float(limits[killed].max()), seen[~killed]
    request = memory_request(seen * GB, np.full(needs.size, SECONDS), current_request=float(limits[-1]) * GB)
    least = max((request.request if request is not None else 0.0) / GB, RAISES[0] * died)
    present = killed[limits == limits[-1]]
    alike = present if present.size >= MIN_RUNS and present.any() else killed
    if len(times) == 1:
        return least
    chance = (int(alike.sum()) + 1) / (alike.size + 1)
    return max(least, raised(chance, float(np.median(others)) if others.size else None, died, BOUND))


@dataclass(frozen=True, slots=True)
class Step:
    """Of one step, with the share that the limit kills: shares of later runs above the static size, that size over the 99th
    percentile, raises until kept, and the share killed of the first KNOWN runs after the first."""

    kind: str
    killed: float
    above: float
    size: float
    raises: int
    later: float


def judged(kind: str, seed: int, number: int, times: tuple[float, ...]) -> Step | None:
    """One step; None if none of its runs is killed."""
    rng = np.random.default_rng((seed, KINDS.index(kind), number))
    of = law(kind, rng)
    killed, runs = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in ((0.02, 0.6), (8, 200)))
    later = of(LATER)
    limit, enough = (float(np.quantile(later, 1.0 - share)) for share in (killed, BOUND))
    needs = of(int(runs))
    if not (needs > limit).any():
        return None
    found = size(needs, np.full(needs.size, limit), times)
    raises, share = _life(of(ALL), limit, times)
    return Step(kind, killed, float(np.mean(later > found)), found / max(enough, limit), raises, share)


def _life(needs: Floats, limit: float, times: tuple[float, ...]) -> tuple[int, float]:
    """How often the limit is raised, and the share killed of the first KNOWN runs after the first raise."""
    limits, raises, first = np.full(needs.size, limit), 0, 0
    for end in range(EVERY, needs.size, EVERY):
        known = slice(max(0, end - KNOWN), end)
        own, had = needs[known], limits[known]
        if (own > had)[had == had[-1]].any() and (larger := size(own, had, times)) > ABOUT * had[-1]:
            limits[end:] = larger
            raises, first = raises + 1, first or end
    after = slice(first, first + KNOWN)
    return raises, float(np.mean(needs[after] > limits[after])) if first else 0.0


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        "what runs need    of later runs above, %    size / p99    raises       killed after the first, %: before, now"
    )
    rows: dict[str, list[list[Step]]] = {kind: [[], []] for kind in KINDS}
    for kind, of_kind in rows.items():
        for to, times in zip(of_kind, (RAISES[:1], RAISES), strict=True):
            found = (judged(kind, options.seed, number, times) for number in range(options.steps))
            to += [step for step in found if step is not None]
        _print(kind, of_kind)
    every = [[step for kind in KINDS for step in rows[kind][at]] for at in (0, 1)]
    _print("all", every)
    for least, most in ((0.02, 0.05), (0.05, 0.12), (0.12, 0.3), (0.3, 0.6)):
        _print(f"{least:.0%} to {most:.0%} killed", [[s for s in of if least <= s.killed < most] for of in every])
    return 0


def _print(name: str, before_and_now: list[list[Step]]) -> None:
    figures = [
        (
            100.0 * _mean([s.above for s in of]),
            math.exp(_mean([math.log(s.size) for s in of])),
            _mean([s.raises for s in of]),
            100.0 * _mean([s.later for s in of]),
        )
        for of in before_and_now
    ]
    pairs = [f"{before:5.2f} {now:5.2f}" for before, now in zip(*figures, strict=True)]
    print(f"{name:17s} " + "          ".join(pairs))


def _mean(values: list[float] | list[int]) -> float:
    return float(np.mean(values)) if values else math.nan


if __name__ == "__main__":
    sys.exit(main())
