"""Job and CronJob: one step with a number of completions and a parallelism.

``kube_job_*`` series have no uid, so runs are built from pods: the owner's name is the run, and without the time that a
CronJob appends it is the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.model import StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.engines.common.manifest import (
    Problems,
    fingerprint,
    flag,
    mapping,
    pod_containers,
    seconds,
    text,
    whole,
)
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.common.pod_level import pod_level
from concertmaster.engines.jobs.traits import JOB

STEP = "job"
_JOB_DECLARED = ("backoffLimit", "backoffLimitPerIndex", "activeDeadlineSeconds", "parallelism", "completions",
                 "podFailurePolicy")  # fmt: skip
_DECLARED = frozenset({"concurrencyPolicy", "startingDeadlineSeconds", "ttlSecondsAfterFinished", "schedule"})
_IMMATERIAL = frozenset({"suspend", "ttlSecondsAfterFinished", "selector", "manualSelector"})


def define(raw: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition that a CronJob or Job declares. Never raises, whatever the object contains."""
    obj = KubeObject.of(raw)
    outer, problems = obj.spec, obj.problems
    kind = str(raw.get("kind") or "Job")
    cron = kind == "CronJob"
    at = "/spec/jobTemplate/spec" if cron else "/spec"
    template = mapping(outer.get("jobTemplate"), "spec.jobTemplate", problems)
    spec = mapping(template.get("spec"), "spec.jobTemplate.spec", problems) if cron else outer
    queue = (KubeObject.of(template) if cron else obj).queue
    declared = {k: v for k, v in {**spec, **outer}.items() if k in _DECLARED and v is not None}
    return WorkflowDefinition(
        key=obj.key(kind),
        engine=JOB,
        graph=WorkflowGraph(
            steps=(job_step(spec, problems, at=at, patchable=cron),),
            parallelism=whole(spec.get("parallelism"), "parallelism", problems) or 1,
            parallelism_pointer=f"{at}/parallelism",
            problems=problems.all(),
        ),
        fingerprint=fingerprint([{k: v for k, v in spec.items() if k not in _IMMATERIAL}]),
        labels=obj.labels,
        schedule=text(outer.get("schedule"), "spec.schedule", problems) if cron else None,
        schedule_time_zone=text(outer.get("timeZone"), "spec.timeZone", problems) if cron else None,
        suspended=flag(outer.get("suspend")),
        run_prefixes=obj.prefixes,
        declared=declared | queue,
    )


def job_step(spec: Mapping[str, Any], problems: Problems, *, at: str, patchable: bool, name: str = STEP,
             depends_on: tuple[str, ...] = ()) -> StepSpec:  # fmt: skip
    """The single step of a Job spec. The pod template of a Job is immutable: only a CronJob's (``patchable``) has
    pointers."""
    template = mapping(spec.get("template"), "template", problems)
    pod = mapping(template.get("spec"), "template.spec", problems)
    parallelism = whole(spec.get("parallelism"), "parallelism", problems)
    completions = whole(spec.get("completions"), "completions", problems)
    width = completions if completions is not None else (1 if parallelism in (None, 1) else None)
    per_index = whole(spec.get("backoffLimitPerIndex"), "backoffLimitPerIndex", problems)
    limit = per_index if per_index is not None else whole(spec.get("backoffLimit"), "backoffLimit", problems)
    deadline = seconds(spec.get("activeDeadlineSeconds"), "activeDeadlineSeconds", problems)
    fan_out = width != 1
    here = f"{at}/template/spec" if patchable else None
    containers = pod_containers(pod, "template.spec", problems, at=here)
    return StepSpec(
        name=name,
        depends_on=depends_on,
        fan_out=fan_out,
        width=width if fan_out else None,
        parallelism=(parallelism if parallelism is not None else 1) if fan_out else None,
        containers=containers,
        pod=pod_level(pod, containers, "template.spec", problems, at=here),
        # The pod's own limit bounds each attempt, and the retry limit their number; of the whole Job no time is known.
        has_timeout=deadline is not None or pod.get("activeDeadlineSeconds") is not None,
        timeout_seconds=deadline,
        retry_limit=6 if limit is None else limit,  # the default in Kubernetes
        memoized=False,
        indexed=spec.get("completionMode") == "Indexed",
        pointer=at if patchable else None,
        declared={k: spec[k] for k in _JOB_DECLARED if spec.get(k) is not None},
    )
