"""Jobs and completions derived from pods, and Jobs whose end no pod shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from concertmaster.core.attempts import last_attempts
from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import (
    JobFact,
    Outcome,
    PodFact,
    RunRecord,
    Source,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.names import generated_base, scheduled_base
from concertmaster.engines.common.ordering import pair_retries
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.runs import nearest, possible, selects_run
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.jobs.definition import STEP
from concertmaster.engines.jobs.traits import JOB

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_INDEX = re.compile(r"-(\d+)-[a-z0-9]{5}$")
_ENDED = frozenset({Outcome.SUCCEEDED, Outcome.FAILED})
ExecutionsOf = Mapping[WorkflowKey, Mapping[str, Sequence[StepExecution]]]


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods owned by Jobs: by the Job's owner if known, else by the names that a CronJob generates."""
    for fact in facts:
        if not fact.owner_name:
            yield UnassignedPod(fact, "pod of a Job whose name is unknown", JOB)
            continue
        definition, reason = _owner(fact, fact.owner_name, candidates, context)
        if definition is None:
            yield UnassignedPod(fact, reason, near=possible("Job", fact.owner_name, fact, candidates))
        else:
            yield AssignedPod(definition.key, fact.owner_name, job_execution(fact, definition.graph.steps))


def job_execution(fact: PodFact, steps: Sequence[StepSpec]) -> StepExecution:
    """One pod of a Job as an execution. The completion index comes from its label, else from its name."""
    step = next((s for s in steps if s.name == STEP), steps[0] if steps else StepSpec(STEP))
    indexed = step.fan_out or step.indexed or label_value(fact.labels, INDEX_LABEL) is not None
    return execution(fact, step.name, index_of(fact, step) if indexed else None, beside=step.sidecars)


def index_of(fact: PodFact, step: StepSpec | None) -> str | None:
    """Completion index of a pod from its label, else (for an Indexed Job) from its name; None if it has none."""
    index = label_value(fact.labels, INDEX_LABEL)
    if index is None and step is not None and step.indexed:
        match = _INDEX.search(fact.pod)
        index = match.group(1) if match else None
    return index


def _owner(fact: PodFact, job: str, candidates: Candidates, context: Context) -> tuple[WorkflowDefinition | None, str]:
    owner = context.job_owners.get((fact.namespace, job))
    if owner is not None:
        definition = candidates.named(*owner)
        if definition is not None or owner[0] == "CronJob":
            return definition, f"its Job belongs to a {owner[0]} that is not observed"
    exact = candidates.named("Job", job)
    if exact is not None:
        return exact, ""
    known = context.recognised.get((fact.namespace, job))
    base = scheduled_base(job)
    definition = candidates.known(known)
    if definition is not None and definition.graph.inferred:
        return definition, ""
    definition = candidates.named("CronJob", base)
    if definition is not None:
        return definition, ""
    alone = candidates.named("Job", generated_base(job))
    fitting = {
        d.key: d
        for d in (*candidates.inferred, alone)
        if d is not None and d.key.kind != "CronJob" and _selected(fact, job, d)
    }
    definition = nearest(job, sorted(fitting.values(), key=lambda d: (d.key.kind, d.key.name)))
    return definition, "no observed CronJob or Job has the name its Job was made from"


def _selected(fact: PodFact, job: str, definition: WorkflowDefinition) -> bool:
    """Whether a Job is a run of a workflow that selects runs by name and labels (a runSelector, or inferred from
    facts)."""
    if definition.key.kind == "Job" and not definition.graph.inferred:
        return generated_base(job) == definition.key.name
    return selects_run(definition, "Job", job, fact.labels)


def settle(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    """Number items and attempts of one run: a pod created after a failed one of the same index is its next attempt.

    Pods that are numbered already, such as those of a restarted JobSet, keep their order.
    """
    out: list[StepExecution] = []
    groups: dict[tuple[str, str | None], dict[int, list[StepExecution]]] = {}
    for e in executions:
        groups.setdefault((e.step, e.item), {}).setdefault(e.attempt, []).append(e)
    for (_, item), numbered in groups.items():
        before = 0
        for _, rows in sorted(numbered.items()):
            paired = pair_retries(rows, item)
            out += [fast_replace(e, attempt=before + e.attempt) for e in paired] if before else paired
            before += 1 + max(e.attempt for e in paired)
    return out


def job_ends(
    jobs: Iterable[JobFact], definitions: Iterable[WorkflowDefinition], executions: ExecutionsOf
) -> list[RunRecord]:
    """Ends of Jobs, as records without steps, where the pods in ``executions`` do not show them.

    A Job that exceeds its deadline deletes its pods, and one whose pods were all rejected never has any: the pods are
    then unfinished or absent, while the Job itself reports the failure. One with a success policy succeeds although pods
    failed. A Job that was suspended starts anew when it is resumed, which its pods do not show. Such a record is about the
    run of that name that was at work when the Job started; Jobs have no uid in the metrics.
    """
    known = {d.key for d in definitions if d.engine == JOB}
    places = {(k.namespace, run): k for k in known for run in executions.get(k, {})}
    records = []
    for fact in jobs:
        if fact.succeeded is None:
            continue
        key = places.get((fact.namespace, fact.name)) or _maker(fact, known)
        if key is None:
            continue
        rows = executions.get(key, {}).get(fact.name, ())
        resumed = fact.started is not None and any(e.finished is not None and e.finished < fact.started for e in rows)
        if fact.succeeded and not resumed and all(e.outcome in _ENDED for e in rows) and not _failed(rows):
            continue
        outcome = Outcome.SUCCEEDED if fact.succeeded else Outcome.FAILED
        records.append(RunRecord(key, fact.name, fact.started, fact.finished, outcome, Source.HISTORY, ()))
    return records


def _failed(rows: Sequence[StepExecution]) -> bool:
    """Whether the last attempt of an item failed."""
    if all(e.outcome is not Outcome.FAILED for e in rows):
        return False
    return any(e.outcome is Outcome.FAILED for e in last_attempts(settle(rows, None)))


def _maker(fact: JobFact, known: set[WorkflowKey]) -> WorkflowKey | None:
    """The observed CronJob that created a Job without known pods, or the Job if it is observed itself."""
    if fact.owner_name is not None:
        kind, name = fact.owner_kind or "", fact.owner_name
    else:
        kind, name = "CronJob", scheduled_base(fact.name) or ""
    key = WorkflowKey(fact.namespace, kind, name)
    alone = WorkflowKey(fact.namespace, "Job", fact.name)
    return key if key in known and kind == "CronJob" else alone if alone in known else None
