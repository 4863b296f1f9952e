"""The nested score: for each family, choose the variant on all other families and score it on this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
# Bootstrap draws of families for the interval, with a fixed seed: the same data produce the same page.
DRAWS, SEED = 2000, 20261121


@dataclass(frozen=True, slots=True)
class Figure:
    """Definition of one figure: ``of`` computes it from the rows of some families (smaller is better), ``side`` is
    shown next to it, with a ``bound`` (a variant that violates it is only chosen if all do)."""

    unit: str
    of: Callable[[Sequence[Rows]], float]
    side: Callable[[Sequence[Rows]], float]
    bound: float = float("inf")


@dataclass(frozen=True, slots=True)
class Nested:
    """Scores of one measure: of the shipped constants, of the best variant on the rows it was chosen on, and nested."""

    name: str
    unit: str
    families: int
    variants: int
    shipped: tuple[float, float]
    best: tuple[float, float]
    nested: tuple[float, float]
    interval: tuple[float, float]
    chosen: tuple[str, ...]

    @property
    def gap(self) -> float:
        """Nested over best: the part of the best score that is due to choosing on the rows it is scored on."""
        return self.nested[0] / self.best[0] if self.best[0] > 0 else 1.0


def choose(scores: Mapping[str, Mapping[str, Rows]], families: Sequence[str], figure: Figure) -> str:
    """The variant (of ``scores[variant][family]``) with the best figure on ``families`` among those within the
    bound."""

    def order(variant: str) -> tuple[bool, float, float]:
        rows = [scores[variant][family] for family in families]
        side = figure.side(rows)
        broken = side > figure.bound
        return broken, side if broken else 0.0, figure.of(rows)

    return min(scores, key=order)


def nested(name: str, scores: Mapping[str, Mapping[str, Rows]], figure: Figure) -> Nested:
    """Scores of the first variant (shipped), of the best on all rows, and nested with a 90% interval over families."""
    shipped = next(iter(scores))
    families = sorted(scores[shipped])
    chosen = {f: choose(scores, [o for o in families if o != f], figure) for f in families}
    left_out = [scores[chosen[f]][f] for f in families]
    best = [scores[choose(scores, families, figure)][f] for f in families]
    own = [scores[shipped][f] for f in families]
    rng = np.random.default_rng(SEED)
    drawn = [figure.of([left_out[i] for i in rng.integers(len(families), size=len(families))]) for _ in range(DRAWS)]
    low, high = np.nanquantile(drawn, (0.05, 0.95))

    def both(rows: Sequence[Rows]) -> tuple[float, float]:
        return figure.of(rows), figure.side(rows)

    return Nested(
        name,
        figure.unit,
        len(families),
        len(scores),
        both(own),
        both(best),
        both(left_out),
        (float(low), float(high)),
        tuple(sorted(set(chosen.values()))),
    )
