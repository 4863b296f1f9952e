"""Where runs come from besides the metrics, as Protocols owned by the loop: live objects of the engines, and archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from concertmaster.controller.interfaces import Heartbeat
from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.config_maps import NamedConfigMaps


@dataclass(frozen=True, slots=True)
class LiveRunsReport:
    """Live runs since the last cycle: workflows with new records, and sentences about what live objects lack and why:
    ``notes`` on all of them, ``by_workflow`` on the latest runs of single workflows. ``running``: runs in progress as
    they are now. ``config_maps``: those that workflows name; None where they could not be read yet. ``problem``: why nothing
    of it was read (empty: it was)."""

    changed: frozenset[WorkflowKey] = frozenset()
    notes: tuple[str, ...] = ()
    by_workflow: Mapping[WorkflowKey, tuple[str, ...]] = field(default_factory=dict)
    running: Mapping[WorkflowKey, tuple[RunRecord, ...]] = field(default_factory=dict)
    config_maps: Mapping[WorkflowKey, NamedConfigMaps | None] = field(default_factory=dict)
    problem: str = ""


class LiveRunSource(Protocol):
    """Finished runs, read from the engines' own objects into the history while they exist."""

    def refresh(self, definitions: Sequence[WorkflowDefinition], heartbeat: Heartbeat) -> LiveRunsReport:
        """Once per cycle, with all workflows that are observed. Faults of single runs and kinds are in the notes."""


Reach = tuple[int, float]
"""How much of the past of a workflow is analyzed: the newest runs (number) of the last seconds."""


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """Archived runs since the last cycle: workflows with new records, and sentences on what could not be read. ``more``:
    the past is not read to its end yet, run again soon."""

    changed: frozenset[WorkflowKey] = frozenset()
    notes: tuple[str, ...] = ()
    more: bool = False


class RunArchive(Protocol):
    """Finished runs, read from an engine's archive into the history when their objects may be gone."""

    def read(
        self,
        definitions: Sequence[WorkflowDefinition],
        reach: Mapping[WorkflowKey, Reach],
        now: float,
        heartbeat: Heartbeat,
    ) -> ArchiveReport:
        """Once per cycle, with all workflows that are observed, for a bounded time; ``now`` in unix seconds. Faults of the
        archive are in the notes."""
