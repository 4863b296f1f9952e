"""All profiles of a cycle, parsed and resolved; the same list as in the cycle before while nothing of it has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concertmaster.controller.discovery.definitions import Definitions
from concertmaster.controller.discovery.subject import AllowedSources, Subject, Subjects
from concertmaster.controller.discovery.targets import NO_TARGETS, Targets
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.shared_targets import elect_leaders
from concertmaster.controller.snapshot import ClusterSnapshot

_RestsOn = tuple[tuple[CachedObject, ...], str, Mapping[str, Mapping[str, str]]]


class ProfileResolver:
    """Resolves profiles, remembering what was made of them."""

    def __init__(self, sources: AllowedSources, shares: TimeShares) -> None:
        self._sources = sources
        self._shares = shares
        self._definitions = Definitions(shares)
        self._subjects = Subjects()
        self._rests_on: _RestsOn | None = None
        self._targets: Targets = NO_TARGETS
        self._resolved: Sequence[Subject] = ()

    def subjects(self, snapshot: ClusterSnapshot) -> Sequence[Subject]:
        """The profiles; not examined anew when all they are made of is as in the cycle before, and none of them waited."""
        rests_on = (snapshot.objects.profiles, snapshot.policies.edition, snapshot.namespaces)
        same = self._targets is snapshot.targets and self._rests_on == rests_on
        if same and not self._shares.resumed and not any(s.resolved.waits for s in self._resolved):
            return self._resolved
        self._resolved = elect_leaders(
            [
                self._subjects.resolve(
                    entry, snapshot.policies, snapshot.targets, snapshot.namespaces, self._definitions, self._sources
                )
                for entry in self._shares.in_order(snapshot.objects.profiles, lambda entry: entry)
            ]
        )
        self._rests_on, self._targets = rests_on, snapshot.targets
        uids = frozenset(s.entry.uid for s in self._resolved)
        self._definitions.keep_only(uids)
        self._subjects.keep_only(uids)
        return self._resolved
