"""Outcome and times of RayJobs, from their status.

Its pods are deleted with the RayCluster, or outlive the run with it, so the durations of its steps come from the
metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import Outcome, WorkflowDefinition, WorkflowKey
from concertmaster.engines.base import RunKind
from concertmaster.engines.common.manifest import text, whole
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.live import LiveRun, RunEnd, live_run
from concertmaster.engines.rayjob.traits import RUN

_OUTCOMES = {"SUCCEEDED": Outcome.SUCCEEDED, "FAILED": Outcome.FAILED, "STOPPED": Outcome.UNKNOWN}


def ended(obj: KubeObject) -> bool:
    """Whether KubeRay has finished the run: Complete includes Ray jobs that failed or were stopped."""
    return obj.status.get("jobDeploymentStatus") in ("Complete", "Failed") or _refused(obj)


def _refused(obj: KubeObject) -> bool:
    """Whether KubeRay did not accept the RayJob, which never got a cluster then. One that has a cluster was changed later to
    something that is not accepted."""
    status = obj.status
    return status.get("jobDeploymentStatus") == "ValidationFailed" and not status.get("rayClusterName")


def read_run(
    raw: Mapping[str, Any],
    children: Sequence[Mapping[str, Any]],
    key: WorkflowKey,
    definition: WorkflowDefinition | None = None,
) -> LiveRun:
    """The end of a RayJob, as a record without steps. Never raises, whatever the object contains."""
    obj = KubeObject.of(raw)
    outcome = Outcome.RUNNING
    if ended(obj):
        failed = obj.status.get("jobDeploymentStatus") != "Complete"
        reported = _OUTCOMES.get(str(obj.status.get("jobStatus")), Outcome.UNKNOWN)
        outcome = Outcome.FAILED if failed else reported
    reason = text(obj.status.get("reason"), "status.reason", obj.problems)
    run = live_run(obj, key, (), RunEnd(outcome, reason), finished="endTime")
    if _refused(obj) and run.finished is None:  # it has no times of its own
        run = replace(run, finished=run.created, record=replace(run.record, start=run.created, end=run.created))
    failed = whole(obj.status.get("failed"), "status.failed", obj.problems) or 0
    if failed > (outcome is Outcome.FAILED):  # its start is that of the last try
        run = replace(run, started=run.created, record=replace(run.record, start=run.created))
    return run


RUNS = RunKind(RUN, ended=ended, read=read_run, parts=("Job",))
