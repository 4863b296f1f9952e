"""Values over inputs of up to four orders of magnitude and more, by laws that no method knows; noise always multiplies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.nested.choose import Rows

Rng = np.random.Generator
GB = 1e9
KNOWN = (5, 8, 12, 20, 40, 60)
ASKED = 100


def _noise(n: int, rng: Rng, least: float, most: float) -> Rows:
    """Factors: normal or with heavier tails on logarithms."""
    drawn = rng.normal(size=n) if rng.uniform() < 0.6 else 0.7 * rng.standard_t(3, size=n)
    return np.asarray(np.exp(rng.uniform(least, most) * drawn))


def _power(x: Rows, rng: Rng) -> Rows:
    return np.asarray(300.0 * (x / GB) ** rng.uniform(0.3, 1.1) * _noise(x.size, rng, 0.3, 1.1))


def _startup(x: Rows, rng: Rng) -> Rows:
    """Start-up, then in proportion."""
    return np.asarray((rng.uniform(5, 300) + 10.0 ** rng.uniform(1, 3) * x / GB) * _noise(x.size, rng, 0.1, 0.8))


def _none(x: Rows, rng: Rng) -> Rows:
    """The input says nothing."""
    return 300.0 * _noise(x.size, rng, 0.3, 1.3)


def _weak(x: Rows, rng: Rng) -> Rows:
    """The input says little."""
    return np.asarray(300.0 * (x / GB) ** rng.uniform(0.03, 0.25) * _noise(x.size, rng, 0.5, 1.2))


def _hidden(x: Rows, rng: Rng) -> Rows:
    """A third of the runs takes several times as long for a reason that nobody records."""
    slow = np.exp(rng.uniform(1, 2.5) * (rng.uniform(size=x.size) < 0.3))
    return np.asarray(300.0 * (x / GB) ** rng.uniform(0.2, 0.9) * slow * _noise(x.size, rng, 0.2, 0.2))


def _saturating(x: Rows, rng: Rng) -> Rows:
    most = 10.0 ** rng.uniform(2.3, 3.3)
    return np.asarray(np.minimum(100.0 + 300.0 * (x / GB) ** 0.8, most) * _noise(x.size, rng, 0.1, 0.7))


def _bend(x: Rows, rng: Rng) -> Rows:
    """Flat for small inputs, about in proportion for large ones."""
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
    """Evenly or normally spread on logarithms, or a few sizes again and again."""
    decades, kind = rng.uniform(1.0, 4.5), rng.integers(3)
    if kind == 0:
        return np.asarray(GB * 10.0 ** rng.uniform(-decades / 2.0, decades / 2.0, n))
    if kind == 1:
        return np.asarray(GB * 10.0 ** (decades / 4.0 * rng.normal(size=n)))
    sizes = GB * 10.0 ** rng.uniform(-decades / 2.0, decades / 2.0, int(rng.integers(3, 8)))
    return np.asarray(rng.choice(sizes, n) * np.exp(0.02 * rng.normal(size=n)))


def wide_relations(law: str, count: int, *, larger: bool) -> Iterator[tuple[Rows, Rows, Rows, Rows]]:
    """Known inputs and values, inputs asked for and their values; ``larger``: most of these lie beyond the known ones."""
    for k in range(count):
        rng = np.random.default_rng([list(LAWS).index(law), int(larger), k])
        known = int(rng.choice(KNOWN))
        x = _inputs(known + ASKED, rng)
        y = LAWS[law](x, rng)
        order = np.argsort(x * np.exp(0.7 * rng.normal(size=x.size))) if larger else rng.permutation(x.size)
        x, y = x[order], y[order]
        yield x[:known], y[:known], x[known:], y[known:]
