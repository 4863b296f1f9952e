"""What else decides about new pods of a namespace: admission policies and webhooks, whose answers are not computed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from concertmaster.core.model.pod_labels import LabelRequirement

_NAME = "kubernetes.io/metadata.name"  # every namespace has it
_POLICIES = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")


def deciders(
    objects: Mapping[str, Sequence[Mapping[str, Any]]], namespace: str, labels: Mapping[str, str]
) -> tuple[str, ...]:
    """Admission policies and webhook configurations that may refuse or alter new pods of ``namespace``, by kind and name.

    ``objects`` by kind; ``labels`` of the namespace, without ``kubernetes.io/metadata.name`` where they are not known.
    Whatever a namespace and a kind do not settle (labels of the pod, conditions, parameters) may apply.
    """
    known, place = _NAME in labels, {**labels, _NAME: namespace}

    def selected(match: Mapping[str, Any]) -> bool:
        return all(w.met_by(place.get(w.key)) for w in _requirements(match) if known or w.key == _NAME)

    def bound(binding: Mapping[str, Any], policy: str) -> bool:
        match, actions = binding.get("matchResources") or {}, binding.get("validationActions") or ("Deny",)
        rules = match.get("resourceRules")
        covers = selected(match) and (not rules or any(map(_creates_pods, rules)))
        return binding.get("policyName") == policy and "Deny" in actions and covers

    names: dict[str, None] = {}
    for kind, listed in objects.items():
        bindings = [b.get("spec") or {} for b in objects.get(f"{kind}Binding", ())]
        for obj in listed:
            name, spec = str(obj["metadata"]["name"]), obj.get("spec") or {}
            matches = [(h, h.get("rules")) for h in obj.get("webhooks") or ()]
            if kind in _POLICIES and any(bound(b, name) for b in bindings):
                constraints = spec.get("matchConstraints") or {}
                matches.append((constraints, constraints.get("resourceRules")))
            if any(selected(match) and any(map(_creates_pods, rules or ())) for match, rules in matches):
                names.setdefault(f"{kind} {name}")
    return tuple(names)


def _requirements(match: Mapping[str, Any]) -> Iterator[LabelRequirement]:
    """What a match wants of the labels of namespaces."""
    selector = match.get("namespaceSelector") or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        yield LabelRequirement(key, "In", (value,))
    for one in selector.get("matchExpressions") or ():
        yield LabelRequirement(one["key"], one["operator"], tuple(one.get("values") or ()))


def _creates_pods(rule: Mapping[str, Any]) -> bool:
    def names(field: str, *some: str) -> bool:
        return not {"*", *some}.isdisjoint(rule.get(field) or ())

    on_pods = names("apiGroups", "") and names("resources", "pods", "*/*")
    return on_pods and names("operations", "CREATE") and rule.get("scope") != "Cluster"
