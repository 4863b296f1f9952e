"""SparkApplications, TrainJobs, RayJobs: whose run one is, how it ended, and that its pods are found under the same name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.core.times import parse_time
from concertmaster.engines import Claims, RunBuilder, end_alone, ended, run_kind
from concertmaster.engines import define as engine_define
from concertmaster.engines.labels.definition import define
from concertmaster.history.rebuild import rebuild

START, END = "2026-11-20T10:00:00Z", "2026-11-20T10:20:00Z"


def defined(preset: str, value: str) -> WorkflowDefinition:
    meta = {"name": f"{preset}-{value}", "namespace": "demo"}
    spec = {"podLabels": {"preset": preset, "value": value}}
    return define({"kind": "WorkflowProfile", "metadata": meta, "spec": spec})


def application(state: str, name: str = "sales-etl-1763632800000000000") -> dict[str, Any]:
    status = {
        "applicationState": {"state": state},
        "sparkApplicationId": "spark-6e3f",
        "lastSubmissionAttemptTime": START,
        "terminationTime": END,
    }
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": name, "namespace": "demo", "creationTimestamp": START},
        "status": status,
    }


def train(*conditions: tuple[str, str]) -> dict[str, Any]:
    rows = [{"type": t, "status": s, "reason": f"Jobs{t}", "lastTransitionTime": END} for t, s in conditions]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "bert-x7k2p", "namespace": "demo", "creationTimestamp": START},
        "status": {"conditions": rows},
    }


SPARK, TRAINER = defined("spark", "sales-etl"), defined("kubeflow-trainer", "bert")


def record(raw: dict[str, Any], key: WorkflowKey) -> RunRecord:
    """The end it tells."""
    kind = run_kind(raw)
    assert kind is not None
    found = end_alone(kind.read(raw, (), key, None))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("state", "over"),
    [("COMPLETED", True), ("FAILED", True), ("RUNNING", False), ("PENDING_RERUN", False), ("SUCCEEDING", False)],
)
def test_an_application_is_over_once_nothing_is_submitted_any_more(state: str, over: bool) -> None:
    assert ended(application(state)) is over


def test_a_run_is_of_the_profile_of_its_application() -> None:
    claims = Claims([SPARK, TRAINER])
    assert claims.kinds == {"SparkApplication", "TrainJob"}
    assert claims.of(application("COMPLETED")) is SPARK
    assert claims.of(train()) is TRAINER
    assert claims.of(application("COMPLETED", "other-1763632800000000000")) is None
    elsewhere = replace(SPARK, key=replace(SPARK.key, namespace="other"))
    assert Claims([elsewhere]).of(application("COMPLETED")) is None


def test_the_end_is_told_under_the_name_that_the_pods_bear() -> None:
    found = record(application("COMPLETED"), SPARK.key)
    assert (found.run, found.outcome, found.steps) == ("spark-6e3f", Outcome.SUCCEEDED, ())
    assert (found.end or 0.0) - (found.start or 0.0) == 1200.0
    assert record(application("FAILED"), SPARK.key).outcome is Outcome.FAILED


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.FAILED])
def test_executors_that_were_deleted_or_replaced_say_nothing_about_the_run(outcome: Outcome) -> None:
    end = record(application("COMPLETED"), SPARK.key)
    begun = end.start or 0.0
    driver = StepExecution("driver", pod="d", uid="d", created=begun, started=begun + 2, finished=begun + 1190,
                           outcome=Outcome.SUCCEEDED)  # fmt: skip
    lost = StepExecution("executor", item="1", pod="e", uid="e", created=begun + 30, started=begun + 32,
                         finished=begun + 1180, outcome=outcome)  # fmt: skip
    builder = RunBuilder(SPARK.key, SPARK, None)
    (alone,) = rebuild("spark-6e3f", [driver, lost], None, builder)
    assert alone.outcome is Outcome.SUCCEEDED
    failed = replace(driver, outcome=Outcome.FAILED)
    assert rebuild("spark-6e3f", [failed, lost], None, builder)[0].outcome is Outcome.FAILED
    (told,) = rebuild("spark-6e3f", [driver, lost], end, builder)
    assert (told.outcome, told.source, len(told.steps)) == (Outcome.SUCCEEDED, Source.HISTORY, 2)


def test_a_train_job_ends_by_its_conditions() -> None:
    assert not ended(train(("Suspended", "True")))
    assert not ended(train(("Complete", "False")))
    assert record(train(("Suspended", "False"), ("Complete", "True")), TRAINER.key).outcome is Outcome.SUCCEEDED
    kind = run_kind(train())
    assert kind is not None
    failed = kind.read(train(("Failed", "True")), (), TRAINER.key, TRAINER)
    assert (failed.record.outcome, failed.reason, failed.record.run) == (Outcome.FAILED, "JobsFailed", "bert-x7k2p")
    assert failed.record.end == failed.finished == parse_time(END)


@pytest.mark.parametrize("status", [None, [], "done", {"applicationState": 7, "conditions": {"a": 1}}])
def test_whatever_stands_in_a_status_breaks_nothing(status: object) -> None:
    for raw, key in ((application("COMPLETED"), SPARK.key), (train(), TRAINER.key)):
        raw["status"] = status
        kind = run_kind(raw)
        assert kind is not None
        assert not ended(raw)
        assert end_alone(kind.read(raw, (), key, None)) is None


def test_a_ray_job_is_of_the_profile_of_its_labels_before_any_other() -> None:
    """Its pods are as well; without such a profile a runSelector picks it."""
    status = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "startTime": START, "endTime": END}
    raw = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "forecast-x7k2z", "namespace": "demo", "creationTimestamp": START},
        "status": status,
    }
    labelled = defined("kuberay", "forecast")
    meta = {"name": "forecasts", "namespace": "demo"}
    selector = {"apiVersion": "ray.io/v1", "kind": "RayJob", "namePrefix": "forecast"}
    selected = engine_define({"kind": "WorkflowProfile", "apiVersion": "concertmaster.dev/v1alpha1", "metadata": meta,
                              "spec": {"runSelector": selector}})  # fmt: skip
    assert selected is not None
    assert Claims([selected, labelled]).of(raw) is labelled
    assert Claims([selected]).of(raw) is selected
    found = record(raw, labelled.key)
    assert (found.run, found.outcome) == ("forecast-x7k2z", Outcome.SUCCEEDED)
