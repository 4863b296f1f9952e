"""What an engine knows, declared once. A new engine is a package with one ``Engine`` and one line in the registry."""

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
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common.manifest import Resolve
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.common.placing import Context, Placement
from concertmaster.engines.inputs import Values, of_annotations
from concertmaster.engines.live import LiveRun

Raw = Mapping[str, Any]
PODS = ObjectKind("v1", "Pod", "pods")


@dataclass(frozen=True, slots=True)
class Trigger:
    """An object that only starts runs of a template: ``target`` is the template's kind and name."""

    namespace: str
    name: str
    target_kind: str
    target_name: str
    schedule: str | None = None
    time_zone: str | None = None
    suspended: bool = False
    entrypoint: str | None = None
    declared: Mapping[str, object] = field(default_factory=dict)  # its schedule and concurrencyPolicy, as written


@dataclass(frozen=True, slots=True)
class RunKind:
    """A kind of object that is one run, and how it becomes a record.

    ``read`` gets the object, its children, the workflow and its definition, where one is known. ``older`` are further
    API versions that may serve the kind. ``finished_selector`` are labels every finished run has, so that the others
    never leave the server. ``children`` must be listed with a run, by the selector ``child_selector`` gives. ``parts``
    are kinds that are runs elsewhere, but only a part of this run where it owns them. ``pod_labels`` are the places, below
    ``spec``, of labels that its pods will carry besides its own (``*``: every entry of a list, each for some of the pods).
    ``values`` gives the texts in which the size of its input may stand.
    """

    object: ObjectKind
    ended: Callable[[KubeObject], bool]
    workflow_of: Callable[[Raw], WorkflowKey | None]
    read: Callable[[Raw, Sequence[Raw], WorkflowKey, WorkflowDefinition | None], LiveRun]
    older: tuple[str, ...] = ()
    finished_selector: str | None = None
    children: ObjectKind | None = None
    child_selector: Callable[[KubeObject], str] = lambda obj: ""
    parts: tuple[str, ...] = ()
    pod_labels: tuple[tuple[str, ...], ...] = ()
    values: Values = of_annotations


@dataclass(frozen=True, slots=True)
class SharedKind:
    """Objects that several workflows may take their steps from: ``users`` is the workflows' kind, ``names`` gives
    the objects of its own namespace that one of them uses (also by remote reference, where that namespace is given); a
    name with ``$(`` or ``{{`` may be any."""

    kind: str
    users: str
    names: Callable[[Raw, str | None], frozenset[str]]


@dataclass(frozen=True, slots=True)
class ActiveRuns:
    """Runs that compare themselves with the stored object they were made from: how to list those that go on, and the
    names of the objects one was made from."""

    kind: ObjectKind
    selector: str
    made_from: Callable[[Raw], frozenset[str]]


@dataclass(frozen=True, slots=True)
class ChartSwitch:
    """The value ``engines.<name>`` of the chart that grants the engine's rights, and what it reads, for people."""

    name: str
    reads: tuple[str, ...]


Define = Callable[[Raw, Resolve | None, str | None], WorkflowDefinition | None]
Place = Callable[[Sequence[PodFact], Sequence[WorkflowDefinition], Context], Iterator[Placement]]
Settle = Callable[[Sequence[StepExecution], WorkflowDefinition | None], list[StepExecution]]


@dataclass(frozen=True, slots=True)
class Engine:
    """All that is known of one engine.

    ``defining`` names the kinds of ``traits.kinds`` that define workflows; ``companions`` the kinds that must be listed
    with each of them, in order. ``owner_kinds`` are the controllers of the pods it places; ``selects`` says which pods it
    takes before anybody is asked by owner. ``pod_labels`` are read from the metrics source to place pods; ``run_labels`` are
    those of them that make a pod part of a run, whoever owns it. ``infer`` reads
    off a pod which workflow it belongs to where nothing is declared, ``inferred_steps`` are the steps of all of those.
    ``settle`` numbers items and attempts of one run once all its pods are there. ``as_in_history`` renames the steps of a
    live record of a run without a declared graph to what pods alone show.
    """

    traits: EngineTraits
    defining: tuple[str, ...]
    define: Define
    place: Place
    settle: Settle = lambda executions, definition: list(executions)
    run_kinds: tuple[RunKind, ...] = ()
    companions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    owner_kinds: tuple[str, ...] = ()
    selects: Callable[[PodFact, Sequence[WorkflowDefinition], Context], bool] | None = None
    pod_labels: tuple[str, ...] = ()
    run_labels: tuple[str, ...] = ()
    trigger: Callable[[Raw], Trigger | None] = lambda raw: None
    infer: Callable[[PodFact], WorkflowKey | None] = lambda fact: None
    inferred_steps: tuple[StepSpec, ...] = ()
    as_in_history: Callable[[RunRecord, WorkflowDefinition], RunRecord] = lambda record, definition: record
    shared: SharedKind | None = None
    """What a change for a workflow may be for besides the object that defines it."""
    referenced: tuple[SharedKind, ...] = ()
    """Objects that define workflows and whose parts others use by reference: these change with them."""
    active_runs: ActiveRuns | None = None
    patches_pods: Callable[[Raw], bool] = lambda raw: False
    """Whether an object sets resources in a place that is applied after the fields a change may set."""
    watches_pods: bool = False
    """Whether labels of live pods are read where no metrics source exports them."""
    chart: ChartSwitch | None = None
    page: tuple[str, str] | None = None  # title and file of its page below docs/engines

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.traits.name

    @property
    def remedies(self) -> Callable[[Sizes], str | None]:
        """What to write where its workflows are defined, to set sizes."""
        return self.traits.remedies

    def defines(self, raw: Raw) -> bool:
        """Whether an object is of a kind that defines a workflow here, by its apiVersion and kind."""
        kind = self.traits.object_kind(str(raw.get("kind")))
        return kind is not None and kind.kind in self.defining and kind.group == api_group(raw)

    def run_kind(self, raw: Raw) -> RunKind | None:
        """The kind of run an object is, by its apiVersion and kind; None when it is none of this engine's."""
        known = (k for k in self.run_kinds if (k.object.group, k.object.kind) == (api_group(raw), raw.get("kind")))
        return next(known, None)


def api_group(raw: Raw) -> str:
    """The API group of an object, empty for the core one."""
    version = raw.get("apiVersion")
    return version.rpartition("/")[0] if isinstance(version, str) else ""
