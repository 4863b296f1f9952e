"""Owner: an object that Git, Helm or a controller owns gets a patch to commit, not a fight.

``owners`` finds them in the object's metadata: the marks of Argo CD, Flux and Helm, ownerReferences, and managers that
applied the very fields of the plan (server-side apply). Lists without keys belong to their manager as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.json_patch import find, join, parts
from concertmaster.core.changes.plan import Plan

NAME = "owner"


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed for an owned object unless the policy says apply.gitOps: Apply; then it says who will fight it."""
    found = situation.facts.owners
    if found is None:
        return closed(NAME, "Unknown", f"who owns the object is not known: {situation.facts.why('owners')}")
    if not found:
        return passed(NAME, "nobody else owns the object")
    names = " and ".join(found[:3])
    if situation.rights.git_ops_apply:
        return passed(NAME, f"apply.gitOps is Apply although {names} owns it and may change it back")
    return closed(NAME, "Owned", f"{names} owns it: commit the kustomize patch there, or set apply.gitOps to Apply")


def owners(raw: Mapping[str, Any], pointers: Sequence[str], own: str) -> tuple[str, ...]:
    """Who else writes the object or these fields of it; ``own`` is our own field manager."""
    meta = raw.get("metadata") or {}
    labels, notes = _texts(meta.get("labels")), _texts(meta.get("annotations"))
    found: dict[str, None] = {}
    tracking = notes.get("argocd.argoproj.io/tracking-id")
    instance = labels.get("argocd.argoproj.io/instance")
    if tracking or instance or "argocd.argoproj.io/installation-id" in notes:
        found.setdefault(f"Argo CD application {(tracking or instance or '').split(':', 1)[0]}".rstrip())
    for prefix, kind in (("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")):
        if labels.get(f"{prefix}/name"):
            found.setdefault(f"Flux {kind} {labels[f'{prefix}/name']}")
    release = notes.get("meta.helm.sh/release-name")
    if release or labels.get("app.kubernetes.io/managed-by") == "Helm":
        found.setdefault(f"Helm release {release}" if release else "Helm")
    for owner in meta.get("ownerReferences") or ():
        if isinstance(owner, Mapping) and owner.get("kind"):
            found.setdefault(f"{owner['kind']} {owner.get('name')}")
    for entry in meta.get("managedFields") or ():
        if not isinstance(entry, Mapping) or entry.get("manager") == own:
            continue
        manager, fields = str(entry.get("manager")), entry.get("fieldsV1")
        if entry.get("operation") == "Apply" and any(covers(fields, raw, p) for p in pointers):
            found.setdefault(f"field manager {manager} (server-side apply)")
    return tuple(found)


def covers(fields: object, raw: Mapping[str, Any], pointer: str) -> bool:
    """Whether a ``fieldsV1`` set holds the field at ``pointer`` or something that contains it as a whole."""
    node = fields
    walked: list[str] = []
    for part in parts(pointer):
        walked.append(part)
        if not isinstance(node, Mapping):
            return False
        below = _member(node, part, find(raw, join(walked))[1])
        if below is None:
            return False
        if not below or set(below) == {"."}:
            return True  # owned as a whole: an atomic list or map, or the field itself
        node = below
    return True


def _member(node: Mapping[str, Any], part: str, value: object) -> Mapping[str, Any] | None:
    if f"f:{part}" in node:
        found = node[f"f:{part}"]
        return found if isinstance(found, Mapping) else {}
    if part.isdigit() and isinstance(value, Mapping):
        for key, found in node.items():
            if key.startswith("k:") and f'"name":"{value.get("name")}"' in key:
                return found if isinstance(found, Mapping) else {}
    return None


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
