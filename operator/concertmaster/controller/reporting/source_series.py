"""The series of metrics sources on /metrics: whether they answer, how far they are read, and pods of no profile."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from concertmaster.controller.source_report import SourceReport


class SourcesTelemetry:
    """Fed with each reading of the sources."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._known: set[str] = set()
        self._unassigned: dict[str, Mapping[str, int]] = {}  # by source, of the last reading
        self._reasons: set[str] = set()
        name, r = "concertmaster", registry
        self.queries = Counter(f"{name}_queries", "Queries sent to metrics sources.", ["source"], registry=r)
        self.up = Gauge(
            f"{name}_source_up", "1 when the last collection from the source was complete.", ["source"], registry=r
        )
        self.clock_ahead = Gauge(
            f"{name}_source_clock_ahead_seconds",
            "By how much the operator's clock is ahead of the source's (below 0: behind); 0 for less than two minutes.",
            ["source"],
            registry=r,
        )
        self.data_until = Gauge(
            f"{name}_source_data_until_timestamp_seconds", "Up to when facts are complete.", ["source"], registry=r
        )
        self.unassigned = Gauge(
            f"{name}_unassigned_pods", "Pods of workflow engines that belong to no profile.", ["reason"], registry=r
        )

    def observe(self, reports: Mapping[str, SourceReport]) -> None:
        """Add one reading of each source, by name. One that nobody asks for any more has no series left: its last
        state would raise alerts for good."""
        for name in self._known - reports.keys():
            self.up.remove(name)
            self.data_until.remove(name)
            self.clock_ahead.remove(name)
        self._known = set(reports)
        for name, report in reports.items():
            self.queries.labels(name).inc(report.queries)
            self.up.labels(name).set(1 if report.ok else 0)
            self.clock_ahead.labels(name).set(report.clock_ahead)
            if report.data_until is not None:
                self.data_until.labels(name).set(report.data_until)
        read = {name: report.unassigned for name, report in reports.items() if report.ok and report.queries}
        self._unassigned = {name: pods for name, pods in self._unassigned.items() if name in reports} | read
        counts: Count[str] = sum(map(Count, self._unassigned.values()), Count())
        for reason in self._reasons - counts.keys():
            self.unassigned.remove(reason)
        self._reasons = set(counts)
        for reason, count in counts.items():
            self.unassigned.labels(reason).set(count)
