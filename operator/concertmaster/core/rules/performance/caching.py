"""Savings of a result cache: executions with inputs seen before.

An execution is a repeat when an earlier one with the same images and inputs succeeded within the maximum age of the cache.
Counting repeats over the observed history gives the hit ratio a cache of each age would have had: no model, only the past
replayed. The image counts because the inputs of a build's tests, say, are the same in every run, and their image is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core.model import Outcome, StepExecution
from concertmaster.core.rules.rows import repeat_key
from concertmaster.core.units import HOUR

# Commonly configured ages. The proposal is one of them, so that it reads "24h" and not "19h37m".
AGES = (HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 72 * HOUR, 168 * HOUR, 336 * HOUR, 720 * HOUR)
_MIN_EXECUTIONS = 10  # executions with known inputs
_SHARE = 0.95  # of the hits of the longest age


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """One execution as a cache sees it. ``fingerprint`` None: inputs unknown. ``end``: unix seconds; ``seconds``: run time;
    ``succeeded``: whether its result could have been stored."""

    start: float
    end: float
    seconds: float
    fingerprint: str | None
    succeeded: bool = True

    @property
    def known(self) -> bool:
        """Whether it tells a hit from a miss."""
        return self.fingerprint is not None and math.isfinite(self.start) and math.isfinite(self.end)


@dataclass(frozen=True, slots=True)
class RecommendedCache:
    """Positions of the executions ``answered`` among the ``known`` ones, whose fingerprints are, at ``max_age`` seconds, and
    the total seconds saved.

    ``distinct``: number of different fingerprints. ``max_age`` is None when nothing repeats or too little is known.
    """

    max_age: float | None
    answered: Sequence[int]
    known: int
    distinct: int
    saved_seconds: float

    @property
    def hits(self) -> int:
        """Number of executions answered."""
        return len(self.answered)

    @property
    def hit_ratio(self) -> float:
        """Share (0 to 1) of the known executions."""
        return self.hits / max(1, self.known)


def lookups(executions: Iterable[StepExecution]) -> list[CacheLookup]:
    """Executions as a cache sees them. One of unknown outcome has an unknown key: whether it left a result is not known, so
    it is no execution without a hit either."""
    return [
        CacheLookup(
            e.started,
            e.finished,
            e.duration or 0.0,
            repeat_key(e) if e.outcome is not Outcome.UNKNOWN else None,
            e.outcome is Outcome.SUCCEEDED,
        )
        for e in executions
        if e.started is not None and e.finished is not None
    ]


def hits_at(executions: Sequence[CacheLookup], max_age: float) -> list[int]:
    """Positions (in order of start) of the executions that a cache with ``max_age`` seconds would have answered.

    The age of a result counts from its end and is not reset by a hit, as in Argo's memoization.
    """
    stored: dict[str, float] = {}
    pending: list[tuple[float, str]] = []
    hits: list[int] = []
    order = sorted(range(len(executions)), key=lambda i: (executions[i].start, i))
    for i in order:
        item = executions[i]
        if item.fingerprint is None:
            continue
        for end, key in [p for p in pending if p[0] <= item.start]:
            stored[key] = max(end, stored.get(key, -math.inf))
            pending.remove((end, key))
        if item.start - stored.get(item.fingerprint, -math.inf) <= max_age:
            hits.append(i)
        elif item.succeeded:
            pending.append((item.end, item.fingerprint))
    return hits


def recommended_cache(executions: Sequence[CacheLookup]) -> RecommendedCache:
    """The smallest usual age that reaches ``_SHARE`` of the hits of the longest one. Rows with non-finite times count as
    unknown.
    """
    places = [k for k, e in enumerate(executions) if e.known]
    known = [executions[k] for k in places]
    distinct = len({e.fingerprint for e in known})
    best = hits_at(known, AGES[-1]) if len(known) >= _MIN_EXECUTIONS else []
    for age in AGES if best else ():
        hits = hits_at(known, age)
        if len(hits) >= _SHARE * len(best):
            saved = math.fsum(max(0.0, known[i].seconds) for i in hits if math.isfinite(known[i].seconds))
            return RecommendedCache(age, [places[i] for i in hits], len(known), distinct, saved)
    return RecommendedCache(None, (), len(known), distinct, 0.0)
