"""A cycle in which nothing has happened: what it may do, counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.api.models import policy as models
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller import malloc, snapshot
from concertmaster.controller.discovery import policies
from concertmaster.controller.discovery.targets import Target
from concertmaster.controller.profiles import resolving
from concertmaster.core.model import WorkflowKey
from concertmaster.kube.errors import Unreachable
from concertmaster.kube.objects import NAMESPACES, POLICIES, PROFILES
from tests.support.controller.harness import INTERVAL, Bed, run
from tests.support.resources import CRONJOB

WORKFLOWS = 30


@pytest.fixture
def bed() -> Bed:
    """Discovered workflows in two namespaces, all analysed."""
    made = Bed()
    made.client.put(NAMESPACES, None, "other")
    for k in range(WORKFLOWS):
        made.cronjob(f"w{k}", "demo" if k % 2 else "other")
        made.history.runs_of[f"w{k}"] = [run(f"w{k}", 1)]
    for namespace in ("demo", "other"):
        made.policy(namespace=namespace, discover=[{"apiVersion": "batch/v1", "kind": "CronJob"}])
    made.run()
    made.run(seconds=INTERVAL)
    assert len(made.analyzer.requests) == WORKFLOWS
    made.client.calls.clear()
    made.analyzer.requests.clear()
    return made


def _count(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[object]:
    calls: list[object] = []
    real = getattr(owner, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[0] if args else None)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_nothing_is_parsed_resolved_unpacked_analysed_or_written(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    done = [
        _count(monkeypatch, WorkflowProfile, "parse"),
        _count(monkeypatch, models.OptimizationPolicy, "parse"),
        _count(monkeypatch, policies.PolicyIndex, "resolve"),
        _count(monkeypatch, Target, "unpack"),
    ]
    prints = _count(monkeypatch, resolving, "fingerprint")
    specs = _count(monkeypatch, json, "loads")
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []
    assert bed.analyzer.requests == []
    assert [len(calls) for calls in done] == [0, 0, 0, 0]
    assert specs == []
    assert prints == []


def test_discovery_and_resolving_are_not_gone_through_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    done = [
        _count(monkeypatch, snapshot, "discover"),
        _count(monkeypatch, snapshot.discovery, "plan"),
        _count(monkeypatch, resolving.PoliciesInForce, "of"),
    ]
    bed.run(seconds=INTERVAL)
    assert [len(calls) for calls in done] == [0, 0, 0]


def test_a_profile_that_could_not_be_made_is_tried_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.cronjob("late", "other")
    monkeypatch.setattr(bed.client, "create", lambda *_, **__: (_ for _ in ()).throw(Unreachable("away")))
    for _ in range(2):
        bed.run(seconds=INTERVAL)
    monkeypatch.undo()
    bed.run(seconds=INTERVAL)
    assert PROFILES.path("other", "cronjob-late") in bed.client.objects


def test_definitions_that_have_not_changed_are_not_read(bed: Bed) -> None:
    bed.run(seconds=INTERVAL)
    lists = [(path, options) for method, path, options in bed.client.calls if method == "LIST"]
    whole = {path.rpartition("/")[2] for path, options in lists if not (options or {}).get("metadata_only")}
    assert "cronjobs" not in whole
    assert not whole & {PROFILES.plural, POLICIES.plural}


def test_a_definition_that_changed_is_read_by_its_name(bed: Bed) -> None:
    changed = bed.client.objects[CRONJOB.path("demo", "w3")]
    changed["spec"]["schedule"] = "5 * * * *"
    changed["metadata"]["resourceVersion"] = "9999"
    bed.run(seconds=INTERVAL)
    read = [o["name"] for m, p, o in bed.client.calls if m == "LIST" and p.endswith("cronjobs") and o.get("name")]
    assert read == ["w3"]
    assert [c.definition.key.name for c in bed.analyzer.requests] == ["w3"]


def test_many_changed_definitions_are_listed_together(bed: Bed) -> None:
    for k in range(WORKFLOWS):
        found = bed.client.objects[CRONJOB.path("demo" if k % 2 else "other", f"w{k}")]
        found["metadata"]["resourceVersion"] = f"99{k}"
    bed.run(seconds=INTERVAL)
    lists = [o for m, p, o in bed.client.calls if m == "LIST" and p.endswith("cronjobs")]
    assert [bool(o.get("metadata_only")) for o in lists] == [True, False]


def test_a_definition_that_is_gone_is_not_kept(bed: Bed) -> None:
    del bed.client.objects[CRONJOB.path("demo", "w3")]
    bed.run(seconds=INTERVAL)
    assert PROFILES.path("demo", "cronjob-w3") not in bed.client.objects


def test_a_policy_that_changed_is_in_force_at_once(bed: Bed) -> None:
    found = bed.client.objects[POLICIES.path("demo", "team")]
    found["spec"] = found["spec"] | {"analysis": {"minRuns": 7}}
    found["metadata"] |= {"generation": 2, "resourceVersion": "9999"}
    bed.run(seconds=INTERVAL)
    assert {c.policy.analysis.min_runs for c in bed.analyzer.requests} == {7}
    assert len(bed.analyzer.requests) == WORKFLOWS // 2


def test_labels_of_a_namespace_that_changed_are_in_force_at_once(bed: Bed) -> None:
    bed.sources.denied.add("default")
    bed.client.objects[NAMESPACES.path(None, "demo")]["metadata"]["labels"] = {"trusted": "no"}
    bed.run(seconds=INTERVAL)
    assert bed.state(name="cronjob-w3")["MetricsAvailable"] == ("False", "SourceRefused")
    bed.client.objects[NAMESPACES.path(None, "demo")]["metadata"]["labels"] = {"trusted": "true"}
    bed.run(seconds=INTERVAL)
    assert bed.state(name="cronjob-w3")["MetricsAvailable"] == ("True", "Complete")


def test_equal_policies_are_one_object(bed: Bed) -> None:
    made = bed.snapshots.build(lambda: None)
    profiles = bed.profile_reconciler.profiles(made)
    assert len({id(s.policy) for s in profiles if s.entry.namespace == "demo"}) == 1


def test_all_garbage_is_collected_once_a_twentieth_of_the_workflows_was_analysed(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bool, bool]] = []
    monkeypatch.setattr(malloc, "give_back", lambda *, worked, complete: asked.append((worked, complete)))

    def with_runs_of(*workflows: int) -> tuple[bool, bool]:
        for k in workflows:
            bed.history.runs_of[f"w{k}"].append(run(f"w{k}", 2 + len(asked)))
            bed.sources.changed.add(WorkflowKey("demo" if k % 2 else "other", "CronJob", f"w{k}"))
        bed.run(seconds=INTERVAL)
        return asked[-1]

    assert with_runs_of() == (False, False)
    assert with_runs_of(1) == (True, False)  # one of thirty
    assert with_runs_of() == (False, False)
    assert with_runs_of(2) == (True, True)
    assert with_runs_of(3) == (True, False)
    assert with_runs_of(4, 5) == (True, True)
