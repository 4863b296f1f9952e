"""Run records from live JobSets and their pods.

A restart deletes and recreates all Jobs, so that only the metrics know earlier attempts: the record of a restarted set
is never complete. The Jobs themselves are not read: their pods contain everything but the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import Outcome, StepExecution, StepSpec, WorkflowDefinition, WorkflowKey
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text, timestamp, whole
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.common.pods import read_pod
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.jobs.pods import settle
from concertmaster.engines.jobset.definition import count_replicas, define, dependencies
from concertmaster.engines.jobset.pods import set_execution
from concertmaster.engines.live import LiveRun, end_of, live_run

_UID = "jobset.sigs.k8s.io/jobset-uid"
OUTCOMES = {"Completed": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}


def read_run(
    raw: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    key: WorkflowKey,
    definition: WorkflowDefinition | None = None,
) -> LiveRun:
    """The run record of a JobSet with those of its pods that still exist. Never raises, whatever they contain."""
    obj = KubeObject.of(raw)
    problems = obj.problems
    declared = define(raw)
    specs = {s.name: s for s in declared.graph.steps}
    own = [p for p in pods if _is_of(p, obj)]
    steps = settle([_execution(p, obj.name, declared, problems) for p in own], declared)
    begun = timestamp(obj.meta.get("creationTimestamp"))
    waits = dependencies(obj.spec, Problems())
    reached = {True: _latest((e.step, e.started) for e in steps), False: _latest((e.step, e.finished) for e in steps)}
    since = {
        name: max(
            (t for t in (begun, *(reached[ready].get(other) for other, ready in row.items())) if t is not None),
            default=None,
        )
        for name, row in waits.items()
    }
    steps = [_linked(e, specs, since) for e in steps]
    end = end_of(obj, OUTCOMES)
    restarts = _restarts(obj.status, problems)
    if restarts:
        problems.add(
            f"JobSet {obj.name} was restarted (restarts: {restarts}): earlier attempts are only known from the metrics"
        )
    lost = _lost(obj, waits, steps)
    if lost and not restarts:
        problems.add(f"pods of JobSet {obj.name} are gone ({', '.join(lost)}): they are only known from the metrics")
    complete = bool(steps) and not restarts and not lost
    return replace(live_run(obj, key, steps, end, complete=complete), started=begun)


def _restarts(status: Mapping[str, Any], problems: Problems) -> int:
    """How often the set, or one of its Jobs alone (action RestartJob), was created anew."""
    whole_set = whole(status.get("restarts"), "status.restarts", problems) or 0
    of_jobs = 0
    for raw in sequence(status.get("replicatedJobsStatus"), "replicatedJobsStatus", problems):
        row = mapping(raw, "replicatedJobsStatus[]", problems)
        counts = sequence(row.get("jobRestarts"), "jobRestarts", problems)
        of_jobs += sum(whole(count, "jobRestarts[]", problems) or 0 for count in counts)
    return whole_set + of_jobs


def pod_templates(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The pod templates of a JobSet."""
    obj = KubeObject.of(raw)
    for row in sequence(obj.spec.get("replicatedJobs"), "spec.replicatedJobs", obj.problems):
        job = mapping(mapping(row, "replicatedJobs[]", obj.problems).get("template"), "template", obj.problems)
        yield mapping(mapping(job.get("spec"), "spec", obj.problems).get("template"), "template", obj.problems)


def _is_of(pod: Mapping[str, Any], obj: KubeObject) -> bool:
    """Whether a pod belongs to this set, not to an earlier one of the same name that is still being deleted."""
    meta = mapping(pod.get("metadata"), "metadata", obj.problems)
    uid = label_value(mapping(meta.get("labels"), "metadata.labels", obj.problems), _UID)
    return uid in (None, obj.meta.get("uid"))


def _execution(raw: Mapping[str, Any], name: str, declared: WorkflowDefinition, problems: Problems) -> StepExecution:
    fact, code = read_pod(raw, problems)
    return replace(set_execution(fact, name, declared), exit_code=code)


def _latest(times: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """The latest known time of each step."""
    latest: dict[str, float] = {}
    for step, at in times:
        if at is not None:
            latest[step] = max(at, latest.get(step, at))
    return latest


def _linked(e: StepExecution, specs: Mapping[str, StepSpec], since: Mapping[str, float | None]) -> StepExecution:
    """The execution with its dependencies: the steps it depends on, or its previous attempt. ``since``: unix seconds at
    which all that a step waits for had reached the required state."""
    if e.attempt:
        return replace(e, after=(e.step,))
    return replace(e, after=specs[e.step].depends_on if e.step in specs else (), ready=since.get(e.step))


def _by_step(steps: Sequence[StepExecution]) -> dict[str, list[StepExecution]]:
    out: dict[str, list[StepExecution]] = {}
    for e in steps:
        out.setdefault(e.step, []).append(e)
    return out


def _lost(obj: KubeObject, waits: Mapping[str, Mapping[str, bool]], steps: Sequence[StepExecution]) -> list[str]:
    """Steps with missing pods: deleted earlier, or still running when the end of the set deleted them."""
    problems = obj.problems
    jobs = {}
    for raw in sequence(obj.status.get("replicatedJobsStatus"), "replicatedJobsStatus", problems):
        row = mapping(raw, "replicatedJobsStatus[]", problems)
        name = text(row.get("name"), "replicatedJobsStatus[].name", problems) or ""
        jobs[name] = tuple(whole(row.get(k), k, problems) or 0 for k in ("succeeded", "failed"))
    replicas = count_replicas(obj.spec, problems)
    by_step = _by_step(steps)
    started = {name for name, rows in by_step.items() if any(e.started is not None for e in rows)}

    def begun(name: str) -> bool:
        """Whether its Jobs were created: each dependency has reached the required state, ready or complete."""
        return all(
            other in started if ready else jobs.get(other, (0, 0))[0] >= replicas.get(other, 1)
            for other, ready in waits[name].items()
        )

    lost = []
    for name in waits:
        succeeded, failed = jobs.get(name, (0, 0))
        mine = by_step.get(name, [])
        good = sum(e.outcome is Outcome.SUCCEEDED for e in mine)
        running = succeeded + failed < replicas.get(name, 1) and begun(name)
        if running or good < succeeded or len(mine) < succeeded + failed:
            lost.append(name)
    return lost
