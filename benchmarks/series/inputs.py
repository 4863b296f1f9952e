"""What inputs explain: changes and comparisons of runs whose inputs grow, and predictions from inputs that are equal."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.series.law import HOUR, Rng, Rows, every, generator, log_normal
from benchmarks.series.tally import Key, Tally
from concertmaster.core.changepoint import Direction, detect
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import compare
from concertmaster.core.stats.regression import fit_memory, fit_runtime

LENGTHS = (30, 80, 200)
SIDES = ((12, 8), (40, 40))
FACTOR, LARGER = 1.5, 3.0  # of the step, and of the inputs, from the change on
NEAR = 3  # runs
_ORDERED = (6, 20, 60)
_SPREAD = 0.1
_SAME = 1e-3  # difference of two predictions, on logarithms, that counts as none
_CHANGED = (Verdict.WORSE, Verdict.IMPROVED)


@dataclass(frozen=True, slots=True)
class Inputs:
    """``sizes`` of so many inputs, in units of a usual one; ``seconds`` of a run by its input."""

    name: str
    what: str
    sizes: Callable[[Rng, int], Rows]
    seconds: Callable[[Rows], Rows]


def judge(law: Inputs, seed: int) -> Tally:
    """Series and sides whose inputs grow or not, with a change of the step and without one."""
    tally = Tally()
    for part, (grown, factor) in enumerate(itertools.product((False, True), (1.0, FACTOR))):
        for n in LENGTHS:
            rng = generator(law.name, seed, 1000 * part + n)
            at = int(rng.integers(n // 4, n - n // 4))
            values, sizes = _drawn(law, rng, n, at, factor, grown)
            points = detect(every(4 * HOUR)(rng, n), values, inputs=1e9 * sizes).points
            if factor == 1.0:
                tally.add(Key(law.name, _named("quiet", grown), str(n)), bool(points))
            else:
                found = any(abs(p.index - at) <= NEAR and p.direction is Direction.UP for p in points)
                tally.add(Key(law.name, _named("step", grown), str(n)), found)
        for before, after in SIDES:
            rng = generator(law.name, seed, 10_000 + 1000 * part + before)
            values, sizes = _drawn(law, rng, before + after, before, factor, grown)
            sizes = 1e9 * sizes
            found_now = compare(
                values[:before], values[before:], inputs_before=sizes[:before], inputs_after=sizes[before:]
            )
            size = f"{before}, {after}"
            if factor == 1.0:
                tally.add(Key(law.name, _named("called", grown), size), found_now.verdict in _CHANGED)
            else:
                tally.add(Key(law.name, _named("power", grown), size), found_now.verdict is Verdict.WORSE)
                tally.add(Key(law.name, _named("ratio", grown), size), found_now.low <= factor <= found_now.high)
    _order(tally, law, seed)
    return tally


def _named(measure: str, grown: bool) -> str:
    return f"{measure}, larger inputs" if grown else measure


def _drawn(law: Inputs, rng: Rng, n: int, at: int, factor: float, grown: bool) -> tuple[Rows, Rows]:
    """Seconds and inputs, both of shape (n,)."""
    later = np.arange(n) >= at
    sizes = law.sizes(rng, n) * np.where(later & grown, LARGER, 1.0)
    return law.seconds(sizes) * np.where(later, factor, 1.0) * log_normal(rng, n, _SPREAD), sizes


def _order(tally: Tally, law: Inputs, seed: int) -> None:
    """Whether predictions change when runs of equal inputs come in another order."""
    for n in _ORDERED:
        rng = generator(law.name, seed, 20_000 + n)
        values, sizes = _drawn(law, rng, n, n, 1.0, False)
        order = rng.permutation(n)
        asked = np.array([float(sizes.min()), float(np.median(sizes)), float(sizes.max()), 3.0 * float(sizes.max())])
        for fit in (fit_runtime, fit_memory):
            one, other = (fit(1e9 * sizes[o], values[o]).predict(1e9 * asked) for o in (np.arange(n), order))
            tally.add(Key(law.name, "order", str(n)), bool(np.max(np.abs(np.log(one / other))) > _SAME))


def _wide(rng: Rng, n: int) -> Rows:
    return log_normal(rng, n, 0.8)


def _five(rng: Rng, n: int) -> Rows:
    return np.asarray(rng.choice([0.2, 0.5, 1.0, 2.0, 5.0], n))


def _two(rng: Rng, n: int) -> Rows:
    return np.asarray(np.where(rng.random(n) < 0.3, 5.0, 0.5))


_SIZES = {"wide": _wide, "five sizes": _five, "two sizes": _two}
_SECONDS: dict[str, tuple[str, Callable[[Rows], Rows]]] = {
    "proportional": ("proportional to the input", lambda x: 100.0 * x),
    "startup": ("startup is half of a usual run", lambda x: 50.0 + 50.0 * x),
    "power": ("the input to the power of 0.6", lambda x: np.asarray(100.0 * x**0.6)),
    "square": ("the square of the input, after startup", lambda x: 30.0 + 70.0 * x**2),
    "floor": ("no less than for a usual input", lambda x: 100.0 * np.maximum(1.0, x)),
    "cap": ("no more than for a usual input", lambda x: 100.0 * np.minimum(1.0, x)),
    "jump": ("ten times as long from a size on", lambda x: np.where(x > 1.5, 300.0, 30.0)),
    "batches": ("whole batches", lambda x: 20.0 * np.ceil(3.0 * x)),
    "none": ("the same for any input", lambda x: 100.0 + 0.0 * x),
}
KINDS = tuple(
    Inputs(f"inputs: {form}, {sizes}", what, draw, seconds)
    for form, (what, seconds) in _SECONDS.items()
    for sizes, draw in _SIZES.items()
)
