"""The hidden model of one workflow whose steps run one after the other: what each container uses, and what it declares.

In seconds, cores, bytes, GPUs and shares from 0 to 1. It shares nothing with the laws of the other benchmarks: CPU is used
in phases, and what a pod gets of it depends on its limit, its request and the idle cores of its node; memory has tails,
modes and peaks between two samples; and the manifest may have been another one for the first part of the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from concertmaster.core.model.policy import Policy

GI = 2.0**30
MI = 2.0**20
HOUR = 3600.0
DAY = 86400.0
WEEK = 7 * DAY
MONTH = 30 * DAY
NOW = 1_760_000_000.0
WINDOW = 14 * DAY

CPU, MEMORY, DISK, GPU = "cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"
Amounts = Mapping[str, float]
"""Cores, bytes or GPUs by resource, as a manifest names it."""


class Role(StrEnum):
    """Where a container is declared. ``BESIDE``: a sidecar of the engine; ``NATIVE``: an init container with restartPolicy
    Always."""

    MAIN = "main"
    BESIDE = "beside"
    NATIVE = "native"
    INIT = "init"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the peak: ``usual``, log-normal with ``spread``, ``heavy`` times as much in a share ``often`` of the runs or
    (``weekday``, 0 to 6) on one day a week, times a Pareto variate with exponent ``tail`` (None: none), times the input of
    the run to the power ``power``, and growing by the share ``growth`` a day.

    The peak lasts ``seconds`` (None: samples always show it), and before it a ``burst``-th of it is used. ``cache``: page
    cache in the kernel's high-water mark, as a multiple. ``alike``: every attempt at the same item needs the same.
    """

    usual: float = 300 * MI
    spread: float = 0.05
    often: float = 0.0
    heavy: float = 1.0
    weekday: int | None = None
    tail: float | None = None
    power: float = 0.0
    growth: float = 0.0
    seconds: float | None = None
    burst: float = 1.0
    cache: float = 1.03
    alike: bool = True


@dataclass(frozen=True, slots=True)
class Cpu:
    """``phases``: share of the time without any limit, and the cores used in it; the cores vary by ``spread`` from run to
    run. Runs but a share of ``in_runs`` are like the last phase all the time."""

    phases: tuple[tuple[float, float], ...] = ((1.0, 0.4),)
    spread: float = 0.05
    in_runs: float = 1.0

    @property
    def mean(self) -> float:
        """Cores on average without any limit."""
        busy = sum(share * cores for share, cores in self.phases)
        return self.in_runs * busy + (1.0 - self.in_runs) * self.phases[-1][1]


@dataclass(frozen=True, slots=True)
class Gpus:
    """``busy`` GPUs, each ``use`` of the time; ``most`` of them in a share ``often`` of the runs."""

    busy: int = 1
    use: float = 0.7
    most: int = 1
    often: float = 0.0


@dataclass(frozen=True, slots=True)
class Container:
    """One container, by default well sized. ``disk``: bytes of its writable layer, log-normal with ``disk_spread``.
    ``seconds``: of an init container. ``injected``: the manifest does not have it."""

    name: str = "main"
    role: Role = Role.MAIN
    requests: Amounts = field(default_factory=lambda: {CPU: 0.55, MEMORY: 420 * MI})
    limits: Amounts = field(default_factory=dict)
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    gpus: Gpus = Gpus()
    disk: float | None = None
    disk_spread: float = 0.1
    seconds: float = 20.0
    image: str = "registry.example/work:1"
    injected: bool = False

    def asking(self, **requests: float) -> Container:
        """The container with other requests."""
        return replace(self, requests={**self.requests, **requests})

    def limited(self, **limits: float) -> Container:
        """The container with other limits."""
        return replace(self, limits={**self.limits, **limits})

    @property
    def guaranteed(self) -> Container:
        """The container with limits equal to its requests."""
        return self.limited(**self.requests)


@dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume: ``capacity``, bytes ``used`` at the end of the window, ``growth`` in bytes a day, both with
    ``noise`` from run to run. What is added since it was last emptied is removed every ``emptied`` days (None: never)."""

    claim: str
    capacity: float
    used: float
    growth: float = 0.0
    noise: float = 0.0
    emptied: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``seconds`` of unhindered work, log-normal with ``spread``, following the input with ``elasticity``; in
    ``in_runs`` of the runs. ``items`` pods side by side. ``requests`` and ``limits`` of the pod as a whole (None: none are
    declared)."""

    name: str
    containers: tuple[Container, ...] = (Container(),)
    seconds: float = 600.0
    spread: float = 0.1
    elasticity: float = 0.0
    items: int = 1
    in_runs: float = 1.0
    retries: int = 0
    volume: Volume | None = None
    requests: Amounts | None = None
    limits: Amounts = field(default_factory=dict)

    def having(self, name: str, changed: Container | None) -> Step:
        """The step with another container in place of the one with that name; None: without it."""
        made = (changed if c.name == name else c for c in self.containers)
        return replace(self, containers=tuple(c for c in made if c is not None))

    def container(self, name: str) -> Container:
        """The container with that name."""
        return next(c for c in self.containers if c.name == name)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What something else than the object of the workflow, such as a webhook, sets for the container ``main`` of a step, in
    place of what is declared, in a share ``often`` of the runs."""

    step: str
    requests: Amounts = field(default_factory=dict)
    limits: Amounts = field(default_factory=dict)
    often: float = 1.0

    def with_row(self, section: str, resource: str, amount: float) -> Elsewhere:
        """With another amount of what it sets."""
        own: Amounts = getattr(self, section)
        return replace(self, **{section: {**own, resource: amount}}) if resource in own else self  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow, started every ``every`` seconds. ``before``: its steps until ``changed`` days before the end (None: the
    same).

    The input of a run is log-normal with ``input_spread`` and, if ``inputs_known``, recorded. ``idle``: cores that nodes
    have for a pod beyond its request, between the two (None: enough). ``gaps``: share of the pods without samples.
    ``namespace``: LimitRanges and ResourceQuotas, as objects. ``node``: allocatable of each node. ``live``: run objects are
    read, and with them the messages of evictions. ``marked``: it is known which runs are of the object as it is today.
    """

    name: str
    steps: tuple[Step, ...]
    before: tuple[Step, ...] | None = None
    changed: float = 0.0
    engine: str = "argo"
    every: float = 8 * HOUR
    input_spread: float = 0.0
    inputs_known: bool = False
    idle: tuple[float, float] | None = None
    gaps: float = 0.0
    namespace: tuple[Mapping[str, Any], ...] = ()
    node: Amounts = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    live: bool = False
    elsewhere: Elsewhere | None = None
    marked: bool = True
    seed: int = 1

    @property
    def runs_per_month(self) -> float:
        """Starts in 30 days."""
        return MONTH / self.every

    def at(self, days_ago: float) -> tuple[Step, ...]:
        """The steps so many days before the end of the window; negative ones are after it."""
        return self.before if self.before is not None and days_ago > self.changed else self.steps

    def step(self, name: str) -> Step:
        """The step with that name, as it is today."""
        return next(s for s in self.steps if s.name == name)

    def having(self, changed: Step) -> Flow:
        """The workflow with another step in place of today's one with its name."""
        return replace(self, steps=tuple(changed if s.name == changed.name else s for s in self.steps))
