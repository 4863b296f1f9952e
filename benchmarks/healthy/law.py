"""The law of a healthy workflow: what its steps do in a run, in seconds, cores, bytes and shares from 0 to 1.

Nothing here is taken from the product, nor from the law of planted problems: work varies log-normally, now and then with
a Pareto tail, and what happens in a run is decided by a function of the run.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

MI = 1024.0**2
GI = 1024.0**3
HOUR = 3600.0
DAY = 24 * HOUR
WINDOW = 14 * DAY

Rng = np.random.Generator


def log_normal(rng: Rng, spread: float) -> float:
    """A factor around 1 whose logarithm has this standard deviation."""
    return float(np.exp(spread * rng.standard_normal()))


@dataclass(slots=True)
class Run:
    """One run as the laws of its steps see it.

    ``start``: unix seconds; ``age``: days from its start to the analysis. ``load``: factor on the work of steps that scale
    with it. ``sizes``: of the items of its fan-out, relative to a usual item. ``marks``: what kind of run it is, or what
    is still to happen in it. ``version`` of the image. ``node``: where all its pods run, if they run together.
    """

    rng: Rng
    number: int
    start: float
    age: float
    load: float = 1.0
    sizes: tuple[float, ...] = ()
    marks: set[str] = field(default_factory=set)
    version: int = 1
    node: str | None = None

    @property
    def hour(self) -> float:
        """Hour of the day (UTC) of its start."""
        return self.start % DAY / HOUR

    @property
    def weekday(self) -> int:
        """0 (Monday) to 6."""
        return weekday(self.start)

    @property
    def weekend(self) -> bool:
        """Whether it starts on a Saturday or Sunday."""
        return self.weekday >= 5

    @property
    def day_of_month(self) -> int:
        """1 to 31."""
        return datetime.datetime.fromtimestamp(self.start, datetime.UTC).day

    def varied(self, spread: float) -> float:
        """A random factor around 1, log-normal."""
        return log_normal(self.rng, spread)

    def chance(self, share: float) -> bool:
        """True in this share of the calls."""
        return bool(self.rng.random() < share)

    def once(self, mark: str) -> bool:
        """Whether it has this mark, which it then loses."""
        found = mark in self.marks
        self.marks.discard(mark)
        return found


def weekday(time: float) -> int:
    """0 (Monday) to 6, of unix seconds."""
    return int(time // DAY + 3) % 7


Delay = float | Callable[[Run], float]
"""Seconds: the mean, or a law."""
Sizes = Callable[[Run], Sequence[float]]
Starts = Callable[[Rng, float], list[float]]
"""Start times in the window before the time of the analysis, in unix seconds."""


def each(run: Run) -> Sequence[float]:
    """The items of the run's fan-out."""
    return run.sizes


@dataclass(frozen=True, slots=True)
class Volume:
    """A persistent volume that a step writes to, and the share of it that is in use after a run."""

    claim: str
    used: Callable[[Run], float]
    capacity: float = 100 * GI


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    An execution works for ``fixed`` seconds, and for ``seconds`` times the size of its item times the run's load to the
    power of ``scales``, which vary by ``spread``. Of its executions ``slow`` take a Pareto-distributed factor longer, with
    exponent ``tail``, and ``rare`` (share, factor) that factor longer. ``items``: the sizes of its fan-out (None: one
    pod); ``sized``: whether the metrics show the size, or else the run's load. ``only``: in runs with this mark. Of its
    requests it uses ``cpu_used`` and ``memory_used``, plus ``memory_grows`` per unit of load. ``flaky``: share of attempts
    that fail; ``fails``: the reason for which an attempt fails in this run; ``resumes``: whether a retry has only the
    rest to do, from a checkpoint. ``creates``: its pod creates an object and waits for that. ``loose``: dependencies
    without data. ``inputs``: the fingerprint of its inputs. ``wait``: for a node; ``pull``: until the container starts.
    ``network``: bytes a second received. ``disk_wait``: share of its time stalled on disk. ``throttled``: share of the
    CPU periods.
    """

    name: str
    seconds: float
    spread: float = 0.0
    after: tuple[str, ...] = ()
    fixed: float = 0.0
    scales: float = 0.0
    slow: float = 0.0
    tail: float = 2.0
    rare: tuple[float, float] = (0.0, 1.0)
    items: Sizes | None = None
    sized: bool = False
    only: str | None = None
    loose: tuple[str, ...] = ()
    cpu_request: float = 1.0
    cpu_used: float = 0.7
    cpu_limit: float | None = None
    throttled: float = 0.0
    memory_request: float = 1024 * MI
    memory_used: float = 0.72
    memory_spread: float = 0.03
    memory_grows: float = 0.0
    memory_limit: float | None = None
    gpus: int = 0
    gpu_used: float = 0.7
    gpu_resource: str = "nvidia.com/gpu"
    flaky: float = 0.0
    fails: Callable[[Run], str | None] | None = None
    resumes: bool = False
    creates: bool = False
    retries: int = 2
    timeout: float | None = 6 * HOUR
    wait: Delay = 1.0
    pull: Delay = 3.0
    inputs: Callable[[Run], str] | None = None
    volume: Volume | None = None
    network: float = 1e5
    disk_wait: float = 0.02


@dataclass(frozen=True, slots=True)
class Flow:
    """One workflow: its steps, and when it starts.

    ``prepare`` decides what is common to the steps of a run. ``node``: name of a pod's node and the factor on its work
    there. ``live``: records come from live objects. ``sampled``: share of the pods with usage samples. ``version``: of the
    image in its present definition. ``nodes``: what all of them have allocatable (empty: the cluster autoscales).
    ``true``: rules whose recommendations are right although nothing need be done, and why; ``hidden``: rules whose
    recommendations are wrong for a reason that no metric shows.
    """

    name: str
    steps: tuple[Step, ...]
    starts: Starts
    engine: str = "argo"
    schedule: str | None = None
    parallelism: int | None = None
    meets: str = "Forbid"
    prepare: Callable[[Run], None] | None = None
    node: Callable[[Run], tuple[str, float]] | None = None
    live: bool = False
    sampled: float = 1.0
    version: int = 1
    nodes: Mapping[str, float] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    true: Mapping[str, str] = field(default_factory=dict)

    def having(self, step: str, **changes: object) -> Flow:
        """The workflow with changes to one step."""
        return replace(
            self,
            steps=tuple(replace(s, **changes) if s.name == step else s for s in self.steps),  # type: ignore[arg-type]
        )


Kind = Callable[[Rng], Flow]
"""Makes a workflow of this kind; its docstring says what goes on and why nothing need be done."""


def in_sequence(*steps: Step) -> tuple[Step, ...]:
    """The steps, each after the one before."""
    first, *rest = steps
    return first, *(replace(step, after=(before.name,)) for before, step in zip(steps, rest, strict=False))


def light(step: Step) -> Step:
    """The step with small requests, as for lists and notifications."""
    return replace(step, cpu_request=0.2, memory_request=128 * MI)
