"""Run records: executions, times and outcome of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from concertmaster.core.fast_init import fast_init
from concertmaster.core.known import total
from concertmaster.core.model.definitions import WorkflowKey
from concertmaster.core.model.facts import ContainerFact, VolumeUse

ITEM_JOIN = " / "
"""Between the items of nested fan-outs, outermost first: "0:x / 2:3". Item texts may themselves hold slashes."""
UNNAMED_ITEM = "#"
"""Begins the item of an execution of unknown name: what follows distinguishes it from the others of its step."""


def in_group(item: str | None) -> tuple[str, str]:
    """The items of the outer fan-outs that an item of a nested one belongs to (empty where there are none), and its own."""
    group, _, own = (item or "").rpartition(ITEM_JOIN)
    return group, own


_TIMES = ("ready", "created", "scheduled", "started", "serving", "finished")


class Source(StrEnum):
    """Origin of a run record. Only live objects hold branches taken, cache hits, ``when``, exit codes and messages."""

    LIVE = "Live"
    HISTORY = "History"


class Outcome(StrEnum):
    """Outcome of a run or a step execution. Unknown is excluded from success and duration figures; Ended, which completed
    with unknown result, from success figures only."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CACHED = "Cached"
    RUNNING = "Running"
    ENDED = "Ended"
    UNKNOWN = "Unknown"

    @property
    def timed(self) -> bool:
        """Whether its duration counts: completed and not known to have failed."""
        return self is _SUCCEEDED or self is _ENDED

    @property
    def over(self) -> bool:
        """Whether it completed, successfully or not."""
        return self is _SUCCEEDED or self is _ENDED or self is _FAILED


# Taken from its class, a member of an enumeration costs 0.1 us with Python 3.11 (``EnumType.__getattr__``), as much as a
# comparison of two attributes: what looks at each execution of each run takes it out of its loop.
_SUCCEEDED, _FAILED, _ENDED, _UNKNOWN = Outcome.SUCCEEDED, Outcome.FAILED, Outcome.ENDED, Outcome.UNKNOWN


STOPPED = frozenset({"Stopped", "Cancelled", "TaskRunCancelled"})
"""Reasons of executions and runs that a user, or the schedule, ended: they neither succeeded nor failed. The first is that
of Argo's reader, the others are Tekton's own, of a PipelineRun (however it was cancelled) and of a TaskRun."""
REUSED = "Reused"
"""Reason of steps that a run took over from another one that had failed, as ``argo resubmit --memoized`` has it. Such a run
does the rest only: its time is not that of a run, and its failure another one of the same input."""
RUN_TIMEOUT = "PipelineRunTimeout"
"""Reason of executions that the time limit of their whole run ended."""


@fast_init
@dataclass(frozen=True, slots=True)
class StepExecution:
    """One pod (or one attempt) of one step in one run.

    ``ready``: when the step's dependencies were satisfied; ``created``: creation of the pod object; ``scheduled``: its
    binding to a node; ``started``: first start of a main container; ``finished``: end of the last one. ``serving``: when a
    daemon became ready, which ends its work for its dependents; None for every other step. All in unix seconds.
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
    after: tuple[str, ...] | None = None  # steps it really waited for in this run; None: unknown (no live object)
    exit_code: int | None = None
    message: str | None = None  # the engine's message, on one line
    network_receive_bytes: float | None = None  # of the pod, all interfaces except lo
    network_transmit_bytes: float | None = None
    instance_type: str | None = None  # of the node
    spot: bool | None = None  # whether the node is preemptible; None: no label shows it
    node_prices: tuple[float, ...] | None = None  # per core-hour, GiB-hour and GPU-hour, from OpenCost
    model: str | None = None  # the model with most of its usage, by label of an extra metric; not in history rows
    volumes: tuple[VolumeUse, ...] = ()  # persistent volumes mounted by its pod, by claim
    serving: float | None = None
    overhead: tuple[float, float] | None = None  # cores and bytes that its RuntimeClass reserves beside its containers

    @property
    def items(self) -> tuple[str, ...]:
        """The item in each fan-out around it, outermost first."""
        return tuple(self.item.split(ITEM_JOIN)) if self.item else ()

    @property
    def unseen(self) -> bool:
        """Whether it may have failed or not: its end was not seen, and nobody stopped it."""
        return (self.outcome is _UNKNOWN or self.outcome is _ENDED) and self.reason not in STOPPED

    @property
    def network_bytes(self) -> float | None:
        """Bytes received plus sent; None when neither is known."""
        return total((self.network_receive_bytes, self.network_transmit_bytes))

    @property
    def duration(self) -> float | None:
        """Seconds from start to finish of the main containers; None when either is unknown."""
        if self.started is None or self.finished is None:
            return None
        seconds = self.finished - self.started
        return seconds if seconds > 0.0 else 0.0

    @property
    def span(self) -> float | None:
        """Seconds from pod creation to finish, the wait of dependents; None when either is unknown."""
        begin = self.created if self.created is not None else self.started
        if begin is None or self.finished is None:
            return None
        seconds = self.finished - begin
        return seconds if seconds > 0.0 else 0.0

    @property
    def scheduling_latency(self) -> float | None:
        """Seconds from pod creation to its scheduling; None when either is unknown."""
        return self.scheduled - self.created if self.scheduled is not None and self.created is not None else None

    @property
    def held(self) -> float | None:
        """Seconds for which its requests are reserved: on a node, that is from its scheduling to its end; from its creation
        where that is unknown."""
        if self.scheduled is None or self.finished is None:
            return self.span
        seconds = self.finished - self.scheduled
        return seconds if seconds > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Suspension:
    """Seconds a run was suspended before its pods could be created. ``by``: the ClusterQueue of Kueue that admitted it or
    the lock it waited for, as "ClusterQueue batch" or "mutex/nightly" (None: unknown); ``evictions``: how often Kueue
    stopped it again; ``until``: when it was last admitted or resumed (unix seconds; None: unknown)."""

    seconds: float
    by: str | None = None
    evictions: int = 0
    until: float | None = None


@dataclass(frozen=True, slots=True)
class SuspendedRun:
    """A run that is suspended now, so that it may have no pods. ``kind``: of its object; ``created``: unix seconds;
    ``queue``: the LocalQueue of Kueue that has to admit it (None: none); ``why``: Kueue's reason (None: unknown)."""

    kind: str
    name: str
    created: float
    queue: str | None = None
    why: str | None = None


@fast_init
@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one workflow. ``run`` is unique within the workflow (engine's run name, plus uid if known).

    ``pauses``: (from, to) between a failed end and a retry of the same run, or while it was suspended, in which nothing was
    waited for; excluded from the run's time: see ``without_pauses``. ``input_size``: of the run as a whole, in the unit its
    source declares; sizes of steps are part of their executions. ``created``: creation of the run's object in unix seconds,
    which a retry keeps and a run made again under its name does not; None: unknown (no live object). ``fetched``: how the
    engine got the definition of the run from elsewhere than the workflow's object, as "resolver git"; None: it did not, or
    unknown.
    """

    workflow: WorkflowKey
    run: str
    start: float | None
    end: float | None
    outcome: Outcome
    source: Source
    steps: tuple[StepExecution, ...]
    fingerprint: str | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    pauses: tuple[tuple[float, float], ...] = ()
    input_size: float | None = None
    suspension: Suspension | None = (
        None  # before the first pod and after evictions, so not part of the run's time; None: unknown (no live object)
    )
    created: float | None = None
    fetched: str | None = None

    @property
    def unseen(self) -> bool:
        """Whether its end was not seen: it may have failed or not. Nobody stopped it, as far as is known."""
        if self.outcome is not _UNKNOWN and self.outcome is not _ENDED:
            return False
        return not any(e.reason in STOPPED or e.reason == REUSED for e in self.steps)

    @property
    def input_total(self) -> float | None:
        """Input size of the run: its own if known, else the sum over its steps (attempts at the same item count once); None
        when unknown."""
        if self.input_size is not None:
            return self.input_size
        sizes = {(e.step, e.item): e.input_size for e in self.steps if e.input_size is not None}
        return sum(sizes.values()) if sizes else None

    @property
    def makespan(self) -> float | None:
        """Seconds from the first pod's creation to the last pod's end; None when unknown."""
        if self.start is None or self.end is None:
            return None
        return max(0.0, self.end - self.start)

    @property
    def run_time(self) -> float | None:
        """Seconds from begin to end of the run according to its engine. Compare records of both sources by ``makespan``
        only."""
        span = self.run_span
        return None if span is None else max(0.0, span[1] - span[0])

    @property
    def run_span(self) -> tuple[float, float] | None:
        """Begin and end of the run according to its engine (unix seconds): from the first pod to the last one, and what only
        a live record knows before and after them (suspended and cached steps). None when unknown."""
        if self.start is None or self.end is None:
            return None
        live = self.source is Source.LIVE
        beside = [e for e in self.steps if live and e.pod is None and e.outcome is not Outcome.SKIPPED]
        begin = min([self.start, *(e.created for e in beside if e.created is not None)])
        return begin, max([self.end, *(e.finished for e in beside if e.finished is not None)])

    @property
    def queue_time(self) -> float | None:
        """Longest wait of the run's pods for a node in seconds; None when unknown for all pods."""
        waits = [e.scheduled - e.created for e in self.steps if e.scheduled is not None and e.created is not None]
        return max(0.0, *waits) if waits else None


def without_pauses(record: RunRecord) -> RunRecord:
    """The run as if each retry had followed immediately: times before a pause are shifted towards its end, so that the end
    of the run is unchanged. Nothing begins in a pause: what seems to, by another clock than the pause is by, belongs to
    its nearer end."""
    for begin, end in sorted(record.pauses):
        idle = max(0.0, end - begin)
        middle = begin + idle / 2
        record = replace(
            record,
            start=_moved(record.start, middle, idle),
            end=_moved(record.end, middle, idle),
            steps=tuple(_step_moved(e, middle, idle) for e in record.steps),
        )
    return replace(record, pauses=()) if record.pauses else record


def _moved(moment: float | None, until: float, by: float) -> float | None:
    return moment + by if moment is not None and moment <= until else moment


def _step_moved(e: StepExecution, middle: float, by: float) -> StepExecution:
    """Shifts an execution that began before the pause; one that began after it is unchanged but for the end of what it
    waited for."""
    begin = next((t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None), None)
    if begin is None or begin > middle:
        return replace(e, ready=_moved(e.ready, middle, by)) if e.ready is not None else e
    until = middle + by / 2  # the metrics may have its end a moment later than the object that the pause is from
    times = {name: _moved(getattr(e, name), until, by) for name in _TIMES}
    containers = tuple(
        replace(c, started=_moved(c.started, until, by), finished=_moved(c.finished, until, by)) for c in e.containers
    )
    return replace(e, **times, containers=containers)  # type: ignore[arg-type]
