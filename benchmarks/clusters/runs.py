"""Runs, their pods and the nodes these are on, with their times."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.clusters.law import Flow, Pool, Step
from benchmarks.clusters.starts import Start


@dataclass(slots=True, eq=False)
class Node:
    """One node: cores that are free, and its pods. ``used``: when it last had a pod; ``added``: by an autoscaler."""

    name: str
    pool: Pool
    free: float
    used: float
    added: bool = False
    gone: bool = False
    pods: list[Pod] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Pod:
    """One attempt at one item of a step. ``ready``: when all it depends on was over; all in unix seconds. ``reason``: why it
    failed. ``holding``: whether it has the lock of its step; ``counted``: whether it uses its namespace's quota."""

    run: Run
    step: Step
    item: int
    attempt: int
    ready: float
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None
    finished: float | None = None
    node: Node | None = None
    reason: str | None = None
    holding: bool = False
    counted: bool = False


@dataclass(slots=True, eq=False)
class Run:
    """One run. ``begun``: when its pods could be created; ``over``: when it ended. ``left``: items of each step that are not
    over; ``waiting``: pods that are not admitted yet."""

    flow: Flow
    start: Start
    begun: float = 0.0
    over: float | None = None
    failed: bool = False
    pods: list[Pod] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    waiting: list[Pod] = field(default_factory=list)
    active: int = 0

    @property
    def first(self) -> float | None:
        """When its first pod was created."""
        return min((p.created for p in self.pods if p.created is not None), default=None)

    @property
    def makespan(self) -> float:
        """Seconds from its first pod to its end; it must be over."""
        assert self.over is not None
        return self.over - (self.first or self.over)

    @property
    def whole(self) -> float:
        """Seconds from when it was due to its end; it must be over."""
        assert self.over is not None
        return self.over - self.start.due

    @property
    def complete(self) -> bool:
        """Whether it is over and succeeded."""
        return self.over is not None and not self.failed and self.first is not None
