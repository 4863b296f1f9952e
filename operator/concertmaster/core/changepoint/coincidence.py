"""What else changed when the level changed: template, image, node, cluster version, or whatever labels a run carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from concertmaster.core.changepoint.detect import Numbers
from concertmaster.core.stats.summary import as_floats

SLACK = 3  # runs; change points on real noise are mostly located that well
CHANCE = 0.25  # a label that changes so often that a quarter of all runs lie near a change explains nothing


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Label ``name`` went from ``before`` to ``after`` within ``runs_apart`` runs of the change point (negative:
    earlier).

    ``chance`` is the share of places in the series that lie as close to any change of this label: the probability of
    so near a miss if the two have nothing to do with each other.
    """

    name: str
    before: str
    after: str
    index: int
    runs_apart: int
    chance: float


def coincidences(
    times: Numbers | None, labels: Mapping[str, Sequence[str | None]], index: int, *, slack: int = SLACK
) -> tuple[Coincidence, ...]:
    """Labels (one value per run, None where unknown) that changed near run ``index``, the most telling first.

    ``index`` and the labels are in the order of the series given to ``detect``; with ``times`` "near" is counted in the
    order of time. Labels of another length than the series, or with less than two values, say nothing.
    """
    n = max((len(values) for values in labels.values()), default=0) if times is None else as_floats(times).size
    order = np.arange(n) if times is None else np.argsort(as_floats(times), kind="stable")
    if not 0 <= index < n:
        return ()
    at = int(np.flatnonzero(order == index)[0])
    found = []
    for name, values in labels.items():
        if len(values) != n:
            continue
        moves = _moves([values[i] for i in order])
        if not moves:
            continue
        place, before, after = min(moves, key=lambda move: (abs(move[0] - at), move[0]))
        apart = place - at
        if abs(apart) > slack:
            continue
        near = {p + d for p, _, _ in moves for d in range(-abs(apart), abs(apart) + 1)}
        chance = sum(1 for p in near if 1 <= p < n) / max(1, n - 1)
        if chance <= CHANCE:
            found.append(Coincidence(name, before, after, int(order[place]), apart, chance))
    return tuple(sorted(found, key=lambda c: (c.chance, abs(c.runs_apart), c.name)))


def _moves(values: list[str | None]) -> list[tuple[int, str, str]]:
    """Places at which a known value differs from the last known one before."""
    moves = []
    last: str | None = None
    for place, value in enumerate(values):
        if value is None:
            continue
        if last is not None and value != last:
            moves.append((place, last, value))
        last = value
    return moves
