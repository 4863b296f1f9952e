"""JobSets, their replicated Jobs and attempts derived from the pods of their Jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from concertmaster.core.model import ITEM_JOIN, PodFact, StepExecution, StepSpec, WorkflowDefinition
from concertmaster.core.model.amounts import digits
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.runs import possible, workflow_of_run
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.jobs.pods import index_of

LABELS = tuple(
    f"jobset.sigs.k8s.io/{name}" for name in ("jobset-name", "replicatedjob-name", "job-index", "restart-attempt")
)
"""Pod labels with set, step, replica and attempt."""
_SET, _JOB, _INDEX, _ATTEMPT = LABELS


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods of Jobs that belong to a JobSet."""
    for fact in facts:
        name = set_of(fact, context) or ""
        definition = workflow_of_run("JobSet", name, fact, candidates, context)
        if definition is None:
            near = possible("JobSet", name, fact, candidates)
            yield UnassignedPod(fact, "its Job belongs to a JobSet that is not observed", near=near)
        else:
            yield AssignedPod(definition.key, name, set_execution(fact, name, definition))


def set_of(fact: PodFact, context: Context) -> str | None:
    """Name of the JobSet that the pod of a Job belongs to; None if there is none."""
    if fact.owner_kind != "Job":
        return None
    owner = context.job_owners.get((fact.namespace, fact.owner_name or ""))
    owned = owner[1] if owner is not None and owner[0] == "JobSet" else None
    return label_value(fact.labels, _SET) or owned


def set_execution(fact: PodFact, name: str, definition: WorkflowDefinition) -> StepExecution:
    """One pod of a JobSet: its replicated Job is the step; Job index and completion index are the item.

    Restarts of the set are attempts of all its steps; only a label shows them.
    """
    step, replica = label_value(fact.labels, _JOB), label_value(fact.labels, _INDEX)
    match = re.fullmatch(rf"{re.escape(name)}-(.+)-(\d+)", fact.owner_name or "")
    if match is not None:
        step, replica = step or match.group(1), replica or match.group(2)
    step = step or fact.owner_name or name
    spec = definition.graph.step(step) or StepSpec(step, indexed=True)
    parts = [p for p in (replica, index_of(fact, spec)) if p is not None]
    restarts = label_value(fact.labels, _ATTEMPT) or "0"
    attempt = digits(restarts) or 0
    return execution(fact, step, ITEM_JOIN.join(parts) or None, attempt, beside=spec.sidecars, daemon=spec.daemon)
