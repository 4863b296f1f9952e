"""The seam between the engines and the code that places pods: what goes in, what comes out.

A pod ends up in exactly one place: in a step of a run of a workflow, or among the unassigned, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model import EngineTraits, PodFact, StepExecution, WorkflowDefinition, WorkflowKey

QUERIED = "query:"
"""Prefix of the uid of an execution that comes from a duration query instead of a pod."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One pod in its place. ``run`` is the engine's run name, unique within the workflow only together with time."""

    key: WorkflowKey
    run: str
    execution: StepExecution


@dataclass(frozen=True, slots=True)
class Rejected:
    """One pod that belongs to no known workflow, and why (the reason is counted, so it names no pod).

    ``of`` is the engine whose runs may lack it: something is wrong with the pod or its labels. None: a workflow nobody
    observes is the ordinary case. ``near``: workflows whose name its run's name fits, or whose runSelector asks
    for labels that only the run itself may carry.
    """

    fact: PodFact
    reason: str
    of: EngineTraits | None = None
    near: tuple[WorkflowKey, ...] = ()


Placement = Placed | Rejected


@dataclass(frozen=True, slots=True)
class Context:
    """What else is known while placing. ``job_owners``: (namespace, Job) to its owner's (kind, name). ``recognised``:
    (namespace, run) to its workflow, for runs of which other pods were placed before."""

    job_owners: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    recognised: Mapping[tuple[str, str], WorkflowKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unassigned:
    """Pods without a place for one reason: how many, and a few of them as "namespace/pod"."""

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Executions by workflow and run name, each list in order of creation, and what found no place.

    ``strays``: by workflow, the reasons why pods that seem to be of its runs are not, with one such pod (they seem to
    be of the only workflow of their engine in the namespace);
    ``namespace_strays``: the same for pods that fit no single workflow, by namespace and engine. ``undecided`` are the
    pods of runs that other pods may show to be of a workflow.
    """

    executions: Mapping[WorkflowKey, Mapping[str, tuple[StepExecution, ...]]] = field(default_factory=dict)
    unassigned: Mapping[str, Unassigned] = field(default_factory=dict)
    strays: Mapping[WorkflowKey, Mapping[str, str]] = field(default_factory=dict)
    namespace_strays: Mapping[tuple[str, EngineTraits], Mapping[str, str]] = field(default_factory=dict)
    undecided: tuple[PodFact, ...] = ()

    @property
    def pods(self) -> int:
        """Number of placed pods."""
        return sum(len(rows) for runs in self.executions.values() for rows in runs.values())


class Candidates(Sequence[WorkflowDefinition]):
    """The workflows of one namespace in a fixed order, found by what a run's name tells of them instead of one by one:
    thousands share a namespace."""

    def __init__(self, definitions: Sequence[WorkflowDefinition]) -> None:
        self._all = definitions
        self._by_name: dict[tuple[str, str], WorkflowDefinition] = {}
        self._by_prefix: dict[str, list[int]] = {}
        for number, definition in enumerate(definitions):
            self._by_name.setdefault((definition.key.kind, definition.key.name), definition)
            for prefix in definition.run_prefixes:
                self._by_prefix.setdefault(prefix, []).append(number)
        self.inferred = tuple(d for d in definitions if d.graph.inferred)
        """Those without a declared graph, which select runs by name and labels."""
        self.triggers = {prefix: definitions[numbers[-1]] for prefix, numbers in self._by_prefix.items()}
        """The last one of each prefix."""

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, place: Any) -> Any:
        return self._all[place]

    def named(self, kind: str, name: str | None) -> WorkflowDefinition | None:
        """The workflow of that object."""
        return self._by_name.get((kind, name)) if name is not None else None

    def known(self, key: WorkflowKey | None) -> WorkflowDefinition | None:
        """The workflow of that key, where it is one of these."""
        found = self.named(key.kind, key.name) if key is not None else None
        return found if found is not None and found.key == key else None

    def fitting(self, run: str) -> list[WorkflowDefinition]:
        """Those one of whose prefixes the run's name is or continues (``names.belongs_to``), in their order."""
        ends = {run, *(run[: i + k] for i, sign in enumerate(run) if sign == "-" for k in (0, 1))}
        return [self._all[n] for n in sorted({n for end in ends for n in self._by_prefix.get(end, ())})]


def by_namespace(definitions: Sequence[WorkflowDefinition]) -> dict[str, Candidates]:
    """Definitions by namespace, in a fixed order, so that the result does not depend on the order they came in."""
    out: dict[str, list[WorkflowDefinition]] = {}
    for definition in sorted(definitions, key=lambda d: (d.key.namespace, d.key.kind, d.key.name)):
        out.setdefault(definition.key.namespace, []).append(definition)
    return {namespace: Candidates(found) for namespace, found in out.items()}


NO_CANDIDATES = Candidates(())
