"""Discovery: which profiles should exist, under which policy, called and labelled how."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.api.discovery import (
    KIND_SHORT,
    DesiredProfile,
    DiscoveryTarget,
    copied_labels,
    discover,
    discovered_kinds,
    profile_name,
    undisclosed,
)
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.policy import AnyPolicy, ref
from tests.support.counting import calls

NAMESPACES = {"etl": {"env": "prod"}, "web": {"env": "dev"}, "ml": {"env": "prod"}}
TEMPLATES = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}
SHARED = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterWorkflowTemplate"}
CRON_JOBS = {"apiVersion": "batch/v1", "kind": "CronJob"}


def policy(
    *entries: Mapping[str, object], name: str = "p", namespace: str = "etl", **spec: object
) -> OptimizationPolicy:
    """A policy of a namespace with ``discover`` entries."""
    return OptimizationPolicy.parse(
        {"metadata": {"name": name, "namespace": namespace}, "spec": {"discover": list(entries), **spec}}
    )


def wide(*entries: Mapping[str, object], name: str = "c", **spec: object) -> ClusterOptimizationPolicy:
    """A cluster policy with ``discover`` entries."""
    return ClusterOptimizationPolicy.parse({"metadata": {"name": name}, "spec": {"discover": list(entries), **spec}})


def template(name: str = "nightly", namespace: str | None = "etl", **labels: str) -> DiscoveryTarget:
    """A WorkflowTemplate."""
    return DiscoveryTarget("argoproj.io/v1alpha1", "WorkflowTemplate", namespace, name, labels)


def found(policies: list[AnyPolicy], *targets: DiscoveryTarget) -> list[tuple[str, str, str]]:
    """Namespace, profile and policy of what should exist."""
    return [(d.namespace, d.name, d.policy.name) for d in discover(policies, targets, NAMESPACES)]


def test_a_policy_discovers_in_its_own_namespace() -> None:
    assert found([policy(TEMPLATES)], template(), template(namespace="web")) == [("etl", "wftmpl-nightly", "p")]


def test_kind_and_selector_decide() -> None:
    chosen = policy({**TEMPLATES, "selector": {"matchLabels": {"team": "data"}}}, CRON_JOBS)
    cron = DiscoveryTarget("batch/v1", "CronJob", "etl", "clean", {})
    workflow = DiscoveryTarget("argoproj.io/v1alpha1", "Workflow", "etl", "x", {"team": "data"})
    assert found([chosen], template("a", team="data"), template("b", team="web"), cron, workflow) == [
        ("etl", "cronjob-clean", "p"),
        ("etl", "wftmpl-a", "p"),
    ]
    assert found([policy({**TEMPLATES, "selector": {"matchLabels": {}}})], template()) == [
        ("etl", "wftmpl-nightly", "p")
    ]


def test_versions_of_one_group_are_the_same_objects() -> None:
    newer = DiscoveryTarget("argoproj.io/v1", "WorkflowTemplate", "etl", "nightly", {})
    other = DiscoveryTarget("example.com/v1alpha1", "WorkflowTemplate", "etl", "other", {})
    assert found([policy(TEMPLATES)], newer, other) == [("etl", "wftmpl-nightly", "p")]


def test_a_cluster_policy_reaches_the_selected_namespaces_only() -> None:
    prod = wide(TEMPLATES, namespaceSelector={"matchLabels": {"env": "prod"}})
    targets = [template(namespace=name) for name in ("etl", "web", "ml", "unwatched")]
    assert found([prod], *targets) == [("etl", "wftmpl-nightly", "c"), ("ml", "wftmpl-nightly", "c")]


def test_a_shared_template_gets_a_profile_in_each_namespace_in_reach() -> None:
    shared = DiscoveryTarget("argoproj.io/v1alpha1", "ClusterWorkflowTemplate", None, "base", {})
    prod = wide(SHARED, namespaceSelector={"matchLabels": {"env": "prod"}})
    assert found([prod], shared) == [("etl", "cwft-base", "c"), ("ml", "cwft-base", "c")]


def test_a_namespace_learns_of_a_cluster_wide_template_only_where_it_is_named() -> None:
    """Names, labels and steps of what a tenant may not list would reach him through his own policy."""
    base, other = (
        DiscoveryTarget("argoproj.io/v1alpha1", "ClusterWorkflowTemplate", None, n, {}) for n in ("base", "x")
    )
    mine, everywhere = policy(SHARED), wide(SHARED)
    assert found([mine, everywhere], base, other) == []
    owners = {"base": {"etl"}}
    for asking, name in ((mine, "p"), (everywhere, "c")):
        shown = discover([asking], [base, other], NAMESPACES, owners)
        assert [(d.namespace, d.name, d.policy.name) for d in shown] == [("etl", "cwft-base", name)]


def test_a_policy_that_may_not_be_shown_cluster_wide_templates_learns_what_to_do() -> None:
    mine, everywhere = policy(SHARED, TEMPLATES), wide(SHARED)
    some = wide(SHARED, name="some", namespaceSelector={"matchLabels": {"env": "prod"}})
    hidden = undisclosed([mine, everywhere, some, policy(TEMPLATES, name="plain")], {})
    assert {r.name: "clusterTemplateOwners" in texts[0] for r, texts in hidden.items()} == {"p": True, "c": True}
    assert undisclosed([mine, everywhere], {"base": {"etl"}}) == {}
    assert list(undisclosed([mine], {"base": {"ml"}})) == [ref(mine)]


def test_the_better_policy_answers_for_a_target_both_ask_for() -> None:
    both: list[AnyPolicy] = [wide(TEMPLATES), policy(TEMPLATES, name="low"), policy(TEMPLATES, name="high", priority=1)]
    assert found(both, template()) == [("etl", "wftmpl-nightly", "high")]


def test_a_trigger_is_no_workflow_of_its_own() -> None:
    cron = {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow"}
    trigger = DiscoveryTarget("argoproj.io/v1alpha1", "CronWorkflow", "etl", "every-night", {}, trigger_of="nightly")
    own = DiscoveryTarget("argoproj.io/v1alpha1", "CronWorkflow", "etl", "weekly", {})
    assert found([policy(cron)], trigger, own) == [("etl", "cronwf-weekly", "p")]


def test_a_suspended_policy_makes_nothing_new_and_withdraws_nothing() -> None:
    (kept,) = discover([policy(TEMPLATES, suspend=True)], [template()], NAMESPACES)
    assert not kept.create


def test_the_profile_points_at_its_target() -> None:
    (one,) = discover([policy(TEMPLATES)], [template(team="data")], NAMESPACES)
    assert isinstance(one, DesiredProfile) and one.create
    assert one.target.spec == {
        "workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "nightly"}
    }
    assert one.labels == {"team": "data"}


def test_labels_of_deployment_tools_are_not_copied() -> None:
    labels = {
        "team": "data",
        "app.kubernetes.io/name": "etl",
        "app.kubernetes.io/instance": "etl-prod",
        "argocd.argoproj.io/instance": "etl",
        "kustomize.toolkit.fluxcd.io/name": "apps",
        "helm.sh/chart": "etl-1.0",
        "concertmaster.dev/discovered": "true",
    }
    assert copied_labels(labels) == {"app.kubernetes.io/name": "etl", "team": "data"}


def test_only_what_somebody_asks_for_is_listed() -> None:
    policies: list[AnyPolicy] = [policy(CRON_JOBS, TEMPLATES), wide(TEMPLATES)]
    assert discovered_kinds(policies) == (("argoproj.io/v1alpha1", "WorkflowTemplate"), ("batch/v1", "CronJob"))


names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,120}[a-z0-9])?", fullmatch=True)


@given(st.sampled_from(sorted(KIND_SHORT)), names)
def test_names_fit_and_are_valid(kind: str, name: str) -> None:
    called = profile_name(kind, name)
    assert len(called) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", called)
    assert called.startswith(f"{KIND_SHORT[kind]}-")


def test_long_names_are_distinguished_by_their_hash() -> None:
    long = "a" * 80
    assert profile_name("CronJob", long + "x") != profile_name("CronJob", long + "y")
    assert profile_name("CronJob", "x" * 55) == f"cronjob-{'x' * 55}"
    assert profile_name("CronJob", "x" * 56) != f"cronjob-{'x' * 56}"
    with pytest.raises(KeyError):
        profile_name("Deployment", "web")


def test_targets_are_not_compared_with_policies_of_other_namespaces() -> None:
    names = [f"n{i}" for i in range(60)]
    policies: list[AnyPolicy] = [policy(TEMPLATES, namespace=name) for name in names]
    targets = [template(f"t{i}", name) for name in names for i in range(5)]

    def work(number: int) -> int:
        chosen = names[:number]
        return calls(lambda: discover(policies[:number], targets[: 5 * number], {name: {} for name in chosen}))

    assert work(60) < 5 * work(20)
    assert len(discover(policies, targets, {name: {} for name in names})) == 300
