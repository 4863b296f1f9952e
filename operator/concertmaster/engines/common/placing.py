"""Input and output types of the assignment of pods, shared by the engines and the code that calls them.

A pod is either assigned to one step of one run of a workflow, or unassigned with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from concertmaster.core.model import EngineTraits, PodFact, StepExecution, WorkflowDefinition, WorkflowKey

QUERIED = "query:"
"""Prefix of the uid of an execution that comes from a duration query instead of a pod."""


@dataclass(frozen=True, slots=True)
class AssignedPod:
    """An assigned pod. ``run`` is the engine's name of the run, which may be reused over time within a workflow."""

    key: WorkflowKey
    run: str
    execution: StepExecution


@dataclass(frozen=True, slots=True)
class UnassignedPod:
    """A pod that belongs to no known workflow, with the reason (reasons are counted, so they name no pod).

    ``of`` is the engine whose runs may lack it, because the pod or its labels are inconsistent. None: the normal case
    of a workflow that is not observed. ``near``: workflows whose name prefix fits the run, or whose runSelector
    requires labels that only the run itself may have.
    """

    fact: PodFact
    reason: str
    of: EngineTraits | None = None
    near: tuple[WorkflowKey, ...] = ()


Placement = AssignedPod | UnassignedPod


@dataclass(frozen=True, slots=True)
class Context:
    """Further input to the assignment. ``job_owners``: (namespace, Job) to (kind, name) of its owner. ``recognised``:
    (namespace, run) to its workflow, for runs that have pods assigned earlier."""

    job_owners: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    recognised: Mapping[tuple[str, str], WorkflowKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Executions by workflow and run name, each list in order of creation, and the number of unassigned pods
    by reason.

    ``unplaced``: by workflow, the reasons why pods that seem to belong to its runs are unassigned, with one such pod each
    (a pod also seems to belong to the only workflow of its engine in the namespace). ``namespace_unplaced``: the same for
    pods that fit no single workflow, by namespace and engine. ``undecided`` are pods of runs whose workflow other pods
    may still determine.
    """

    executions: Mapping[WorkflowKey, Mapping[str, tuple[StepExecution, ...]]] = field(default_factory=dict)
    unassigned: Mapping[str, int] = field(default_factory=dict)
    unplaced: Mapping[WorkflowKey, Mapping[str, str]] = field(default_factory=dict)
    namespace_unplaced: Mapping[tuple[str, EngineTraits], Mapping[str, str]] = field(default_factory=dict)
    undecided: tuple[PodFact, ...] = ()

    @property
    def pods(self) -> int:
        """Number of assigned pods."""
        return sum(len(rows) for runs in self.executions.values() for rows in runs.values())


class Candidates:
    """The workflows of one engine in one namespace, in a fixed order (``all``), indexed by what a run's name contains: a
    namespace may have thousands. ``inferred``: those without a declared graph, which select runs by name and labels;
    ``triggers``: the last workflow of each name prefix."""

    def __init__(self, definitions: Iterable[WorkflowDefinition]) -> None:
        self.all = definitions = tuple(definitions)
        self._by_name: dict[tuple[str, str], WorkflowDefinition] = {}
        self._by_prefix: dict[str, list[int]] = {}
        for number, definition in enumerate(definitions):
            self._by_name.setdefault((definition.key.kind, definition.key.name), definition)
            for prefix in definition.run_prefixes:
                self._by_prefix.setdefault(prefix, []).append(number)
        self.inferred = tuple(d for d in definitions if d.graph.inferred)
        self.triggers = {prefix: definitions[numbers[-1]] for prefix, numbers in self._by_prefix.items()}

    def named(self, kind: str, name: str | None) -> WorkflowDefinition | None:
        """The workflow declared by the object of that kind and name."""
        return self._by_name.get((kind, name)) if name is not None else None

    def known(self, key: WorkflowKey | None) -> WorkflowDefinition | None:
        """The workflow with that key, if it is one of these."""
        definition = self.named(key.kind, key.name) if key is not None else None
        return definition if definition is not None and definition.key == key else None

    def fitting(self, run: str) -> list[WorkflowDefinition]:
        """Workflows with a prefix that the run's name equals or continues (``names.belongs_to``), in fixed order."""
        ends = {run, *(run[: i + k] for i, sign in enumerate(run) if sign == "-" for k in (0, 1))}
        return [self.all[n] for n in sorted({n for end in ends for n in self._by_prefix.get(end, ())})]
