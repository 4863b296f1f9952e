"""RayJob runs and steps derived from pods of RayClusters and of the submitting Jobs.

The name of a RayCluster created for a RayJob is that of the RayJob with five generated characters. Labels identify
RayJob and group of a pod directly, if they are exported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from concertmaster.core.model import PodFact, StepSpec
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.names import generated_base
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.runs import possible, workflow_of_run
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.rayjob.traits import HEAD, SUBMITTER

LABELS = _GROUP, _ORIGIN_NAME, _ORIGIN_KIND = tuple(
    f"ray.io/{name}" for name in ("group", "originated-from-cr-name", "originated-from-crd")
)
_HEAD_GROUP = "headgroup"
_POD = re.compile(r"-(head|(?P<group>.+)-worker)-[a-z0-9]+$")


def submits(fact: PodFact, context: Context) -> bool:
    """Whether a pod is the submitter of a RayJob: its Job is owned by one."""
    owner = context.job_owners.get((fact.namespace, fact.owner_name or ""))
    return fact.owner_kind == "Job" and owner is not None and owner[0] == "RayJob"


def origin(fact: PodFact) -> str | None:
    """Name of the RayJob in a pod's labels; None if there is none."""
    return label_value(fact.labels, _ORIGIN_NAME) if label_value(fact.labels, _ORIGIN_KIND) == "RayJob" else None


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods of RayClusters and submitters."""
    for fact in facts:
        submitter = submits(fact, context)
        run = (fact.owner_name or "") if submitter else _run_of_cluster(fact)
        definition = workflow_of_run("RayJob", run, fact, candidates, context)
        if definition is None or not run:
            near = possible("RayJob", run, fact, candidates) if run else ()
            yield UnassignedPod(fact, "its RayCluster belongs to no observed RayJob", near=near)
            continue
        step = SUBMITTER if submitter else _group(fact)
        spec = definition.graph.step(step) or StepSpec(step)
        yield AssignedPod(definition.key, run, execution(fact, step, beside=spec.sidecars))


def _run_of_cluster(fact: PodFact) -> str:
    kind = label_value(fact.labels, _ORIGIN_KIND)
    if kind is not None:
        return origin(fact) or ""
    return (generated_base(fact.owner_name or "") or "").removesuffix("-raycluster")


def group_of(label: str) -> str:
    """Name of the group that a pod's label tells; empty if there is none."""
    return HEAD if label == _HEAD_GROUP else label


def _group(fact: PodFact) -> str:
    """Name of the group, which is the step: from its label, else from the part of the pod's name after the
    cluster's."""
    labelled = label_value(fact.labels, _GROUP)
    if labelled is not None:
        return group_of(labelled)
    match = _POD.fullmatch(fact.pod.removeprefix(fact.owner_name or ""))
    return HEAD if match is None else match["group"] or HEAD
