"""Writes of discovered profiles (created, relabelled, withdrawn): several at a time, and for a limited time per cycle.

Thousands take minutes; each write counts as a sign of life. The rest is left to the next cycle, so that changes in progress
are verified and rolled back in between. Where admission hangs, a write takes as long as its time limit: the other namespaces
do not wait for it, and in the next cycle they come first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from concertmaster.api.discovery import DesiredProfile
from concertmaster.controller.discovery.profiles import DiscoveryPlan, Relabelling
from concertmaster.controller.object_cache import CachedObject, ObjectCache
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.profiles import (
    NO_FURTHER,
    ProfileWriteOutcome,
    ProfileWriteResult,
    create_profile,
    discovered_profile,
    relabel_profile,
    withdraw_profile,
)

log = logging.getLogger("concertmaster.discovery")

_CONCURRENCY = 4  # profiles written at a time
_SECONDS = 30.0  # of a cycle in which writes are begun

_Item = DesiredProfile | Relabelling | CachedObject


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """One write of a profile. ``item``: what is created, relabelled or withdrawn; ``of``: which of these, and namespace."""

    item: _Item
    of: tuple[str, str]
    name: str
    send: Callable[[], ProfileWriteResult]


@dataclass(slots=True)
class Written:
    """What a cycle made of a plan. ``gone``: uids of the withdrawn profiles; ``not_created``: each with the reason, or None
    where it was not tried; ``left``: namespaces and names of those that are the next cycle's."""

    created: int = 0
    relabelled: int = 0
    gone: set[str] = field(default_factory=set)
    not_created: list[tuple[DesiredProfile, ProfileWriteResult | None]] = field(default_factory=list)
    left: set[tuple[str, str]] = field(default_factory=set)

    @property
    def more(self) -> bool:
        """Whether the next cycle is worth beginning at once: something is left, and something was written."""
        return bool(self.left and (self.created or self.relabelled or self.gone))


class ProfileWrites:
    """Writes what discovery has planned, from cycle to cycle."""

    def __init__(self, client: KubeClient, cache: ObjectCache, clock: Callable[[], float]) -> None:
        """``clock``: seconds."""
        self._client = client
        self._cache = cache
        self._clock = clock
        self._undecided: set[str] = set()  # namespaces that had no answer when they were written to last

    def carry_out(self, plan: DiscoveryPlan, heartbeat: Callable[[], None]) -> Written:
        """Write what there is time for."""
        written, until, last = Written(), self._clock() + _SECONDS, self._undecided
        self._undecided = set()
        writes = self._of(plan)
        for part in ([w for w in writes if w.of[1] not in last], [w for w in writes if w.of[1] in last]):
            for write, result in self._each(part, until, written.left):
                heartbeat()
                self._note(written, write.item, result)
        self._undecided |= last & {namespace for namespace, _ in written.left}  # there was no time to ask again
        return written

    def _of(self, plan: DiscoveryPlan) -> list[_Write]:
        client = self._client

        def create(desired: DesiredProfile) -> ProfileWriteResult:
            body = discovered_profile(desired.namespace, desired.name, desired.labels, desired.target.spec)
            return create_profile(client, body)

        def relabel(change: Relabelling) -> ProfileWriteResult:
            return relabel_profile(client, change.entry.ref, change.labels)

        def withdraw(entry: CachedObject) -> ProfileWriteResult:
            return withdraw_profile(client, entry.ref, entry.resource_version)

        return [
            *[_Write(d, ("create", d.namespace), d.name, partial(create, d)) for d in plan.create],
            *[_Write(c, ("relabel", c.entry.namespace), c.entry.name, partial(relabel, c)) for c in plan.relabel],
            *[_Write(e, ("withdraw", e.namespace), e.name, partial(withdraw, e)) for e in plan.withdraw],
        ]

    def _each(
        self, writes: Sequence[_Write], until: float, left: set[tuple[str, str]]
    ) -> Iterator[tuple[_Write, ProfileWriteResult | None]]:
        """Write profiles, in any order; None for those that are ``left``, and those in a namespace that refused another one,
        or did not say. The first of each namespace is written before its others, because one refusal is enough."""
        closed: set[tuple[str, str]] = set()
        waiting: dict[tuple[str, str], list[_Write]] = {}
        for write in writes:
            waiting.setdefault(write.of, []).append(write)

        def one(write: _Write) -> tuple[_Write, ProfileWriteResult | None]:
            if write.of in closed:
                return write, None
            if self._clock() >= until:
                left.add((write.of[1], write.name))
                return write, None
            result = write.send()
            if result.outcome in NO_FURTHER:
                closed.add(write.of)
            if result.outcome is ProfileWriteOutcome.UNDECIDED:
                self._undecided.add(write.of[1])
            return write, result

        done: SimpleQueue[Future[tuple[_Write, ProfileWriteResult | None]]] = SimpleQueue()
        pool = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="discovery")
        try:
            begun = [of_one[0] for of_one in waiting.values()]
            for write in begun:
                pool.submit(one, write).add_done_callback(done.put)
            for _ in writes:
                write, result = done.get().result()
                for other in waiting.pop(write.of, ())[1:]:
                    pool.submit(one, other).add_done_callback(done.put)
                yield write, result
        finally:
            pool.shutdown(cancel_futures=True)

    def _note(self, written: Written, item: _Item, result: ProfileWriteResult | None) -> None:
        done = result is not None and result.outcome is ProfileWriteOutcome.DONE
        if not isinstance(item, Relabelling | CachedObject):
            if result is not None and done:
                self._cache.created(PROFILES, result.created)
                written.created += 1
            else:
                written.not_created.append((item, result))
        elif done or (result is not None and result.outcome is ProfileWriteOutcome.GONE):
            if isinstance(item, CachedObject):
                written.gone.add(item.uid)
            else:
                written.relabelled += 1
        elif result is not None:
            log.warning("%s", result.message)
