"""Counts of what was said, by kind, measure and size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from concertmaster.core.stats.exact import binomial_tail


class Key(NamedTuple):
    """A ``measure`` of a ``kind`` (its law) at a ``size`` (runs, as text)."""

    kind: str
    measure: str
    size: str


class Share(NamedTuple):
    """``hits`` of ``cases``."""

    hits: int
    cases: int

    @property
    def percent(self) -> float | None:
        """None without cases."""
        return 100.0 * self.hits / self.cases if self.cases else None

    @property
    def inverse(self) -> Share:
        """Of those that are no hits."""
        return Share(self.cases - self.hits, self.cases)

    def exceeds(self, promised: float) -> bool:
        """Whether chance explains so many hits with a probability below 0.001, if at most ``promised`` (0 to 1) is due."""
        return self.cases > 0 and binomial_tail(self.hits, self.cases, promised) < 0.001


class Tally:
    """Cases and hits by key."""

    def __init__(self) -> None:
        self.hits: Counter[Key] = Counter()
        self.cases: Counter[Key] = Counter()

    def add(self, key: Key, hit: bool) -> None:
        """One more case."""
        self.cases[key] += 1
        self.hits[key] += bool(hit)

    def merge(self, other: Tally) -> None:
        """Those of another one as well."""
        self.cases.update(other.cases)
        self.hits.update(other.hits)

    def share(self, measure: str, *, kind: str | None = None, size: str | None = None) -> Share:
        """Over all kinds, or that one; over all sizes, or that one."""
        keys = [k for k in self.cases if k.measure == measure and kind in (None, k.kind) and size in (None, k.size)]
        return Share(sum(self.hits[k] for k in keys), sum(self.cases[k] for k in keys))

    def of(self, kinds: Iterable[str]) -> Tally:
        """Those of these kinds."""
        chosen, part = set(kinds), Tally()
        for key in self.cases:
            if key.kind in chosen:
                part.cases[key], part.hits[key] = self.cases[key], self.hits[key]
        return part

    def rows(self) -> list[list[str | int]]:
        """For a file: kind, measure, size, hits, cases."""
        return [[*key, self.hits[key], cases] for key, cases in sorted(self.cases.items())]


def read(rows: Iterable[list[str | int]]) -> Tally:
    """What ``rows`` made."""
    tally = Tally()
    for kind, measure, size, hits, cases in rows:
        key = Key(str(kind), str(measure), str(size))
        tally.hits[key], tally.cases[key] = int(hits), int(cases)
    return tally


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    whole = Tally()
    for each in tallies:
        whole.merge(each)
    return whole
