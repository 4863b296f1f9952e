"""JobSets: replicated Jobs as steps, their pods by labels or names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from concertmaster.core.model import Outcome, WorkflowDefinition
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.engines import assign, define
from tests.support.builders import build_run
from tests.support.engines.jobset_objects import labels, pod, replicated
from tests.support.engines.json_values import JSON


def job_set(*jobs: dict[str, Any], **spec: Any) -> WorkflowDefinition:
    raw = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train", "namespace": "ml"},
        "spec": {"replicatedJobs": list(jobs), **spec},
    }
    found = define(raw)
    assert found is not None
    return found


def test_replicated_jobs_are_steps_with_their_dependencies() -> None:
    d = job_set(replicated("load"), replicated("workers", "load", replicas=2, completions=4, parallelism=4))
    load, workers = d.graph.steps
    assert (load.depends_on, load.fan_out, load.daemon) == ((), False, False)
    assert (workers.depends_on, workers.fan_out, workers.width, workers.parallelism) == (("load",), True, 8, 8)
    assert workers.containers[0].cpu_request == 4.0
    assert workers.containers[0].resources_pointer is None  # a JobSet's template cannot be changed once it exists


SERVED = {"successPolicy": {"operator": "All", "targetReplicatedJobs": ["workers"]}}


def test_the_queue_that_admits_a_job_set_is_known() -> None:
    raw = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train", "namespace": "ml", "labels": {QUEUE_LABEL: "gpus"}},
        "spec": {"replicatedJobs": [replicated("a")], "ttlSecondsAfterFinished": 60},
    }
    found = define(raw)
    assert found is not None
    assert found.declared == {"ttlSecondsAfterFinished": 60, QUEUE_LABEL: "gpus"}
    assert QUEUE_LABEL not in job_set(replicated("a")).declared


def test_what_only_has_to_be_ready_serves_the_others() -> None:
    d = job_set(replicated("driver"), replicated("workers", "driver", status="Ready"), **SERVED)
    assert d.graph.step("driver").daemon  # type: ignore[union-attr]
    assert d.graph.step("workers").depends_on == ("driver",)  # type: ignore[union-attr]
    either = {"successPolicy": {"operator": "Any"}}
    d = job_set(replicated("a"), replicated("b"), startupPolicy={"startupPolicyOrder": "InOrder"}, **either)
    assert d.graph.step("b").depends_on == ("a",)  # type: ignore[union-attr]
    assert d.graph.step("a").daemon  # type: ignore[union-attr]
    one = {"successPolicy": {"operator": "Any", "targetReplicatedJobs": ["a"]}}  # any of one is that one
    d = job_set(replicated("a"), replicated("b"), startupPolicy={"startupPolicyOrder": "InOrder"}, **one)
    assert d.graph.step("b").depends_on == ()  # type: ignore[union-attr]
    assert not d.graph.step("a").daemon  # type: ignore[union-attr]


def test_restarts_of_the_set_are_retries_of_its_jobs() -> None:
    d = job_set(replicated("a", backoffLimit=0), replicated("b", backoffLimit=1), failurePolicy={"maxRestarts": 3})
    assert [s.retry_limit for s in d.graph.steps] == [3, 7]
    assert job_set(replicated("a", backoffLimit=0)).graph.steps[0].retry_limit == 0


@pytest.mark.parametrize(
    ("action", "limit"),
    [("RestartJobSet", 1), ("RestartJobSetAndIgnoreMaxRestarts", None), ("RestartJobAndIgnoreMaxRestarts", None)],
)
def test_restarts_that_a_rule_does_not_count_have_no_limit(action: str, limit: int | None) -> None:
    rules = [{"action": action, "onJobFailureReasons": ["PodFailurePolicy"]}, {"action": "FailJobSet"}]
    d = job_set(replicated("a", backoffLimit=0), failurePolicy={"maxRestarts": 1, "rules": rules})
    assert d.graph.steps[0].retry_limit == limit


def test_the_first_rule_that_applies_to_a_job_decides_whether_its_failure_restarts_the_set() -> None:
    """A failed leader ends the set, failed workers restart it, and drained nodes do not count."""
    rules = [
        {"action": "FailJobSet", "targetReplicatedJobs": ["leader"]},
        {
            "action": "RestartJobSetAndIgnoreMaxRestarts",
            "onJobFailureReasons": ["PodFailurePolicy"],
            "targetReplicatedJobs": ["buckets"],
        },
        {"action": "FailJobSet", "onJobFailureReasons": ["DeadlineExceeded"]},
    ]
    jobs = [replicated(name, backoffLimit=0) for name in ("leader", "buckets", "workers")]
    d = job_set(*jobs, failurePolicy={"maxRestarts": 3, "rules": rules})
    assert {s.name: s.retry_limit for s in d.graph.steps} == {"leader": 0, "buckets": None, "workers": 3}
    facts = [
        replace(pod("train-leader-0", "1", labels=labels("leader", 0, 0)), phase="Failed", finished=20.0),
        pod("train-buckets-0", "2", 2.0, labels("buckets", 0, 0)),
        pod("train-workers-0", "3", 2.0, labels("workers", 0, 0)),
    ]
    record = build_run(d.key, "train", assign(facts, [d]).executions[d.key]["train"], d, as_of=30.0)
    assert record.outcome is Outcome.FAILED  # nothing is awaited, although the set may be restarted three times


@pytest.mark.parametrize("operator", ["Any", "All"])
def test_a_job_that_the_success_policy_does_not_name_ends_no_run(operator: str) -> None:
    """It is killed once the named ones have succeeded."""
    policy = {"successPolicy": {"operator": operator, "targetReplicatedJobs": ["a"]}}
    d = job_set(replicated("a"), replicated("b"), **policy)
    assert [(s.name, s.daemon) for s in d.graph.steps] == [("a", False), ("b", True)]
    d = job_set(replicated("b"), replicated("a", "b", status="Complete"), **policy)
    assert [(s.name, s.daemon) for s in d.graph.steps] == [("b", False), ("a", False)]


def test_what_has_to_be_ready_and_to_succeed_is_work_beside_the_others() -> None:
    """The set ends with its last Job, also when that was the first to start; and fails with it."""
    d = job_set(replicated("a"), replicated("b"), startupPolicy={"startupPolicyOrder": "InOrder"})
    assert [(s.name, s.depends_on, s.daemon) for s in d.graph.steps] == [("a", (), False), ("b", (), False)]
    facts = [
        replace(pod("train-a-0", "1", labels=labels("a", 0, 0)), phase="Failed", finished=20.0),
        pod("train-b-0", "2", 2.0, labels("b", 0, 0)),
    ]
    record = build_run(d.key, "train", assign(facts, [d]).executions[d.key]["train"], d)
    assert record.outcome is Outcome.FAILED


def test_a_job_that_others_await_ready_says_when_it_was() -> None:
    d = job_set(replicated("driver"), replicated("workers", "driver", status="Ready"), **SERVED)
    facts = [
        replace(pod("train-driver-0", "1", labels=labels("driver", 0, 0)), ready=7.0),
        replace(pod("train-workers-0", "2", 8.0, labels("workers", 0, 0)), ready=9.0),
    ]
    record = build_run(d.key, "train", assign(facts, [d]).executions[d.key]["train"], d)
    assert [(e.step, e.serving, e.ready) for e in record.steps] == [("driver", 7.0, 0.0), ("workers", None, 7.0)]


@pytest.mark.parametrize("by_label", [True, False])
def test_pods_are_placed_by_labels_or_by_the_owner_of_their_job(by_label: bool) -> None:
    d = job_set(replicated("load"), replicated("workers", "load", replicas=2))
    facts = [
        pod("train-load-0", "1", labels=labels("load", 0, 0) if by_label else None),
        pod("train-workers-0", "2", 12.0, labels("workers", 0, 0) if by_label else None),
        pod("train-workers-1", "3", 12.0, labels("workers", 1, 0) if by_label else None),
    ]
    owners = {} if by_label else {("ml", f.owner_name or ""): ("JobSet", "train") for f in facts}
    found = assign(facts, [d], job_owners=owners)
    record = build_run(d.key, "train", found.executions[d.key]["train"], d)
    assert [(e.step, e.item, e.ready) for e in record.steps] == [
        ("load", "0 / 0", 0.0),
        ("workers", "0 / 0", 10.0),
        ("workers", "1 / 0", 10.0),
    ]
    assert record.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(("label", "attempt"), [("2", 2), ("²", 0), ("٣", 0), ("9" * 5000, 0), ("", 0)])
def test_a_restart_label_that_is_no_number_is_no_attempt(label: str, attempt: int) -> None:
    d = job_set(replicated("load"))
    reported = {**labels("load", 0, 0), "jobset_sigs_k8s_io_restart_attempt": label}
    found = assign([pod("train-load-0", "1", labels=reported)], [d])
    assert [e.attempt for e in found.executions[d.key]["train"]] == [attempt]


def test_job_sets_of_a_run_selector() -> None:
    profile = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": "p", "namespace": "ml"},
            "spec": {"runSelector": {"kind": "JobSet", "namePrefix": "train-"}},
        }
    )
    assert profile is not None
    facts = [pod("train-x7k2z-workers-0", "1"), pod("other-workers-0", "2")]
    owners = {
        ("ml", "train-x7k2z-workers-0"): ("JobSet", "train-x7k2z"),
        ("ml", "other-workers-0"): ("JobSet", "other"),
    }
    found = assign(facts, [profile], job_owners=owners)
    assert {run: [e.step for e in rows] for run, rows in found.executions[profile.key].items()} == {
        "train-x7k2z": ["workers"]
    }
    assert list(found.unassigned) == ["its Job belongs to a JobSet that is not observed"]


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ((replicated("a", "ghost"),), "unknown step 'ghost'"),
        ((replicated("a", "b"), replicated("b", "a")), "cycle"),
        (({},), "has no name"),
    ],
)
def test_what_is_wrong_is_named(jobs: tuple[Any, ...], said: str) -> None:
    assert any(said in p for p in job_set(*jobs).graph.problems)


@given(JSON, JSON)
@settings(max_examples=80, deadline=None)
def test_any_object_gives_a_definition(a: Any, b: Any) -> None:
    for spec in (
        a,
        {"replicatedJobs": a, "startupPolicy": b},
        {"replicatedJobs": [{"name": "x", "template": a, "dependsOn": b, "replicas": a}]},
    ):
        raw = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": b, "spec": spec}
        assert isinstance(define(raw), WorkflowDefinition)


def test_fields_of_the_set_that_rules_check_are_declared() -> None:
    assert job_set(replicated("load"), ttlSecondsAfterFinished=0).declared == {"ttlSecondsAfterFinished": 0}
    assert job_set(replicated("load")).declared == {}


def test_sizes_become_what_can_be_pasted() -> None:
    """Each size is where the controller reads it: what was pasted, read again, asks for it."""
    size = {"requests.cpu": "2500m", "requests.memory": "3Gi", "limits.memory": "4Gi"}
    places = [("load", "main"), ("load", "proxy"), ("train", "main"), ("train", "pod")]
    text = job_set(replicated("load")).engine.remedies(dict.fromkeys(places, size))
    assert text is not None and text.startswith("# JobSet (jobset.x-k8s.io/v1alpha2)\n")
    again = job_set(*yaml.safe_load(text)["spec"]["replicatedJobs"])
    assert not again.graph.problems
    found = {(s.name, c.name): c.resources for s in again.graph.steps for c in s.sized}
    wanted = {"requests": {"cpu": "2500m", "memory": "3Gi"}, "limits": {"memory": "4Gi"}}
    assert {place: dict(resources) for place, resources in found.items()} == dict.fromkeys(places, wanted)
    assert job_set(replicated("load")).engine.remedies({}) is None
