"""What discovery makes, relabels and withdraws; how targets are listed and kept."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.discovery import DesiredProfile, DiscoveryTarget, discover
from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.controller.discovery.profiles import DiscoveryPlan, plan, reference
from concertmaster.controller.discovery.targets import NO_TARGETS, Targets, kinds_to_list, refresh
from concertmaster.controller.object_cache import CachedObject, ObjectCache
from concertmaster.core.model.policy import PolicyRef
from concertmaster.kube import errors
from concertmaster.kube.discover import ProblemKind
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.profiles import DISCOVERED_LABEL
from tests.support.controller.fakes import MemoryClient
from tests.support.resources import CRONJOB, known_resource

CRONWORKFLOW = known_resource("argoproj.io/v1alpha1", "CronWorkflow")
POLICY = PolicyRef("OptimizationPolicy", "demo", "team")


def entry(
    name: str, target: str = "etl", *, ours: bool = True, created: str = "2026-01-01T00:00:00Z", **labels: str
) -> CachedObject:
    cache = ObjectCache()
    marks = {**labels, **({DISCOVERED_LABEL: "true"} if ours else {})}
    meta = {"name": name, "namespace": "demo", "uid": f"uid-{name}", "labels": marks, "creationTimestamp": created}
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": target}}
    cache.observe(PROFILES, None, {"metadata": meta, "spec": spec})
    return cache.snapshot().profiles[0]


def wish(target: str = "etl", *, create: bool = True, **labels: str) -> DesiredProfile:
    return DesiredProfile(
        "demo",
        f"cronjob-{target}",
        labels,
        DiscoveryTarget("batch/v1", "CronJob", "demo", target, labels),
        POLICY,
        create,
    )


def listed(*names: str, client: MemoryClient | None = None, previous: Targets = NO_TARGETS, **labels: str) -> Targets:
    client = client or MemoryClient()
    for name in names:
        client.put(CRONJOB, "demo", name, metadata={"labels": labels})
    return refresh(client, [CRONJOB], (), previous)


def names(entries: Sequence[CachedObject]) -> list[str]:
    return [e.name for e in entries]


def test_a_wanted_target_without_profile_gets_one() -> None:
    found = plan([wish()], listed("etl"), [])
    assert [w.name for w in found.create] == ["cronjob-etl"]
    assert found.discovered == {POLICY: 1}


def test_a_target_some_person_describes_is_left_to_them() -> None:
    found = plan([wish()], listed("etl"), [entry("mine", ours=False)])
    assert found == DiscoveryPlan()


def test_ours_goes_when_a_person_describes_the_target() -> None:
    found = plan([wish()], listed("etl"), [entry("mine", ours=False), entry("cronjob-etl")])
    assert names(found.withdraw) == ["cronjob-etl"]
    assert found.create == ()


def test_ours_stays_until_its_change_in_progress_is_decided() -> None:
    """Nobody would verify the change, or roll it back, without its profile."""
    profiles = [entry("mine", ours=False), entry("cronjob-etl")]
    found = plan([wish()], listed("etl"), profiles, changing={("demo", "cronjob-etl")})
    assert (names(found.held), found.withdraw) == (["cronjob-etl"], ())
    found = plan([wish()], listed("etl"), profiles, changing={("other", "cronjob-etl")})
    assert (found.held, names(found.withdraw)) == ((), ["cronjob-etl"])


def test_what_exists_already_is_kept_and_counted() -> None:
    found = plan([wish()], listed("etl"), [entry("cronjob-etl")])
    assert (found.create, found.withdraw, found.relabel) == ((), (), ())
    assert found.discovered == {POLICY: 1}


def test_of_two_profiles_for_one_target_the_older_stays() -> None:
    older, newer = entry("a", created="2026-01-01T00:00:00Z"), entry("b", created="2026-02-01T00:00:00Z")
    assert names(plan([wish()], listed("etl"), [newer, older]).withdraw) == ["b"]


def test_a_target_nobody_asks_for_any_more_loses_its_profile() -> None:
    assert names(plan([], listed("etl"), [entry("cronjob-etl")]).withdraw) == ["cronjob-etl"]


def test_a_target_that_is_gone_loses_its_profile() -> None:
    assert names(plan([], listed(), [entry("cronjob-etl")]).withdraw) == ["cronjob-etl"]


@pytest.mark.parametrize(
    "fault",
    [errors.Unreachable("down"), errors.Forbidden("no", status=403), errors.NotFound("no such kind", status=404)],
)
def test_a_list_that_failed_is_no_evidence(fault: Exception) -> None:
    client = MemoryClient()
    client.lists[CRONJOB.path()] = fault
    assert plan([], listed(client=client), [entry("cronjob-etl")]).withdraw == ()


def test_a_kind_that_was_not_listed_is_no_evidence() -> None:
    assert plan([], NO_TARGETS, [entry("cronjob-etl")]).withdraw == ()


def test_people_s_profiles_are_never_withdrawn() -> None:
    assert plan([], listed(), [entry("mine", ours=False)]).withdraw == ()


def test_no_edit_of_a_large_profile_is_remembered() -> None:
    """A tenant who edits one a thousand times would take the memory of the operator."""
    short = entry("mine")
    tracemalloc.start()
    try:
        for n in range(100):
            large = replace(short, spec_text=json.dumps({**short.spec, "graph": f"{n}{'x' * 200_000}"}))
            assert reference(large) == ("batch/v1", "CronJob", "etl") == reference(short)
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 2_000_000


def test_a_suspended_policy_makes_and_takes_nothing() -> None:
    assert plan([wish(create=False)], listed("etl"), []).create == ()
    kept = plan([wish(create=False)], listed("etl"), [entry("cronjob-etl")])
    assert (kept.withdraw, kept.discovered) == ((), {POLICY: 1})


def test_a_name_in_use_is_an_obstacle() -> None:
    found = plan([wish()], listed("etl"), [entry("cronjob-etl", "something-else", ours=False)])
    assert found.create == ()
    assert "cronjob-etl" in found.obstacles[POLICY][0]


def test_labels_follow_the_target_and_people_s_own_stay() -> None:
    client = MemoryClient()
    before = listed("etl", client=client, team="data", tier="gold")
    present = entry("cronjob-etl", team="data", tier="gold", mine="1")
    assert plan([wish(team="data", tier="gold")], before, [present]).relabel == ()
    obj = client.objects[CRONJOB.path("demo", "etl")]
    obj["metadata"] |= {"labels": {"team": "web"}, "resourceVersion": "99"}
    after = refresh(client, [CRONJOB], (), before)
    change = plan([wish(team="web")], after, [present]).relabel[0]
    assert change.labels == {"team": "web", "tier": None}


def test_targets_are_packed_once_and_unpacked_whole() -> None:
    client = MemoryClient()
    client.put(
        CRONJOB,
        "demo",
        "etl",
        metadata={
            "managedFields": [{"x": "y" * 5000}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "z" * 5000, "argocd/x": "1"},
        },
        spec={"schedule": "0 0 * * *"},
        status={"lastScheduleTime": "2026-01-01T00:00:00Z"},
    )
    first = refresh(client, [CRONJOB], (), NO_TARGETS)
    second = refresh(client, [CRONJOB], (), first)
    target = first.get("CronJob", "demo", "etl")
    assert target is not None
    assert second.get("CronJob", "demo", "etl") is target
    raw = target.unpack()
    assert (raw["apiVersion"], raw["kind"], raw["spec"]) == ("batch/v1", "CronJob", {"schedule": "0 0 * * *"})
    assert raw["metadata"]["annotations"] == {"argocd/x": "1"}
    assert "managedFields" not in raw["metadata"]
    assert len(target.packed) < 500


def lists_of_whole_objects(client: MemoryClient) -> list[str]:
    """Paths of what was listed with more than metadata since the last call."""
    calls, client.calls = client.calls, []
    return [path for method, path, options in calls if method == "LIST" and not (options or {}).get("metadata_only")]


def test_what_another_shard_reads_is_read_neither_at_first_nor_later() -> None:
    client = MemoryClient()
    for n in range(50):
        client.put(CRONJOB, f"team-{n % 5}", f"etl-{n}")
    mine = {"team-1", "team-3"}
    first = refresh(client, [CRONJOB], (), NO_TARGETS, owns=mine.__contains__)
    assert {t.ref.namespace for t in first} == mine
    assert lists_of_whole_objects(client) == [CRONJOB.path("team-1"), CRONJOB.path("team-3")]
    second = refresh(client, [CRONJOB], (), first, owns=mine.__contains__)
    assert len(second) == len(first) == 20
    assert lists_of_whole_objects(client) == []


def test_what_a_lost_shard_read_is_read_from_its_namespaces_alone() -> None:
    client = MemoryClient()
    for n in range(150):
        client.put(CRONJOB, f"team-{n % 5}", f"etl-{n}")
    before = refresh(client, [CRONJOB], (), NO_TARGETS, owns={"team-1", "team-3"}.__contains__)
    lists_of_whole_objects(client)
    after = refresh(client, [CRONJOB], (), before, owns={"team-1", "team-3", "team-4"}.__contains__)
    assert len(after) == 90
    assert lists_of_whole_objects(client) == [CRONJOB.path("team-4")]


def test_an_operator_of_the_whole_cluster_lists_all_definitions_at_once() -> None:
    client = MemoryClient()
    for n in range(10):
        client.put(CRONJOB, f"team-{n}", "etl")
    assert len(refresh(client, [CRONJOB], (), NO_TARGETS)) == 10
    assert [(method, path) for method, path, _ in client.calls] == [("LIST", CRONJOB.path())]
    assert lists_of_whole_objects(client) == [CRONJOB.path()]


def test_a_passing_fault_keeps_what_was_known_and_a_denial_does_not() -> None:
    client = MemoryClient()
    before = listed("etl", client=client)
    client.lists[CRONJOB.path()] = errors.Unreachable("down")
    during = refresh(client, [CRONJOB], (), before)
    assert during.get("CronJob", "demo", "etl") is not None
    problem = during.problem("batch/v1", "CronJob", "demo")
    assert problem is not None
    assert problem.kind is ProblemKind.UNAVAILABLE
    client.lists[CRONJOB.path()] = errors.Forbidden("no", status=403)
    denied = refresh(client, [CRONJOB], (), during)
    assert denied.get("CronJob", "demo", "etl") is None


def test_one_namespace_s_fault_leaves_the_others() -> None:
    client = MemoryClient()
    client.put(CRONJOB, "a", "etl")
    client.put(CRONJOB, "b", "etl")
    client.lists[CRONJOB.path("a")] = errors.Forbidden("no", status=403)
    found = refresh(client, [CRONJOB], ("a", "b"), NO_TARGETS)
    assert found.get("CronJob", "b", "etl") is not None
    assert found.certain("batch/v1", "CronJob", "b", "etl")
    assert not found.certain("batch/v1", "CronJob", "a", "etl")


def test_a_mere_trigger_is_known_as_one() -> None:
    client = MemoryClient()
    spec: dict[str, Any] = {"schedule": "0 0 * * *", "workflowSpec": {"workflowTemplateRef": {"name": "etl"}}}
    client.put(CRONWORKFLOW, "demo", "nightly", spec=spec)
    found = refresh(client, [CRONWORKFLOW], (), NO_TARGETS)
    assert [t.starts for t in found] == [("WorkflowTemplate", "etl")]
    assert [t.ref.name for t in found.triggers("demo", "WorkflowTemplate", "etl")] == ["nightly"]


def test_a_pipeline_brings_the_tasks_it_may_refer_to_and_they_get_no_profiles() -> None:
    client = MemoryClient()
    kinds = kinds_to_list([("tekton.dev/v1", "Pipeline")])
    assert [r.plural for r in kinds] == ["pipelines", "tasks"]
    for kind in kinds:
        client.put(kind, "ci", f"a-{kind.kind.lower()}")
    targets = [
        DiscoveryTarget(t.ref.resource.api_version, t.ref.resource.kind, "ci", t.ref.name, t.labels)
        for t in refresh(client, kinds, (), NO_TARGETS)
    ]
    asks = {"discover": [{"apiVersion": "tekton.dev/v1", "kind": "Pipeline"}]}
    policy = OptimizationPolicy.parse({"metadata": {"name": "team", "namespace": "ci"}, "spec": asks})
    assert [t.kind for t in targets] == ["Pipeline", "Task"]
    assert [d.name for d in discover([policy], targets, {"ci": {}})] == ["pipeline-a-pipeline"]


def test_argo_kinds_bring_their_companions() -> None:
    kinds = [r.kind for r in kinds_to_list([("argoproj.io/v1alpha1", "WorkflowTemplate"), ("batch/v1", "CronJob")])]
    assert set(kinds) == {"WorkflowTemplate", "CronWorkflow", "ClusterWorkflowTemplate", "CronJob"}
    assert kinds_to_list([("example.com/v1", "Unknown")]) == ()
