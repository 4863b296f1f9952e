"""Which pods that are no longer exposed are really gone. Pure.

A pod whose object is deleted and a pod whose kube-state-metrics is down look the same: both series end. Believing the
second would end every running pod at once, so a vanished pod counts only while the target that exposed it is up, or
after a grace when that target was replaced by another one. Others are held back and asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.drafts import PodDraft

GRACE = 900.0  # seconds a pod must be gone before a replaced or unknown target counts as gone

TargetKey = tuple[str, str]  # job, instance


@dataclass(frozen=True, slots=True)
class ScrapeTargets:
    """The scrape targets that expose pods, at the pinned time."""

    up: frozenset[TargetKey] = frozenset()
    down: frozenset[TargetKey] = frozenset()
    seen: frozenset[TargetKey] = frozenset()  # exposed pods of the scope within the window
    exposing: frozenset[TargetKey] = frozenset()  # expose pods of the scope now
    interval: float | None = None  # smallest interval at which containers are sampled, seconds
    records: bool = False  # whether recording rules are evaluated

    @property
    def known(self) -> bool:
        """Whether the state of any target could be read at all."""
        return bool(self.up or self.down)

    @property
    def lost(self) -> bool:
        """Pods were exposed in the window, and no target that could expose them is up."""
        return bool(self.seen) and self.known and not self.up


def read_targets(vector: Vector) -> ScrapeTargets:
    """The state from the ``targets`` query, of the jobs that exposed pods."""
    sets: dict[str, set[TargetKey]] = {"up": set(), "down": set(), "seen": set(), "now": set()}
    interval: float | None = None
    records = False
    for (stat, job, instance), value in vector.select("stat", "job", "instance"):
        if stat == "interval" and value > 0:
            interval = value
        records = records or stat == "records"
        name = "down" if stat == "up" and value == 0 else stat
        if name in sets:
            sets[name].add((job, instance))
    jobs = {job for job, _ in sets["seen"]}
    return ScrapeTargets(
        frozenset(target for target in sets["up"] if target[0] in jobs),
        frozenset(target for target in sets["down"] if target[0] in jobs),
        frozenset(sets["seen"]),
        frozenset(sets["now"]),
        interval,
        records,
    )


def split(
    drafts: Iterable[PodDraft], targets: ScrapeTargets, since: float, now: float
) -> tuple[list[PodDraft], list[PodDraft]]:
    """Drafts that may become facts, and drafts held back.

    ``now`` is the pinned time of the queries; ``since`` stands for the last sight of pods too short to have one.
    """
    settled: list[PodDraft] = []
    held: list[PodDraft] = []
    for draft in drafts:
        (settled if draft.terminal or _gone(draft, targets, since, now) else held).append(draft)
    return settled, held


def _gone(draft: PodDraft, targets: ScrapeTargets, since: float, now: float) -> bool:
    exposed_by = set(draft.seen)
    if exposed_by & targets.up:
        return True
    last = since if draft.last_seen is None else draft.last_seen
    if not exposed_by or exposed_by & targets.down or now - last <= GRACE:
        return False
    if not targets.known:
        # The metrics source does not show "up" (a tenancy proxy may hide it); pods exposed now are the next best evidence.
        return bool(targets.exposing)
    jobs = {job for job, _ in exposed_by}
    return any(job in jobs for job, _ in targets.up)
