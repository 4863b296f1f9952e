"""The hidden model of one workflow: actual needs, cost, waiting times and problems of its steps.

In seconds, cores, bytes and shares from 0 to 1. Nothing here is taken from the product: noise is gamma distributed, a
CPU limit prolongs the work in proportion, pods are created in sequence, and exceeding a memory limit kills the
container.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GI = 1024.0**3
MI = 1024.0**2
HOUR = 3600.0
DAY = 86400.0
NOW = 1_760_000_000.0
SLICE = "nvidia.com/mig-1g.10gb"  # a slice of a GPU
WINDOW = 14 * DAY


@dataclass(frozen=True, slots=True)
class Sidecar:
    """An injected container beside the step's own, with its requests and usage."""

    name: str = "proxy"
    cpu_request: float = 0.1
    memory_request: float = 128 * MI
    cpu: float = 0.05
    peak: float = 90 * MI


@dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume that a step writes to: capacity, bytes used at the end of the window, growth in bytes a day,
    and the variation from run to run. ``each``: every run creates its own."""

    claim: str
    capacity: float
    used: float
    growth: float = 0.0
    cv: float = 0.0
    each: bool = False

    def at(self, time: float, normal: float) -> float:
        """Used bytes at ``time`` (unix seconds)."""
        return (self.used + self.growth * (time - NOW) / DAY) * (1.0 + self.cv * normal)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``seconds`` of work for input 1 with sufficient CPU, ``cv`` of its pods, ``cpu`` cores used while
    working.

    ``uneven``: factor of the largest item over the others. ``transient``: share of attempts that fail transiently,
    ``broken``: share of executions that fail permanently, ``hang``: of attempts that succeed after about ``hang_seconds``,
    most of them idle. ``growth`` of the work and ``peak_growth`` of the memory peak
    per day (logarithmic). From ``since`` days before the end on, work is multiplied by ``factor``, and ``then_broken``
    fail permanently. ``receives``: bytes a second over the network. ``keys``: number of different inputs (0: unknown).
    ``waits_cpu``, ``waits_io``: share of its time waiting for CPU, and stalled on disk. ``loose``: dependencies without
    data. ``pipelined``: each item begins when the same item of the previous step has ended. ``gpus`` of
    ``gpu_resource`` are reserved, ``gpus_busy`` of them used, each ``gpu_use`` of the time (0 to 1).
    """

    name: str
    after: tuple[str, ...] = ()
    items: int = 1
    seconds: float = 240.0
    cv: float = 0.08
    cpu: float = 0.7
    peak: float = 700 * MI
    peak_cv: float = 0.03
    cpu_request: float = 1.0
    memory_request: float = 1024 * MI
    cpu_limit: float | None = None
    memory_limit: float | None = None
    uneven: float = 1.0
    transient: float = 0.0
    broken: float = 0.0
    retries: int = 2
    hang: float = 0.0
    hang_seconds: float = 6 * HOUR
    timeout: float | None = 4 * HOUR
    growth: float = 0.0
    peak_growth: float = 0.0
    since: float | None = None
    factor: float = 1.0
    then_broken: float = 0.0
    sizes: bool = False
    size_spread: float = 0.0
    keys: int = 0
    waits_cpu: float = 0.0
    waits_io: float = 0.0
    receives: float = 0.0
    wait: float = 1.0
    start: float = 3.0
    loose: tuple[str, ...] = ()
    lock: str | None = None
    sidecar: Sidecar | None = None
    sidecar_late: float = 0.0
    pipelined: bool = False
    volume: Volume | None = None
    gpus: int = 0
    gpus_busy: int = 0
    gpu_use: float = 0.8
    gpu_resource: str = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow: its engine (argo, cron, tekton, cronjob), its steps in order, and ``every``, the seconds between
    starts.

    ``noise`` is common to all pods of a run; ``daily`` and ``weekly`` are amplitudes. ``capacity``: number of pods that
    fit on the nodes. ``slow_nodes`` of ``nodes`` take ``slow_factor`` times as long. ``meets``: the concurrencyPolicy
    for starts due while a run is in progress (None: runs are independent), ``crowding``: factor on the duration of a
    run that starts while another is in progress. ``sampled``: share of the pods with usage samples.
    """

    name: str
    steps: tuple[Step, ...]
    engine: str = "argo"
    every: float = 4 * HOUR
    parallelism: int | None = None
    noise: float = 0.05
    daily: float = 0.0
    weekly: float = 0.0
    capacity: int | None = None
    nodes: int = 6
    slow_nodes: int = 0
    slow_factor: float = 1.0
    seed: int = 0
    namespace: str = "demo"
    schedule: str | None = None
    begin: float = 0.0  # seconds from midnight to the first run
    meets: str | None = None
    crowding: float = 1.0
    sampled: float = 1.0
    busy: tuple[float, float, float] | None = None  # delays for nodes between two hours of the day, mean seconds

    def having(self, step: str, **changes: object) -> Flow:
        """The workflow with changes to one step."""
        return replace(
            self,
            steps=tuple(replace(s, **changes) if s.name == step else s for s in self.steps),  # type: ignore[arg-type]
        )

    def step(self, name: str) -> Step:
        """The step with that name."""
        return next(s for s in self.steps if s.name == name)
