"""Placing pods of Jobs, whoever made the Job: a person, a CronJob or a JobSet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from concertmaster.core.model import PodFact, WorkflowDefinition
from concertmaster.engines import job, jobset
from concertmaster.engines.placing import Context, Placed, Placement, Rejected, by_namespace


def place(facts: Sequence[PodFact], definitions: Sequence[WorkflowDefinition], context: Context) -> Iterator[Placement]:
    """Place pods owned by Jobs."""
    candidates = by_namespace(definitions)
    alone: list[PodFact] = []
    for fact in facts:
        owner = context.job_owners.get((fact.namespace, fact.owner_name or ""))
        name = jobset.set_of(fact, owner)
        if name is None:
            alone.append(fact)
            continue
        definition = jobset.choose(fact, name, candidates.get(fact.namespace, []))
        if definition is None:
            yield Rejected(fact, "its Job belongs to a JobSet that is not observed")
        else:
            yield Placed(definition.key, name, jobset.set_execution(fact, name, definition))
    yield from job.place(alone, [d for d in definitions if d.key.kind != "JobSet"], context)
