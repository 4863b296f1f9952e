"""Runs of a workflow, and what differs between two of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from concertmaster.api.models.base import ApiModel
from concertmaster.core.model import Outcome, Source


def _newer(stands_for: Outcome | Source) -> WrapValidator:
    """Text of a newer operator that this version does not know is ``stands_for``: one such run must not hide all others."""

    def known(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            if not isinstance(value, str):
                raise
            return stands_for

    return WrapValidator(known)


KnownOutcome = Annotated[Outcome, _newer(Outcome.UNKNOWN)]


class TimeSplitView(ApiModel):
    """Seconds along the critical path; the parts add up to the duration of the run, suspended and late come before it."""

    controller: float = Field(description="Time before pods were created, and after the last one ended.")
    limit: float = Field(description="Queued for a parallelism limit, mutex or semaphore.")
    scheduling: float = Field(description="From the pod's creation until it was bound to a node.")
    start_up: float = Field(description="Image pull and init containers.")
    work: float = Field(description="Main containers.")
    retry: float = Field(description="Failed attempts and back-off.")
    suspended: float = Field(
        default=0.0, description="Suspended before the first pod and after evictions, by Kueue or by spec.suspend."
    )
    late: float = Field(
        default=0.0, description="Delay of the scheduled start because the previous run was in progress."
    )


class RunSummary(ApiModel):
    """One run as one line."""

    run: str = Field(description="Name of the run, unique within its workflow.")
    started: str | None = Field(default=None, description="Creation of its first pod, RFC 3339.")
    ended: str | None = Field(default=None, description="End of its last pod, RFC 3339.")
    outcome: KnownOutcome
    source: Annotated[Source, _newer(Source.HISTORY)] = Field(
        description="Live: from the engine's object; History: from metrics."
    )
    duration_seconds: float | None = None
    queue_seconds: float | None = Field(default=None, description="Longest scheduling latency of a pod.")
    cost: float | None = Field(default=None, description="In the currency of the workflow's policy.")
    slowest_step: str | None = Field(default=None, description="Step with the largest part of the critical path.")
    slowest_seconds: float | None = None
    time_split: TimeSplitView | None = Field(
        default=None, description="null where the pods of the run are not all known."
    )
    failed_attempts: int
    changed: str | None = Field(default=None, description="Image, requests or template changed since the previous run.")


class ContainerRow(ApiModel):
    """One main container of a pod."""

    name: str
    image: str | None = None
    cpu_request: float | None = Field(default=None, description="Cores.")
    memory_request: float | None = Field(default=None, description="Bytes.")
    cpu_limit: float | None = None
    memory_limit: float | None = None
    throttled_share: float | None = Field(default=None, description="0 to 1.")


class PodRow(ApiModel):
    """One pod of a run. Times are seconds after the run's start."""

    step: str
    item: str | None = Field(default=None, description="Fan-out item.")
    attempt: int = 0
    outcome: KnownOutcome
    reason: str | None = None
    critical: bool = Field(default=False, description="Whether it is on the critical path.")
    node: str | None = None
    containers: tuple[ContainerRow, ...] = ()
    ready: float | None = Field(
        default=None, description="Time at which its dependencies were done, as reported by the engine."
    )
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None
    finished: float | None = None
    input_size: float | None = Field(default=None, description="Bytes.")
    extra: dict[str, float] = Field(default_factory=dict, description="Extra metrics.")
    after: tuple[str, ...] | None = Field(
        default=None, description="Steps it waited for in this run; null: see the declared graph."
    )


class PathPart(ApiModel):
    """One step of the critical path."""

    step: str
    seconds: float
    time_split: TimeSplitView


class RunView(RunSummary):
    """One run in full."""

    template: str | None = Field(default=None, description="Fingerprint of the workflow's definition.")
    tail_seconds: float = Field(default=0.0, description="From the end of the last pod to the end of the run.")
    critical_path: tuple[PathPart, ...]
    pods: tuple[PodRow, ...]
    more_pods: int = Field(default=0, description="Pods that are not listed; those on the critical path always are.")
    problems: tuple[str, ...] = Field(default=(), description="Data that is missing or inconsistent.")


class NamePart(ApiModel):
    """A piece of the name that an engine gives a step's nodes."""

    text: str
    items: tuple[str, ...] | None = Field(default=(), description="Fan-out suffixes; null: known at run time only.")
    attempts: bool = False
    whole: bool = False


class DeclaredStep(ApiModel):
    """A step as it is declared, as far as replays depend on it."""

    name: str
    depends_on: tuple[str, ...] = ()
    parallelism: int | None = Field(default=None, description="Maximum number of its fan-out pods at a time.")
    fan_out: bool = False
    width: int | None = None
    on_exit: bool = False
    daemon: bool = False
    waits: bool = False
    conditional: bool = False
    indexed: bool = False
    locks: tuple[str, ...] = ()
    path: tuple[NamePart, ...] = ()


class GraphView(ApiModel):
    """The declared graph with its limits."""

    parallelism: int | None = Field(default=None, description="Maximum number of pods of a run at a time.")
    inferred: bool = False
    steps: tuple[DeclaredStep, ...]


class RecentRuns(ApiModel):
    """What the operator serves of the runs of a workflow."""

    currency: str
    typical: str | None = Field(description="Name of the typical run: the succeeded one nearest to the median.")
    runs: tuple[RunView, ...] = Field(description="The newest runs and the typical one, newest first.")
    series: tuple[tuple[float, float, KnownOutcome], ...] = Field(
        description="End (unix seconds), duration in seconds and outcome of all finished runs of the window, oldest first."
    )
    graph: GraphView | None = Field(
        default=None, description="Graph for replays; null: the operator is of an older version."
    )


class WorkflowRuns(ApiModel):
    """The runs of one workflow, newest first."""

    namespace: str
    kind: str
    workflow: str
    currency: str
    total: int = Field(description="Runs known.")
    runs: tuple[RunSummary, ...]


class DifferenceView(ApiModel):
    """A difference between the executions of a step in two runs."""

    kind: str = Field(description="image, requests, limits, node, input, pods, failed attempts, outcome, or a metric.")
    before: str | None
    after: str | None


class StepComparisonView(ApiModel):
    """One step of two runs."""

    step: str
    extra_seconds: float = Field(description="Seconds more on the critical path of the second run.")
    before: TimeSplitView | None = Field(description="Its part of the critical path; null: not on it.")
    after: TimeSplitView | None
    before_seconds: float | None = Field(description="From its first pod's creation to its last pod's end.")
    after_seconds: float | None
    differences: tuple[DifferenceView, ...]


class RunComparisonView(ApiModel):
    """Two runs of one workflow."""

    namespace: str
    kind: str
    workflow: str
    before: RunSummary
    after: RunSummary
    extra_seconds: float | None
    before_path: tuple[str, ...] = Field(description="Steps of the critical path, in order.")
    after_path: tuple[str, ...]
    template_changed: bool | None
    steps: tuple[StepComparisonView, ...] = Field(description="Largest difference on the critical path first.")
    answer: tuple[str, ...] = Field(description="Explanation in sentences, most important first.")
