"""Several archives as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concertmaster.controller.interfaces import ArchiveReport, Heartbeat, Reach, RunArchive
from concertmaster.core.model import WorkflowDefinition, WorkflowKey


class ArchivesTogether:
    """See ``interfaces.RunArchive``: each is read in turn, and a fault of one concerns its own runs."""

    def __init__(self, archives: Sequence[RunArchive]) -> None:
        self._archives = archives

    def read(
        self,
        definitions: Sequence[WorkflowDefinition],
        reach: Mapping[WorkflowKey, Reach],
        now: float,
        heartbeat: Heartbeat,
    ) -> ArchiveReport:
        """See ``interfaces.RunArchive``."""
        reports = [archive.read(definitions, reach, now, heartbeat) for archive in self._archives]
        return ArchiveReport(
            frozenset().union(*(report.changed for report in reports)),
            tuple(note for report in reports for note in report.notes),
            any(report.more for report in reports),
        )
