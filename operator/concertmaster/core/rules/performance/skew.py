"""Stragglers inside a fan-out, as opposed to a step that is slow as a whole.

A fan-out ends with its last item. When one item takes much longer than the others, more workers do not help; splitting the
work evenly does. Skew is the largest over the median duration of a run's items (as in Sparklens and Dr. Elephant).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.stats.exact import binomial_tail
from concertmaster.core.stats.robust import COMPARABLE_FACTOR, array_median, straggler_level

COMMON_SHARE = 0.6
"""Share of the stragglers, or slow ones, that makes an item, a node or a time theirs."""
SIGNIFICANCE = 0.1
"""Probability that any item, node or time has so many of them by chance."""


@dataclass(frozen=True, slots=True)
class Skew:
    """Skew of one step over runs with at least three items, ``skewed`` of which have a straggler.

    ``ratio``: median over runs of largest / median item. ``same_item`` / ``same_node``: the item or node that is the
    straggler in most skewed runs, with its share; None when it varies, or has no more of them than its share of all items
    explains.
    """

    runs: int
    skewed: int
    ratio: float
    same_item: tuple[str, float] | None
    same_node: tuple[str, float] | None

    @property
    def share(self) -> float:
        """Share of the runs (0 to 1) with a straggler."""
        return self.skewed / self.runs


class FanOutItem(NamedTuple):
    """One item of a fan-out: its name (or index), the node it ran on, and its seconds."""

    name: str | None
    node: str | None
    seconds: float


def _usual(cases: Sequence[tuple[str | None, Sequence[str | None]]]) -> tuple[str, float] | None:
    """The most frequent straggler by name and its share of the ``cases``: the straggler's name, and those of all items of
    its run. None unless it is significantly more often the straggler than if each item were equally likely to be."""
    known = [(name, [n for n in names if n is not None]) for name, names in cases if name is not None]
    if not known:
        return None
    name, count = Counter(name for name, _ in known).most_common(1)[0]
    # The mean of the runs' shares: unequal ones make the tail smaller still (Hoeffding 1956).
    share = sum(names.count(name) / len(names) for _, names in known) / len(known)
    different = len({n for _, names in known for n in names})
    chance = binomial_tail(count, len(known), share) * different
    return (name, count / len(known)) if count / len(known) >= COMMON_SHARE and chance < SIGNIFICANCE else None


def skew(items_by_run: Mapping[str, Sequence[FanOutItem]], least_runs: int) -> Skew | None:
    """Skew from the items of each run; None where fewer than ``least_runs`` have enough of them. A run has a straggler when
    its largest item is one beside the others (see ``straggler_level``)."""
    ratios: list[float] = []
    skewed: list[tuple[FanOutItem, list[FanOutItem]]] = []
    for items in items_by_run.values():
        usable = [i for i in items if np.isfinite(i.seconds) and i.seconds > 0.0]
        if len(usable) < COMPARABLE_FACTOR:
            continue
        seconds = np.array([i.seconds for i in usable])
        top = int(np.argmax(seconds))
        others = np.delete(seconds, top)
        ratios.append(float(seconds[top] / array_median(others)))
        if seconds[top] >= straggler_level(others):
            skewed.append((usable[top], usable))
    if len(ratios) < max(1, least_runs):
        return None
    return Skew(
        runs=len(ratios),
        skewed=len(skewed),
        ratio=float(np.median(ratios)),
        same_item=_usual([(top.name, [i.name for i in items]) for top, items in skewed]),
        same_node=_usual([(top.node, [i.node for i in items]) for top, items in skewed]),
    )
