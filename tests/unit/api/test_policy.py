"""Policies: which one wins and why, and what is in force once the profile's wishes are merged in."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.policy import AnyPolicy, reaches, ref, select
from concertmaster.api.resolve import resolve
from concertmaster.core.model.enums import ApplyMode, ChangeKind
from concertmaster.core.model.policy import Materiality, Objectives, Policy, Pricing, RuleSettings

WORKFLOW = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "nightly-etl"}
NAMESPACE_LABELS = {"kubernetes.io/metadata.name": "etl", "env": "prod"}


def profile(spec: dict[str, Any] | None = None, *, namespace: str = "etl", **labels: str) -> WorkflowProfile:
    """A profile of the sample workflow."""
    return WorkflowProfile.parse(
        {
            "metadata": {"name": "nightly-etl", "namespace": namespace, "labels": labels},
            "spec": {"workflowRef": WORKFLOW} | (spec or {}),
        }
    )


def policy(
    name: str,
    spec: dict[str, Any] | None = None,
    *,
    namespace: str = "etl",
    created: str | None = "2026-01-01T00:00:00Z",
) -> OptimizationPolicy:
    """A policy of a namespace."""
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return OptimizationPolicy.parse({"metadata": metadata, "spec": spec or {}})


def cluster_policy(name: str, spec: dict[str, Any] | None = None) -> ClusterOptimizationPolicy:
    """A policy of many namespaces."""
    metadata = {"name": name, "creationTimestamp": "2020-01-01T00:00:00Z"}
    return ClusterOptimizationPolicy.parse({"metadata": metadata, "spec": spec or {}})


def winner(*policies: AnyPolicy, target: WorkflowProfile | None = None) -> str | None:
    """The name of the policy in force."""
    own = [p for p in policies if isinstance(p, OptimizationPolicy)]
    wide = [p for p in policies if isinstance(p, ClusterOptimizationPolicy)]
    selection = select(target or profile(team="data"), own, wide, NAMESPACE_LABELS)
    return selection.winner.metadata.name if selection.winner is not None else None


def test_a_policy_of_the_namespace_beats_any_cluster_policy() -> None:
    assert winner(cluster_policy("wide", {"priority": 1000}), policy("own", {"priority": -5})) == "own"


def test_the_failure_bound_of_sizes_is_the_policy_s() -> None:
    assert resolve(profile(), None).analysis.max_failure == 0.01
    strict = policy("strict", {"sizing": {"maxFailurePercent": "0.2"}})
    assert resolve(profile(), strict).analysis.max_failure == 0.002


def test_the_higher_priority_then_the_older_then_the_name() -> None:
    young = "2026-06-01T00:00:00Z"
    assert winner(policy("a"), policy("b", {"priority": 1}, created=young)) == "b"
    assert winner(policy("a", created=young), policy("b")) == "b"
    assert winner(policy("b"), policy("a")) == "a"
    assert winner(policy("a", created=None), policy("b")) == "b"


def test_only_what_selects_the_profile_counts() -> None:
    assert winner(policy("other", namespace="web")) is None
    assert winner(policy("a", {"selector": {"matchLabels": {"team": "web"}}})) is None
    assert winner(policy("a", {"selector": {}})) == "a"
    assert winner(cluster_policy("c", {"namespaceSelector": {"matchLabels": {"env": "dev"}}})) is None
    assert winner(cluster_policy("c", {"namespaceSelector": {"matchLabels": {"env": "prod"}}})) == "c"
    assert winner() is None


def test_losers_are_named_best_first() -> None:
    selection = select(
        profile(),
        [
            policy("best", {"priority": 9}),
            policy("older"),
            policy("b"),
            policy("young", created="2026-06-01T00:00:00Z"),
        ],
        [cluster_policy("wide")],
        NAMESPACE_LABELS,
    )
    assert [str(other) for other in selection.overridden] == [
        "OptimizationPolicy/b",
        "OptimizationPolicy/older",
        "OptimizationPolicy/young",
        "ClusterOptimizationPolicy/wide",
    ]


@given(
    st.lists(st.tuples(st.integers(-1, 1), st.sampled_from("abc"), st.booleans()), max_size=6, unique=True),
    st.randoms(),
)
def test_the_order_of_the_list_does_not_matter(entries: list[tuple[int, str, bool]], shuffle: random.Random) -> None:
    everything: list[AnyPolicy] = [
        cluster_policy(f"{name}{number}", {"priority": number})
        if wide
        else policy(f"{name}{number}", {"priority": number})
        for number, name, wide in entries
    ]
    before = winner(*everything)
    shuffle.shuffle(everything)
    assert winner(*everything) == before


def test_suspending_a_careful_policy_does_not_free_a_bolder_one() -> None:
    careful = policy("careful", {"priority": 10, "suspend": True, "apply": {"mode": "Auto"}})
    bold = policy("bold", {"apply": {"mode": "Auto"}})
    assert winner(careful, bold) == "careful"
    effective = resolve(profile(), careful)
    assert effective.suspended
    assert effective.apply.mode is ApplyMode.RECOMMEND
    assert effective.notes == ("OptimizationPolicy/careful is suspended: nothing is changed",)


def test_without_any_policy_the_defaults_hold_and_nothing_is_changed() -> None:
    effective = resolve(profile(), None)
    assert effective.source is None
    assert (effective.metrics_source, effective.suspended) == ("default", False)
    assert (effective.analysis.window_seconds, effective.analysis.min_runs, effective.analysis.max_runs) == (
        1209600,
        5,
        200,
    )
    assert effective.objectives == Objectives()
    assert effective.pricing == Pricing()
    assert effective.apply.mode is ApplyMode.RECOMMEND
    assert effective.apply.allow == {ChangeKind.PARALLELISM, ChangeKind.RESOURCES}
    bounds = effective.apply.bounds
    assert (bounds.cpu.min, bounds.cpu.max, bounds.max_step) == (0.05, 8, 0.5)
    assert (bounds.memory.min, bounds.memory.max) == (64 * 2**20, 32 * 2**30)
    assert (effective.apply.min_change, effective.apply.cooldown_seconds) == (0.2, 86400)
    assert (effective.apply.verify.max_age_seconds, effective.apply.windows) == (604800, ())
    assert effective.problems == () and effective.notes == ()
    assert effective == resolve(None, None) == Policy()
    assert effective == replace(resolve(None, policy("x")), source=None)


def test_objectives_are_merged_leaf_by_leaf() -> None:
    base = {
        "duration": {"p50": "20m", "p95": "30m"},
        "queueTime": {"p95": "1m"},
        "minSuccessPercent": "99",
        "targetUtilizationPercent": {"cpu": "60", "memory": "65"},
        "budgets": [{"metric": "tokens", "maxPerRun": "10"}, {"metric": "pages", "maxPerRun": "5"}],
        "maxCostPerRun": "2",
    }
    over = {
        "duration": {"p95": "40m", "p99": "1h"},
        "maxStepFailurePercent": "1",
        "targetUtilizationPercent": {"memory": "80"},
        "budgets": [{"metric": "tokens", "maxPerRun": "20"}],
        "minThroughputPerHour": "4",
    }
    objectives = resolve(profile({"objectives": over}), policy("p", {"objectives": base})).objectives
    assert (objectives.duration.p50, objectives.duration.p95, objectives.duration.p99) == (1200, 2400, 3600)
    assert objectives.queue_time.p95 == 60
    assert (objectives.min_success, objectives.max_step_failure, objectives.min_cache_hit) == (0.99, 0.01, 0.85)
    assert (objectives.target_cpu_utilization, objectives.target_memory_utilization) == (0.6, 0.8)
    assert objectives.budgets == {"tokens": 20, "pages": 5}
    assert (objectives.max_cost_per_run, objectives.min_throughput_per_hour) == (2, 4)


def test_an_empty_override_changes_nothing() -> None:
    base = policy("p", {"objectives": {"duration": {"p95": "30m"}, "minSuccessPercent": "99"}})
    assert resolve(profile({"objectives": {"duration": {}}}), base).objectives == resolve(profile(), base).objectives


@pytest.mark.parametrize(
    ("over", "base", "sentence"),
    [
        ({"p50": "40m"}, {"p95": "30m"}, "p50 of 40m is longer than p95 of 30m"),
        ({"p99": "10m"}, {"p95": "30m"}, "p95 of 30m is longer than p99 of 10m"),
        ({"p50": "2h"}, {"p99": "1h"}, "p50 of 2h is longer than p99 of 1h"),
    ],
)
def test_a_contradiction_between_profile_and_policy_is_reported(over: Any, base: Any, sentence: str) -> None:
    effective = resolve(profile({"objectives": {"duration": over}}), policy("p", {"objectives": {"duration": base}}))
    assert len(effective.problems) == 1
    assert sentence in effective.problems[0]
    assert effective.problems[0].startswith("objectives.duration: ")


def test_extra_metrics_of_the_profile_replace_those_of_the_same_name() -> None:
    def metric(name: str, query: str) -> dict[str, str]:
        return {"name": name, "query": f"{query}[$window]"}

    effective = resolve(
        profile({"extraMetrics": [metric("tokens", "mine"), metric("pages", "mine")]}),
        policy("p", {"extraMetrics": [metric("tokens", "theirs"), metric("words", "theirs")]}),
    )
    assert [(m.name, m.query) for m in effective.extra_metrics] == [
        ("tokens", "mine[$window]"),
        ("words", "theirs[$window]"),
        ("pages", "mine[$window]"),
    ]


def test_rules_keep_their_settings() -> None:
    spec = {
        "rules": [{"name": "timeout", "settings": {"headroomPercent": "50"}}, {"name": "variance", "mode": "Disabled"}]
    }
    effective = resolve(None, policy("p", spec))
    assert effective.rule("timeout") == RuleSettings(True, {"headroomPercent": "50"})
    assert not effective.rule("variance").enabled
    assert effective.rule("bottleneck") == RuleSettings(True, {})


def test_each_threshold_of_materiality_is_a_field_of_its_own() -> None:
    spec = {
        "costPercent": "21",
        "failedRunsPerMonth": "2.5",
        "moneyPerMonth": "12",
        "runMinutesPerMonth": "45",
        "runPercent": "7",
    }
    effective = resolve(None, policy("p", {"analysis": {"materiality": spec}}))
    assert effective.analysis.materiality == Materiality(
        failed_runs=2.5, run_share=0.07, run_minutes=45.0, money=12.0, cost_share=0.21
    )


def test_built_in_prices_are_only_for_their_currency() -> None:
    own = resolve(None, policy("p", {"pricing": {"cpuCoreHour": "0.05"}}))
    assert (own.pricing.cpu_core_hour, own.pricing.memory_gib_hour) == (0.05, 0.004)
    foreign = resolve(None, policy("p", {"pricing": {"currency": "EUR", "cpuCoreHour": "0.05"}}))
    assert (foreign.pricing.cpu_core_hour, foreign.pricing.memory_gib_hour) == (0.05, 0.0)
    assert (own.pricing.volume_gib_month, foreign.pricing.volume_gib_month) == (0.08, 0.0)
    assert foreign.problems[0].startswith("pricing: memoryGiBHour must be set for EUR")
    units = {"pricing": {"units": [{"metric": "tokens", "price": "0.000002"}]}}
    assert resolve(None, policy("p", units)).pricing.units == {"tokens": 2e-6}


@pytest.mark.parametrize("mode", [ApplyMode.APPROVE, ApplyMode.AUTO])
def test_a_shared_template_is_only_changed_by_its_owner(mode: ApplyMode) -> None:
    shared = {
        "workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterWorkflowTemplate", "name": "shared"}
    }
    auto = policy("p", {"apply": {"mode": mode.value}})
    stranger = resolve(profile(shared), auto, cluster_template_owners=["platform"])
    assert stranger.apply.mode is ApplyMode.RECOMMEND
    assert "does not name etl in clusterTemplateOwners" in stranger.notes[0]
    owner = resolve(profile(shared), auto, cluster_template_owners=["etl"])
    assert owner.apply.mode is mode and owner.notes == ()
    assert resolve(profile(), auto).apply.mode is mode
    assert resolve(profile(shared), policy("p")).notes == ()


def test_windows_bounds_and_verification_become_numbers() -> None:
    spec = {
        "analysis": {"window": "1d12h", "minRuns": 3, "maxRuns": 30},
        "apply": {
            "windows": [{"schedule": "0 22 * * 1-5", "duration": "6h", "timeZone": "Europe/Berlin"}],
            "bounds": {"cpu": {"min": "0.5"}, "memory": {"max": "1.5Gi"}, "maxStepPercent": 25},
            "verify": {"maxAge": "14d"},
        },
    }
    effective = resolve(None, policy("p", spec))
    assert effective.analysis.window_seconds == 129_600
    (window,) = effective.apply.windows
    assert (window.schedule, window.time_zone, window.duration_seconds) == ("0 22 * * 1-5", "Europe/Berlin", 21600)
    assert (effective.apply.bounds.cpu.min, effective.apply.bounds.memory.max) == (0.5, 1.5 * 2**30)
    assert effective.apply.bounds.max_step == 0.25
    assert effective.apply.verify.max_age_seconds == 14 * 86400


def test_names_of_policies() -> None:
    assert str(ref(policy("p"))) == "OptimizationPolicy/p"
    assert ref(cluster_policy("c")).namespace is None
    assert reaches(policy("p"), "etl", {}) and not reaches(policy("p"), "web", {})
