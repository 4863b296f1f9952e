"""Job and CronJob: one step of so many completions, run so many at a time.

``kube_job_*`` series carry no uid, so runs are put together from pods: the owner's name is the run, and what remains of
it without the time a CronJob appends is the workflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import (
    Engine,
    PodFact,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.manifest import (
    Problems,
    fingerprint,
    flag,
    managed_by,
    mapping,
    pod_containers,
    seconds,
    text,
    whole,
)
from concertmaster.engines.common.names import belongs_to, generated_base, scheduled_base
from concertmaster.engines.common.ordering import pair_retries
from concertmaster.engines.common.placing import Context, Placed, Placement, Rejected, by_namespace
from concertmaster.engines.common.selectors import label_value, matches

STEP = "job"
_INDEX = re.compile(r"-(\d+)-[a-z0-9]{5}$")
_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_JOB_DECLARED = ("backoffLimit", "backoffLimitPerIndex", "activeDeadlineSeconds", "parallelism", "completions")
_DECLARED = frozenset({"concurrencyPolicy", "startingDeadlineSeconds", "ttlSecondsAfterFinished", "schedule"})
_IMMATERIAL = frozenset({"suspend", "ttlSecondsAfterFinished", "selector", "manualSelector"})


def define(raw: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition a CronJob or Job declares. Never raises for what the object contains."""
    problems = Problems()
    meta = mapping(raw.get("metadata"), "metadata", problems)
    outer = mapping(raw.get("spec"), "spec", problems)
    kind = str(raw.get("kind") or "Job")
    name = text(meta.get("name"), "metadata.name", problems) or ""
    cron = kind == "CronJob"
    at = "/spec/jobTemplate/spec" if cron else "/spec"
    template = mapping(outer.get("jobTemplate"), "spec.jobTemplate", problems)
    spec = mapping(template.get("spec"), "spec.jobTemplate.spec", problems) if cron else outer
    labels = {k: str(v) for k, v in mapping(meta.get("labels"), "metadata.labels", problems).items()}
    return WorkflowDefinition(
        key=WorkflowKey(text(meta.get("namespace"), "metadata.namespace", problems) or "default", kind, name),
        engine=Engine.JOB,
        graph=WorkflowGraph(
            steps=(job_step(spec, problems, at=at, patchable=cron),),
            parallelism=whole(spec.get("parallelism"), "parallelism", problems) or 1,
            parallelism_pointer=f"{at}/parallelism",
            problems=problems.all(),
        ),
        fingerprint=fingerprint([{k: v for k, v in spec.items() if k not in _IMMATERIAL}]),
        labels=labels,
        schedule=text(outer.get("schedule"), "spec.schedule", problems) if cron else None,
        schedule_time_zone=text(outer.get("timeZone"), "spec.timeZone", problems) if cron else None,
        suspended=flag(outer.get("suspend")),
        managed_by=managed_by(meta),
        run_prefixes=(name,) if name else (),
        pointer=at,
        declared={k: v for k, v in {**spec, **outer}.items() if k in _DECLARED and v is not None},
    )


def job_step(spec: Mapping[str, Any], problems: Problems, *, at: str, patchable: bool, name: str = STEP,
             depends_on: tuple[str, ...] = ()) -> StepSpec:  # fmt: skip
    """The one step of a Job spec. A Job's pod template is immutable: only a CronJob's (``patchable``) has pointers."""
    template = mapping(spec.get("template"), "template", problems)
    pod = mapping(template.get("spec"), "template.spec", problems)
    parallelism = whole(spec.get("parallelism"), "parallelism", problems)
    completions = whole(spec.get("completions"), "completions", problems)
    width = completions if completions is not None else (1 if parallelism in (None, 1) else None)
    per_index = whole(spec.get("backoffLimitPerIndex"), "backoffLimitPerIndex", problems)
    limit = per_index if per_index is not None else whole(spec.get("backoffLimit"), "backoffLimit", problems)
    deadline = seconds(spec.get("activeDeadlineSeconds"), "activeDeadlineSeconds", problems)
    fan_out = width != 1
    return StepSpec(
        name=name,
        depends_on=depends_on,
        fan_out=fan_out,
        width=width if fan_out else None,
        parallelism=(parallelism if parallelism is not None else 1) if fan_out else None,
        containers=pod_containers(pod, "template.spec", problems, at=f"{at}/template/spec" if patchable else None),
        has_timeout=deadline is not None,
        timeout_seconds=deadline,
        retry_limit=6 if limit is None else limit,  # Kubernetes' default
        memoized=False,
        indexed=spec.get("completionMode") == "Indexed",
        pointer=at if patchable else None,
        declared={k: spec[k] for k in _JOB_DECLARED if spec.get(k) is not None},
    )


def place(facts: Sequence[PodFact], definitions: Sequence[WorkflowDefinition], context: Context) -> Iterator[Placement]:
    """Place pods owned by Jobs: by the Job's owner where known, else by the name a CronJob gives its Jobs."""
    candidates = by_namespace(definitions)
    for fact in facts:
        if not fact.owner_name:
            yield Rejected(fact, "pod of a Job whose name is unknown", Engine.JOB)
            continue
        definition, reason = _owner(fact, fact.owner_name, candidates.get(fact.namespace, []), context)
        if definition is None:
            yield Rejected(fact, reason)
        else:
            yield Placed(definition.key, fact.owner_name, job_execution(fact, definition.graph.steps))


def job_execution(fact: PodFact, steps: Sequence[StepSpec], name: str = STEP) -> StepExecution:
    """One pod of a Job as an execution; the completion index comes from its label, else from its name."""
    step = next((s for s in steps if s.name == name), steps[0] if steps else StepSpec(name))
    sidecars = {c.name for c in step.containers if c.sidecar}
    return execution(fact, step.name, index_of(fact, step) if step.fan_out or step.indexed else None, beside=sidecars)


def index_of(fact: PodFact, step: StepSpec | None) -> str | None:
    """Completion index of a pod, from its label, else (for an Indexed Job) from its name."""
    index = label_value(fact.labels, _INDEX_LABEL)
    if index is None and step is not None and step.indexed:
        found = _INDEX.search(fact.pod)
        index = found.group(1) if found else None
    return index


def _owner(
    fact: PodFact, job: str, candidates: Sequence[WorkflowDefinition], context: Context
) -> tuple[WorkflowDefinition | None, str]:
    owner = context.job_owners.get((fact.namespace, job))
    if owner is not None:
        found = next((d for d in candidates if (d.key.kind, d.key.name) == owner), None)
        if found is not None or owner[0] == "CronJob":
            return found, f"its Job belongs to a {owner[0]} that is not observed"
    exact = next((d for d in candidates if d.key.kind == "Job" and d.key.name == job), None)
    if exact is not None:
        return exact, ""
    base = scheduled_base(job)
    found = next((d for d in candidates if d.key.kind == "CronJob" and d.key.name == base), None)
    if found is not None:
        return found, ""
    picked = [d for d in candidates if d.key.kind != "CronJob" and _selected(fact, job, d)]
    if picked:
        return max(picked, key=lambda d: len(belongs_to(job, d.run_prefixes) or "")), ""
    return None, "no observed CronJob or Job has the name its Job was made from"


def _selected(fact: PodFact, job: str, definition: WorkflowDefinition) -> bool:
    """Whether a Job belongs to runs picked by name and labels (a runSelector, or inferred from facts)."""
    if definition.key.kind == "Job" and not definition.graph.inferred:
        return generated_base(job) == definition.key.name
    if not definition.graph.inferred or (not definition.run_prefixes and not definition.run_selector):
        return False
    if definition.run_kind not in (None, "Job"):
        return False
    named = not definition.run_prefixes or belongs_to(job, definition.run_prefixes) is not None
    return named and matches(definition.run_selector, fact.labels)


def settle(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    """Number items and attempts of one run: a pod created after a failed one of the same index is its next attempt.

    Pods that carry numbers already, as those of a restarted JobSet do, keep their order.
    """
    out: list[StepExecution] = []
    groups: dict[tuple[str, str | None], dict[int, list[StepExecution]]] = {}
    for e in executions:
        groups.setdefault((e.step, e.item), {}).setdefault(e.attempt, []).append(e)
    for (_, item), numbered in groups.items():
        before = 0
        for _, rows in sorted(numbered.items()):
            paired = pair_retries(rows, item)
            out += [replace(e, attempt=before + e.attempt) for e in paired]
            before += 1 + max(e.attempt for e in paired)
    return out
