"""Values by inputs over four and more orders of magnitude, from models unknown to the methods; noise is
multiplicative."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.accuracy.sizing_laws import Runs
from benchmarks.nested.choose import Rows

Rng = np.random.Generator
GB = 1e9
KNOWN = (5, 8, 12, 20, 40, 60)
ASKED = 100
RUNS = (40, 120, 400)


def _noise(n: int, rng: Rng, least: float, most: float) -> Rows:
    """Random factors: log-normal, or with heavier tails on the log scale."""
    drawn = rng.normal(size=n) if rng.uniform() < 0.6 else 0.7 * rng.standard_t(3, size=n)
    return np.asarray(np.exp(rng.uniform(least, most) * drawn))


def _power(x: Rows, rng: Rng) -> Rows:
    return np.asarray(300.0 * (x / GB) ** rng.uniform(0.3, 1.1) * _noise(x.size, rng, 0.3, 1.1))


def _startup(x: Rows, rng: Rng) -> Rows:
    """A startup time, then proportional to the input."""
    return np.asarray((rng.uniform(5, 300) + 10.0 ** rng.uniform(1, 3) * x / GB) * _noise(x.size, rng, 0.1, 0.8))


def _none(x: Rows, rng: Rng) -> Rows:
    """No influence of the input."""
    return 300.0 * _noise(x.size, rng, 0.3, 1.3)


def _weak(x: Rows, rng: Rng) -> Rows:
    """Little influence of the input."""
    return np.asarray(300.0 * (x / GB) ** rng.uniform(0.03, 0.25) * _noise(x.size, rng, 0.5, 1.2))


def _hidden(x: Rows, rng: Rng) -> Rows:
    """A third of the runs takes several times as long for an unrecorded reason."""
    slow = np.exp(rng.uniform(1, 2.5) * (rng.uniform(size=x.size) < 0.3))
    return np.asarray(300.0 * (x / GB) ** rng.uniform(0.2, 0.9) * slow * _noise(x.size, rng, 0.2, 0.2))


def _saturating(x: Rows, rng: Rng) -> Rows:
    most = 10.0 ** rng.uniform(2.3, 3.3)
    return np.asarray(np.minimum(100.0 + 300.0 * (x / GB) ** 0.8, most) * _noise(x.size, rng, 0.1, 0.7))


def _bend(x: Rows, rng: Rng) -> Rows:
    """Flat for small inputs, roughly proportional for large ones."""
    at = GB * 10.0 ** rng.uniform(-1, 1)
    exponent = np.where(x < at, 0.2, rng.uniform(0.8, 1.2))
    return np.asarray(60.0 * (x / at) ** exponent * _noise(x.size, rng, 0.2, 0.8))


LAWS: dict[str, Callable[[Rows, Rng], Rows]] = {
    "power": _power,
    "start-up": _startup,
    "no effect": _none,
    "weak effect": _weak,
    "hidden cause": _hidden,
    "saturating": _saturating,
    "bend": _bend,
}


def _inputs(n: int, rng: Rng) -> Rows:
    """Uniform or normal on the log scale, or a few repeated sizes."""
    decades, kind = rng.uniform(1.0, 4.5), rng.integers(3)
    if kind == 0:
        return np.asarray(GB * 10.0 ** rng.uniform(-decades / 2.0, decades / 2.0, n))
    if kind == 1:
        return np.asarray(GB * 10.0 ** (decades / 4.0 * rng.normal(size=n)))
    sizes = GB * 10.0 ** rng.uniform(-decades / 2.0, decades / 2.0, int(rng.integers(3, 8)))
    return np.asarray(rng.choice(sizes, n) * np.exp(0.02 * rng.normal(size=n)))


def wide_runs(law: str, count: int) -> Iterator[Runs]:
    """Steps of a tool whose inputs span orders of magnitude: peaks follow ``law``, run times of half a minute to a week any
    of the laws."""
    for k in range(count):
        rng = np.random.default_rng([list(LAWS).index(law), 2, k])
        x = _inputs(int(rng.choice(RUNS)), rng)
        peaks = np.clip(3.0 * 2.0**20 * LAWS[law](x, rng), 2e7, 2e11)
        seconds = LAWS[list(LAWS)[rng.integers(len(LAWS))]](x, rng)
        seconds = np.clip(rng.uniform(1.0, 20.0) * seconds, 30.0, 6e5)
        gap = float(np.median(seconds)) * rng.choice([0.01, 0.3, 3.0])
        request = 2.0 ** np.ceil(np.log2(peaks.max() * rng.uniform(1.05, 3.0)))
        yield Runs(f"wide {law}", x, peaks, seconds, np.cumsum(rng.exponential(gap, x.size)), float(request))


def wide_relations(law: str, count: int, *, larger: bool) -> Iterator[tuple[Rows, Rows, Rows, Rows]]:
    """Known inputs and values, inputs to predict and their values; ``larger``: most of the latter are beyond the known
    ones."""
    for k in range(count):
        rng = np.random.default_rng([list(LAWS).index(law), int(larger), k])
        known = int(rng.choice(KNOWN))
        x = _inputs(known + ASKED, rng)
        y = LAWS[law](x, rng)
        order = np.argsort(x * np.exp(0.7 * rng.normal(size=x.size))) if larger else rng.permutation(x.size)
        x, y = x[order], y[order]
        yield x[:known], y[:known], x[known:], y[known:]
