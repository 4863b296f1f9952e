"""Lifetimes of pods, Jobs and nodes, and the scrape times: the input of `testbed.series.openmetrics`, plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STATE_METRICS_JOB = "kube-state-metrics"
KUBELET_JOB = "kubelet"
CADVISOR_PATH = "/metrics/cadvisor"


@dataclass(frozen=True, slots=True)
class ContainerLife:
    """One container of a pod, from start to end. Times in unix seconds, CPU in cores or core-seconds, sizes in bytes.

    `started` None: it never ran. `finished` None: it is still running, or its pod vanished before its end was observed.
    `cpu_seconds` is the total over its lifetime; `memory_curve` are (share of the lifetime, bytes) points of the
    working set with linear interpolation; without a curve it rises from a tenth of `memory_peak` to all of it over the
    first fifth. `memory_max` is the kernel's maximum including page cache (default: the peak).
    """

    name: str
    image: str = "app:1"
    started: float | None = None
    finished: float | None = None
    cpu_seconds: float = 0.0
    memory_peak: float = 0.0
    memory_max: float | None = None
    memory_curve: Sequence[tuple[float, float]] = ()
    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: float | None = None
    memory_limit: float | None = None
    throttled_share: float = 0.0
    throttled_seconds: float = 0.0
    oom_events: int = 0
    fs_read_bytes: float = 0.0
    fs_write_bytes: float = 0.0
    terminated_reason: str | None = None
    init: bool = False
    restart_policy: str = ""  # of an init container; Always makes it a sidecar
    gpu_resource: str = "nvidia.com/gpu"
    gpu_busy: Sequence[float] = ()  # for each of its GPUs, the share of time in which its engine is busy
    storage_request: float | None = None  # ephemeral storage
    storage_limit: float | None = None
    storage_peak: float = 0.0


@dataclass(frozen=True, slots=True)
class PodLife:
    """One pod object, from creation to deletion. Times in unix seconds.

    `deleted` None: the object still exists at the end of the history. A pod that is deleted right after completion (as
    under Argo's podGC) has `deleted` close to `finished`; if both are between two scrapes, its end is never observed.
    `started` is when the kubelet admitted it (`kube_pod_start_time`); containers have their own times. `status_reason`
    is the pod's reason, such as Evicted.
    """

    namespace: str
    pod: str
    uid: str
    created: float
    containers: Sequence[ContainerLife]
    node: str = ""
    owner_kind: str = ""
    owner_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    scheduled: float | None = None
    started: float | None = None
    ready: float | None = None
    finished: float | None = None
    phase: str = "Succeeded"
    status_reason: str | None = None
    deleted: float | None = None
    network_receive_bytes: float = 0.0
    network_transmit_bytes: float = 0.0
    volumes: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # claim -> bytes used and capacity
    overhead: tuple[float, float] | None = None  # cores and bytes of its RuntimeClass


@dataclass(frozen=True, slots=True)
class NodeLife:
    """One node with its labels, OpenCost's hourly prices of a core, a GiB and a GPU (None: not reported), and its
    allocatable resources (cores, bytes)."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    prices: tuple[float, float, float] | None = None
    allocatable: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobLife:
    """One Job object; `outcome` is Complete, Failed, or empty if it is still running at the end of the history."""

    namespace: str
    name: str
    created: float
    finished: float | None = None
    outcome: str = "Complete"
    deleted: float | None = None
    owner_kind: str = ""
    owner_name: str = ""
    parallelism: int = 1
    completions: int = 1


@dataclass(frozen=True, slots=True)
class Grid:
    """The scrape times.

    From `start` to `end` (unix seconds) every `interval` seconds; the kubelet is scraped `kubelet_offset` seconds after
    kube-state-metrics. Samples of constant series are written every `constant_interval` seconds, plus the first and the
    last one: queries return the same results (Prometheus looks back 5 minutes) at a fraction of the size. Set it to
    `interval` for all samples. `outages` are (job, from, to) spans without samples, in which `up` is 0.
    """

    start: float
    end: float
    interval: float = 30.0
    kubelet_offset: float = 7.0
    constant_interval: float = 120.0
    up_interval: float = 60.0
    outages: Sequence[tuple[str, float, float]] = ()

    def times(self, job: str) -> list[float]:
        """All scrape times of a job, without outages."""
        first = self.start + (self.kubelet_offset if job == KUBELET_JOB else 0.0)
        count = int((self.end - first) // self.interval) + 1
        return [time for n in range(max(0, count)) if not self.is_out(job, time := first + n * self.interval)]

    def is_out(self, job: str, time: float) -> bool:
        return any(name == job and start <= time < end for name, start, end in self.outages)
