"""RayJobs, as registered."""

from __future__ import annotations

from concertmaster.core.model import PodFact, WorkflowKey
from concertmaster.engines.base import ChartSwitch, Engine
from concertmaster.engines.common.names import generated_base
from concertmaster.engines.jobs.pods import settle
from concertmaster.engines.rayjob.definition import define
from concertmaster.engines.rayjob.live import RUNS
from concertmaster.engines.rayjob.pods import LABELS, origin, place, submits
from concertmaster.engines.rayjob.traits import RAYJOB


def _infer(fact: PodFact) -> WorkflowKey | None:
    name = origin(fact) if fact.owner_kind == "RayCluster" else None
    return WorkflowKey(fact.namespace, "RayJob", generated_base(name) or name) if name is not None else None


ENGINE = Engine(
    traits=RAYJOB,
    defining=("RayJob",),
    define=lambda raw, resolve, namespace: define(raw),
    place=place,
    settle=settle,
    run_kinds=(RUNS,),
    owner_kinds=("RayCluster",),
    selects=lambda fact, definitions, context: submits(fact, context),
    pod_labels=LABELS,
    infer=_infer,
    chart=ChartSwitch("rayJobs", ("RayJobs",)),
    page=("RayJobs", "rayjob.md"),
)
