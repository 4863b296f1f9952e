"""Which admission policies and webhooks may decide about new pods of a namespace."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.core.changes.admission.others import deciders

PODS = {"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}
NAME = "kubernetes.io/metadata.name"
LABELS = {NAME: "demo", "team": "a"}


def hook(rule: dict[str, Any], **match: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x"}, "webhooks": [{"name": "x.dev", "rules": [rule], **match}]}


@pytest.mark.parametrize(
    ("rule", "decides"),
    [
        ({}, True),
        ({"apiGroups": ["*"], "operations": ["*"], "resources": ["*"]}, True),
        ({"resources": ["*/*"]}, True),
        ({"resources": ["deployments", "pods"], "apiGroups": ["apps", ""]}, True),
        ({"resources": ["pods/*"]}, False),
        ({"resources": ["pods/status", "jobs"]}, False),
        ({"operations": ["UPDATE", "DELETE"]}, False),
        ({"apiGroups": ["apps"]}, False),
        ({"scope": "Namespaced"}, True),
        ({"scope": "Cluster", "resources": ["*"]}, False),
    ],
)
@pytest.mark.parametrize("kind", ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"])
def test_a_webhook_decides_about_pods_when_one_of_its_rules_covers_their_creation(
    kind: str, rule: dict[str, Any], decides: bool
) -> None:
    assert deciders({kind: [hook(PODS | rule)]}, "demo", LABELS) == ((f"{kind} x",) if decides else ())


@pytest.mark.parametrize(
    ("selector", "with_labels", "without"),
    [
        ({"matchLabels": {NAME: "demo"}}, True, True),
        ({"matchLabels": {NAME: "other"}}, False, False),
        ({"matchLabels": {"team": "a"}}, True, True),
        ({"matchLabels": {"team": "b"}}, False, True),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, False, True),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False, True),
        ({"matchExpressions": [{"key": NAME, "operator": "NotIn", "values": ["demo"]}]}, False, False),
    ],
)
def test_a_namespace_whose_labels_are_not_known_may_be_selected(
    selector: dict[str, Any], with_labels: bool, without: bool
) -> None:
    objects = {"ValidatingWebhookConfiguration": [hook(PODS, namespaceSelector=selector)]}
    assert bool(deciders(objects, "demo", LABELS)) is with_labels
    assert bool(deciders(objects, "demo", {})) is without


def test_the_labels_of_a_pod_are_not_known_before_it_is_there() -> None:
    objects = {"MutatingWebhookConfiguration": [hook(PODS, objectSelector={"matchLabels": {"inject": "yes"}})]}
    assert deciders(objects, "demo", LABELS)


@pytest.mark.parametrize(
    ("binding", "decides"),
    [
        ({"policyName": "x", "validationActions": ["Deny"]}, True),
        ({"policyName": "x", "validationActions": ["Warn", "Audit"]}, False),
        ({"policyName": "other", "validationActions": ["Deny"]}, False),
        ({"policyName": "x", "matchResources": {"namespaceSelector": {"matchLabels": {"team": "b"}}}}, False),
        ({"policyName": "x", "matchResources": {"namespaceSelector": {"matchLabels": {"team": "a"}}}}, True),
        ({"policyName": "x", "matchResources": {"resourceRules": [PODS | {"resources": ["jobs"]}]}}, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("kind", ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"])
def test_a_policy_decides_where_a_binding_puts_it_in_force(
    kind: str, binding: dict[str, Any] | None, decides: bool
) -> None:
    policy = {"metadata": {"name": "x"}, "spec": {"matchConstraints": {"resourceRules": [PODS]}}}
    bound = [{"metadata": {"name": "b"}, "spec": binding}] if binding is not None else []
    assert bool(deciders({kind: [policy], f"{kind}Binding": bound}, "demo", LABELS)) is decides
    policy["spec"] = {"matchConstraints": {"resourceRules": [PODS | {"resources": ["jobs"]}]}}
    assert deciders({kind: [policy], f"{kind}Binding": bound}, "demo", LABELS) == ()
