"""Data types of the replay: one run as executed, pod by pod, and its pods in the form that is simulated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from concertmaster.core.fast_init import fast_init

# One attempt as the simulation needs it, in seconds: before it requests its slots, holding them before its main containers
# run, and running them. A chain is the attempts of one fan-out item in order.
Piece = tuple[float, float, float]
Chain = Sequence[Piece]
_EPSILON = 1e-6  # seconds from one request to the next: too short to matter, longer than rounding errors


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``size`` pods of ``steps`` (None: of the whole run) at a time.

    ``kind`` is "parallelism" for a declared limit, which a what-if may change, "lock" for a mutex or semaphore, and
    "capacity" for the observed capacity of the cluster.
    """

    size: int
    steps: frozenset[str] | None = None
    kind: str = "parallelism"

    def places(self, names: Sequence[str]) -> list[int]:
        """The places in ``names`` of the steps that it covers."""
        return [i for i, name in enumerate(names) if self.steps is None or name in self.steps]


class Attempt(NamedTuple):
    """One pod of a run; durations in seconds, times in seconds after the run's start.

    ``ready``: its dependencies were satisfied. ``queued``: wait for a slot of a limit. ``lag``: controller time before
    the pod was created (before a retry: back-off). ``pending``: created until bound to a node. ``starting``: bound until
    the main container ran (image pull, init containers). ``work``: main containers. ``source``: position in
    ``RunRecord.steps``; ``failed`` is also set for attempts that were retried.
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
    throttled_share: float | None
    source: int

    @property
    def span(self) -> float:
        """Seconds the pod existed."""
        return self.pending + self.starting + self.work

    @property
    def before_work(self) -> float:
        """Seconds from creation until the main container ran: known where the binding to a node is not."""
        return self.pending + self.starting

    @property
    def total(self) -> float:
        """Seconds from ready to finished."""
        return self.queued + self.lag + self.span


@fast_init
@dataclass(frozen=True, slots=True)
class ExecutedRun:
    """One run, ready for replay. Positions are a topological order of ``names``; a step whose items proceed independently
    through a fan-out has one position per item, all listed in ``index``.

    ``parents[i]``: positions that step i really waited for. ``chains[i]``: its fan-out items in order of start, each with
    its attempts; empty when the step did not run, which then passes its dependencies on.
    ``pieces`` and ``lengths``: the same chains, and the longest of each step, in the form the simulation uses; ``ranks``:
    order of the steps by their first pod; ``pods``: number of pods of each. ``shared_lag``: least controller lag of a
    first pod. ``tail``: seconds between the end of the last pod and of the run. ``makespan`` is observed, ``critical``
    lists the pods that determined it, first to last; ``replayed`` is the makespan of the unchanged replay. If not
    ``usable``, ``problems`` gives the reasons and the rest is empty. ``suspended`` and ``late``: seconds before the first
    pod, not part of the makespan. All times are seconds.
    """

    run: str
    names: tuple[str, ...] = ()
    parents: tuple[tuple[int, ...], ...] = ()
    chains: tuple[tuple[tuple[Attempt, ...], ...], ...] = ()
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
        """All fan-out items of a step; empty when it did not run."""
        return tuple([chain for place in self.index.get(step, ()) for chain in self.chains[place]])


def has_room(limits: Sequence[Limit], names: Sequence[str], pieces: Sequence[Sequence[object]]) -> bool:
    """Whether each limit has a slot for every chain under it, so that none can ever wait."""
    return all(sum([len(pieces[i]) for i in limit.places(names)]) <= limit.size for limit in limits)


def chain_length(chain: Chain) -> float:
    """Seconds of a chain that never waits for a slot."""
    if len(chain) == 1:
        delay, head, work = chain[0]
        return delay + head + work
    return sum([delay + head + work for delay, head, work in chain])


def longest(chains: Sequence[Chain]) -> float:
    """Seconds of the longest of these chains, 0 without any."""
    if len(chains) == 1:
        return chain_length(chains[0])
    return max([chain_length(chain) for chain in chains], default=0.0)


def lag_parts(first: Attempt, shared: float) -> tuple[float, float]:
    """A first pod's controller lag before it requests its slot, and while it holds the slot, in seconds.

    After a wait for a slot the lag is measured from when the slot became free, so all of it holds the slot. Otherwise only
    ``shared``, the least lag of any pod of the run, certainly does; the rest is a controller working through a queue.
    """
    lag = first.lag
    held = shared if shared < lag and not first.queued > 0.0 else lag
    return lag - held, held


def pieces_of(chain: Sequence[Attempt], shared: float) -> Chain:
    """Attempts as pieces; a back-off occupies no slot."""
    first = chain[0]
    delay, held = lag_parts(first, shared)
    head: Piece = (delay, held + first.pending + first.starting, first.work)
    if len(chain) == 1:
        return (head,)
    return (head, *[(a.lag, a.pending + a.starting, a.work) for a in chain[1:]])


def in_order(
    names: Sequence[str],
    chains: Sequence[Sequence[Sequence[Attempt]]],
    pieces: Sequence[Sequence[Chain]],
    limits: Sequence[Limit],
) -> tuple[tuple[Chain, ...], ...]:
    """``pieces`` of ``chains`` with the delays of the first pods that waited for a slot, up to the request for it.

    The times of such a pod do not show its request. It had not come while other pods still found a free slot: so it follows
    the requests of all pods under the same limit that were ready no later and did not wait, at most until its slot became
    free. Pods that waited request their slots in the order in which they were ready, then created.
    """
    placed = [list(rows) for rows in pieces]
    for limit in limits:
        pods = [
            (first.ready, first.queued > 0.0, first.finished - first.span, step, k)
            for step in limit.places(names)
            for k, (first, *_) in enumerate(chains[step])
        ]
        latest = -math.inf
        for ready, waited, _, step, k in sorted(pods):
            (delay, head, work), *retries = placed[step][k]
            if waited and latest >= ready:
                delay = max(delay, min(latest + _EPSILON - ready, chains[step][k][0].queued))
                placed[step][k] = ((delay, head, work), *retries)
            latest = max(latest, ready + delay)
    return tuple(map(tuple, placed))
