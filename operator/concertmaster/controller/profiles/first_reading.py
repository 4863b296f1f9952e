"""What is done about a workflow while its past is being read: held back, or analysed once from its newest runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.profiles.fleet_index import FleetIndex, compares_workflows
from concertmaster.controller.profiles.last_analyses import LastAnalysis
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.model import WorkflowKey


def must_stay(profile: ResolvedProfile, report: SourceReport | None, known: LastAnalysis | None) -> bool:
    """Whether its status must stay: an analysis of the whole past is not replaced by one of a part of it."""
    reading = report is not None and report.more
    return reading and profile.entry.status.data_until is not None and known is None


def compares_unknown(profile: ResolvedProfile, fleet: FleetIndex) -> bool:
    """Just after a start other workflows are not known yet: recommendations that compare with them are kept."""
    status = profile.entry.status
    return fleet.fleet is None and compares_workflows((*status.recommendations, *status.noted))


@dataclass(slots=True)
class FirstReading:
    """When the newest runs of a workflow are analysed before the older ones are read. ``few``: profiles whose newest runs
    were too few for that, at which revision of their runs."""

    few: dict[str, int] = field(default_factory=dict)

    def waits(self, profile: ResolvedProfile, report: SourceReport, revisions: Mapping[WorkflowKey, int]) -> bool:
        """Whether there is no reason for an analysis yet: reading does not take long, or there are no more runs than last
        time."""
        return not report.long or self.few.get(profile.entry.uid) == revisions[profile.key]

    def too_few(self, profile: ResolvedProfile, revisions: Mapping[WorkflowKey, int]) -> None:
        """The runs read so far are too few."""
        self.few[profile.entry.uid] = revisions[profile.key]

    def keep_only(self, uids: frozenset[str]) -> None:
        """Forget profiles that are gone."""
        self.few = {uid: at for uid, at in self.few.items() if uid in uids}
