"""The hidden model of one workflow whose graph may have any shape.

In seconds, cores, bytes and shares from 0 to 1. The law differs on purpose from that of ``benchmarks.advice``: times are
log-normal and follow the size of the input with an elasticity, a limit throttles only the bursts of a container, steps may
run in some runs only, and a fan-out may contain a graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GI = 2.0**30
MI = 2.0**20
HOUR = 3600.0
DAY = 86400.0
MONTH = 30 * DAY
NOW = 1_760_000_000.0
WINDOW = 14 * DAY


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a step's pods, by default well sized: ``cpu`` cores and ``memory`` bytes are what it uses.

    ``bursts``: share of its unlimited time in which it would use ``burst`` cores; a lower CPU limit prolongs that part.
    The memory peak follows the input with ``memory_elasticity`` and varies by ``memory_spread`` (log-normal). ``gpus`` are
    reserved, ``gpus_busy`` of them used, each ``gpu_use`` of the time. ``outlives``: seconds it runs on after the step.
    ``paces``: its throttling slows the step. ``declared``: the manifest has it; otherwise it is injected.
    """

    name: str = "main"
    cpu: float = 0.6
    bursts: float = 0.0
    burst: float = 0.0
    cpu_request: float = 0.75
    cpu_limit: float | None = None
    memory: float = 0.5 * GI
    memory_elasticity: float = 0.0
    memory_spread: float = 0.05
    memory_request: float = 704 * MI
    memory_limit: float | None = None
    gpus: int = 0
    gpus_busy: int = 0
    gpu_use: float = 0.0
    outlives: float = 0.0
    paces: bool = True
    declared: bool = True

    @property
    def throttling(self) -> tuple[float, float]:
        """Factor on the time of its work by the CPU limit, and the share of that time in which it is throttled."""
        if self.cpu_limit is None or self.burst <= self.cpu_limit:
            return 1.0, 0.0
        limited = self.bursts * self.burst / self.cpu_limit
        total = 1.0 - self.bursts + limited
        return total, limited / total

    @property
    def cores(self) -> float:
        """Mean cores while it works, as the limit permits."""
        _, limited = self.throttling
        share, most = (limited, self.cpu_limit or 0.0) if limited else (self.bursts, self.burst)
        return self.cpu * (1.0 - share) + most * share


@dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume: capacity, bytes used at the end of the window, growth in bytes a day."""

    claim: str
    capacity: float
    used: float
    growth: float


@dataclass(frozen=True, slots=True)
class Change:
    """What a step is like from ``since`` to ``until`` days before the end: work takes ``factor`` times as long, and a share
    ``broken`` of its executions fails for good. It concerns the ``first_items`` items and runs with inputs ``above``
    a multiple of the usual one only, where they are set."""

    since: float
    until: float = -1.0
    factor: float = 1.0
    broken: float = 0.0
    first_items: int | None = None
    above: float = 0.0

    def holds(self, days_ago: float, item: int, size: float) -> bool:
        """Whether it concerns this item of a run so many days ago, with this input."""
        concerned = self.first_items is None or item < self.first_items
        return self.until < days_ago <= self.since and concerned and size > self.above


@dataclass(frozen=True, slots=True)
class Step:
    """One step, a fan-out if it has several ``items``, or part of the fan-out ``group``.

    ``seconds`` of work for an input of 1, log-normal with ``spread`` and following the input with ``elasticity``.
    ``item_spread``: lasting differences between items; the last one takes ``last_item`` times as long, and in a share
    ``slow_item_share`` of the runs a random one ``slow_item`` times; where ``evened``, only up to so many times the median
    item, or as long as the longest other one. ``loose``: dependencies without data. ``pipelined``:
    an item starts when the same item of the step before has ended. ``in_runs``: share of the runs in which it runs.
    ``transient``: share of attempts that fail, ``broken``: of executions that fail for good, both after a share of the work
    between ``fails_at``. ``hang``: share of attempts that wait idle for
    about ``hang_seconds``. ``repeats``: share of the executions with
    the same input as in the run before (None: inputs unknown), of each item for itself if ``by_item``; ``cached``: maximum
    age of cached results in seconds (None: no cache). ``wait``: mean seconds until a node is found; ``startup``: until it
    has started there.
    """

    name: str
    after: tuple[str, ...] = ()
    seconds: float = 60.0
    spread: float = 0.1
    elasticity: float = 0.0
    items: int = 1
    item_spread: float = 0.0
    last_item: float = 1.0
    slow_item_share: float = 0.0
    slow_item: float = 1.0
    evened: float | None = None
    containers: tuple[Container, ...] = (Container(),)
    startup: float = 3.0
    wait: float = 0.3
    in_runs: float = 1.0
    retries: int = 0
    backoff: float = 5.0
    transient: float = 0.0
    broken: float = 0.0
    fails_at: tuple[float, float] = (0.2, 0.9)
    hang: float = 0.0
    hang_seconds: float = 0.0
    timeout: float | None = None
    loose: tuple[str, ...] = ()
    pipelined: bool = False
    change: Change | None = None
    repeats: float | None = None
    by_item: bool = False
    cached: float | None = None
    group: str | None = None
    volume: Volume | None = None

    @property
    def path(self) -> str:
        """The name by which the product knows it."""
        return f"{self.group}.{self.name}" if self.group else self.name

    @property
    def outlives(self) -> float:
        """Seconds from the end of the step to that of its pod."""
        return max(c.outlives for c in self.containers)

    def resized(self, container: str, **changes: object) -> Step:
        """The step with changes to one container."""
        made = (replace(c, **changes) if c.name == container else c for c in self.containers)  # type: ignore[arg-type]
        return replace(self, containers=tuple(made))


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow: its steps, each behind those it depends on, and ``every``, the seconds between starts.

    The input of a run is log-normal with ``input_spread`` and, if ``inputs_known``, recorded; ``run_spread`` is common to
    all pods of a run; of a share ``others`` of the runs, the work takes ``others_factor`` times as long. ``slow_nodes`` of
    ``nodes`` take ``slow_factor`` times as long. ``group_items``: items of each group. ``limit``: seconds after which a run
    is stopped.
    """

    name: str
    steps: tuple[Step, ...]
    every: float = 4 * HOUR
    input_spread: float = 0.0
    inputs_known: bool = False
    run_spread: float = 0.03
    others: float = 0.0
    others_factor: float = 1.0
    nodes: int = 8
    slow_nodes: int = 0
    slow_factor: float = 1.0
    parallelism: int | None = None
    group_items: int = 3
    limit: float | None = None
    seed: int = 1

    @property
    def runs_per_month(self) -> float:
        """Starts in 30 days."""
        return MONTH / self.every

    def having(self, name: str, **changes: object) -> Flow:
        """The workflow with changes to one step."""
        made = (replace(s, **changes) if s.name == name else s for s in self.steps)  # type: ignore[arg-type]
        return replace(self, steps=tuple(made))

    def everywhere(self, **changes: object) -> Flow:
        """The workflow with changes to all steps."""
        return replace(self, steps=tuple(replace(s, **changes) for s in self.steps))  # type: ignore[arg-type]

    def step(self, name: str) -> Step:
        """The step with that name."""
        return next(s for s in self.steps if s.name == name)

    def executions(self, step: Step) -> int:
        """Executions of the step in a run."""
        return step.items * (self.group_items if step.group else 1)
