"""The hidden law of one workflow: what its steps really need, cost, wait for and suffer from.

Seconds, cores, bytes and shares from 0 to 1. Nothing here is taken from the product: noise is gamma distributed, a CPU
limit stretches the work in proportion, pods are created one after the other, and what exceeds a memory limit is killed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GI = 1024.0**3
MI = 1024.0**2
HOUR = 3600.0
DAY = 86400.0
NOW = 1_760_000_000.0
WINDOW = 14 * DAY


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A container beside the step's own, put there by something else: what it requests and uses."""

    name: str = "proxy"
    cpu_request: float = 0.1
    memory_request: float = 128 * MI
    cpu: float = 0.05
    peak: float = 90 * MI


@dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume that a step writes to: bytes it holds, bytes used at the end of the window, bytes by which that
    grows a day, and the variation from run to run. ``each``: every run makes its own."""

    claim: str
    capacity: float
    used: float
    growth: float = 0.0
    cv: float = 0.0
    each: bool = False

    def at(self, time: float, normal: float) -> float:
        """Bytes used then."""
        return (self.used + self.growth * (time - NOW) / DAY) * (1.0 + self.cv * normal)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``seconds`` of work at input 1 with the CPU it wants, ``cv`` of a pod, ``cpu`` cores busy while it works.

    ``uneven``: the largest item takes so many times the others. ``transient``: share of attempts that fail by accident,
    ``broken``: of executions that fail however often they are tried. ``growth`` a day of work, ``peak_growth`` of the peak
    (logarithms). From ``since`` days before the end on: work times ``factor``, failures ``then_broken``. ``keys``: how many
    different inputs there are (0: nobody knows them). ``waits_cpu``, ``waits_io``: share of its time without CPU though
    it wants some, and stalled on the disk. ``loose``: dependencies over which no data go. ``pipelined``: each item begins
    when the same item of the step before is done. ``gpus`` are held, ``gpus_busy`` of them do something."""

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


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow: its engine (argo, cron, tekton, cronjob), its steps in order, and the seconds ``every`` which it runs.

    ``noise`` is what all pods of a run share; ``daily`` and ``weekly`` are amplitudes. ``capacity``: pods that have room on
    the nodes. ``slow_nodes`` of ``nodes`` take ``slow_factor`` times as long. ``meets``: what becomes of a start that is due
    while a run is in progress (a concurrencyPolicy; None: runs know nothing of each other), ``crowding``: how many times
    as long a run takes that begins beside another. ``sampled``: share of the pods of which there are samples of use."""

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
    begin: float = 0.0  # of the first run, seconds after midnight
    meets: str | None = None
    crowding: float = 1.0
    sampled: float = 1.0
    busy: tuple[float, float, float] | None = None  # waits for nodes from hour to hour of the day, mean seconds

    def having(self, step: str, **changes: object) -> Flow:
        """The workflow with one step changed."""
        return replace(
            self,
            steps=tuple(replace(s, **changes) if s.name == step else s for s in self.steps),  # type: ignore[arg-type]
        )

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(s for s in self.steps if s.name == name)
