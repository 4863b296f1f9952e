"""Placing pods of Jobs, whoever made the Job: a person, a CronJob or a JobSet; and how Jobs ended by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from concertmaster.core.model import (
    Engine,
    JobFact,
    Outcome,
    PodFact,
    RunRecord,
    Source,
    StepExecution,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines.common.names import scheduled_base
from concertmaster.engines.common.placing import Context, Placed, Placement, Rejected, by_namespace
from concertmaster.engines.jobs import definition as job
from concertmaster.engines.jobset import definition as jobset

_TOLD = frozenset({Outcome.SUCCEEDED, Outcome.FAILED})
Executions = Mapping[WorkflowKey, Mapping[str, Sequence[StepExecution]]]


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


def job_ends(
    jobs: Iterable[JobFact], definitions: Iterable[WorkflowDefinition], executions: Executions
) -> list[RunRecord]:
    """Ends of Jobs, as records without steps, where the pods in ``executions`` do not tell them.

    A Job that runs into its deadline deletes its pods, and one that was not allowed a pod never had any: the pods are
    then unfinished or absent, the Job itself says that it failed. Such a record is about the run of its name that began
    when the Job did; Jobs carry no uid in the metrics.
    """
    known = {d.key for d in definitions if d.engine is Engine.JOB and d.key.kind != "JobSet"}
    places = {(k.namespace, run): k for k in known for run in executions.get(k, {})}
    found = []
    for fact in jobs:
        if fact.succeeded is None:
            continue
        key = places.get((fact.namespace, fact.name)) or _maker(fact, known)
        if key is None:
            continue
        rows = executions.get(key, {}).get(fact.name, ())
        if fact.succeeded and all(e.outcome in _TOLD for e in rows):
            continue
        outcome = Outcome.SUCCEEDED if fact.succeeded else Outcome.FAILED
        found.append(RunRecord(key, fact.name, fact.started, fact.finished, outcome, Source.HISTORY, ()))
    return found


def _maker(fact: JobFact, known: set[WorkflowKey]) -> WorkflowKey | None:
    """The observed CronJob that made a Job none of whose pods was seen, or the Job where it is observed itself."""
    if fact.owner_name is not None:
        kind, name = fact.owner_kind or "", fact.owner_name
    else:
        kind, name = "CronJob", scheduled_base(fact.name) or ""
    key = WorkflowKey(fact.namespace, kind, name)
    alone = WorkflowKey(fact.namespace, "Job", fact.name)
    return key if key in known and kind == "CronJob" else alone if alone in known else None
