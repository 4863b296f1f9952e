"""The profiles that discovery must create, relabel and delete, given what should exist. A pure plan over one snapshot.

Deleting is the dangerous half: a profile is deleted only when it carries the label of discovery and it is *known* that no
policy selects it any more. A list that failed, a kind that vanished or a suspended policy does not show that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType
from concertmaster.api.discovery import DesiredProfile, LabelledTarget, discovered_kinds, identity
from concertmaster.api.labelled import LabelledWorkflow, labels_of
from concertmaster.api.policy import AnyPolicy
from concertmaster.api.policy import ref as ref_of
from concertmaster.controller.discovery.targets import Target, Targets
from concertmaster.controller.object_cache import CachedObject
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.model.policy import PolicyRef
from concertmaster.kube.discover import ProblemKind
from concertmaster.kube.profiles import DISCOVERED_LABEL, is_discovered

_Key = tuple[str, str, str]  # namespace of the profile, kind and name of the target


@dataclass(frozen=True, slots=True)
class Relabelling:
    """Labels of a discovered profile to set (None: remove) because its target's labels changed."""

    entry: CachedObject
    labels: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class DiscoveryPlan:
    """The writes to make, how many profiles each policy's discovery accounts for, and the problems. ``held``: profiles to be
    withdrawn once their changes in progress are decided."""

    create: tuple[DesiredProfile, ...] = ()
    relabel: tuple[Relabelling, ...] = ()
    withdraw: tuple[CachedObject, ...] = ()
    held: tuple[CachedObject, ...] = ()
    discovered: Mapping[PolicyRef, int] = field(default_factory=dict)
    obstacles: Mapping[PolicyRef, tuple[str, ...]] = field(default_factory=dict)


def reference(entry: CachedObject) -> tuple[str, str, str] | None:
    """API version, kind and name a profile's ``workflowRef`` names, or None when it has none."""
    return (_remembered if len(entry.spec_text) <= _MAX_CACHED_LENGTH else _reference)(entry.spec_text)


def _reference(spec_text: str) -> tuple[str, str, str] | None:
    spec = json.loads(spec_text)
    ref = spec.get("workflowRef") if isinstance(spec, dict) else None
    if not isinstance(ref, dict):
        return None
    return str(ref.get("apiVersion", "")), str(ref.get("kind", "")), str(ref.get("name", ""))


# Asked several times a cycle for every profile. A text stays remembered when the profile was edited since.
_remembered = lru_cache(maxsize=1 << 15)(_reference)
_MAX_CACHED_LENGTH = 1_000  # characters; nearly all profiles are discovered and have 200


def labelled(profiles: Iterable[CachedObject]) -> list[LabelledWorkflow]:
    """The workflows that discovery made a profile for because of their pods' labels."""
    # Most have none: parsing their specs only to see that was a sixteenth of an idle cycle.
    ours = ((e, labels_of(e.spec)) for e in profiles if '"podLabels"' in e.spec_text and is_discovered(e.labels))
    return [LabelledWorkflow(e.namespace, labels) for e, labels in ours if labels is not None]


def changing(changes: Iterable[CachedObject]) -> Iterator[tuple[str, str]]:
    """Namespace and name of the profiles whose changes are in progress and can be decided."""
    for change in changes:
        if change.status.phase in IN_FLIGHT and not conditions.holds(change.status.conditions, ConditionType.ORPHANED):
            yield change.namespace, str((change.spec.get("profileRef") or {}).get("name") or "")


def plan(
    wanted: Iterable[DesiredProfile],
    targets: Targets,
    profiles: Sequence[CachedObject],
    *,
    complete: Callable[[str], bool] = lambda _: True,
    changing: Collection[tuple[str, str]] = (),
) -> DiscoveryPlan:
    """Compare what should exist with what does. ``complete``: whether all policies for a namespace are known;
    ``changing``: namespace and name of profiles with changes in progress, which nobody would verify without them."""
    theirs, ours, names = _present(profiles)
    create: list[DesiredProfile] = []
    relabel: list[Relabelling] = []
    withdraw: list[CachedObject] = []
    counts: dict[PolicyRef, int] = {}
    obstacles: dict[PolicyRef, list[str]] = {}
    asked: set[_Key] = set()
    for desired in wanted:
        key = (desired.namespace, *desired.target.identity)
        asked.add(key)
        if key in theirs:
            continue
        present = sorted(ours.get(key, ()), key=lambda e: (e.created, e.name))
        if present:
            counts[desired.policy] = counts.get(desired.policy, 0) + 1
            changes = _label_changes(present[0], desired, targets)
            if changes:
                relabel.append(Relabelling(present[0], changes))
            withdraw += present[1:]
        elif not desired.create:
            continue
        elif (desired.namespace, desired.name) in names:
            obstacles.setdefault(desired.policy, []).append(
                f"WorkflowProfile {desired.namespace}/{desired.name} exists and describes something else, so"
                f" {desired.target.title} gets no profile; rename or delete that profile"
            )
        else:
            counts[desired.policy] = counts.get(desired.policy, 0) + 1
            create.append(desired)
    for key, entries in ours.items():
        if key in theirs:
            withdraw += entries  # a user's own profile describes this workflow now
        elif key not in asked and _known_excluded(entries[0], key, targets, complete(key[0])):
            withdraw += entries
    held = tuple([e for e in withdraw if (e.namespace, e.name) in changing])
    gone = tuple([e for e in withdraw if (e.namespace, e.name) not in changing])
    return DiscoveryPlan(tuple(create), tuple(relabel), gone, held, counts, {k: tuple(v) for k, v in obstacles.items()})


def unlisted(
    policies: Iterable[AnyPolicy], targets: Targets, discovered: Mapping[PolicyRef, int]
) -> dict[PolicyRef, tuple[str, ...]]:
    """Policies whose discovery found nothing (``discovered``: how many targets it found) and could not see all, with the
    reasons. Where it found something, a kind that is not installed or not granted is rather one that nobody uses."""
    reasons: dict[PolicyRef, tuple[str, ...]] = {}
    for policy in policies:
        ref = ref_of(policy)
        if discovered.get(ref):
            continue
        problems = [p for kind in discovered_kinds([policy]) for p in targets.unlisted(*kind, ref.namespace)]
        if problems:
            missing_last = sorted(
                problems, key=lambda p: p.kind is ProblemKind.KIND_MISSING
            )  # often not meant to be there
            reasons[ref] = tuple(dict.fromkeys(p.message for p in missing_last))
    return reasons


def _present(
    profiles: Sequence[CachedObject],
) -> tuple[set[_Key], dict[_Key, list[CachedObject]], set[tuple[str, str]]]:
    """Targets that people's profiles name, our discovered profiles by target, and all names in use."""
    theirs: set[_Key] = set()
    ours: dict[_Key, list[CachedObject]] = {}
    for entry in profiles:
        id_ = _identity(entry)
        if id_ is None:
            continue
        key = (entry.namespace, *id_)
        if is_discovered(entry.labels):
            ours.setdefault(key, []).append(entry)
        else:
            theirs.add(key)
    return theirs, ours, {(e.namespace, e.name) for e in profiles}


def _identity(entry: CachedObject) -> tuple[str, str] | None:
    """What a profile is about, by an object or by labels of pods; None for one that describes its workflow itself."""
    if (ref := reference(entry)) is not None:
        return ref[1], ref[2]
    labels = labels_of(entry.spec)
    return identity(labels) if labels is not None else None


def _known_excluded(entry: CachedObject, key: _Key, targets: Targets, complete: bool) -> bool:
    """A present target that no policy selects is unwanted, once all policies are known; an absent one must be known
    to be deleted. Pods come and go: their workflow keeps its profile until no policy selects it."""
    ref = reference(entry)
    if ref is None or targets.get(key[1], key[0], key[2]) is not None:
        return complete
    return targets.certain(ref[0], ref[1], key[0], key[2])


def _label_changes(entry: CachedObject, desired: DesiredProfile, targets: Targets) -> dict[str, str | None]:
    if isinstance(desired.target, LabelledTarget):
        return {}
    changes: dict[str, str | None] = {k: v for k, v in desired.labels.items() if entry.labels.get(k) != v}
    target: Target | None = targets.get(desired.target.kind, desired.target.namespace or "", desired.target.name)
    shed = target.shed_labels if target is not None else frozenset[str]()
    changes.update({k: None for k in shed if k in entry.labels and k not in desired.labels and k != DISCOVERED_LABEL})
    return changes
