"""The objects that define workflows, as the cycle sees them: listed once per kind, kept packed, parsed on demand.

A thousand templates as Python dicts are fifty megabytes, as compressed JSON two. Only metadata is examined for
discovery; a spec is unpacked when the definition of a profiled workflow must be (re)built, that is when the object or
one it refers to has changed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from concertmaster.controller.discovery.transient_faults import TransientFaults, hidden
from concertmaster.controller.object_cache import everything
from concertmaster.engines.registry import companions, trigger
from concertmaster.kube.apply import last_write
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import Problem, ProblemKind, Scan, scan, scan_changed
from concertmaster.kube.objects import CONFIG_MAPS, ObjectRef, Resource, target_resource

_DROPPED = ("managedFields", "selfLink")
_BULKY = ("kubectl.kubernetes.io/last-applied-configuration",)

TargetId = tuple[str, str, str]  # kind, namespace (empty for a cluster-wide kind), name


@dataclass(frozen=True, slots=True)
class Target:
    """One object that defines a workflow. ``shed_labels``: keys it had earlier in this process and lost since.

    ``starts`` is the kind and name of the template that a mere trigger starts; None for a workflow of its own.
    """

    ref: ObjectRef
    labels: Mapping[str, str]
    version: str
    packed: bytes
    starts: tuple[str, str] | None = None
    shed_labels: frozenset[str] = frozenset()
    written: tuple[str, float] = ("", 0.0)  # who wrote its spec last, and when (unix seconds; 0: not known)
    edition: int | str | None = None  # another one after each edit

    @property
    def id(self) -> TargetId:
        """Kind, namespace and name."""
        return self.ref.resource.kind, self.ref.namespace or "", self.ref.name

    def unpack(self) -> dict[str, Any]:
        """The object (without status and bulky metadata)."""
        obj = json.loads(zlib.decompress(self.packed))
        return obj if isinstance(obj, dict) else {}


class Targets:
    """All targets of one cycle, with what could not be listed."""

    def __init__(
        self,
        targets: Mapping[TargetId, Target],
        scans: Mapping[Resource, Scan],
        passing: Collection[Problem] = (),
    ) -> None:
        """``passing``: those of the problems that may be gone soon."""
        self.passing = passing
        self._found = targets
        self._scans = scans
        self._triggers: dict[TargetId, list[Target]] = {}
        for target in targets.values():
            if target.starts is not None:
                key = (target.starts[0], target.ref.namespace or "", target.starts[1])
                self._triggers.setdefault(key, []).append(target)

    def same(self, other: Targets) -> bool:
        """Whether all of it is as in ``other``."""
        return (self._found, self._scans, list(self.passing)) == (other._found, other._scans, list(other.passing))

    def __iter__(self) -> Iterator[Target]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def get(self, kind: str, namespace: str, name: str) -> Target | None:
        """The target of that kind and name; ``namespace`` is ignored for a cluster-wide kind."""
        return self._found.get((kind, namespace, name)) or self._found.get((kind, "", name))

    def listed(self, resource: Resource) -> bool:
        """Whether that kind was listed, with whatever success."""
        return resource in self._scans

    def problem(self, api_version: str, kind: str, namespace: str, name: str | None = None) -> Problem | None:
        """Why objects of that kind in ``namespace`` (or the one ``name``) could not be read; None when they could."""
        resource = target_resource(api_version, kind)
        if resource is None:
            return Problem(ProblemKind.KIND_MISSING, f"{kind} ({api_version}) is no kind this operator can observe")
        target = self._scans.get(resource)
        return target.problem_for(namespace if resource.namespaced else None, name) if target else None

    def unlisted(self, api_version: str, kind: str, namespace: str | None) -> tuple[Problem, ...]:
        """Why not all objects of that kind in ``namespace`` (None: anywhere) were listed; empty when they were."""
        resource = target_resource(api_version, kind)
        scan_of_kind = self._scans.get(resource) if resource else None
        hidden = scan_of_kind.problems if scan_of_kind is not None else ()
        return tuple(p for p in hidden if p.name is None and (namespace is None or p.namespace in (None, namespace)))

    def unseen(self, kind: str, namespace: str) -> Problem | None:
        """Why an object of a companion's ``kind`` may exist although it was not listed; None when all were listed."""
        scan_of_kind = next((s for r, s in self._scans.items() if r.kind == kind), None)
        return scan_of_kind.problem_for(namespace) if scan_of_kind is not None else None

    def certain(self, api_version: str, kind: str, namespace: str, name: str) -> bool:
        """Whether the target ``name``, which was not listed, is known not to exist."""
        resource = target_resource(api_version, kind)
        scan_of_kind = self._scans.get(resource) if resource else None
        return scan_of_kind is not None and scan_of_kind.problem_for(namespace, name) is None

    def triggers(self, namespace: str, kind: str, name: str) -> list[Target]:
        """The objects in ``namespace`` that only start the template ``kind`` ``name``."""
        return self._triggers.get((kind, namespace, name), [])

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that could not be listed."""
        return tuple(p for s in self._scans.values() for p in s.problems)


NO_TARGETS = Targets({}, {})


def kinds_to_list(references: Iterable[tuple[str, str]]) -> tuple[Resource, ...]:
    """The kinds to list for these (apiVersion, kind) pairs, their companions included, in a stable order."""
    needed: dict[tuple[str, str], None] = {}
    for api_version, kind in sorted(set(references)):
        needed.setdefault((api_version, kind))
        for companion in companions(api_version, kind):
            needed.setdefault((api_version, companion))
    resources = (target_resource(api_version, kind) for api_version, kind in needed)
    return tuple(r for r in resources if r is not None)


def refresh(
    client: KubeClient,
    resources: Sequence[Resource],
    namespaces: Sequence[str],
    previous: Targets,
    heartbeat: Callable[[], None] = lambda: None,
    owns: Callable[[str], bool] = everything,
    passes: TransientFaults | None = None,
    also: Target | Problem | None = None,
) -> Targets:
    """List ``resources`` anew; what has not changed since ``previous`` is not read again. What cannot be listed just now
    keeps its last known state; what is denied does not. ``passes`` knows which problems may be gone soon. ``also`` is one
    ConfigMap, a kind that is not listed, or why it cannot be read just now. ``previous`` itself is returned while nothing
    has changed, which spares working out again what follows from it."""
    passes = passes or TransientFaults(namespaces)
    listing = _Listing(client, namespaces, previous, owns)
    soon_gone: list[Problem] = []
    scans: dict[Resource, Scan] = {}
    if isinstance(also, Target):
        listing.targets[also.id] = also
    if isinstance(also, Problem):
        scans[CONFIG_MAPS] = Scan(0, (also,))
        soon_gone.append(also)
    for resource in resources:
        heartbeat()
        if namespaces and not resource.namespaced:
            scans[resource] = Scan(0, (_out_of_reach(resource),))
            continue
        scans[resource] = listing.scan(resource)
        soon_gone += (gone := passes.of(resource, scans[resource].problems))
        listing.keep(resource, [p for p in gone if p.kind is ProblemKind.UNAVAILABLE])
    found = Targets(listing.targets, scans, soon_gone)
    return previous if found.same(previous) else found


class _Listing:
    """The targets found so far, kind by kind."""

    def __init__(
        self, client: KubeClient, namespaces: Sequence[str], previous: Targets, owns: Callable[[str], bool]
    ) -> None:
        self.targets: dict[TargetId, Target] = {}
        self._client = client
        self._namespaces = namespaces
        self._previous = previous
        self._owns = owns

    def scan(self, resource: Resource) -> Scan:
        """List one kind, and read those of its objects that have changed."""

        def ours(obj: Mapping[str, Any]) -> bool:
            return not resource.namespaced or self._owns(str((obj.get("metadata") or {}).get("namespace", "")))

        def visit(obj: dict[str, Any]) -> None:
            if ours(obj):
                target = _target(resource, obj, self._previous)
                self.targets[target.id] = target

        def known(obj: dict[str, Any]) -> bool:
            if not ours(obj):  # another shard reads it
                return True
            target = _unchanged(resource, obj, self._previous)
            if target is not None:
                self.targets[target.id] = target
            return target is not None

        if self._previous.listed(resource):
            return scan_changed(self._client, resource, self._namespaces, visit, known)
        if self._owns is everything:  # at first each is new
            return scan(self._client, resource, self._namespaces, visit)
        return scan_changed(self._client, resource, self._namespaces, visit, known, few=0)

    def keep(self, resource: Resource, passing: Sequence[Problem]) -> None:
        """What problems that soon pass hide stays as it was known."""
        for target in self._previous if passing else ():
            ours = not target.ref.namespace or self._owns(target.ref.namespace)
            if target.ref.resource == resource and ours and hidden(passing, target.ref.namespace):
                self.targets.setdefault(target.id, target)


def _out_of_reach(resource: Resource) -> Problem:
    """Not listed at all: an installation for listed namespaces has no right to cluster-wide kinds, and a denial in every
    cycle would raise alerts."""
    return Problem(
        ProblemKind.FORBIDDEN,
        f"{resource.kind} objects belong to no namespace and the operator observes listed namespaces only; "
        "leave namespaces empty in its configuration to have them observed",
    )


def _target(resource: Resource, obj: Mapping[str, Any], previous: Targets) -> Target:
    if (same := _unchanged(resource, obj, previous)) is not None:
        return same
    ref = ObjectRef.of(resource, obj)
    meta = obj.get("metadata") or {}
    version = str(meta.get("resourceVersion", ""))
    known = previous.get(resource.kind, ref.namespace or "", ref.name)
    labels = {str(k): str(v) for k, v in (meta.get("labels") or {}).items()}
    shed = frozenset[str]()
    if known is not None and known.ref.uid == ref.uid:
        shed = (known.shed_labels | known.labels.keys()) - labels.keys()
    started = trigger(obj)
    starts = (started.target_kind, started.target_name) if started is not None else None
    written = last_write(meta.get("managedFields"))
    return Target(ref, labels, version, _pack(obj), starts, shed, written, _edition(obj, written[1]))


def _edition(obj: Mapping[str, Any], written: float) -> int | str | None:
    """The object's generation. Each write of a status that has no subresource, as that of a CronWorkflow, counts there as an
    edit: then what it says otherwise, and when its spec was ``written`` last (unix seconds)."""
    meta = obj.get("metadata") or {}
    if "status" not in obj or any(entry.get("subresource") == "status" for entry in meta.get("managedFields") or ()):
        generation = meta.get("generation")
        return generation if isinstance(generation, int) else None
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return f"{written:.0f}/{sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]}"


def _unchanged(resource: Resource, obj: Mapping[str, Any], previous: Targets) -> Target | None:
    """The target of the last list, when its object (metadata suffices) is still the same."""
    meta = obj.get("metadata") or {}
    known = previous.get(resource.kind, str(meta.get("namespace") or ""), str(meta.get("name", "")))
    if known is None or known.version != meta.get("resourceVersion") or known.ref.uid != meta.get("uid"):
        return None
    return known if known.ref.resource == resource else None


def _pack(obj: Mapping[str, Any]) -> bytes:
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _DROPPED}
    if meta.get("annotations"):
        meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k not in _BULKY}
    slim = {k: v for k, v in obj.items() if k != "status"} | {"metadata": meta}
    return zlib.compress(json.dumps(slim, separators=(",", ":")).encode(), 6)
