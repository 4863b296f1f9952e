"""kube-state-metrics' series over the lifetime of a pod or Job, with labels, values and times of existence.

Names, labels and times follow kube-state-metrics 2.19 (internal/store/pod.go, job.go, cronjob.go). Omitted are the
eight constant zeros of `kube_pod_status_reason`, and families that no query here uses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from testbed.series.lives import STATE_METRICS_JOB, ContainerLife, JobLife, PodLife
from testbed.series.naming import container_id, label_name, series

STATE_METRICS_INSTANCE = "kube-state-metrics:8080"
CLAIMS = "kube_pod_spec_volumes_persistentvolumeclaims_info"
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")

# A series as text, and the spans (from, to, value) in which it has a value; the scrape times turn these into samples.
Emit = Iterator[tuple[str, list[tuple[float, float, float]]]]


def _gone(life: PodLife | JobLife) -> float:
    return math.inf if life.deleted is None else life.deleted


def _identity(pod: PodLife) -> dict[str, str]:
    return {
        "namespace": pod.namespace,
        "pod": pod.pod,
        "uid": pod.uid,
        "job": STATE_METRICS_JOB,
        "instance": STATE_METRICS_INSTANCE,
    }


def _pod_info(pod: PodLife) -> Emit:
    owner = {"created_by_kind": pod.owner_kind, "created_by_name": pod.owner_name, "host_network": "false"}
    number = int(container_id(pod.uid, "")[:4], 16)
    address = {"host_ip": "10.0.0.1", "pod_ip": f"10.64.{number >> 8}.{number & 255}"}
    scheduled = math.inf if pod.scheduled is None else pod.scheduled
    started = math.inf if pod.started is None else pod.started
    gone = _gone(pod)
    for labels, start, end in (
        ({}, pod.created, min(scheduled, gone)),
        ({"node": pod.node}, scheduled, min(started, gone)),
        ({"node": pod.node, **address}, started, gone),
    ):
        yield series("kube_pod_info", **_identity(pod), **owner, **labels), [(start, end, 1)]


def _pod_owner(pod: PodLife) -> Emit:
    owner = {"owner_kind": pod.owner_kind, "owner_name": pod.owner_name}
    controller = "true" if pod.owner_kind else ""
    name = series("kube_pod_owner", **_identity(pod), **owner, owner_is_controller=controller)
    yield name, [(pod.created, _gone(pod), 1)]


def _pod_labels(pod: PodLife) -> Emit:
    if pod.labels:
        labels = {label_name(key): value for key, value in pod.labels.items()}
        yield series("kube_pod_labels", **_identity(pod), **labels), [(pod.created, _gone(pod), 1)]


def _pod_annotations(pod: PodLife) -> Emit:
    if pod.annotations:
        labels = {label_name(key, "annotation"): value for key, value in pod.annotations.items()}
        yield series("kube_pod_annotations", **_identity(pod), **labels), [(pod.created, _gone(pod), 1)]


def _moment(name: str, of: Callable[[PodLife], float | None]) -> Callable[[PodLife], Emit]:
    """A series whose value is a timestamp in whole seconds, existing from that time on."""

    def emit(pod: PodLife) -> Emit:
        moment = of(pod)
        if moment is not None:
            yield series(name, **_identity(pod)), [(moment, _gone(pod), math.floor(moment))]

    return emit


def _completion_time(pod: PodLife) -> Emit:
    ends = sorted(c.finished for c in pod.containers if c.finished is not None and not c.init)
    spans = [
        (end, min(following, _gone(pod)), float(math.floor(end))) for end, following in pairwise([*ends, math.inf])
    ]
    if spans:
        yield series("kube_pod_completion_time", **_identity(pod)), spans


def _overhead(name: str, place: int) -> Callable[[PodLife], Emit]:
    """What the RuntimeClass reserves, only of pods that have one with overhead."""

    def emit(pod: PodLife) -> Emit:
        if pod.overhead is not None:
            yield series(name, **_identity(pod)), [(pod.created, _gone(pod), pod.overhead[place])]

    return emit


def _phase(pod: PodLife) -> Emit:
    runs = min((c.started for c in pod.containers if c.started is not None and not c.init), default=None)
    end = pod.finished if pod.finished is not None else math.inf
    running = min(runs, end) if runs is not None else end
    gone = _gone(pod)
    spans = (("Pending", pod.created, running), ("Running", running, end), (pod.phase, end, gone))
    for phase in PHASES:
        name = series("kube_pod_status_phase", **_identity(pod), phase=phase)
        yield name, [(start, min(stop, gone), float(phase == now)) for now, start, stop in spans]


def _status_reason(pod: PodLife) -> Emit:
    if pod.status_reason and pod.finished is not None:
        name = series("kube_pod_status_reason", **_identity(pod), reason=pod.status_reason)
        yield name, [(pod.finished, _gone(pod), 1)]


def _claims(pod: PodLife) -> Emit:
    for claim in pod.volumes:
        labels = {"volume": claim, "persistentvolumeclaim": claim}
        yield series(CLAIMS, **_identity(pod), **labels), [(pod.created, _gone(pod), 1)]


def _container_info(name: str, container: ContainerLife, pod: PodLife) -> Emit:
    if container.started is not None:
        labels = {
            "container": container.name,
            "image_spec": container.image,
            "image": container.image,
            "container_id": f"containerd://{container_id(pod.uid, container.name)}",
            "restart_policy": container.restart_policy,
        }
        yield series(name, **_identity(pod), **labels), [(container.started, _gone(pod), 1)]


def _state_started(name: str, container: ContainerLife, pod: PodLife) -> Emit:
    if container.started is not None:
        span = (container.started, _gone(pod), math.floor(container.started))
        yield series(name, **_identity(pod), container=container.name), [span]


def _terminated_reason(name: str, container: ContainerLife, pod: PodLife) -> Emit:
    if container.finished is not None and container.terminated_reason:
        labels = {"container": container.name, "reason": container.terminated_reason}
        yield series(name, **_identity(pod), **labels), [(container.finished, _gone(pod), 1)]


def _resources(name: str, container: ContainerLife, pod: PodLife) -> Emit:
    """The node label is empty until the pod is scheduled, which yields two series per amount."""
    scheduled = math.inf if pod.scheduled is None else pod.scheduled
    requests = name.endswith("requests")
    amounts = (
        ("cpu", "core", container.cpu_request if requests else container.cpu_limit),
        ("memory", "byte", container.memory_request if requests else container.memory_limit),
        ("ephemeral_storage", "byte", container.storage_request if requests else container.storage_limit),
        (re.sub("[^a-zA-Z0-9_]", "_", container.gpu_resource), "integer", len(container.gpu_busy) or None),
    )
    for resource, unit, amount in amounts:
        if amount is not None:
            labels = {"container": container.name, "resource": resource, "unit": unit}
            waiting = series(name, **_identity(pod), **labels)
            yield waiting, [(pod.created, min(scheduled, _gone(pod)), amount)]
            placed = series(name, **_identity(pod), **labels, node=pod.node)
            yield placed, [(scheduled, _gone(pod), amount)]


def _per_container(
    name: str, emit: Callable[[str, ContainerLife, PodLife], Emit], *, init: bool = False
) -> Callable[[PodLife], Emit]:
    """A family of the pod's containers, or of its init containers: kube-state-metrics has two names for most."""

    def family(pod: PodLife) -> Emit:
        for container in pod.containers:
            if container.init == init:
                yield from emit(name, container, pod)

    return family


def _ready_time(pod: PodLife) -> Emit:
    """Only while the condition is true."""
    if pod.ready is not None:
        end = _gone(pod) if pod.finished is None else pod.finished
        yield series("kube_pod_status_ready_time", **_identity(pod)), [(pod.ready, end, math.floor(pod.ready))]


POD_FAMILIES: dict[str, Callable[[PodLife], Emit]] = {
    CLAIMS: _claims,
    "kube_pod_annotations": _pod_annotations,
    "kube_pod_completion_time": _completion_time,
    "kube_pod_created": _moment("kube_pod_created", lambda pod: pod.created),
    "kube_pod_info": _pod_info,
    "kube_pod_labels": _pod_labels,
    "kube_pod_overhead_cpu_cores": _overhead("kube_pod_overhead_cpu_cores", 0),
    "kube_pod_overhead_memory_bytes": _overhead("kube_pod_overhead_memory_bytes", 1),
    "kube_pod_owner": _pod_owner,
    "kube_pod_start_time": _moment("kube_pod_start_time", lambda pod: pod.started),
    "kube_pod_status_phase": _phase,
    "kube_pod_status_ready_time": _ready_time,
    "kube_pod_status_reason": _status_reason,
    "kube_pod_status_scheduled_time": _moment("kube_pod_status_scheduled_time", lambda pod: pod.scheduled),
    "kube_pod_container_state_started": _per_container("kube_pod_container_state_started", _state_started),
}
for _prefix, _init in (("kube_pod_container", False), ("kube_pod_init_container", True)):
    for _suffix, _emit in (
        ("info", _container_info),
        ("status_terminated_reason", _terminated_reason),
        ("resource_requests", _resources),
        ("resource_limits", _resources),
    ):
        POD_FAMILIES[f"{_prefix}_{_suffix}"] = _per_container(f"{_prefix}_{_suffix}", _emit, init=_init)


def _job_identity(job: JobLife) -> dict[str, str]:
    return {
        "namespace": job.namespace,
        "job_name": job.name,
        "job": STATE_METRICS_JOB,
        "instance": STATE_METRICS_INSTANCE,
    }


def _job_owner(job: JobLife) -> Emit:
    owner = {"owner_kind": job.owner_kind, "owner_name": job.owner_name}
    controller = "true" if job.owner_kind else ""
    name = series("kube_job_owner", **_job_identity(job), **owner, owner_is_controller=controller)
    yield name, [(job.created, _gone(job), 1)]


def _job_value(name: str, of: Callable[[JobLife], float | None]) -> Callable[[JobLife], Emit]:
    """A constant value from the Job's creation to its deletion."""

    def emit(job: JobLife) -> Emit:
        value = of(job)
        if value is not None:
            yield series(name, **_job_identity(job)), [(job.created, _gone(job), value)]

    return emit


def _job_condition(name: str, outcome: str) -> Callable[[JobLife], Emit]:
    """Three series, of which the applicable one is 1, from the time the condition is set."""

    def emit(job: JobLife) -> Emit:
        if job.finished is not None and job.outcome == outcome:
            for condition in ("true", "false", "unknown"):
                span = (job.finished, _gone(job), float(condition == "true"))
                yield series(name, **_job_identity(job), condition=condition), [span]

    return emit


def _job_completion_time(job: JobLife) -> Emit:
    """Complete Jobs only: a failed one has no completion time."""
    if job.finished is not None and job.outcome == "Complete":
        span = (job.finished, _gone(job), float(math.floor(job.finished)))
        yield series("kube_job_status_completion_time", **_job_identity(job)), [span]


JOB_FAMILIES: dict[str, Callable[[JobLife], Emit]] = {
    "kube_job_complete": _job_condition("kube_job_complete", "Complete"),
    "kube_job_created": _job_value("kube_job_created", lambda job: math.floor(job.created)),
    "kube_job_failed": _job_condition("kube_job_failed", "Failed"),
    "kube_job_info": _job_value("kube_job_info", lambda job: 1),
    "kube_job_owner": _job_owner,
    "kube_job_spec_completions": _job_value("kube_job_spec_completions", lambda job: job.completions),
    "kube_job_spec_parallelism": _job_value("kube_job_spec_parallelism", lambda job: job.parallelism),
    "kube_job_status_completion_time": _job_completion_time,
    "kube_job_status_start_time": _job_value("kube_job_status_start_time", lambda job: math.floor(job.created)),
}


def last_schedule_times(jobs: Sequence[JobLife]) -> Emit:
    """`kube_cronjob_status_last_schedule_time`, derived from the Jobs that each CronJob created."""
    made: dict[tuple[str, str], list[float]] = {}
    for job in jobs:
        if job.owner_kind == "CronJob":
            made.setdefault((job.namespace, job.owner_name), []).append(job.created)
    for (namespace, cronjob), times in sorted(made.items()):
        times.sort()
        labels = {"namespace": namespace, "cronjob": cronjob, "job": STATE_METRICS_JOB}
        spans = [(time, following, float(math.floor(time))) for time, following in pairwise([*times, math.inf])]
        yield series("kube_cronjob_status_last_schedule_time", **labels, instance=STATE_METRICS_INSTANCE), spans
