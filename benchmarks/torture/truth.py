"""The truth about a run: the status of its engine in a common form for all engines, and its critical chain.

Neither this module nor those that read the engines' objects use the operator: two readers with the same mistake would
agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str | None, int]  # step, item, attempt

SECOND = 1.0  # resolution of the engines' times


@dataclass(slots=True)
class Leaf:
    """One unit that ran, was skipped or was answered from a cache. ``begun`` and ``ended`` are the engine's times in
    unix seconds; ``before`` the keys of all possible dependencies; ``ran`` is False for units that take no time;
    ``overdue``: its engine failed it for the deadline of the run, before it saw how its pod ended."""

    step: str
    item: str | None
    attempt: int
    outcome: str
    begun: float | None
    ended: float | None
    pod: str | None = None
    before: frozenset[Key] = frozenset()
    ran: bool = True
    overdue: bool = False

    @property
    def key(self) -> Key:
        return (self.step, self.item, self.attempt)


@dataclass(slots=True)
class Truth:
    """One run. ``unknown_items``: steps whose items only the run object contains, so that the history cannot name them;
    ``alike``: its pods are not numbered; ``early``: parts of it begin while those they follow still run, once they are
    ready or have reached some state, of which no metric tells; ``sampled``: seconds by which the end of a pod of it is
    uncertain, as only samples tell it; ``idle``: from the end of an attempt at it to the begin of the next, in unix seconds;
    ``whole``: with the pods that its engine no longer counts, which metrics have as well; ``own``: start and end in the
    status of the run itself."""

    workflow: str
    run: str
    outcome: str
    leaves: dict[Key, Leaf] = field(default_factory=dict)
    unknown_items: frozenset[str] = frozenset()
    alike: bool = False
    early: bool = False
    sampled: float = 0.0
    idle: list[tuple[float, float]] = field(default_factory=list)
    whole: Truth | None = None
    own: tuple[float, float] | None = None
    free: dict[Key, float] = field(default_factory=dict)  # ready times of daemons that ended later
    served: dict[Key, float] = field(
        default_factory=dict
    )  # when all beside a daemon had ended; left out where some did not

    def add(self, leaf: Leaf) -> None:
        if leaf.key in self.leaves:
            raise ValueError(f"{self.run}: {leaf.key} twice")
        self.leaves[leaf.key] = leaf

    def lasted(self) -> float | None:
        """Seconds from the first begin to the last end, without skipped units; of a run without pods, of the run itself."""
        if self.own is not None and not any(leaf.pod for leaf in self.leaves.values()):
            return self.own[1] - self.own[0]
        leaves = [leaf for leaf in self.leaves.values() if leaf.outcome != "Skipped"]
        begun = [leaf.begun for leaf in leaves if leaf.begun is not None]
        ended = [leaf.ended for leaf in leaves if leaf.ended is not None]
        return max(ended) - min(begun) if begun and ended else None

    def waited_for(self, key: Key) -> list[Leaf]:
        """Units that ran before a leaf and may have delayed it, including through skipped units between them."""
        return list(self.before(key, lambda leaf: leaf.ran and leaf.ended is not None).values())

    def before(self, key: Key, counts: Callable[[Leaf], bool]) -> dict[Key, Leaf]:
        """The nearest leaves before one that count, through those that do not."""
        found: dict[Key, Leaf] = {}
        open_keys, seen = list(self.leaves[key].before), {key}
        while open_keys:
            other = open_keys.pop()
            if other in seen or other not in self.leaves:
                continue
            seen.add(other)
            leaf = self.leaves[other]
            if counts(leaf):
                found[other] = leaf
            else:
                open_keys += leaf.before
        return found


def idle_between(attempts: Sequence[Truth]) -> list[tuple[float, float]]:
    """The times between the end of an attempt at a run and the begin of the first unit of the next, in which nothing ran.
    ``attempts``: the run as it was at each of its ends, the last one at its final end."""
    found = []
    for before, after in pairwise(attempts):
        stopped = max(
            (leaf.ended for leaf in before.leaves.values() if leaf.ran and leaf.ended is not None), default=None
        )
        begun = [leaf.begun for leaf in after.leaves.values() if leaf.ran and leaf.begun is not None]
        if stopped is not None and (later := [at for at in begun if at >= stopped]):
            found.append((stopped, min(later)))
    return found


def closed_up(truth: Truth) -> Truth:
    """The run as if each attempt at it had followed the one before at once: what came first is moved."""
    found = deepcopy(truth)
    found.idle = []
    for since, until in sorted(truth.idle):
        for leaf in found.leaves.values():
            if leaf.begun is not None and leaf.begun <= since:
                leaf.begun += until - since
                leaf.ended = None if leaf.ended is None else leaf.ended + until - since
    return found


def unix(stamp: object) -> float | None:
    """A Kubernetes timestamp in unix seconds; None if missing."""
    return datetime.fromisoformat(stamp).timestamp() if isinstance(stamp, str) and stamp else None


def near(a: float | None, b: float | None, slack: float = SECOND) -> bool:
    """Whether two times differ by at most ``slack`` seconds; None only equals None."""
    return a is b if a is None or b is None else abs(a - b) <= slack


def chain_faults(truth: Truth, chain: Iterable[Key]) -> list[str]:
    """Errors in a critical chain, first to last; empty if each leaf waited for the one before it."""
    keys = [key for key in chain if key not in truth.leaves or truth.leaves[key].ran]
    ran = [leaf for leaf in truth.leaves.values() if leaf.ran and leaf.ended is not None]
    if not ran:
        return [] if not keys else [f"a chain {keys} of a run in which nothing ran"]
    if not keys:
        return ["no chain"]
    if missing := [key for key in keys if key not in truth.leaves]:
        return [f"{missing[0]} is no part of the run"]
    last = max(leaf.ended or 0.0 for leaf in ran)
    faults = []
    if not near(truth.leaves[keys[-1]].ended, last):
        faults.append(
            f"it ends with {keys[-1]}, {last - (truth.leaves[keys[-1]].ended or 0.0):.0f} s before the run did"
        )
    for before, key in zip([None, *keys], keys, strict=False):
        started = truth.leaves[key].begun or 0.0
        # Units that ended later were no dependencies after all: a daemon, a handler that runs beside the task's
        # dependents.
        waited = [leaf for leaf in truth.waited_for(key) if (leaf.ended or 0.0) <= started + 2 * SECOND]
        latest = max((leaf.ended or 0.0 for leaf in waited), default=None)
        if before is None:
            first = min(leaf.begun for leaf in ran if leaf.begun is not None)
            if latest is not None and not near(started, first, 2 * SECOND):
                faults.append(f"it begins with {key}, which waited for {sorted(leaf.step for leaf in waited)}")
        elif before not in {leaf.key for leaf in waited}:
            faults.append(f"{key} did not wait for {before}")
        elif not near(truth.leaves[before].ended, latest, SECOND):
            faults.append(f"{key} waited longest for another than {before}")
    return faults


def drag(truth: Truth, step: str) -> float:
    """Seconds by which the run would have been shorter if a step, including its waiting times, had taken no time."""
    return _makespan(truth, None) - _makespan(truth, step)


def _makespan(truth: Truth, without: str | None) -> float:
    """Seconds from the first begin to the last end, with the original delays after dependencies. Skipped units take no
    time, but keep the time at which the controller reached them."""
    timed = {k: leaf for k, leaf in truth.leaves.items() if leaf.ended is not None and leaf.begun is not None}
    start = min((leaf.begun or 0.0 for leaf in timed.values() if leaf.ran), default=0.0)
    ends: dict[Key, float] = {}
    open_keys: set[Key] = set()

    def end(key: Key) -> float:
        if key in ends:
            return ends[key]
        open_keys.add(key)
        leaf = timed[key]
        begun = leaf.begun or 0.0
        nearest = truth.before(key, lambda o: o.ended is not None and o.begun is not None)
        waited = {k: o.ended or 0.0 for k, o in nearest.items() if k not in open_keys}
        waited = {k: ended for k, ended in waited.items() if ended <= begun + 2 * SECOND}
        ready = max((end(k) for k in waited), default=start)
        lag = max(0.0, begun - max(waited.values(), default=start))
        work = max(0.0, (leaf.ended or 0.0) - begun)
        ends[key] = ready if leaf.step == without else ready + lag + work
        open_keys.discard(key)
        return ends[key]

    # First what began first, so that no call is deep; of several at one second, those that others waited for.
    return max((end(k) for k in sorted(timed, key=lambda k: timed[k].begun or 0.0)), default=start) - start
