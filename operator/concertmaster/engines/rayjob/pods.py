"""RayJob runs and steps derived from pods of RayClusters and of the submitting Jobs.

The name of a RayCluster created for a RayJob is that of the RayJob with five generated characters, and that of the
RayCluster is all that its pods say of where they come from: KubeRay labels the RayCluster with its RayJob, not the pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from concertmaster.core.model import PodFact, StepExecution, StepSpec
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.names import generated_base
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.runs import possible, workflow_of_run
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.rayjob.traits import HEAD, SUBMITTER

GROUP, CLUSTER, SERVES = "ray.io/group", "ray.io/cluster", "ray.io/serve"
"""Labels of all pods of a RayCluster, and the one that only those of a RayService have."""
UNDECLARED = (StepSpec(HEAD, daemon=True, conditional=True), StepSpec(SUBMITTER, creates=True, conditional=True))
"""What is known of steps that no RayJob declares: the head runs beside the workers, and the submitter waits for them."""
_HEAD_GROUP = "headgroup"
_POD = re.compile(r"-(head|(?P<group>.+)-worker)-[a-z0-9]+$")


def submits(fact: PodFact, context: Context) -> bool:
    """Whether a pod is the submitter of a RayJob: its Job is owned by one."""
    owner = context.job_owners.get((fact.namespace, fact.owner_name or ""))
    return fact.owner_kind == "Job" and owner is not None and owner[0] == "RayJob"


def run_of(cluster: str | None, fact: PodFact) -> str | None:
    """Name of the RayJob that the RayCluster of a pod was created for, by the name of the cluster; None if it was not
    created for one."""
    base = generated_base(cluster or "") if label_value(fact.labels, SERVES) is None else None
    return base.removesuffix("-raycluster") if base is not None else None  # which KubeRay inserted before 1.4


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods of RayClusters and submitters."""
    for fact in facts:
        submitter = submits(fact, context)
        run = fact.owner_name if submitter else run_of(fact.owner_name, fact)
        definition = workflow_of_run("RayJob", run, fact, candidates, context) if run else None
        if definition is None or not run:
            near = possible("RayJob", run, fact, candidates) if run else ()
            yield UnassignedPod(fact, "its RayCluster belongs to no observed RayJob", near=near)
            continue
        step = SUBMITTER if submitter else _group(fact)
        spec = definition.graph.step(step) or StepSpec(step)
        yield AssignedPod(definition.key, run, execution(fact, step, beside=spec.sidecars))


def cluster_of(execution: StepExecution) -> str:
    """What distinguishes the pods of a step by their RayCluster: their name up to the generated characters. A retried RayJob
    has a new RayCluster for each try, whose pods are created while those of the one before may still be terminating."""
    return (execution.pod or "").rpartition("-")[0]


def group_of(label: str) -> str:
    """Name of the group that a pod's label tells; empty if there is none."""
    return HEAD if label == _HEAD_GROUP else label


def _group(fact: PodFact) -> str:
    """Name of the group, which is the step: from its label, else from the part of the pod's name after the
    cluster's."""
    labelled = label_value(fact.labels, GROUP)
    if labelled is not None:
        return group_of(labelled)
    match = _POD.fullmatch(fact.pod.removeprefix(fact.owner_name or ""))
    return HEAD if match is None else match["group"] or HEAD
