"""Which kinds of runs can be watched: those of workflows in use that the cluster serves and the operator may read.

Checked once per cycle, so that a CustomResourceDefinition installed later, a right granted or one withdrawn are
followed without a restart. What is missing is a sentence for the cycle's line, never a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from concertmaster.engines import ENGINES
from concertmaster.engines.base import RunKind
from concertmaster.engines.suspension import WORKLOAD, WORKLOAD_VERSIONS
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound
from concertmaster.kube.objects import Resource, resource_of

CHECK_EVERY = 60.0  # seconds between two checks of what is served


@dataclass(frozen=True, slots=True)
class ServedRunKind:
    """One version of a kind of run. ``selector``: labels that every finished run has, so that the others never leave the
    server; ``children``: the kind to list along with a run (None: nothing)."""

    resource: Resource
    selector: str | None = None
    children: Resource | None = None


def _versions(kind: RunKind) -> Iterator[ServedRunKind]:
    """The kind in every API version that may serve it, newest first; children of the same group use the same version."""
    for version in (kind.object.api_version, *kind.older):
        children = kind.children
        same = children is not None and children.group == kind.object.group
        yield ServedRunKind(
            resource_of(kind.object, version),
            kind.finished_selector,
            resource_of(children, version if same else None) if children is not None else None,
        )


KINDS = tuple(served for engine in ENGINES for kind in engine.run_kinds for served in _versions(kind))


def kind_of(resource: Resource) -> ServedRunKind | None:
    """The row of a watched resource."""
    return next((kind for kind in KINDS if kind.resource == resource), None)


class RunKinds:
    """Caches which kinds are served. An empty ``namespaces`` means the whole cluster. One thread refreshes, any thread
    may call ``doubt``."""

    def __init__(
        self,
        client: KubeClient,
        access: AccessChecker,
        namespaces: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._access = access
        self.places: Sequence[str | None] = list(namespaces) or [None]
        self._clock = clock
        self._asked: tuple[frozenset[str], float] | None = None
        self.present: tuple[ServedRunKind, ...] = ()
        self.workloads: Resource | None = None  # of Kueue, where they are served and may be listed
        self.notes: tuple[str, ...] = ()

    def refresh(self, kinds: Collection[str]) -> None:
        """Update ``present`` and ``notes`` for runs of these kinds. What cannot be determined at present stays
        unchanged."""
        names, now = frozenset(kinds), self._clock()
        if self._asked is not None and self._asked[0] == names and now - self._asked[1] < CHECK_EVERY:
            return
        present: list[ServedRunKind] = []
        notes: list[str] = []
        for name in (n for n in dict.fromkeys(k.resource.kind for k in KINDS) if n in names):
            try:
                kind = self._served(name)
            except KubeError as error:
                present += [k for k in self.present if k.resource.kind == name]
                notes.append(f"whether {name}s can be watched is not known now: {error}")
                continue
            if kind is None:
                continue
            lacking = self._lacking(kind)
            if not lacking:
                present.append(kind)
            else:
                notes.append(
                    f"{name}s are known from the metrics only: the operator may not "
                    f"{'; '.join(map(str, lacking))}. Grant it (the Helm chart does), or set live: false"
                )
        try:
            self.workloads = self._admissions()
        except KubeError as error:
            notes.append(f"whether Workloads of Kueue can be read is not known now: {error}")
        self.present, self.notes, self._asked = tuple(present), tuple(notes), (names, now)

    def doubt(self) -> None:
        """Ask the API server again at the next refresh."""
        self._asked = None

    def _served(self, name: str) -> ServedRunKind | None:
        """The newest version the cluster serves; a kind that is not served has no runs."""
        for kind in (k for k in KINDS if k.resource.kind == name):
            try:
                answer = self._client.get(f"/apis/{kind.resource.api_version}")
            except NotFound:
                continue
            if any(r.get("name") == kind.resource.plural for r in answer.get("resources") or ()):
                return kind
        return None

    def _admissions(self) -> Resource | None:
        """Kueue Workloads in the newest version served; None where they may not be listed: then only the runs themselves
        show how long they were suspended."""
        for version in (WORKLOAD.api_version, *WORKLOAD_VERSIONS):
            try:
                self._client.get(f"/apis/{version}")
            except NotFound:
                continue
            resource = resource_of(WORKLOAD, version)
            return None if self._access.missing([Right("list", resource, place) for place in self.places]) else resource
        return None

    def _lacking(self, kind: ServedRunKind) -> tuple[Right, ...]:
        needed = [Right(verb, kind.resource, place) for place in self.places for verb in ("list", "watch")]
        if kind.children is not None:
            needed += [Right("list", kind.children, place) for place in self.places]
        return self._access.missing(needed)
