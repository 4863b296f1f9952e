"""How data get lost: a law changes the pods of each run as a metrics source with that gap would show them.

Only states that the readers can produce: a figure nobody measured is None, a container that was looked for and never
seen has 0 samples, a pod whose end was not scraped ends at its last sample with outcome Unknown. The runs are then put
together from their pods by the product itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.advice.law import DAY, NOW
from benchmarks.advice.manifests import Known
from benchmarks.advice.plant import Rng
from concertmaster.core.model import ContainerFact, RunRecord, Source, StepExecution
from concertmaster.engines import RunBuilder
from concertmaster.history.rebuild import rebuild

ChangeRun = Callable[[Rng, RunRecord], RunRecord | None]
ChangePod = Callable[[Rng, StepExecution], StepExecution | None]
ChangeContainer = Callable[[ContainerFact], ContainerFact]


@dataclass(frozen=True, slots=True)
class Law:
    """One way in which data get lost, and its ``cause``. ``hides``: kinds of planted problems that cannot be seen without
    what it takes away; ``sized``: the steps know the sizes of their inputs; ``read_live``: whether the engine's object of a
    run was read, which knows outcomes and ends that the metrics may lack; ``outage``: in which time the operator knows that
    nothing was seen, in days before the end of the history."""

    name: str
    cause: str
    change: ChangeRun
    hides: frozenset[str] = frozenset()
    sized: bool = False
    read_live: Callable[[RunRecord], bool] = lambda _: False
    outage: tuple[float, float] | None = None

    @property
    def blind(self) -> tuple[tuple[float, float], ...]:
        """The outage in unix seconds, as a metrics source reports it."""
        return () if self.outage is None else ((NOW - self.outage[0] * DAY, NOW - self.outage[1] * DAY),)

    def apply(self, runs: Sequence[RunRecord], seed: int) -> list[RunRecord]:
        """The runs as far as they are seen. A run has the same random events whichever others are seen."""
        name = zlib.crc32(self.name.encode())
        seen = [self.change(np.random.default_rng((seed, name, number)), run) for number, run in enumerate(runs)]
        return [run for run in seen if run is not None and run.steps]


def read(known: Known, law: Law, runs: Sequence[RunRecord], seed: int) -> list[RunRecord]:
    """The runs that the product makes of what is seen of these."""
    builder = RunBuilder(known.definition.key, known.definition, NOW)
    objects = {run.run: _object(known, run) for run in runs if law.read_live(run)}
    return [
        replace(made, fingerprint=run.fingerprint)
        for run in law.apply(runs, seed)
        for made in rebuild(run.run, [replace(e, ready=None) for e in run.steps], objects.get(run.run), builder)
    ]


def _object(known: Known, run: RunRecord) -> RunRecord:
    """The record of the engine's object: a Job knows its end, other engines the outcome and the end of every pod."""
    if known.definition.engine.single_step:
        return replace(run, source=Source.LIVE, steps=())
    steps = tuple(replace(e, scheduled=None, started=None, containers=(), volumes=(), node=None) for e in run.steps)
    return replace(run, source=Source.LIVE, steps=steps)


def of_pods(change: ChangePod) -> ChangeRun:
    """The change of each pod; None: it was not seen at all."""

    def of_run(rng: Rng, run: RunRecord) -> RunRecord:
        steps = [change(rng, e) for e in run.steps]
        return replace(run, steps=tuple(e for e in steps if e is not None))

    return of_run


def of_containers(change: ChangeContainer) -> ChangePod:
    """The same change of every container of a pod."""
    return lambda _, e: replace(e, containers=tuple(change(c) for c in e.containers))


def by_chance(share: float, change: ChangePod) -> ChangePod:
    """The change of this share of the pods (0 to 1)."""
    return lambda rng, e: change(rng, e) if rng.random() < share else e


def between(oldest: float, newest: float, change: ChangePod) -> ChangePod:
    """The change of pods that end between so many days before the end of the history."""
    return lambda rng, e: change(rng, e) if newest < age(e.finished) <= oldest else e


def age(time: float | None) -> float:
    """Days from ``time`` (unix seconds) to the end of the history."""
    return (NOW - (time or NOW)) / DAY
