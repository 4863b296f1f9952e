"""Which workflows get a profile because pods with their labels were seen, and how those profiles are called. Pure.

A label's value is anybody's text: names are made of it that fit Kubernetes, with a hash where something had to go, and
no policy gets more profiles than it allows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from concertmaster.api.discovery import MAX_NAME, DesiredProfile, LabelledTarget, cut
from concertmaster.api.models.pod_labels import DiscoveredLabels, PodLabelKeys
from concertmaster.api.policy import AnyPolicy, home, rank, reaches, ref
from concertmaster.core.fair_share import round_robin
from concertmaster.core.model import PodLabels
from concertmaster.core.model.policy import PolicyRef
from concertmaster.engines.common.manifest import Problems
from concertmaster.engines.labels.definition import read_labels

_OWN = "pods"  # begins the names of profiles found by labels of one's own
_INVALID_CHARACTERS = re.compile(r"[^a-z0-9]+")
_KEYS = ("preset", "workflow", "run", "step", "attempt", "item")


@dataclass(frozen=True, slots=True)
class LabelledWorkflow:
    """A workflow that pods with such labels were seen of; ``labels.value`` names it."""

    namespace: str
    labels: PodLabels


def keys_of(declared: PodLabelKeys) -> PodLabels | None:
    """The keys of a policy's entry, completed by its preset; None where they are not enough."""
    return read_labels(_written(declared), Problems())


def labels_of(spec: Mapping[str, object]) -> PodLabels | None:
    """The labels by which a profile's spec recognizes pods; None for one that does not."""
    declared = spec.get("podLabels")
    return read_labels(declared, Problems()) if isinstance(declared, Mapping) else None


def asked_for(policies: Iterable[AnyPolicy]) -> tuple[tuple[AnyPolicy, DiscoveredLabels, PodLabels], ...]:
    """Every entry of every policy that discovers by labels, the best policy first."""
    return tuple(
        (policy, entry.pod_labels, keys)
        for policy in sorted(policies, key=rank)
        for entry in policy.spec.discover
        if entry.pod_labels is not None and (keys := keys_of(entry.pod_labels)) is not None
    )


def profile_name(labels: PodLabels) -> str:
    """``airflow-nightly-etl-1c7f0a2b``: preset and value, with a hash of the value where it is no name as it stands."""
    head, plain = labels.preset or _OWN, _INVALID_CHARACTERS.sub("-", labels.value.lower()).strip("-")
    full = f"{head}-{plain}"
    if plain == labels.value and len(full) <= MAX_NAME:
        return full
    return cut(full, labels.value)


def discover_labelled(
    policies: Iterable[AnyPolicy],
    seen: Iterable[LabelledWorkflow],
    existing: Collection[LabelledWorkflow],
    namespaces: Mapping[str, Mapping[str, str]],
) -> tuple[tuple[DesiredProfile, ...], dict[PolicyRef, tuple[str, ...]]]:
    """The profiles that should exist, and what policies should hear about workflows that get none.

    ``existing`` have a profile already: they keep it as long as a policy asks for them, whether pods of theirs are seen
    or not, and come first where there are too many: those of each namespace in turn, and so the others after them.
    """
    kept = set(existing)
    workflows: dict[tuple[PodLabels, str | None], list[LabelledWorkflow]] = {}
    for one in sorted({*seen, *kept}, key=lambda w: (w not in kept, w.namespace, w.labels.value)):
        for place in (None, one.namespace):  # for policies of the cluster, and of the namespace
            workflows.setdefault((replace(one.labels, value=""), place), []).append(one)
    discoveries: dict[tuple[str, str], DesiredProfile] = {}
    notes: dict[PolicyRef, list[str]] = {}
    for policy, entry, keys in asked_for(policies):
        mine = [
            w
            for w in workflows.get((keys, home(policy)), ())
            if w.namespace in namespaces and reaches(policy, w.namespace, namespaces[w.namespace])
        ]
        turns = sorted(round_robin(mine, lambda w: w.namespace), key=lambda w: w not in kept)
        for w in turns[: entry.max_profiles]:
            name = profile_name(w.labels)
            target = LabelledTarget(_written(entry), w.labels)
            discoveries.setdefault(
                (w.namespace, name), DesiredProfile(w.namespace, name, {}, target, ref(policy), not policy.spec.suspend)
            )
        if len(mine) > entry.max_profiles:
            what = f"preset {entry.preset}" if entry.preset else f"label {keys.workflow}"
            notes.setdefault(ref(policy), []).append(
                f"{len(mine)} workflows were found by {what}, and {entry.max_profiles} of them have a profile; raise "
                "maxProfiles of that entry, or discover in fewer namespaces"
            )
    return tuple(discoveries[key] for key in sorted(discoveries)), {
        policy: tuple(texts) for policy, texts in notes.items()
    }


def _written(declared: PodLabelKeys) -> dict[str, str]:
    return {key: value for key in _KEYS if (value := getattr(declared, key))}
