"""The law of a workflow whose runs are followed over weeks, in seconds, cores, bytes and shares from 0 to 1.

Nothing here is taken from the product. Work varies log-normally, by run and by step, with the hour of the day, on weekends
and with a drift; what happens for some days is an ``Effect``, which no manifest shows. All that is random in a run depends
on its seed, number, step and item alone: the same run under another definition, or without an effect, differs by that only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MI = 2.0**20
GI = 2.0**30
HOUR = 3600.0
DAY = 86400.0
BEGIN = 1_757_894_400.0  # Monday, 2025-09-15 00:00 UTC: day 0 of each life


def at_day(day: float) -> float:
    """Unix seconds of a day of a life."""
    return BEGIN + day * DAY


@dataclass(frozen=True, slots=True)
class Step:
    """One step, a fan-out if it has several ``items``.

    Each item works for ``seconds``, log-normal with ``spread``. In a share ``busy`` of that time its container would use
    ``cores``, else ``IDLE`` of them; a lower CPU limit prolongs the busy part. Its memory peak is log-normal around
    ``memory`` with ``memory_spread``; beyond the limit it is killed. ``fails``: share of attempts that fail.
    """

    name: str
    after: tuple[str, ...] = ()
    seconds: float = 300.0
    spread: float = 0.05
    items: int = 1
    cores: float = 0.8
    busy: float = 0.9
    cpu_request: float = 1.0
    cpu_limit: float | None = None
    memory: float = 400 * MI
    memory_spread: float = 0.05
    memory_request: float = 512 * MI
    memory_limit: float | None = None
    fails: float = 0.0
    retries: int = 0
    timeout: float | None = 8 * HOUR
    image: str = "1"
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"

    @property
    def stretch(self) -> float:
        """Factor on its time by the CPU limit."""
        if self.cpu_limit is None or self.cpu_limit >= self.cores:
            return 1.0
        return 1.0 - self.busy + self.busy * self.cores / self.cpu_limit


IDLE = 0.3  # of the cores of a step, while it is not busy


@dataclass(frozen=True, slots=True)
class Effect:
    """What holds from ``since`` to ``until`` (unix seconds) and no manifest shows, of one step or of all: work takes
    ``factor`` times as long, memory peaks are ``memory`` times as high, inputs ``inputs`` times as large, and a share
    ``fails`` of the attempts fails (None: as usual)."""

    since: float
    until: float = math.inf
    step: str | None = None
    factor: float = 1.0
    memory: float = 1.0
    inputs: float = 1.0
    fails: float | None = None

    def holds(self, time: float, step: str | None) -> bool:
        """Whether it concerns that step (None: the run as a whole) at that time."""
        return self.since <= time < self.until and self.step in (None, step)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Work takes ``1 + swing`` times as long at ``noon`` (hour of the day, UTC), ``1 - swing`` twelve hours later, and
    ``weekend`` times on Saturdays and Sundays."""

    swing: float = 0.0
    noon: float = 12.0
    weekend: float = 1.0

    def factor(self, time: float) -> float:
        """On the work at that time."""
        hour = time % DAY / HOUR
        factor = 1.0 + self.swing * math.cos(2.0 * math.pi * (hour - self.noon) / 24.0)
        return factor * self.weekend if (time - BEGIN) // DAY % 7 >= 5 else factor


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow, a CronWorkflow that starts ``every`` seconds.

    All work of a run varies with ``noise``, the standard deviation of logarithms, and grows by ``drift`` a day; it follows
    the input, which is log-normal with ``input_spread`` and recorded if ``inputs_known``. ``paused``: spans (unix seconds)
    without starts.
    """

    steps: tuple[Step, ...]
    every: float = 4 * HOUR
    noise: float = 0.1
    drift: float = 0.0
    calendar: Calendar = Calendar()
    parallelism: int | None = None
    input_spread: float = 0.0
    inputs_known: bool = False
    effects: tuple[Effect, ...] = ()
    paused: tuple[tuple[float, float], ...] = ()

    def having(self, step: str, **changes: object) -> Flow:
        """The workflow with changes to one step."""
        made = (replace(s, **changes) if s.name == step else s for s in self.steps)  # type: ignore[arg-type]
        return replace(self, steps=tuple(made))

    def step(self, name: str) -> Step:
        """The step with that name."""
        return next(s for s in self.steps if s.name == name)

    def under(self, *effects: Effect) -> Flow:
        """The workflow with further effects."""
        return replace(self, effects=(*self.effects, *effects))
