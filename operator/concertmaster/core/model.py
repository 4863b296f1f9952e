"""The vocabulary of the whole project: what was observed (facts, run records) and what is declared (definitions).

All values are frozen, so that analysis can be pure and tests can compare whole objects. Units are fixed: times are unix
seconds (float), durations seconds, CPU is cores or core-seconds, memory bytes. ``None`` means *unknown*; it is never
replaced by zero, because advice built on an invented zero is worse than no advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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


class Engine(StrEnum):
    """The workflow engines that can be observed."""

    ARGO = "Argo"
    TEKTON = "Tekton"
    JOB = "Job"
    GRAPH = "Graph"


# --- facts: one row per container of a pod, as the metrics store tells it ------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerFact:
    """What one container of one pod requested, used and how it ended.

    ``memory_sampled_peak`` (highest sampled working set) is a lower bound of the true peak, ``memory_kernel_peak`` (the
    kernel's high-water mark, page cache included) an upper one. ``samples`` counts memory samples, ``expected_samples``
    how many a full coverage would have given. ``ambiguous`` marks rows whose series cannot be told apart from another
    pod's or another start of the same container: no size advice may rest on them.
    """

    name: str
    image: str | None = None
    init: bool = False
    started: float | None = None
    finished: float | None = None
    reason: str | None = None  # why it terminated, when not "Completed": OOMKilled, Error, DeadlineExceeded ...
    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: float | None = None
    memory_limit: float | None = None
    cpu_seconds: float | None = None
    cpu_sampled_seconds: float | None = None  # wall time the CPU counter covers; shorter than the life of short pods
    cpu_peak_cores: float | None = None  # highest short-window rate, where the source can tell
    throttled_share: float | None = None  # throttled CFS periods / periods; only exists with a CPU limit
    memory_sampled_peak: float | None = None
    memory_kernel_peak: float | None = None
    samples: int | None = None
    expected_samples: int | None = None
    oom_events: float | None = None
    cpu_waiting_seconds: float | None = None  # PSI
    io_waiting_seconds: float | None = None  # PSI
    fs_read_bytes: float | None = None
    fs_write_bytes: float | None = None
    ambiguous: bool = False

    @property
    def memory_peak(self) -> float | None:
        """Best estimate of the peak in bytes: the sampled working set, else the kernel's upper bound."""
        return self.memory_sampled_peak if self.memory_sampled_peak is not None else self.memory_kernel_peak

    @property
    def coverage(self) -> float | None:
        """Share (0 to 1) of the expected memory samples that exist, or None when neither number is known."""
        if self.samples is None or not self.expected_samples:
            return None
        return min(1.0, self.samples / self.expected_samples)


@dataclass(frozen=True, slots=True)
class PodFact:
    """One finished or vanished pod. Identity is ``uid``; names are reused by engines and by people."""

    namespace: str
    pod: str
    uid: str
    node: str | None = None
    owner_kind: str | None = None  # Workflow, TaskRun, Job ... (the pod's controller)
    owner_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # as kube-state-metrics names them, without "label_"
    created: float | None = None
    scheduled: float | None = None
    started: float | None = None  # accepted by the kubelet, before image pull
    finished: float | None = None
    last_seen: float | None = None  # last sample of a pod that vanished before its end was scraped
    phase: str | None = None  # Succeeded | Failed | None
    reason: str | None = None  # pod level: Evicted, Preempting, NodeLost, DeadlineExceeded ...
    vanished: bool = False
    network_receive_bytes: float | None = None
    network_transmit_bytes: float | None = None
    containers: tuple[ContainerFact, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFact:
    """One Job as the metrics store tells it. It carries no uid there: a name used again cannot be told apart.

    ``succeeded`` is None while it runs or when its end was not seen. A failed Job has no ``finished``: its pods do.
    """

    namespace: str
    name: str
    owner_kind: str | None = None  # CronJob, JobSet ...
    owner_name: str | None = None
    succeeded: bool | None = None
    reason: str | None = None  # of the failure: BackoffLimitExceeded, DeadlineExceeded ...
    parallelism: float | None = None
    completions: float | None = None
    started: float | None = None
    finished: float | None = None


# --- definitions: what the cluster's objects declare ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkflowKey:
    """Stable identity of a workflow across its runs."""

    namespace: str
    kind: str  # WorkflowTemplate, ClusterWorkflowTemplate, CronWorkflow, Pipeline, CronJob, Job, WorkflowProfile ...
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container as declared, with the JSON pointer of its patchable ``resources`` (None: not patchable)."""

    name: str
    image: str | None = None
    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: float | None = None
    memory_limit: float | None = None
    resources_pointer: str | None = None
    # "requests"/"limits" as literally written, so that a patch can test the old value and knows which parents exist
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sidecar: bool = False
    init: bool = False
    empty_resources: bool = False  # "resources: {}" is written, as the API server does for its own kinds


@dataclass(frozen=True, slots=True)
class NameSegment:
    """One piece of the name an engine gives a step's nodes; the pieces of a path are written one after the other.

    ``items`` are the fan-out suffixes without parentheses ("2:3"): empty means no fan-out, None that they are only
    known at run time. ``attempts`` is True where the engine numbers retries, "(0)", "(1)" ..., after this piece.
    ``whole``: what follows also exists once for the fan-out as a whole, without a suffix.
    """

    text: str
    items: tuple[str, ...] | None = ()
    attempts: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One term of a label selector; ``operator`` is In, NotIn, Exists or DoesNotExist. Terms are joined by "and"."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One node of the declared graph. ``name`` is the key under which executions of all runs are merged."""

    name: str
    depends_on: tuple[str, ...] = ()
    template: str | None = None
    fan_out: bool = False
    width: int | None = None  # declared fan-out width; None when only known at run time
    parallelism: int | None = None  # limit on this step's own fan-out
    ordering_only: tuple[str, ...] = ()  # dependencies that carry no data reference
    containers: tuple[ContainerSpec, ...] = ()
    has_timeout: bool | None = None
    timeout_seconds: float | None = None
    retry_limit: int | None = None
    memoized: bool | None = None
    on_exit: bool = False
    conditional: bool = False
    waits: bool = False  # suspend and the like: its time is waiting, it has no pod
    daemon: bool = False  # keeps running beside its successors, which start once it is ready
    locks: tuple[str, ...] = ()  # mutexes and semaphores it needs, as "<kind>/<name>"
    indexed: bool = False  # Indexed Job: the completion index tells items apart
    path: tuple[NameSegment, ...] = ()  # how the engine names this step's nodes; empty where names say nothing
    selector: tuple[LabelRequirement, ...] = ()  # pods of this step, for graphs declared by a person
    duration_query: str | None = None  # PromQL that gives seconds per run where a step has no pods
    pointer: str | None = None  # JSON pointer of the template or Job spec that declares it (None: not in this object)
    declared: Mapping[str, object] = field(default_factory=dict)  # its fields that advice is about, as written
    task_pointer: str | None = None  # JSON pointer of the dag task that calls it directly
    task: Mapping[str, object] = field(default_factory=dict)  # "dependencies" or "depends" of that task, as written


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """At most ``limit`` of these steps' pods run at a time, per invocation of the template that declares it."""

    steps: tuple[str, ...]
    limit: int
    pointer: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowGraph:
    """Steps in a topological order. ``problems`` names what is wrong with a declared graph (cycle, unknown step ...);
    ``inferred`` is True when the edges were derived from observed times because no declaration was at hand."""

    steps: tuple[StepSpec, ...] = ()
    parallelism: int | None = None
    inferred: bool = False
    problems: tuple[str, ...] = ()
    parallelism_pointer: str | None = None
    limits: tuple[GroupLimit, ...] = ()

    def step(self, name: str) -> StepSpec | None:
        """The step of that name, or None."""
        return next((s for s in self.steps if s.name == name), None)


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A workflow as its engine's object declares it."""

    key: WorkflowKey
    engine: Engine
    graph: WorkflowGraph
    fingerprint: str | None = None  # hash of the parts of the spec that can change how a run behaves
    labels: Mapping[str, str] = field(default_factory=dict)
    schedule: str | None = None
    schedule_time_zone: str | None = None
    suspended: bool = False
    managed_by: str | None = None  # Argo CD, Flux, Helm ... with the name of the owner, for people
    notes: tuple[str, ...] = ()  # constructs that cannot be analysed, each a sentence
    run_prefixes: tuple[str, ...] = ()  # names that runs start with, each followed by "-": own name, triggers' names
    run_selector: tuple[LabelRequirement, ...] = ()  # further labels a run's pods must carry
    run_label: str | None = None  # pod label that tells runs apart, for graphs declared by a person
    series_run_label: str | None = None  # the same for the results of duration queries
    pointer: str | None = None  # JSON pointer of the part that describes a run ("/spec", "/spec/workflowSpec" ...)
    declared: Mapping[str, object] = field(default_factory=dict)  # fields of the whole that advice is about, as written


# --- run records: what one run did ----------------------------------------------------------------------------------


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


# --- recommendations --------------------------------------------------------------------------------------------------


class Category(StrEnum):
    """What a recommendation improves."""

    PERFORMANCE = "Performance"
    COST = "Cost"
    RELIABILITY = "Reliability"
    SCALABILITY = "Scalability"
    BEST_PRACTICE = "BestPractice"


class Severity(StrEnum):
    """How much it matters, by criteria stated on each rule's page."""

    INFO = "Info"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Level(StrEnum):
    """Effort and risk scale."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its likely range, all in the same unit."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Edit:
    """One field of the target to set. ``current`` and ``proposed`` are literal YAML scalars."""

    pointer: str
    current: str | None
    proposed: str | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One piece of advice about one workflow. Sentences carry number, unit, window and cause; ``how`` is one command.

    ``gain_seconds`` (per run) and ``saving_per_month`` (in the policy's currency) rank advice; None where
    they do not apply.
    ``confidence`` is 0 to 1 and stated with its ground in ``evidence``.
    """

    id: str  # "<rule>.<step>" or "<rule>" for the workflow as a whole; stable across cycles
    rule: str
    step: str | None
    action: str
    because: str
    otherwise: str  # what happens if one does nothing
    category: Category
    severity: Severity
    risk: Level
    effort: Level
    current: str
    proposed: str
    expected: str
    how: str
    confidence: float
    gain_seconds: Interval | None = None
    gain_share: Interval | None = None  # of the run's makespan, 0 to 1
    saving_per_month: Interval | None = None
    edits: tuple[Edit, ...] = ()
    evidence: tuple[str, ...] = ()
    automatic: bool = False
    kustomize: str | None = None  # the edits as a patch for Git; None without edits
