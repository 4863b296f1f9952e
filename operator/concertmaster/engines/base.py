"""The interface of an engine. A new engine is a package with one ``Engine`` and one line in the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model import (
    EngineTraits,
    ObjectKind,
    PodFact,
    RunRecord,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines.common.manifest import Resolve
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.common.placing import Candidates, Context, Placement
from concertmaster.engines.inputs import ValuesOf, of_annotations
from concertmaster.engines.live import LiveRun

Raw = Mapping[str, Any]
PODS = ObjectKind("v1", "Pod", "pods")


@dataclass(frozen=True, slots=True)
class Trigger:
    """An object that only starts runs of a template. ``target`` is the kind and name of that template, ``spec`` the fields
    of its own that its runs have instead of the template's."""

    namespace: str
    name: str
    target_kind: str
    target_name: str
    schedule: str | None = None
    time_zone: str | None = None
    suspended: bool = False
    spec: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, object] = field(default_factory=dict)  # what it says on starts, as declared


def itself(raw: Raw) -> WorkflowKey | None:
    """An object as a workflow of its own; a runSelector combines several of them into one."""
    obj = KubeObject.of(raw)
    return obj.key(str(raw.get("kind"))) if obj.name else None


@dataclass(frozen=True, slots=True)
class RunKind:
    """A kind of object that represents one run, and how to turn it into a run record.

    ``read`` gets the object, its children, the workflow and its definition, if known. ``workflow_of`` names the workflow
    by what the object says of its origin. ``older`` are further API versions that may serve the kind.
    ``finished_selector`` are labels that every finished run has, so that the API server filters out all others.
    ``children`` must be listed with a run, using the selector that ``child_selector`` returns. ``parts`` are kinds that
    are runs of their own elsewhere, but part of this run where it owns them.
    ``pod_labels`` are the paths below ``spec`` of additional labels of its pods (``*``: every entry of a list, each for
    some of the pods). ``values`` returns the texts that input sizes may be read from. ``begins_elsewhere``: whether a run
    made from the object of a definition runs another part of it, so that its graph is another.
    """

    object: ObjectKind
    ended: Callable[[KubeObject], bool]
    read: Callable[[Raw, Sequence[Raw], WorkflowKey, WorkflowDefinition | None], LiveRun]
    workflow_of: Callable[[Raw], WorkflowKey | None] = itself
    older: tuple[str, ...] = ()
    finished_selector: str | None = None
    children: ObjectKind | None = None
    child_selector: Callable[[KubeObject], str] = lambda obj: ""
    parts: tuple[str, ...] = ()
    pod_labels: tuple[tuple[str, ...], ...] = ()
    values: ValuesOf = of_annotations
    begins_elsewhere: Callable[[Raw, WorkflowDefinition], bool] = lambda raw, definition: False


@dataclass(frozen=True, slots=True)
class SharedKind:
    """Objects whose steps several workflows may share.

    ``users`` is the kind of these workflows. ``names`` returns the objects of its own namespace that a workflow uses
    (including remote references if the namespace is given); a name that contains ``$(`` or ``{{`` may refer to any
    object. ``patched``: whether a change for one of these workflows may patch it.
    """

    kind: str
    users: str
    names: Callable[[Raw, str | None], frozenset[str]]
    patched: bool = False


@dataclass(frozen=True, slots=True)
class ActiveRuns:
    """Runs that are compared with the stored object they were created from: how to list the unfinished ones, and the
    names of the objects a run was created from."""

    kind: ObjectKind
    selector: str
    made_from: Callable[[Raw], frozenset[str]]


@dataclass(frozen=True, slots=True)
class ChartSwitch:
    """The chart value ``engines.<name>`` that grants the engine's permissions, with a description for its users."""

    name: str
    reads: tuple[str, ...]


Define = Callable[[Raw, Resolve | None, str | None], WorkflowDefinition | None]
PlacePods = Callable[[Sequence[PodFact], Candidates, Context], Iterator[Placement]]
"""Assigns pods of one namespace to the workflows of its engine there."""
Settle = Callable[[Sequence[StepExecution], WorkflowDefinition | None], list[StepExecution]]


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything specific to one engine.

    ``defining`` names the kinds of ``traits.kinds`` that define workflows; ``companions`` the kinds that must be listed
    with each of them, in order. ``owner_kinds`` are the controllers of the pods it assigns; ``selects`` returns the
    pods it claims before owners are considered, with ``selects_declared`` only pods of its definitions. ``pod_labels``
    are read from the metrics source to assign pods; ``run_labels`` are those among them that make a pod part of a run,
    whoever owns it. ``infer`` derives the workflow of a pod where nothing is declared, ``inferred_steps`` are the steps
    common to all such workflows. ``settle`` numbers items and attempts of one run once all its pods are known,
    and ``pauses`` finds the times in which it stood still between a failed end and a retry.
    ``as_in_history`` renames the steps of a live record of a run without a declared graph to the names that can be
    derived from pods alone.
    """

    traits: EngineTraits
    defining: tuple[str, ...]
    define: Define
    place: PlacePods
    settle: Settle = lambda executions, definition: list(executions)
    pauses: Callable[[Sequence[StepExecution]], tuple[tuple[float, float], ...]] = lambda executions: ()
    run_kinds: tuple[RunKind, ...] = ()
    companions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    owner_kinds: tuple[str, ...] = ()
    selects: Callable[[PodFact, Candidates, Context], bool] | None = None
    selects_declared: bool = False
    pod_labels: tuple[str, ...] = ()
    run_labels: tuple[str, ...] = ()
    trigger: Callable[[Raw], Trigger | None] = lambda raw: None
    infer: Callable[[PodFact], WorkflowKey | None] = lambda fact: None
    inferred_steps: tuple[StepSpec, ...] = ()
    as_in_history: Callable[[RunRecord, WorkflowDefinition], RunRecord] = lambda record, definition: record
    shared: tuple[SharedKind, ...] = ()
    """Objects that contain parts which workflows refer to: a change of one changes all of them."""
    active_runs: ActiveRuns | None = None
    patches_pods: Callable[[Raw], bool] = lambda raw: False
    """Whether an object sets pod resources in a place that is applied after the fields a change may set."""
    watches_pods: bool = False
    """Whether labels of live pods are read if no metrics source exports them."""
    chart: ChartSwitch | None = None
    page: tuple[str, str] | None = None  # title and file of its page in docs/engines

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.traits.name

    def defines(self, raw: Raw) -> bool:
        """Whether an object is of a kind that defines a workflow of this engine, by its apiVersion and kind."""
        kind = self.traits.object_kind(str(raw.get("kind")))
        return kind is not None and kind.kind in self.defining and kind.group == api_group(raw)


def api_group(raw: Raw) -> str:
    """The API group of an object, empty for the core group."""
    version = raw.get("apiVersion")
    return version.rpartition("/")[0] if isinstance(version, str) else ""
