"""Run records: what one run did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from concertmaster.core.model.definitions import WorkflowKey
from concertmaster.core.model.facts import ContainerFact

ITEM_JOIN = " / "
"""Between the items of nested fan-outs, outermost first: "0:x / 2:3". Item texts may themselves hold slashes."""


class Source(StrEnum):
    """Where a run record comes from. Only live objects know edges taken, cache hits, ``when``, exit codes, messages."""

    LIVE = "Live"
    HISTORY = "History"


class Outcome(StrEnum):
    """How a run or a step execution ended. UNKNOWN stays outside success and duration figures."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CACHED = "Cached"
    RUNNING = "Running"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class StepExecution:
    """One pod's worth (or one attempt) of one step in one run.

    ``ready`` is when the step's dependencies were satisfied, ``created`` the pod object's creation, ``scheduled`` its
    binding to a node, ``started`` the first start of a main container, ``finished`` the end of the last one.
    """

    step: str
    item: str | None = None
    attempt: int = 0
    pod: str | None = None
    uid: str | None = None
    node: str | None = None
    ready: float | None = None
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None
    finished: float | None = None
    outcome: Outcome = Outcome.UNKNOWN
    reason: str | None = None
    containers: tuple[ContainerFact, ...] = ()
    input_size: float | None = None
    input_fingerprint: str | None = None
    cache_hit: bool | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    after: tuple[str, ...] | None = None  # steps it really waited for in this run; None: only live objects know
    exit_code: int | None = None
    message: str | None = None  # what the engine says about it, on one line

    @property
    def duration(self) -> float | None:
        """Seconds from start to finish of the main containers, or None when an end is unknown."""
        if self.started is None or self.finished is None:
            return None
        return max(0.0, self.finished - self.started)

    @property
    def span(self) -> float | None:
        """Seconds from pod creation to finish: what dependants waited for. None when an end is unknown."""
        begin = self.created if self.created is not None else self.started
        if begin is None or self.finished is None:
            return None
        return max(0.0, self.finished - begin)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one workflow. ``run`` is unique within the workflow (engine's run name, plus uid where known)."""

    workflow: WorkflowKey
    run: str
    start: float | None
    end: float | None
    outcome: Outcome
    source: Source
    steps: tuple[StepExecution, ...]
    fingerprint: str | None = None
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def makespan(self) -> float | None:
        """Seconds from the first pod's creation to the last pod's end, or None."""
        if self.start is None or self.end is None:
            return None
        return max(0.0, self.end - self.start)

    @property
    def queue_time(self) -> float | None:
        """Longest wait of the run's pods for a node, in seconds; None when no pod tells it."""
        waits = [e.scheduled - e.created for e in self.steps if e.scheduled is not None and e.created is not None]
        return max(0.0, *waits) if waits else None
