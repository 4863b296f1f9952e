"""Live JobSets: edges, attempts, and what a restart or a deleted pod leaves unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from concertmaster.core.model import Outcome, WorkflowKey
from concertmaster.engines import Claims, children, define, ended
from concertmaster.engines.base import itself
from concertmaster.engines.jobset.live import read_run
from tests.support.engines.jobset_objects import replicated
from tests.support.engines.json_values import JSON
from tests.support.engines.live_jobs import pod

KEY = WorkflowKey("ops", "WorkflowProfile", "train")
PREFIX = "jobset.sigs.k8s.io/"


def job_set(terminal: str | None = "Completed", restarts: int = 0, **ended_jobs: tuple[int, int]) -> dict[str, Any]:
    """A set of ``load``, then two ``workers``; ``ended_jobs`` are succeeded and failed Jobs by step."""
    conditions = [{"type": terminal, "status": "True", "reason": "Why", "lastTransitionTime": "2026-01-01T00:10:00Z"}]
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train-1", "namespace": "ops", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicatedJobs": [replicated("load"), replicated("workers", "load", replicas=2)]},
        "status": {
            "conditions": conditions if terminal else [],
            "restarts": restarts,
            "replicatedJobsStatus": [
                {"name": n, "succeeded": good, "failed": bad} for n, (good, bad) in ended_jobs.items()
            ],
        },
    }


def member(step: str, index: int, begin: float, end: float, code: int = 0, attempt: int = 0) -> dict[str, Any]:
    labels = {"jobset-name": "train-1", "replicatedjob-name": step, "job-index": index, "restart-attempt": attempt}
    reported = {f"{PREFIX}{k}": str(v) for k, v in labels.items()}
    reported["batch.kubernetes.io/job-completion-index"] = "0"
    return pod(f"train-1-{step}-{index}-0-{attempt}", begin, end, code, reported)


WHOLE = [member("load", 0, 1, 20), member("workers", 0, 21, 60), member("workers", 1, 22, 70)]


def test_edges_and_ready_times_come_from_what_is_declared() -> None:
    found = read_run(job_set(load=(1, 0), workers=(2, 0)), WHOLE, KEY)
    assert (found.complete, found.problems, found.reason) == (True, (), None)
    assert found.record.outcome is Outcome.SUCCEEDED
    load, *workers = found.record.steps
    assert (load.after, load.item) == ((), "0 / 0")
    assert [(w.after, w.item, w.attempt) for w in workers] == [
        (("load",), "0 / 0", 0),
        (("load",), "1 / 0", 0),
    ]
    assert {w.ready for w in workers} == {max(load.finished or 0.0, found.started or 0.0)}


def test_a_restart_is_named_and_its_pods_are_attempts() -> None:
    pods = [member("load", 0, 1, 20), member("load", 0, 30, 50, code=3, attempt=1)]
    found = read_run(job_set("Failed", 1, load=(0, 1)), pods, KEY)
    assert (found.complete, found.reason) == (False, "Why")
    assert "was restarted (restarts: 1)" in found.problems[0]
    assert [(e.attempt, e.item, e.after) for e in found.record.steps] == [(0, "0 / 0", ()), (1, "0 / 0", ("load",))]


def test_a_job_that_was_restarted_alone_leaves_the_record_incomplete() -> None:
    """By the action RestartJob of a failure policy: the pods of its first attempt are gone."""
    raw = job_set(load=(1, 0), workers=(2, 0))
    raw["status"]["replicatedJobsStatus"][1]["jobRestarts"] = [0, 2]
    found = read_run(raw, WHOLE, KEY)
    assert (found.complete, found.record.outcome) == (False, Outcome.SUCCEEDED)
    assert "was restarted (restarts: 2)" in found.problems[0]


@pytest.mark.parametrize(
    ("pods", "ended_jobs"),
    [
        (WHOLE[:2], {"load": (1, 0), "workers": (2, 0)}),  # deleted
        ([WHOLE[0]], {"load": (1, 0), "workers": (1, 1)}),  # one of them failed
    ],
)
def test_pods_that_are_gone_are_named(pods: list[dict[str, Any]], ended_jobs: dict[str, tuple[int, int]]) -> None:
    found = read_run(job_set(**ended_jobs), pods, KEY)
    assert not found.complete
    assert found.problems == ("pods of JobSet train-1 are gone (workers): they are only known from the metrics",)


def test_jobs_that_the_end_of_the_set_deleted_are_missed() -> None:
    """All that ``workers`` depend on had ended: they ran, and nothing is left of them."""
    found = read_run(job_set(load=(1, 0), workers=(0, 0)), WHOLE[:1], KEY)
    assert found.problems == ("pods of JobSet train-1 are gone (workers): they are only known from the metrics",)


def test_pods_of_a_set_that_bore_the_name_before_are_not_its_own() -> None:
    old = member("load", 0, 1, 5, code=9)
    old["metadata"]["labels"][f"{PREFIX}jobset-uid"] = "older"
    found = read_run(job_set(load=(1, 0), workers=(2, 0)), [old, *WHOLE], KEY)
    assert (found.complete, len(found.record.steps)) == (True, 3)


def test_a_step_that_never_began_has_no_pods_to_miss() -> None:
    found = read_run(job_set("Failed", load=(0, 1), workers=(0, 0)), [member("load", 0, 1, 20, code=2)], KEY)
    assert (found.complete, found.record.outcome) == (True, Outcome.FAILED)


def test_whose_run_it_is() -> None:
    def profile(kind: str) -> Any:
        return define(
            {
                "apiVersion": "concertmaster.dev/v1alpha1",
                "kind": "WorkflowProfile",
                "metadata": {"name": kind, "namespace": "ops"},
                "spec": {"runSelector": {"kind": kind, "namePrefix": "train-"}},
            }
        )

    raw = job_set()
    sets, jobs = profile("JobSet"), profile("Job")
    assert Claims([sets, jobs]).of(raw) is sets
    assert Claims([jobs]).of(raw) is None  # a selector of Jobs
    assert (Claims([sets]).kinds, Claims([jobs]).kinds) == ({"JobSet"}, {"Job"})
    own = define(raw)
    assert own is not None
    assert Claims([own]).of(raw) is own and Claims([own]).kinds == {"JobSet"}
    assert itself(raw) == own.key
    found = children(raw)
    assert found is not None and found.selector == f"{PREFIX}jobset-name=train-1"
    assert ended(raw) and ended(job_set("Failed")) and not ended(job_set(None))


@given(JSON, JSON)
@settings(max_examples=100, deadline=None)
def test_any_object_gives_a_record(a: Any, b: Any) -> None:
    pods: list[Any] = [{"metadata": a, "spec": b, "status": a}]
    for status in (a, {"conditions": b, "restarts": a, "replicatedJobsStatus": b}):
        raw = {"metadata": a, "status": status, "spec": {"replicatedJobs": b}}
        assert read_run(raw, pods, KEY).record.workflow == KEY
        itself({"metadata": b})
