"""JobSet: several Jobs, each with a number of replicas, started together or in order.

A JobSet object is a run. Several of them form one workflow by a common name prefix (a runSelector) or by the name they
were generated from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from concertmaster.core.model import StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.engines.common.bounds import MAX_STEPS
from concertmaster.engines.common.manifest import (
    Problems,
    fingerprint,
    flag,
    mapping,
    sequence,
    text,
    whole,
)
from concertmaster.engines.common.objects import KubeObject, Named, named
from concertmaster.engines.common.ordering import ordered_steps
from concertmaster.engines.jobs.definition import job_step
from concertmaster.engines.jobset.traits import JOBSET

_CONDITIONS = ("onJobFailureReasons", "onJobFailureMessagePatterns")  # of a rule of the failure policy


def define(raw: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition that a JobSet declares: one step per replicated Job. Never raises, whatever the object
    contains."""
    obj = KubeObject.of(raw)
    spec, problems = obj.spec, obj.problems
    return WorkflowDefinition(
        key=obj.key("JobSet"),
        engine=JOBSET,
        graph=WorkflowGraph(steps=_steps(spec, problems), problems=problems.all()),
        fingerprint=fingerprint([{k: v for k, v in spec.items() if k not in ("suspend", "ttlSecondsAfterFinished")}]),
        labels=obj.labels,
        suspended=flag(spec.get("suspend")),
        run_prefixes=obj.prefixes,
        declared={k: spec[k] for k in JOBSET.clean_up_fields if spec.get(k) is not None} | obj.queue,
    )


def _steps(spec: Mapping[str, Any], problems: Problems) -> tuple[StepSpec, ...]:
    """Replicated Jobs in topological order. One that others await Ready serves them, and its end means nothing, unless
    the set only succeeds with it: then its end is awaited by the set, and by no other Job. Nor does the end of one mean
    anything that the success policy does not name, unless another awaits it."""
    waits = dependencies(spec, problems)
    targets, needed = _needed(spec, waits, problems)
    awaited = {other for row in waits.values() for other, ready in row.items() if not ready}
    served = {other for row in waits.values() for other, ready in row.items() if ready} - needed
    served |= set(waits) - targets - awaited
    policy = mapping(spec.get("failurePolicy"), "spec.failurePolicy", problems)
    counts = count_replicas(spec, problems)
    steps: dict[str, StepSpec] = {}
    for name, i, where, row in _replicated(spec, problems):
        if len(steps) >= MAX_STEPS:
            problems.add(f"spec.replicatedJobs has more than {MAX_STEPS:,} entries: the rest is left out")
            break
        template = mapping(row.get("template"), f"{where}.template", problems)
        job = mapping(template.get("spec"), f"{where}.template.spec", problems)
        at = f"/spec/replicatedJobs/{i}/template/spec"
        after = tuple(other for other, ready in waits[name].items() if not (ready and other in needed))
        step = job_step(job, problems, at=at, patchable=False, name=name, depends_on=after)
        count = counts[name]
        inner = step.width if step.fan_out else 1
        width = None if inner is None else inner * count
        restarts = _restarts(policy, name, problems)
        steps[name] = replace(
            step,
            fan_out=step.fan_out or count != 1,
            width=width if step.fan_out or count != 1 else None,
            parallelism=step.parallelism * count if step.parallelism is not None else None,  # of each of its Jobs
            daemon=name in served,
            # A Job that has used up its own retries fails the set, which then creates it anew as often as it may restart.
            retry_limit=None if restarts is None else ((step.retry_limit or 0) + 1) * (restarts + 1) - 1,
        )
    return ordered_steps(steps, problems)


def _restarts(policy: Mapping[str, Any], name: str, problems: Problems) -> int | None:
    """How often the set may be created anew because the replicated Job ``name`` failed: by the first rule of the failure
    policy that applies to the failure, else by ``maxRestarts``. None where a rule restarts it without counting, for example
    when a node is drained. Which failures a rule with reasons or messages applies to is only known at run time: the most
    that any of them allows counts."""
    where = "spec.failurePolicy.rules"
    most = max(0, whole(policy.get("maxRestarts"), "spec.failurePolicy.maxRestarts", problems) or 0)
    allowed = 0
    for raw in sequence(policy.get("rules"), where, problems):
        rule = mapping(raw, f"{where}[]", problems)
        targets = sequence(rule.get("targetReplicatedJobs"), f"{where}[].targetReplicatedJobs", problems)
        if targets and name not in targets:
            continue
        if str(rule.get("action")).endswith("IgnoreMaxRestarts"):
            return None
        allowed = max(allowed, 0 if rule.get("action") == "FailJobSet" else most)
        if not any(rule.get(key) for key in _CONDITIONS):
            return allowed
    return most


def dependencies(spec: Mapping[str, Any], problems: Problems) -> dict[str, dict[str, bool]]:
    """The replicated Jobs that each waits for; the value is True if it only waits until they are ready."""
    policy = mapping(spec.get("startupPolicy"), "spec.startupPolicy", problems)
    in_order = policy.get("startupPolicyOrder") == "InOrder"
    waits: dict[str, dict[str, bool]] = {}
    before: str | None = None
    for name, _, where, row in _replicated(spec, problems):
        own = {before: True} if in_order and before is not None else {}
        for raw_dependency in sequence(row.get("dependsOn"), f"{where}.dependsOn", problems):
            dependency = mapping(raw_dependency, f"{where}.dependsOn", problems)
            other = text(dependency.get("name"), f"{where}.dependsOn.name", problems)
            if other is not None:
                own[other] = dependency.get("status") == "Ready"
        waits[name], before = own, name
    return waits


def _needed(spec: Mapping[str, Any], names: Iterable[str], problems: Problems) -> tuple[set[str], set[str]]:
    """The replicated Jobs with whose end the set may succeed, and those without whose end it does not."""
    policy = mapping(spec.get("successPolicy"), "spec.successPolicy", problems)
    named = sequence(policy.get("targetReplicatedJobs"), "spec.successPolicy.targetReplicatedJobs", problems)
    targets = {str(name) for name in named} or set(names)
    either = policy.get("operator") == "Any" and len(targets) > 1
    return targets, set() if either else targets


def count_replicas(spec: Mapping[str, Any], problems: Problems) -> dict[str, int]:
    """Number of Jobs of each step."""
    rows = _replicated(spec, problems)
    counts = {name: whole(row.get("replicas"), f"{where}.replicas", problems) for name, _, where, row in rows}
    return {name: 1 if count is None else count for name, count in counts.items()}


def _replicated(spec: Mapping[str, Any], problems: Problems) -> Iterator[Named]:
    return named(spec.get("replicatedJobs"), "spec.replicatedJobs", "replicated Jobs", problems)
