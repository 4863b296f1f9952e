"""The statuses of policies: what each covers, what became of its discovery and changes, and its weekly digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from concertmaster.controller.changes.reconciler import ChangesOutcome
from concertmaster.controller.changes.writing.tally import Tally
from concertmaster.controller.collector import Collector
from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.health import Health
from concertmaster.controller.policies.status import policy_status
from concertmaster.controller.policies.summary import PolicySummary, by_policy
from concertmaster.controller.reporting.notifier import Notifier
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.history import HistoryError
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.writer import StatusUpdate, digest


class PolicyStatuses:
    """Made from the profiles of a cycle and what the stages before did for them."""

    def __init__(
        self, access: AccessChecker, health: Health, notifier: Notifier, *, shard: Shard | None = None
    ) -> None:
        self._access = access
        self._health = health
        self._notifier = notifier
        self._shard = shard
        self._changed = ChangesOutcome()  # of the last cycle that could read the changes

    def route(self, profiles: Sequence[ResolvedProfile], snapshot: ClusterSnapshot) -> None:
        """Events from now on reach the receivers of the policies in force."""
        self._notifier.route(profiles, snapshot.namespaces)

    def updates(
        self,
        snapshot: ClusterSnapshot,
        profiles: Sequence[ResolvedProfile],
        collector: Collector,
        changed: ChangesOutcome,
        now: float,
        problem: Callable[[str], object],
    ) -> list[StatusUpdate]:
        """The statuses to write. ``problem`` is called with the reason where those of other shards are unknown, or where
        the history does not say whether a digest was sent."""
        if changed.tally is not None:
            self._changed = changed
        changes = self._changed.tally or Tally()
        found = by_policy(profiles, collector.reports)
        updates: list[StatusUpdate] = []
        known: list[tuple[PolicyView, PolicySummary]] = []
        for view in snapshot.policies.views:
            own = found.get(view.ref, PolicySummary())
            summary = replace(
                own,
                problems=(*own.problems, *self._notifier.problems(view, snapshot.namespaces)),
                discovered=snapshot.discovered.get(view.ref, 0),
                pending=snapshot.pending.get(view.ref, 0),
                changes_in_flight=self._changed.in_flight.get(view.ref, 0),
                blocked=changes.blocked.get(view.ref, {}),
                obstacles=(
                    *snapshot.obstacles.get(view.ref, ()),
                    *changes.obstacles.get(view.ref, ()),
                    *own.obstacles,
                ),
            )
            known.append((view, summary))
        for view, summary in known if self._shard is None else self._shard.policies(known, problem):
            self._health.heartbeat("policies")
            status = policy_status(
                view,
                summary,
                sources=collector.sources.names(),
                reports=collector.reports,
                access=self._access,
                now=now,
            )
            try:
                self._notifier.digest(view, status, snapshot.namespaces)
            except HistoryError as error:
                problem(f"the weekly digest of {view.ref} is not sent: {error}")
            known_digest, said = view.entry.status.digest, digest(status) or ""
            updates.append(StatusUpdate(view.entry.ref, status, known_digest, digest=said))
        return updates
