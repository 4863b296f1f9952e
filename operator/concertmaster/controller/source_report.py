"""What is read of a metrics source in one cycle, and how that went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from concertmaster.api.conditions import Reason
from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.changes.admission.service_pods import InQuotas
from concertmaster.core.model import EngineTraits, WorkflowDefinition, WorkflowKey


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """What is read from one metrics source in one cycle.

    ``window_seconds`` is the longest any of the workflows looks back; ``due`` False means that only workflows never
    read before need a query (somebody created a profile between two intervals). ``now`` is unix seconds. ``min_runs`` is the
    largest number of runs that any of the workflows needs for an analysis (0: unknown).
    """

    source: str
    workflows: tuple[WorkflowDefinition, ...]
    window_seconds: float
    now: float
    due: bool = True
    min_runs: int = 0


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How reading one source went.

    ``data_until``: up to when its facts are complete (unix seconds, None: never); ``complete``: the same by namespace.
    ``more``: the past is not read to its end yet, run again soon; ``unread``: the workflows concerned, with the oldest
    moment read so far (unix seconds). ``long``: that takes so long that their newest runs are worth an analysis before.
    ``missing``: series the source does not have, each a sentence with its remedy. ``query_problems``: what is wrong with
    users' own queries, by the workflow they belong to. ``unplaced``: sentences on pods that belong to no run although
    they seem to, by the workflow they seem to be of; ``namespace_unplaced``: on those that fit no single one, by
    namespace and engine, each by its reason. ``answered``: workflows of which a user's query that was slow has its answer
    now, which is not in the history before an analysis takes it. ``left_out``: sentences on metrics that are too many to
    be read, by namespace. ``nodes``: what the nodes behind the source have allocatable; ``in_quotas``: what services take
    of quotas, by namespace. ``outages``: spans (unix seconds) in which it failed or knew of no pods, or no process read
    it. ``clock_ahead``: seconds by which the operator's clock is ahead of the source's (negative: behind; 0.0: hardly
    any).
    """

    source: str
    ok: bool
    reason: Reason
    message: str
    data_until: float | None = None
    complete: Mapping[str, float] = field(default_factory=dict)
    queries: int = 0
    more: bool = False
    unread: Mapping[WorkflowKey, float] = field(default_factory=dict)
    long: bool = False
    missing: tuple[str, ...] = ()
    changed: frozenset[WorkflowKey] = frozenset()
    answered: frozenset[WorkflowKey] = frozenset()
    unassigned: Mapping[str, int] = field(default_factory=dict)
    query_problems: Mapping[WorkflowKey, str] = field(default_factory=dict)
    unplaced: Mapping[WorkflowKey, tuple[str, ...]] = field(default_factory=dict)
    namespace_unplaced: Mapping[tuple[str, EngineTraits], Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: Nodes = UNKNOWN_NODES
    in_quotas: Mapping[str, InQuotas] = field(default_factory=dict)
    outages: tuple[tuple[float, float], ...] = ()
    clock_ahead: float = 0.0

    def complete_until(self, namespace: str) -> float | None:
        """Up to when the facts of a namespace are complete: another one may be far behind."""
        return self.complete.get(namespace, self.data_until)

    def notes(self, key: WorkflowKey) -> tuple[str, ...]:
        """What is unusual about the metrics of a workflow, each a sentence."""
        return (*self.unplaced.get(key, ()), *self.left_out.get(key.namespace, ()))
