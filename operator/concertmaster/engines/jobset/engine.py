"""JobSets, as registered."""

from __future__ import annotations

from concertmaster.core.model import PodFact, WorkflowKey
from concertmaster.engines.base import PODS, ChartSwitch, Engine, RunKind
from concertmaster.engines.common.names import generated_base
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.inputs import of_pods
from concertmaster.engines.jobs.pods import INDEX_LABEL, settle
from concertmaster.engines.jobset.definition import define
from concertmaster.engines.jobset.live import OUTCOMES, pod_templates, read_run
from concertmaster.engines.jobset.pods import LABELS, place, set_of
from concertmaster.engines.jobset.traits import JOBSET, RUN
from concertmaster.engines.live import ended_by

_SET = LABELS[0]


def _infer(fact: PodFact) -> WorkflowKey | None:
    name = label_value(fact.labels, _SET) if fact.owner_kind == "Job" else None
    return WorkflowKey(fact.namespace, "JobSet", generated_base(name) or name) if name is not None else None


ENGINE = Engine(
    traits=JOBSET,
    defining=("JobSet",),
    define=lambda raw, resolve, namespace: define(raw),
    place=place,
    settle=settle,
    run_kinds=(
        RunKind(
            RUN,
            ended=ended_by(OUTCOMES),
            read=read_run,
            children=PODS,
            child_selector=lambda obj: f"{_SET}={obj.name}",
            parts=("Job",),
            pod_labels=(("replicatedJobs", "*", "template", "spec", "template", "metadata", "labels"),),
            values=of_pods(pod_templates),
        ),
    ),
    owner_kinds=("Job",),
    selects=lambda fact, definitions, context: set_of(fact, context) is not None,
    pod_labels=(INDEX_LABEL, *LABELS),
    infer=_infer,
    chart=ChartSwitch("cronJobs", ("JobSets",)),
    page=("Jobs", "jobs.md"),
)
