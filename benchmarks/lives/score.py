"""What was published over a life, against what was right on each day."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.lives.kinds import KINDS
from benchmarks.lives.kinds.base import Kind
from benchmarks.lives.law import BEGIN, DAY, at_day
from benchmarks.lives.life import Day, Life, Span
from benchmarks.lives.truth import Claim, Plan, cost, seconds


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim after a life. ``days``: from its beginning until what is published was right (None: never); ``lapses``: how
    often it was right and then was not; ``wrong``: days on which what must not be published was; ``of`` so many."""

    words: str
    days: float | None
    lapses: int
    wrong: int
    of: int


@dataclass(frozen=True, slots=True)
class Gain:
    """An implementation with a verdict: its measured effect, the promised one and the true one, as shares."""

    id: str
    measured: Span | None
    promised: Span | None
    true: float

    @property
    def held(self) -> bool | None:
        """Whether the measured interval holds the true effect; None if no effect was measured."""
        return None if self.measured is None else self.measured[0] <= self.true <= self.measured[2]


@dataclass(frozen=True, slots=True)
class Story:
    """A life and what was published over it. ``applicable``: what somebody followed in it had been recommended by then."""

    kind: str
    seed: int
    applicable: bool
    analyses: int
    claims: tuple[Judged, ...]
    gains: tuple[Gain, ...]


def name_of(kind: Kind) -> str:
    """The name of a kind."""
    return kind.__name__.replace("_", "-")


BY_NAME = {name_of(kind): kind for kind in KINDS}


def live(name: str, seed: int) -> Story:
    """The life of that kind and seed."""
    plan = BY_NAME[name](np.random.default_rng((zlib.crc32(name.encode()), seed)))
    life = Life(plan.flow, seed)
    life.go(plan.events, plan.until)
    claims = tuple(judge(claim, life.days) for claim in plan.claims)
    return Story(name, seed, not life.unmade, len(life.days), claims, gains(plan, life))


def judge(claim: Claim, days: Sequence[Day]) -> Judged:
    """A claim against what was published on its days."""
    seen = [d for d in days if at_day(claim.since) <= d.time < at_day(claim.until)]
    right = [claim.right(d) for d in seen]
    first = right.index(True) if True in right else None
    since = None if first is None else (seen[first].time - at_day(claim.since)) / DAY
    lapses = sum(a and not b for a, b in pairwise(right))
    return Judged(claim.words, since, lapses, sum(map(claim.wrong, seen)), len(seen))


def gains(plan: Plan, life: Life) -> tuple[Gain, ...]:
    """The measured effects, each on the day of its verdict, beside the true ones."""
    found = []
    for id_, day in plan.applied:
        results = ((d.time, d.result(id_, at_day(day))) for d in life.days)
        time, result = next(((t, r) for t, r in results if r is not None and r.verdict is not None), (BEGIN, None))
        if result is None:
            continue
        true = life.effect(at_day(day), time, cost if id_ == "right-size" else seconds)
        if true is not None:
            found.append(Gain(id_, result.measured, result.promised, true))
    return tuple(found)
