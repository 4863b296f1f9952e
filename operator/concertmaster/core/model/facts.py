"""Facts: one row per container of a pod, as the metrics source has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from concertmaster.core.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class ContainerFact:
    """What one container of one pod requested, used and how it ended.

    ``memory_sampled_peak`` (highest sampled working set) is a lower bound of the true peak, ``memory_kernel_peak`` (the
    kernel's high-water mark, page cache included) an upper one. ``samples`` counts memory samples, ``expected_samples``
    how many a full coverage would have given. ``ambiguous`` marks rows whose series cannot be distinguished from another
    pod's or another start of the same container: no size recommendation may rest on them.
    """

    name: str
    image: str | None = None
    init: bool = False
    started: float | None = None
    finished: float | None = None
    reason: str | None = None  # why it terminated, when not "Completed": OOMKilled, Error, DeadlineExceeded ...
    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: float | None = None
    memory_limit: float | None = None
    cpu_seconds: float | None = None
    cpu_sampled_seconds: float | None = None  # wall time the CPU counter covers; shorter than the life of short pods
    cpu_peak_cores: float | None = None  # highest short-window rate, where the source can tell
    throttled_share: float | None = None  # throttled CFS periods / periods; only exists with a CPU limit
    memory_sampled_peak: float | None = None
    memory_kernel_peak: float | None = None
    samples: int | None = None
    expected_samples: int | None = None
    oom_events: float | None = None
    cpu_waiting_seconds: float | None = None  # PSI
    io_waiting_seconds: float | None = None  # PSI
    fs_read_bytes: float | None = None
    fs_write_bytes: float | None = None
    ambiguous: bool = False
    sidecar: bool = False  # an init container with restartPolicy Always: it runs beside the others
    gpu_resource: str | None = None  # nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.5gb ...
    gpu_request: float | None = None
    gpu_used: float | None = None  # GPUs busy on average: the mean utilization of each, added up
    gpus_active: float | None = None  # GPUs that were busy at any time
    storage_request: float | None = None  # ephemeral storage, bytes
    storage_limit: float | None = None
    storage_peak: float | None = None  # highest sample of the writable layer

    @property
    def memory_peak(self) -> float | None:
        """Best estimate of the peak in bytes: the sampled working set, else the kernel's upper bound."""
        return self.memory_sampled_peak if self.memory_sampled_peak is not None else self.memory_kernel_peak

    @property
    def coverage(self) -> float | None:
        """Share (0 to 1) of the expected memory samples that exist, or None when neither number is known."""
        if self.samples is None or not self.expected_samples:
            return None
        return min(1.0, self.samples / self.expected_samples)


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """A claim that a pod mounted: the most bytes that were used of it while the pod ran, and how many it holds."""

    claim: str
    used: float
    capacity: float


@quick
@dataclass(frozen=True, slots=True)
class PodFact:
    """One finished or vanished pod. Identity is ``uid``; names are reused by engines and by people."""

    namespace: str
    pod: str
    uid: str
    node: str | None = None
    owner_kind: str | None = None  # Workflow, TaskRun, Job ... (the pod's controller)
    owner_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # as kube-state-metrics names them, without "label_"
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None  # accepted by the kubelet, before image pull
    ready: float | None = None  # its condition Ready became true; it is False again once the pod has ended
    finished: float | None = None
    last_seen: float | None = None  # last sample of a pod that vanished before its end was scraped
    phase: str | None = None  # Succeeded | Failed | None
    reason: str | None = None  # pod level: Evicted, Preempting, NodeLost, DeadlineExceeded ...
    vanished: bool = False
    network_receive_bytes: float | None = None
    network_transmit_bytes: float | None = None
    instance_type: str | None = None  # of the node
    spot: bool | None = None  # whether the node may be taken away; None: no label of the node is known
    node_prices: tuple[float, ...] | None = None  # of an hour of a core, a GiB and a GPU there, by OpenCost
    containers: tuple[ContainerFact, ...] = ()
    volumes: tuple[VolumeUse, ...] = ()  # persistent ones, by claim


@dataclass(frozen=True, slots=True)
class JobFact:
    """One Job as the metrics source has it. It carries no uid there: a name used again cannot be distinguished.

    ``succeeded`` is None while it runs or when its end was not seen. A failed Job has no ``finished``: its pods do.
    """

    namespace: str
    name: str
    owner_kind: str | None = None  # CronJob, JobSet ...
    owner_name: str | None = None
    succeeded: bool | None = None
    reason: str | None = None  # of the failure: BackoffLimitExceeded, DeadlineExceeded ...
    parallelism: float | None = None
    completions: float | None = None
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerFact:
    """One value that a user's query gave for a run of a workflow.

    ``query`` is the name of an extra metric, or of a step without pods the field of the profile that holds the query
    (durationQuery, outcomeQuery ...). ``seen``: when that was asked, by which time the step had ended.
    """

    namespace: str
    kind: str
    workflow: str
    query: str
    run: str
    value: float
    step: str = ""
    seen: float | None = None


def owners_of_jobs(jobs: Iterable[JobFact]) -> dict[tuple[str, str], tuple[str, str]]:
    """(namespace, Job) to the owner's (kind, name), where it has one."""
    return {
        (job.namespace, job.name): (job.owner_kind, job.owner_name)
        for job in jobs
        if job.owner_kind is not None and job.owner_name is not None
    }
