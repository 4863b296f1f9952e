"""Several archives as one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from concertmaster.controller.interfaces import ArchiveReport, Heartbeat, Reach, RunArchive
from concertmaster.core.model import WorkflowDefinition, WorkflowKey

log = logging.getLogger("concertmaster.archive")


class ArchivesTogether:
    """See ``interfaces.RunArchive``: each is read in turn, and a fault of one concerns its own runs, whatever it is."""

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
        reports = []
        for archive in self._archives:
            try:
                reports.append(archive.read(definitions, reach, now, heartbeat))
            except Exception as error:
                log.exception("reading archived runs failed in an unexpected way")
                text = f"reading archived runs failed ({type(error).__name__}); the operator's log has the details"
                reports.append(ArchiveReport(notes=(text,)))
        return ArchiveReport(
            frozenset().union(*(report.changed for report in reports)),
            tuple(note for report in reports for note in report.notes),
            any(report.more for report in reports),
        )
