"""RayJob: a Ray cluster created for one run. Its steps are the head, the worker groups and the submitter.

KubeRay creates a RayCluster, waits until it is ready and then submits the entrypoint: with a Job (``K8sJobMode``, the
default), a sidecar of the head, an HTTP request, or manually. All pods of the cluster run in parallel until the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.model import StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.engines.common.manifest import (
    Problems,
    fingerprint,
    flag,
    mapping,
    pod_containers,
    seconds,
    text,
    whole,
)
from concertmaster.engines.common.objects import KubeObject, named
from concertmaster.engines.common.pod_level import pod_level
from concertmaster.engines.rayjob.traits import HEAD, RAYJOB, SUBMITTER

_IMMATERIAL = frozenset({"suspend", "ttlSecondsAfterFinished", "shutdownAfterJobFinishes", "deletionStrategy", "jobId"})


def define(raw: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition that a RayJob declares. Never raises, whatever the object contains."""
    obj = KubeObject.of(raw)
    spec, problems = obj.spec, obj.problems
    notes = ("It runs on a RayCluster that was there before, whose pods are not of its runs.",)
    return WorkflowDefinition(
        key=obj.key("RayJob"),
        engine=RAYJOB,
        graph=WorkflowGraph(steps=_steps(spec, problems), problems=problems.all()),
        fingerprint=fingerprint([{k: v for k, v in spec.items() if k not in _IMMATERIAL}]),
        labels=obj.labels,
        suspended=flag(spec.get("suspend")),
        notes=notes if spec.get("clusterSelector") else (),
        run_prefixes=obj.prefixes,
        declared={k: spec[k] for k in RAYJOB.clean_up_fields if spec.get(k)} | obj.queue,
    )


def _steps(spec: Mapping[str, Any], problems: Problems) -> tuple[StepSpec, ...]:
    cluster = mapping(spec.get("rayClusterSpec"), "spec.rayClusterSpec", problems)
    scaled = flag(cluster.get("enableInTreeAutoscaling"))
    retries = whole(spec.get("backoffLimit"), "spec.backoffLimit", problems) or 0
    submits = text(spec.get("submissionMode"), "spec.submissionMode", problems) in (None, "K8sJobMode")
    steps: list[StepSpec] = []
    groups = list(named(cluster.get("workerGroupSpecs"), "workerGroupSpecs", "groups", problems, key="groupName"))
    if cluster:
        beside = submits or bool(groups)  # alone, the head does the work
        steps.append(_step(HEAD, cluster.get("headGroupSpec"), "headGroupSpec", retries, problems, daemon=beside))
    for name, _, where, group in groups:
        width = None if scaled else _workers(group, where, problems)
        more = {"daemon": submits, "fan_out": width != 1, "width": None if width == 1 else width}
        steps.append(_step(name, group, where, retries, problems, depends_on=(HEAD,), **more))
    if submits:
        deadline = seconds(spec.get("activeDeadlineSeconds"), "spec.activeDeadlineSeconds", problems)
        limit = {"has_timeout": deadline is not None, "timeout_seconds": deadline, "creates": True}
        template = {"template": spec.get("submitterPodTemplate")}
        before = tuple(s.name for s in steps)
        steps.append(_step(SUBMITTER, template, "submitterPodTemplate", retries, problems, depends_on=before, **limit))
    return tuple(steps)


def _workers(group: Mapping[str, Any], where: str, problems: Problems) -> int | None:
    """Number of pods of a group that is not scaled: as KubeRay creates them, within the bounds of the group."""
    fields = ("replicas", "minReplicas", "maxReplicas", "numOfHosts")
    replicas, least, most, hosts = (whole(group.get(field), f"{where}.{field}", problems) for field in fields)
    if flag(group.get("suspend")):
        return 0
    if replicas is None or (least is not None and replicas < least):
        replicas = least
    elif most is not None:
        replicas = min(replicas, most)
    return None if replicas is None else replicas * (hosts or 1)


def _step(name: str, group: object, where: str, retries: int, problems: Problems, **more: Any) -> StepSpec:
    template = mapping(mapping(group, where, problems).get("template"), f"{where}.template", problems)
    pod = mapping(template.get("spec"), f"{where}.template.spec", problems)
    containers = pod_containers(pod, f"{where}.template.spec", problems, at=None)
    whole_pod = pod_level(pod, containers, f"{where}.template.spec", problems, at=None)
    return StepSpec(name, containers=containers, pod=whole_pod, retry_limit=retries, memoized=False, **more)
