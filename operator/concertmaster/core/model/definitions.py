"""Definitions: what the cluster's objects declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.core.fast_init import fast_init
from concertmaster.core.model.config_maps import NONE_READ, NamedConfigMaps
from concertmaster.core.model.engines import EngineTraits, Scheduler
from concertmaster.core.model.enums import StepQuery
from concertmaster.core.model.inputs import ExtraMetric, InputSource
from concertmaster.core.model.pod_labels import LabelRequirement, PodLabels


@dataclass(frozen=True, slots=True)
class WorkflowKey:
    """Stable identity of a workflow across its runs."""

    namespace: str
    kind: str  # WorkflowTemplate, ClusterWorkflowTemplate, CronWorkflow, Pipeline, CronJob, Job, WorkflowProfile ...
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


UNKNOWN_STEP = "template:"
"""Prefix of the step of a pod whose template is known but whose step is not."""

POD = "pod"
"""What figures call a pod as a whole, where its resources are set at pod level."""

TASK = "Task"  # the only other kind of object whose fields the steps of a workflow inherit and a change may set


def place(holder: str | None, pointer: str) -> str:
    """A JSON pointer made unique across objects: ``holder`` is the Tekton Task it points into, None the workflow's own
    object."""
    return pointer if holder is None else f"/{TASK}/{holder}{pointer}"


@fast_init
@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container as declared, with the JSON pointer of its patchable ``resources`` (None: not patchable) in the
    Tekton Task ``holder`` or (None) in the workflow's own object."""

    name: str
    image: str | None = None
    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: float | None = None
    memory_limit: float | None = None
    resources_pointer: str | None = None
    # "requests"/"limits" exactly as written, so that a patch can test the old value and knows which parents exist
    resources: Mapping[str, Mapping[str, str | int | float]] = field(default_factory=dict)
    sidecar: bool = False
    init: bool = False
    empty_resources: bool = False  # "resources: {}" is present, as the API server adds for its own kinds
    holder: str | None = None
    gpu_resource: str | None = None  # nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-1g.5gb ...
    gpu_request: float | None = None
    storage_request: float | None = None  # ephemeral storage, bytes
    storage_limit: float | None = None
    # of a pod, by resource: the sum of its containers' requests, the API server's minimum for its own request
    least: Mapping[str, float] = field(default_factory=dict)
    set_by: str | None = None  # what the definition itself applies after these resources: podSpecPatch
    # a sidecar among the init containers (restartPolicy: Always), which starts before those after it
    native: bool = False

    @property
    def place(self) -> str | None:
        """Location of its resources, unique within the workflow; None when they cannot be patched."""
        return None if self.resources_pointer is None else place(self.holder, self.resources_pointer)


@dataclass(frozen=True, slots=True)
class NameSegment:
    """One piece of the name an engine gives a step's nodes; the pieces of a path are concatenated.

    ``items``: fan-out suffixes without parentheses ("2:3"); empty means no fan-out, None that they are only known at run
    time. ``attempts``: whether the engine numbers retries, "(0)", "(1)" ..., after this piece. ``whole``: the following
    pieces also exist once for the fan-out as a whole, without a suffix.
    """

    text: str
    items: tuple[str, ...] | None = ()
    attempts: bool = False
    whole: bool = False

    @property
    def in_group(self) -> bool:
        """Whether it starts with the index of a group of parallel steps ("[1].clean")."""
        return self.text.startswith("[")


@fast_init
@dataclass(frozen=True, slots=True)
class StepSpec:
    """One node of the declared graph. ``name`` is the key under which executions of all runs are merged."""

    name: str
    depends_on: tuple[str, ...] = ()
    template: str | None = None
    fan_out: bool = False
    width: int | None = None  # declared fan-out width; None when only known at run time
    parallelism: int | None = None  # limit on this step's own fan-out
    ordering_only: tuple[str, ...] = ()  # dependencies without a data reference
    containers: tuple[ContainerSpec, ...] = ()
    pod: ContainerSpec | None = None  # pod-level resources, which override the containers' where set
    has_timeout: bool | None = None
    timeout_seconds: float | None = None
    retry_limit: int | None = None
    memoized: bool | None = None
    on_exit: bool = False
    conditional: bool = False
    waits: bool = False  # suspend and the like: it has no pod and only waits
    creates: bool = False  # its pod creates an object of Kubernetes and waits until that is done
    daemon: bool = False  # keeps running beside its successors, which start once it is ready
    tolerated: str | None = None  # the task it is (part of) whose failure does not fail the run (continueOn, hooks)
    locks: tuple[str, ...] = ()  # mutexes and semaphores it needs, as "<kind>/<name>"
    outer_locks: tuple[str, ...] = ()  # of them, those an enclosing template holds once for all its pods
    indexed: bool = False  # Indexed Job: items are identified by completion index
    path: tuple[NameSegment, ...] = ()  # how the engine names this step's nodes; empty if names carry no information
    selector: tuple[LabelRequirement, ...] = ()  # pods of this step, for user-declared graphs
    queries: Mapping[StepQuery, str] = field(default_factory=dict)  # PromQL per run, where a step has no pods
    pointer: str | None = None  # JSON pointer of the template or Job spec that declares it (None: not in this object)
    declared: Mapping[str, object] = field(default_factory=dict)
    """Its fields that recommendations are about, as written."""
    template_in: str | None = None  # kind and name of the other object that has its template ("WorkflowTemplate lib")
    outer_retries: int | None = 0  # of the templates around it, each of which repeats it; None: no limit, or not known
    task_pointer: str | None = None  # JSON pointer of the DAG task that references it directly
    task: Mapping[str, object] = field(default_factory=dict)  # "dependencies" or "depends" of that task, as written

    @property
    def reads(self) -> tuple[str, ...]:
        """The dependencies whose data it reads."""
        return tuple(name for name in self.depends_on if name not in self.ordering_only)

    def shared_fan_outs(self, other: StepSpec) -> int:
        """How many fan-outs contain both steps: inside a fanned-out template, and in the handler of a fanned-out task, an
        item waits only for its own siblings."""
        shared = 0
        for mine, theirs in zip(self.path, other.path, strict=False):
            if (mine.text, mine.items) != (theirs.text, theirs.items):
                break
            shared += mine.items != ()
        return shared

    @property
    def sidecars(self) -> frozenset[str]:
        """Names of its sidecars, whose end does not decide the outcome."""
        return frozenset(c.name for c in self.containers if c.sidecar)

    @property
    def own(self) -> frozenset[str]:
        """Names of what does its work: the containers without sidecars, and the pod if it has pod-level resources."""
        return frozenset(c.name for c in self.sized if not c.sidecar)

    @property
    def sized(self) -> tuple[ContainerSpec, ...]:
        """All that can have requests: its containers, and the pod if it has pod-level resources."""
        return self.containers if self.pod is None else (*self.containers, self.pod)


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """At most ``limit`` pods of these steps run concurrently, per invocation of the template that declares it."""

    steps: tuple[str, ...]
    limit: int
    pointer: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowGraph:
    """Steps in topological order. ``problems``: errors of a declared graph (cycle, unknown step ...); ``inferred``: whether
    the edges were derived from observed times for lack of a declaration."""

    steps: tuple[StepSpec, ...] = ()
    parallelism: int | None = None
    inferred: bool = False
    problems: tuple[str, ...] = ()
    parallelism_pointer: str | None = None
    limits: tuple[GroupLimit, ...] = ()

    def step(self, name: str) -> StepSpec | None:
        """The step of that name; None if there is none."""
        return next((s for s in self.steps if s.name == name), None)

    def declaring(self, name: str) -> StepSpec | None:
        """The step whose template the executions called ``name`` ran: the step of that name; for a later round of a
        recursion (``again.again.work``) the step it repeats; for a pod known only by its template the only step that
        declares it. None when ambiguous or unknown."""
        exact = self.step(name)
        if exact is not None:
            return exact
        if name.startswith(UNKNOWN_STEP):
            template = name.removeprefix(UNKNOWN_STEP)
            return _same_fields([s for s in self.steps if s.template is not None and s.template == template])
        parts = name.split(".")
        repeated = [
            s for s in self.steps if s.name.rpartition(".")[2] == parts[-1] and _within(s.name.split("."), parts)
        ]
        return _same_fields(repeated)


def _within(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether ``few`` is a subsequence of ``many``."""
    rest = iter(many)
    return all(part in rest for part in few)


def _same_fields(steps: Sequence[StepSpec]) -> StepSpec | None:
    """The first of steps whose containers are all declared in the same places; None where the places differ."""
    places = {tuple(c.place for c in s.containers) for s in steps}
    return steps[0] if len(places) == 1 else None


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A workflow as its engine's object declares it."""

    key: WorkflowKey
    engine: EngineTraits
    graph: WorkflowGraph
    fingerprint: str | None = None  # hash of the parts of the spec that affect the behaviour of runs
    complete: bool = True  # whether the fingerprint is of all that its engine's controller adds to a spec
    written: float | None = None  # since when its objects are as they are (unix seconds); None: not known
    labels: Mapping[str, str] = field(default_factory=dict)
    schedule: str | None = None
    schedule_time_zone: str | None = None
    suspended: bool = False
    notes: tuple[str, ...] = ()  # constructs that cannot be analysed, each a sentence
    run_kind: str | None = None  # kind of runs selected by name and labels; None: all kinds of the engine
    run_prefixes: tuple[str, ...] = ()  # prefixes of run names, each followed by "-": own name, triggers' names
    run_selector: tuple[LabelRequirement, ...] = ()  # further labels required on a run's pods
    run_label: str | None = None  # pod label that identifies the run, for user-declared graphs
    series_run_label: str | None = None  # the same for the results of duration queries
    pod_labels: PodLabels | None = None  # how its pods are recognised, if labels alone are enough
    declared: Mapping[str, object] = field(default_factory=dict)
    """Fields of the whole that recommendations are about, as written."""
    inputs: tuple[InputSource, ...] = ()  # where its run objects hold the size of their input
    metrics: tuple[ExtraMetric, ...] = ()  # user queries on its runs
    priced_by_node: bool = False  # whether its policy's prices depend on the node
    locks: tuple[str, ...] = ()  # mutexes and semaphores that each run needs as a whole
    config_maps: NamedConfigMaps = NONE_READ
    scheduler: Scheduler | None = None  # the only other object that starts it on a schedule

    @property
    def holders(self) -> tuple[str, ...]:
        """Names of the Tekton Tasks that declare containers of it."""
        return tuple(sorted({c.holder for s in self.graph.steps for c in s.containers if c.holder is not None}))

    @property
    def sized_apart(self) -> tuple[str, ...]:
        """What ids of right-sizings name instead of a step: other objects that declare its containers."""
        templates = {name for s in self.graph.steps if (name := self.template_object(s)) is not None}
        return tuple(sorted({*self.holders, *templates}))

    def template_object(self, step: StepSpec) -> str | None:
        """The other object that has a step's template, as ids name it: by its name, behind the short name of a kind without
        namespace; None: the workflow's own object has it."""
        if step.template_in is None:
            return None
        kind, _, name = step.template_in.partition(" ")
        known = self.engine.object_kind(kind)
        return f"{known.short}.{name}" if known is not None and not known.namespaced else name
