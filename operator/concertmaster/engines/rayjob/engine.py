"""RayJobs, as registered."""

from __future__ import annotations

from concertmaster.core.model import PodFact, WorkflowKey
from concertmaster.engines.base import ChartSwitch, Engine
from concertmaster.engines.common.names import generated_base
from concertmaster.engines.common.ordering import settle
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.rayjob.definition import define
from concertmaster.engines.rayjob.live import RUNS
from concertmaster.engines.rayjob.pods import GROUP, SERVES, UNDECLARED, cluster_of, place, run_of, submits
from concertmaster.engines.rayjob.traits import RAYJOB


def _infer(fact: PodFact) -> WorkflowKey | None:
    """Of a RayCluster whose pods say that they are of no RayService: where no labels are exported, none say it."""
    known = fact.owner_kind == "RayCluster" and label_value(fact.labels, GROUP) is not None
    name = run_of(fact.owner_name, fact) if known else None
    return WorkflowKey(fact.namespace, "RayJob", generated_base(name) or name) if name is not None else None


ENGINE = Engine(
    traits=RAYJOB,
    defining=("RayJob",),
    define=lambda raw, resolve, namespace: define(raw),
    place=place,
    settle=lambda executions, definition: settle(executions, definition, cluster_of),
    run_kinds=(RUNS,),
    owner_kinds=("RayCluster",),
    selects=lambda fact, definitions, context: submits(fact, context),
    pod_labels=(GROUP, SERVES),
    infer=_infer,
    inferred_steps=UNDECLARED,
    chart=ChartSwitch("rayJobs", ("RayJobs",)),
    page=("RayJobs", "rayjob.md"),
)
