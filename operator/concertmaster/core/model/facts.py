"""Facts: one row per container of a pod, as read from the metrics source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from concertmaster.core.fast_init import fast_init

OOM_KILLED = "OOMKilled"
"""The reason of a container that ended for lack of memory."""


@fast_init
@dataclass(frozen=True, slots=True)
class ContainerFact:
    """Requests, usage and termination of one container of one pod.

    ``memory_sampled_peak`` (highest sampled working set) is a lower bound of the true peak, ``memory_kernel_peak`` (the
    kernel's high-water mark, including page cache) an upper one. ``samples``: number of memory samples;
    ``expected_samples``: number at full coverage. ``ambiguous``: its series cannot be distinguished from those of another
    pod or another start of the same container, so no size recommendation may use them.
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
    cpu_sampled_seconds: float | None = None  # wall time covered by the CPU counter; less than the life of short pods
    cpu_peak_cores: float | None = None  # highest short-window rate, if the source provides it
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
    sidecar: bool = False  # an init container with restartPolicy Always, which runs beside the others
    gpu_resource: str | None = None  # nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.5gb ...
    gpu_request: float | None = None
    gpu_used: float | None = None  # mean number of busy GPUs: the sum of their mean utilizations
    gpus_active: float | None = None  # GPUs that were busy at any time
    storage_request: float | None = None  # ephemeral storage, bytes
    storage_limit: float | None = None
    storage_peak: float | None = None  # highest sample of the writable layer
    # Start of the last one of its starts in this pod, of which an earlier one was OOM-killed (restartPolicy OnFailure ...).
    restarted_after_oom: float | None = None

    @property
    def oom_killed(self) -> bool:
        """Whether any start of it ended for lack of memory, be it that it was restarted and succeeded."""
        return self.reason == OOM_KILLED or self.restarted_after_oom is not None

    @property
    def throttled_time(self) -> float | None:
        """Largest share of its time (0 to 1) in which its limit can have throttled it; None when unknown. The kernel counts
        no period in which nothing was runnable, and each throttled one used the whole quota: a container that mostly waits
        is throttled for no more of its time than its use is of its limit."""
        share, spent, limit, seconds = self.throttled_share, self.cpu_seconds, self.cpu_limit, self.cpu_sampled_seconds
        if seconds is None and self.started is not None and self.finished is not None:
            seconds = self.finished - self.started
        if share is None or spent is None or not limit or not seconds:
            return share
        return min(share, spent / seconds / limit)

    @property
    def memory_peak(self) -> float | None:
        """Best estimate of the peak in bytes: the sampled working set, else the kernel's upper bound."""
        return self.memory_sampled_peak if self.memory_sampled_peak is not None else self.memory_kernel_peak


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """A claim mounted by a pod: the most bytes used while the pod ran, and its capacity in bytes."""

    claim: str
    used: float
    capacity: float


@fast_init
@dataclass(frozen=True, slots=True)
class PodFact:
    """One finished or vanished pod. Identity is ``uid``; names are reused by engines and by people."""

    namespace: str
    pod: str
    uid: str
    node: str | None = None
    owner_kind: str | None = None  # Workflow, TaskRun, Job ... (the pod's controller)
    owner_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # names as in kube-state-metrics, without "label_"
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None  # accepted by the kubelet, before image pull
    ready: float | None = None  # when condition Ready became true; it is False again once the pod has ended
    finished: float | None = None
    last_seen: float | None = None  # last sample of a pod that vanished before its end was scraped
    phase: str | None = None  # Succeeded | Failed | None
    reason: str | None = None  # pod level: Evicted, Preempting, NodeLost, DeadlineExceeded ...
    vanished: bool = False
    network_receive_bytes: float | None = None
    network_transmit_bytes: float | None = None
    instance_type: str | None = None  # of the node
    spot: bool | None = None  # whether the node is preemptible; None: no label shows it
    node_prices: tuple[float, ...] | None = None  # per core-hour, GiB-hour and GPU-hour, from OpenCost
    overhead: tuple[float, float] | None = None  # cores and bytes that its RuntimeClass reserves beside its containers
    containers: tuple[ContainerFact, ...] = ()
    volumes: tuple[VolumeUse, ...] = ()  # persistent ones, by claim


@dataclass(frozen=True, slots=True)
class JobFact:
    """One Job as read from the metrics source, without uid: Jobs that reuse a name cannot be distinguished.

    ``succeeded`` is None while it runs or when its end was not observed. A failed Job has no ``finished``: its pods do.
    """

    namespace: str
    name: str
    owner_kind: str | None = None  # CronJob, JobSet ...
    owner_name: str | None = None
    succeeded: bool | None = None
    parallelism: float | None = None
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerFact:
    """One value returned by a user's query for a run of a workflow.

    ``query``: name of an extra metric or, for a step without pods, the field of the profile that holds the query
    (durationQuery, outcomeQuery ...). ``seen``: time of the query (unix seconds), by which the step had ended.
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
    """The owner's (kind, name) by (namespace, Job), for Jobs that have one."""
    return {
        (job.namespace, job.name): (job.owner_kind, job.owner_name)
        for job in jobs
        if job.owner_kind is not None and job.owner_name is not None
    }
