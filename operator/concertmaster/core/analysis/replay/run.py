"""The values replay works on: one run as it was executed, pod by pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from concertmaster.core.model import Outcome
from concertmaster.core.quick import quick

# One attempt as the simulation needs it: seconds before it asks for its slots, seconds it then holds them before its
# main containers run, seconds these run. A chain is the attempts of one fan-out item in order.
Piece = tuple[float, float, float]
Chain = Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``size`` pods of ``steps`` (None: of the whole run) at a time.

    ``kind`` is "parallelism" for a declared limit, which a what-if may change, "lock" for a mutex or semaphore, and
    "capacity" for what the cluster was seen to hold.
    """

    size: int
    steps: frozenset[str] | None = None
    kind: str = "parallelism"


class Attempt(NamedTuple):
    """One pod of a run; durations in seconds, times in seconds after the run's start.

    ``ready``: its dependencies were satisfied. ``queued``: wait for a slot of a limit. ``lag``: controller time before
    the pod existed (before a retry: back-off). ``pending``: created until bound to a node. ``starting``: bound until
    the main container ran (image pull, init containers). ``work``: main containers. ``source`` is the position in
    ``RunRecord.steps``; ``failed`` also holds for attempts that were followed by another.
    """

    step: str
    item: str | None
    attempt: int
    ready: float
    queued: float
    lag: float
    pending: float
    starting: float
    work: float
    finished: float
    failed: bool
    outcome: Outcome
    throttled_share: float | None
    source: int

    @property
    def span(self) -> float:
        """Seconds the pod existed."""
        return self.pending + self.starting + self.work

    @property
    def total(self) -> float:
        """Seconds from ready to finished."""
        return self.queued + self.lag + self.span


@quick
@dataclass(frozen=True, slots=True)
class ExecutedRun:
    """One run, ready for replay. Positions are a topological order of ``names``; a step whose items go their own ways
    through a fan-out has one for each item, and ``index`` has them all.

    ``parents[i]``: positions that step i really waited for. ``chains[i]``: its fan-out items in the order they began,
    each with its attempts; empty when the step did not run and passes its dependencies on. ``done[i]``: when it ended.
    ``pieces`` and ``lengths``: the same chains, and the longest of each step, in the form of the simulation;
    ``ranks``: the steps' order by their first pod; ``pods``: how many each had. ``shared_lag``: least controller lag of
    a first pod. ``tail``: seconds between the last pod's end and the run's end. ``makespan`` was observed, ``critical``
    are the pods that determined it, first to last; ``replayed`` is what the unchanged replay gives. Not ``usable``:
    ``problems`` says why, and the rest is empty. ``suspended`` and ``late``: seconds before the first pod, on top of the
    makespan.
    """

    run: str
    names: tuple[str, ...] = ()
    parents: tuple[tuple[int, ...], ...] = ()
    chains: tuple[tuple[tuple[Attempt, ...], ...], ...] = ()
    done: tuple[float, ...] = ()
    pieces: tuple[tuple[Chain, ...], ...] = ()
    lengths: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()
    pods: Mapping[str, int] = field(default_factory=dict)
    index: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    shared_lag: float = 0.0
    tail: float = 0.0
    makespan: float = float("nan")
    replayed: float = float("nan")
    usable: bool = False
    critical: tuple[Attempt, ...] = ()
    problems: tuple[str, ...] = ()
    suspended: float = 0.0
    late: float = 0.0

    def chains_of(self, step: str) -> tuple[tuple[Attempt, ...], ...]:
        """All fan-out items of a step; empty for one that did not run."""
        return tuple([chain for place in self.index.get(step, ()) for chain in self.chains[place]])
