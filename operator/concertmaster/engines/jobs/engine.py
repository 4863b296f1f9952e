"""Jobs and CronJobs, as registered."""

from __future__ import annotations

from concertmaster.core.model import PodFact, StepSpec, WorkflowKey
from concertmaster.engines.base import PODS, ChartSwitch, Engine, RunKind
from concertmaster.engines.common.manifest import mapping
from concertmaster.engines.common.names import generated_base, scheduled_base
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.inputs import of_pods
from concertmaster.engines.jobs.definition import STEP, define
from concertmaster.engines.jobs.live import OUTCOMES, pod_templates, read_run, workflow_of
from concertmaster.engines.jobs.pods import INDEX_LABEL, place, settle
from concertmaster.engines.jobs.traits import JOB, RUN
from concertmaster.engines.live import ended_by


def _pods_of(obj: KubeObject) -> str:
    selector = mapping(obj.spec.get("selector"), "spec.selector", obj.problems)
    labels = mapping(selector.get("matchLabels"), "matchLabels", obj.problems)
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items())) or f"job-name={obj.name}"


def _infer(fact: PodFact) -> WorkflowKey | None:
    if fact.owner_kind != "Job" or not fact.owner_name:
        return None
    cron = scheduled_base(fact.owner_name)
    base = cron or generated_base(fact.owner_name) or fact.owner_name
    return WorkflowKey(fact.namespace, "CronJob" if cron else "Job", base)


ENGINE = Engine(
    traits=JOB,
    defining=("CronJob", "Job"),
    define=lambda raw, resolve, namespace: define(raw),
    place=place,
    settle=settle,
    run_kinds=(
        RunKind(
            RUN,
            ended=ended_by(OUTCOMES),
            workflow_of=workflow_of,
            read=read_run,
            children=PODS,
            child_selector=_pods_of,
            pod_labels=(("template", "metadata", "labels"),),
            values=of_pods(pod_templates),
        ),
    ),
    owner_kinds=("Job",),
    pod_labels=(INDEX_LABEL,),
    infer=_infer,
    inferred_steps=(StepSpec(STEP),),
    chart=ChartSwitch("cronJobs", ("CronJobs", "Jobs")),
    page=("Jobs", "jobs.md"),
)
