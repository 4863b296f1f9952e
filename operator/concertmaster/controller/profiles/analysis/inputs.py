"""What an analysis rests on besides the runs, with the fingerprint by which a difference is noticed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from concertmaster.controller.source_report import SourceReport
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.pipeline import Environment
from concertmaster.core.rules import DataGaps, Fleet


@dataclass(frozen=True, slots=True)
class AnalysisInputs:
    """``definition``: with the ConfigMaps that the workflow refers to; ``capacity``: of its namespace, without nodes.
    ``fingerprint``: of these and of all else but the runs."""

    definition: WorkflowDefinition
    capacity: Capacity
    gaps: DataGaps
    fingerprint: str

    def environment(self, report: SourceReport | None, fleet: Fleet | None) -> Environment:
        """Where the workflow runs, with what ``report`` has on nodes and quotas."""
        if report is None:
            return Environment(self.gaps, fleet, self.capacity)
        in_quotas = report.in_quotas.get(self.definition.key.namespace)
        capacity = replace(self.capacity, nodes=report.nodes, in_quotas=in_quotas)
        return Environment(self.gaps, fleet, capacity, report.outages)
