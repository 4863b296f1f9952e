"""Listing of the objects that describe workflows, once per kind and cycle, and reading of a single one.

A missing kind (Argo is not installed) and a missing right are ordinary findings here, to be reported in a condition with
the next step; they stop neither the other kinds nor the other namespaces. Objects are delivered one by one while the list
is read, so that ten thousand templates are never in memory together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from concertmaster.kube.client import CHUNK, KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.kube.nesting import check_depth
from concertmaster.kube.objects import Resource

_PAGE = 25  # whole objects: each may be a megabyte and a half
MAX_SINGLE_READS = 20
"""Changed objects, or one in so many: these are read one by one."""


class ProblemKind(StrEnum):
    """Why objects could not be read."""

    KIND_MISSING = "KindMissing"
    NOT_FOUND = "NotFound"
    FORBIDDEN = "Forbidden"
    UNAVAILABLE = "Unavailable"
    UNREADABLE = "Unreadable"  # one object, by its name


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be read, with a sentence that ends in what to do."""

    kind: ProblemKind
    message: str
    namespace: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of listing one kind: how many objects were listed, and which namespaces (None: all) failed."""

    seen: int
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether absence from this scan means that the object does not exist."""
        return not self.problems

    def problem_for(self, namespace: str | None, name: str | None = None) -> Problem | None:
        """The problem that hid objects of ``namespace`` from this scan, or the one object ``name``, if any."""
        hidden = (p for p in self.problems if p.namespace is None or p.namespace == namespace)
        return next((p for p in hidden if p.name is None or p.name == name), None)


def scan(
    client: KubeClient,
    resource: Resource,
    namespaces: Sequence[str],
    visit: Callable[[dict[str, Any]], None],
    *,
    metadata_only: bool = False,
) -> Scan:
    """List ``resource`` over ``namespaces`` (empty: the whole cluster), calling ``visit`` with each object.
    ``apiVersion`` and ``kind``, which list items lack, are filled in. An unusable object is reported as a problem and
    does not stop the others."""
    return _together(
        [_scan_place(client, resource, place, visit, metadata_only) for place in _places(resource, namespaces)],
    )


def scan_changed(
    client: KubeClient,
    resource: Resource,
    namespaces: Sequence[str],
    visit: Callable[[dict[str, Any]], None],
    known: Callable[[dict[str, Any]], bool],
    *,
    few: int = MAX_SINGLE_READS,
) -> Scan:
    """As ``scan``, but metadata are listed first, and objects for which ``known`` is true are not read. The others are
    read by name if they are at most ``few``, or one in so many (0: never); otherwise all objects are listed, or those of
    their namespaces when these are at most half of all."""
    seen = 0
    problems: list[Problem] = []
    for place in _places(resource, namespaces):
        names: list[tuple[str | None, str, bool]] = []

        def note(obj: dict[str, Any], names: list[tuple[str | None, str, bool]] = names) -> None:
            meta = obj.get("metadata") or {}
            names.append((meta.get("namespace"), str(meta.get("name", "")), known(obj)))

        scanned = listed = _scan_place(client, resource, place, note, True)
        if listed.complete:
            scanned = _read_changed(client, resource, place, names, visit, few)
        seen += listed.seen
        problems += scanned.problems
    return Scan(seen, tuple(problems))


def _read_changed(
    client: KubeClient,
    resource: Resource,
    place: str | None,
    names: Sequence[tuple[str | None, str, bool]],
    visit: Callable[[dict[str, Any]], None],
    few: int,
) -> Scan:
    """Read those of ``names`` (namespace, name, whether known) that are not known, in the way that transfers least."""
    changed = [(namespace, name) for namespace, name, known in names if not known]
    if len(changed) <= (max(few, len(names) // MAX_SINGLE_READS) if few else 0):
        scanned = _read_each(client, resource, changed, visit)
        if scanned is not None:
            return scanned
    within = {namespace for namespace, _ in changed}
    apart = 2 * len(within) <= len({namespace for namespace, _, _ in names})
    places = sorted(n for n in within if n) if apart else [place]
    return _together([_scan_place(client, resource, one, visit, False) for one in places])


def _together(scans: Sequence[Scan]) -> Scan:
    return Scan(sum(s.seen for s in scans), tuple(p for s in scans for p in s.problems))


def _places(resource: Resource, namespaces: Sequence[str]) -> Sequence[str | None]:
    return list(namespaces) if namespaces and resource.namespaced else [None]


def _scan_place(
    client: KubeClient,
    resource: Resource,
    place: str | None,
    visit: Callable[[dict[str, Any]], None],
    metadata_only: bool,
) -> Scan:
    seen = 0
    problems: list[Problem] = []
    try:
        chunk = CHUNK if metadata_only else _PAGE
        for item in client.items(resource.path(place), metadata_only=metadata_only, chunk=chunk):
            seen += 1
            problems += _visited(resource, item, visit, metadata_only)
    except KubeError as error:
        problems.append(_explain(error, resource, place, "list"))
    return Scan(seen, tuple(problems))


def _visited(
    resource: Resource, item: dict[str, Any], visit: Callable[[dict[str, Any]], None], metadata_only: bool = False
) -> list[Problem]:
    item["apiVersion"], item["kind"] = resource.api_version, resource.kind
    try:
        if not metadata_only:  # which the server keeps flat
            check_depth(item)
        visit(item)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        return [_refused(resource, item, error)]
    return []


def _read_each(
    client: KubeClient,
    resource: Resource,
    names: Sequence[tuple[str | None, str]],
    visit: Callable[[dict[str, Any]], None],
) -> Scan | None:
    """The objects of these names, listed one at a time; None where that fails. Deleted ones are left out."""
    problems: list[Problem] = []
    try:
        for namespace, name in names:
            for item in client.items(resource.path(namespace), name=name):
                problems += _visited(resource, item, visit)
    except KubeError:
        return None
    return Scan(len(names), tuple(problems))


def read(client: KubeClient, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | Problem:
    """One object, or why it cannot be read. For installations that may ``get`` by name but not ``list``."""
    try:
        return client.get(resource.path(namespace, name))
    except NotFound as error:
        if error.reason == "NotFound" and name in str(error):
            where = f" in namespace {namespace}" if namespace else ""
            message = f"{resource.kind} {name} does not exist{where}; create it or correct the reference"
            return Problem(ProblemKind.NOT_FOUND, message, namespace)
        return _explain(error, resource, namespace, "get")
    except KubeError as error:
        return _explain(error, resource, namespace, "get")


def _refused(resource: Resource, item: Mapping[str, Any], error: Exception) -> Problem:
    meta = item.get("metadata") or {}
    name, namespace = str(meta.get("name", "")), meta.get("namespace")
    message = f"{resource.kind} {name} cannot be read and is left out: {str(error)[:200] or type(error).__name__}"
    return Problem(ProblemKind.UNREADABLE, message, str(namespace) if namespace else None, name)


def _explain(error: KubeError, resource: Resource, namespace: str | None, verb: str) -> Problem:
    where = f"namespace {namespace}" if namespace else "the cluster"
    if isinstance(error, NotFound):
        return Problem(
            ProblemKind.KIND_MISSING,
            f"the cluster does not serve {resource.kind} ({resource.api_version}); install its "
            "CustomResourceDefinition or correct apiVersion and kind",
            namespace,
        )
    if isinstance(error, Forbidden):
        return Problem(
            ProblemKind.FORBIDDEN,
            f"the operator may not {verb} {resource.plural}.{resource.group or 'core'} in {where}; "
            f"grant its service account get, list and watch on {resource.plural}",
            namespace,
        )
    return Problem(
        ProblemKind.UNAVAILABLE, f"{resource.kind} objects of {where} cannot be read now: {error}", namespace
    )
