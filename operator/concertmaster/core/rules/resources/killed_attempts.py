"""Run time that attempts cost which run out of memory, and are retried with success or, where pods restart their containers
(``restartPolicy: OnFailure``), followed by another start (part of ``memory-request``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model import Interval, Outcome, StepExecution
from concertmaster.core.rules.base import gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.stats.means import product


@dataclass(frozen=True, slots=True)
class TimeLost:
    """Share and seconds of a run that killed attempts and the pauses after them take; None: not clearly above zero.
    ``replayed``: what is left out of the runs for that."""

    share: Interval | None = None
    seconds: Interval | None = None
    replayed: str = ""

    @property
    def expected(self) -> str:
        """What a run is shorter by, as the first part of a sentence; empty when unknown."""
        if self.share is None or self.seconds is None:
            return ""
        return f"{gain_sentence(self.share, self.seconds)}, without the killed attempts; "

    @property
    def otherwise(self) -> str:
        """What runs keep losing, as the last part of a sentence; empty when unknown."""
        return f", and a run loses {text.duration(self.seconds.likely)} to that on average" if self.seconds else ""

    @property
    def evidence(self) -> tuple[str, ...]:
        """How the gain is computed."""
        if self.seconds is None:
            return ()
        return (f"gain replayed {self.replayed}",)


def time_lost(evidence: Evidence, unit: SizingUnit, counted: Sequence[RunUsage], enough_for: Interval) -> TimeLost:
    """What the killed attempts of a container cost the runs that a retry or a restart rescued. ``counted``: the runs that
    show how often it is killed; ``enough_for``: share (0 to 1) of the kills that the proposed size avoids."""
    steps, ends = unit.steps, {run.time for run in counted}
    names = {run.run for run in evidence.analysis.runs if run.end in ends}
    rows = [e for step in steps for run, of in evidence.rows.all.get(step, {}).items() if run in names for e in of]
    if restarts := _share_of_restarts(rows, unit.container):
        left = tuple((step, 1.0 - restarts) for step in steps)
        avoided, change = enough_for, WhatIf(start_up=left) if unit.container.init else WhatIf(scales=left)
        replayed = "without the time between the first and the last start of containers that were killed and restarted"
    else:
        avoided, change = enough_for.scaled(_share_of_kills(rows)), WhatIf(clean=steps)
        replayed = "with each killed attempt left out, and the pause after it, where a retry succeeded"
    if avoided.likely <= 0.0:
        return TimeLost()
    gained = evidence.gain(change, [run for run in evidence.analysis.executed if run.run in names])
    # Whether the kills have ended, all of them tell: those of failed runs are not replayed.
    found = worth(replace(gained, ended=False), 0.0)
    if found is None:
        return TimeLost()
    share, seconds = (product(gain, avoided) for gain in found)
    return TimeLost(share, seconds, replayed) if share.low > 0.0 < seconds.low else TimeLost()


def _share_of_restarts(rows: Sequence[StepExecution], container: ContainerUsage) -> float:
    """Share (0 to 1) of the time of these executions from the first to the last start of a container that was killed and
    restarted in its pod; of an init container, of the time before their work starts."""
    lost = math.fsum(
        max(0.0, c.restarted_after_oom - c.started)
        for e in rows
        for c in e.containers
        if c.name == container.name and c.restarted_after_oom is not None and c.started is not None
    )
    spans = ((e.created, e.started) if container.init else (e.started, e.finished) for e in rows)
    whole = math.fsum(max(0.0, end - begin) for begin, end in spans if begin is not None and end is not None)
    return min(1.0, lost / (whole or math.inf))


def _share_of_kills(rows: Sequence[StepExecution]) -> float:
    """Share (0 to 1) of the time of the failed attempts among these executions, of those that ran out of memory."""
    failed = [e for e in rows if e.outcome is Outcome.FAILED]
    killed = math.fsum(e.duration or 0.0 for e in failed if classify(e) is FailureClass.OOM)
    return killed / (math.fsum(e.duration or 0.0 for e in failed) or math.inf)
