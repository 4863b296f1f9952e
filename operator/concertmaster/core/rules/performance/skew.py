"""Stragglers inside a fan-out, as opposed to a step that is slow as a whole.

A fan-out ends with its last item. When one item takes much longer than the others, more workers do not help; splitting the
work evenly does. Skew is the largest over the median duration of a run's items (as in Sparklens and Dr. Elephant); the time
lost is what the run would gain if the largest items were split down to the level of the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.stats.robust import quantiles, straggler_level

_MOSTLY = 0.6  # share of the stragglers that makes an item or node the usual one


@dataclass(frozen=True, slots=True)
class Skew:
    """Skew of one step over runs with at least three items.

    ``ratio``: median over runs of largest / median item. ``skewed_share``: share of runs (0 to 1) with a straggler.
    ``lost_seconds``: mean seconds between the largest item and the level the others reach (their 75th percentile), over
    all runs. ``same_item`` / ``same_node``: the item or node that is the straggler in most skewed runs, with its share;
    None when it varies.
    """

    runs: int
    ratio: float | None = None
    skewed_share: float | None = None
    lost_seconds: float | None = None
    same_item: tuple[str, float] | None = None
    same_node: tuple[str, float] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FanOutItem:
    """One item of a fan-out: its name (or index), the node it ran on, and its seconds."""

    name: str | None
    node: str | None
    seconds: float


def _most_common(names: Sequence[str | None]) -> tuple[str, float] | None:
    known = [n for n in names if n is not None]
    if len(known) < 3:
        return None
    name, count = Counter(known).most_common(1)[0]
    return (name, count / len(known)) if count / len(known) >= _MOSTLY else None


def skew(items_by_run: Mapping[str, Sequence[FanOutItem]], *, least_runs: int = 5) -> Skew:
    """Skew from the items of each run. A run has a straggler when its largest item is one beside the others (see
    ``straggler_level``)."""
    ratios: list[float] = []
    lost: list[float] = []
    names: list[str | None] = []
    nodes: list[str | None] = []
    for items in items_by_run.values():
        usable = [i for i in items if np.isfinite(i.seconds) and i.seconds > 0.0]
        if len(usable) < 3:
            continue
        seconds = np.array([i.seconds for i in usable])
        top = int(np.argmax(seconds))
        others = np.delete(seconds, top)
        median, high = quantiles(others, (0.5, 0.75))
        ratios.append(float(seconds[top] / median))
        straggler = seconds[top] >= straggler_level(others)
        lost.append(float(seconds[top] - high) if straggler else 0.0)
        if straggler:
            names.append(usable[top].name)
            nodes.append(usable[top].node)
    if len(ratios) < max(1, least_runs):
        return Skew(len(ratios), reason=f"{len(ratios)} runs with three or more items, {least_runs} are needed")
    return Skew(
        runs=len(ratios),
        ratio=float(np.median(ratios)),
        skewed_share=len(names) / len(ratios),
        lost_seconds=float(np.mean(lost)),
        same_item=_most_common(names),
        same_node=_most_common(nodes),
        reason=f"{len(names)} of {len(ratios)} runs have a straggler",
    )
