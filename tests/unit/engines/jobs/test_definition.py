"""Jobs and CronJobs: definitions, owners, completion indexes, attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import Outcome, PodFact, WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.engines import assign, define
from concertmaster.engines.jobs.traits import JOB
from tests.support.builders import build_run, build_runs
from tests.support.engines.job_objects import job, pod


def test_a_cron_job_is_one_step_with_patch_points() -> None:
    d = job(parallelism=2, completions=6, completionMode="Indexed", backoffLimitPerIndex=1, activeDeadlineSeconds=600)
    (step,) = d.graph.steps
    assert (d.engine, str(d.key), d.schedule, d.schedule_time_zone) == (
        JOB,
        "CronJob/ops/backup",
        "0 1 * * *",
        "Etc/UTC",
    )
    assert (step.fan_out, step.width, step.parallelism, step.indexed, step.retry_limit) == (True, 6, 2, True, 1)
    assert (step.timeout_seconds, d.graph.parallelism) == (600.0, 2)
    assert d.graph.parallelism_pointer == "/spec/jobTemplate/spec/parallelism"
    assert [(c.name, c.resources_pointer, c.sidecar, c.init) for c in step.containers] == [
        ("dump", "/spec/jobTemplate/spec/template/spec/containers/0/resources", False, False),
        ("proxy", "/spec/jobTemplate/spec/template/spec/initContainers/0/resources", True, False),
        ("prep", "/spec/jobTemplate/spec/template/spec/initContainers/1/resources", False, True),
    ]


def test_a_deadline_of_the_pods_is_a_time_limit_of_the_job_though_not_its_own() -> None:
    (step,) = job("Job", template={"spec": {"containers": [{"name": "m"}], "activeDeadlineSeconds": 600}}).graph.steps
    assert (step.has_timeout, step.timeout_seconds) == (True, None)
    (bare,) = job("Job").graph.steps
    assert (bare.has_timeout, bare.timeout_seconds) == (False, None)


def test_a_job_cannot_be_patched_and_has_the_default_back_off() -> None:
    (step,) = job("Job").graph.steps
    assert (step.fan_out, step.width, step.retry_limit) == (False, None, 6)
    assert all(c.resources_pointer is None for c in step.containers)


def test_a_work_queue_has_a_fan_out_of_unknown_width() -> None:
    (step,) = job("Job", parallelism=4).graph.steps
    assert (step.fan_out, step.width, step.parallelism) == (True, None, 4)


def test_jobs_belong_to_the_cron_job_whose_name_they_continue() -> None:
    d = job()
    found = assign([pod("backup-29333333", "u1"), pod("backup-29333393", "u2", 3600.0)], [d])
    assert list(found.executions[d.key]) == ["backup-29333333", "backup-29333393"]


def test_the_owner_wins_over_the_name() -> None:
    d, other = job(), job(name="other")
    owners = {("ops", "manual-run"): ("CronJob", "backup"), ("ops", "other-29333333"): ("CronJob", "backup")}
    found = assign([pod("manual-run", "u1"), pod("other-29333333", "u2")], [d, other], job_owners=owners)
    assert list(found.executions) == [d.key]


def test_jobs_of_nobody_are_counted_with_the_reason() -> None:
    owners = {("ops", "x-29333333"): ("CronJob", "x")}
    found = assign([pod("lone", "u1"), pod("x-29333333", "u2"), pod("backup-x", "u3")], [job()], job_owners=owners)
    assert found.unassigned == {
        "no observed CronJob or Job has the name its Job was made from": 2,
        "its Job belongs to a CronJob that is not observed": 1,
    }


def test_a_job_of_its_own_name_and_one_made_by_generate_name() -> None:
    d = job("Job", "load")
    found = assign([pod("load", "u1"), pod("load-x7k2z", "u2")], [d])
    assert list(found.executions[d.key]) == ["load", "load-x7k2z"]


@pytest.mark.parametrize("by_label", [True, False])
def test_completion_indexes_and_their_attempts(by_label: bool) -> None:
    d = job(completions=2, parallelism=2, completionMode="Indexed")
    run = "backup-29333333"

    def indexed(index: int, uid: str, at: float, phase: str) -> PodFact:
        labels = {"batch_kubernetes_io_job_completion_index": str(index)} if by_label else {}
        return pod(run, uid, at, phase=phase, labels=labels, pod=f"{run}-{index}-x7k2{uid[-1]}")

    facts = [indexed(0, "u1", 0.0, "Failed"), indexed(1, "u2", 0.0, "Succeeded"), indexed(0, "u3", 20.0, "Succeeded")]
    record = build_run(d.key, run, assign(facts, [d]).executions[d.key][run], d)
    assert [(e.uid, e.item, e.attempt) for e in record.steps] == [("u1", "0", 0), ("u2", "1", 0), ("u3", "0", 1)]
    assert record.outcome is Outcome.SUCCEEDED
    assert record.steps[2].ready == 10.0


def test_indexes_of_jobs_nobody_declared() -> None:
    """Jobs a runSelector picks: the label says the index, whatever the order in which the pods were made."""
    picked = WorkflowDefinition(
        WorkflowKey("ops", "WorkflowProfile", "train"),
        JOB,
        WorkflowGraph(inferred=True),
        run_kind="Job",
        run_prefixes=("train-",),
    )
    label = "batch_kubernetes_io_job_completion_index"
    facts = [pod("train-1", f"u{n}", 10.0 - n, labels={label: str(n)}) for n in (0, 1)]
    record = build_run(picked.key, "train-1", assign(facts, [picked]).executions[picked.key]["train-1"], picked)
    assert {e.uid: (e.item, e.attempt) for e in record.steps} == {"u0": ("0", 0), "u1": ("1", 0)}


def outcome(facts: list[PodFact], d: WorkflowDefinition, as_of: float | None = None) -> Outcome:
    run = facts[0].owner_name or ""
    return build_run(d.key, run, assign(facts, [d]).executions[d.key][run], d, as_of=as_of).outcome


def test_outcome_counts_completions() -> None:
    d = job(completions=3)
    done = [pod("backup-29333333", f"u{n}", 20.0 * n) for n in range(3)]
    assert outcome(done, d) is Outcome.SUCCEEDED
    assert outcome(done[:2], d, as_of=100.0) is Outcome.RUNNING
    assert outcome(done[:2], d, as_of=1e6) is Outcome.UNKNOWN


def test_a_failed_attempt_made_good_and_one_that_was_not() -> None:
    d = job(backoffLimit=1)
    bad, good = pod("backup-29333333", "u1", 0.0, phase="Failed"), pod("backup-29333333", "u2", 30.0)
    assert outcome([bad, good], d) is Outcome.SUCCEEDED
    assert outcome([bad], d, as_of=60.0) is Outcome.RUNNING  # the back-off may still bring another attempt
    assert outcome([bad], d, as_of=1e6) is Outcome.FAILED
    assert outcome([bad, replace(good, phase="Failed")], d, as_of=60.0) is Outcome.FAILED  # the limit is reached


def test_a_vanished_pod_has_an_unknown_end() -> None:
    fact = replace(pod("backup-29333333", "u", phase=None), finished=None, last_seen=60.0, vanished=True)
    record = build_run(job().key, "r", assign([fact], [job()]).executions[job().key]["backup-29333333"], job())
    (e,) = record.steps
    assert (e.outcome, e.reason, e.finished, record.outcome) == (Outcome.UNKNOWN, "Vanished", 60.0, Outcome.UNKNOWN)


def test_a_job_made_again_under_the_same_name_is_a_run_of_its_own() -> None:
    d = job("Job", "load")
    facts = [pod("load", f"u{n}", 86_400.0 * n) for n in range(3)]
    records = build_runs(d.key, "load", assign(facts, [d]).executions[d.key]["load"], d)
    assert [(r.run, r.start, len(r.steps)) for r in records] == [
        ("load", 0.0, 1),
        ("load@86400", 86_400.0, 1),
        ("load@172800", 172_800.0, 1),
    ]


@pytest.mark.parametrize(
    "raw", [{}, {"spec": []}, {"spec": {"jobTemplate": 5}}, {"metadata": "x", "spec": {"parallelism": "many"}}]
)
def test_odd_objects_give_a_definition_with_problems_or_none(raw: dict[str, Any]) -> None:
    for kind in ("Job", "CronJob"):
        found = define({"apiVersion": "batch/v1", "kind": kind, **raw})
        assert found is not None
        assert isinstance(found.key, WorkflowKey)
