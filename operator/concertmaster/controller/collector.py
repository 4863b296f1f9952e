"""The collect stage of a cycle: metrics sources, live and archived runs, each fault isolated to what it concerns."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.api.conditions import Reason
from concertmaster.controller.archive.archived_runs import ArchivedRuns, ArchiveReport, Reach
from concertmaster.controller.collection.gaps import Outages
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.discovery.config_maps import ConfigMaps
from concertmaster.controller.health import Health
from concertmaster.controller.live.live_runs import LiveRuns, LiveRunsReport
from concertmaster.controller.source_report import CollectionRequest, SourceReport
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.times import recent
from concertmaster.history import HistoryError
from concertmaster.prometheus.client.server_clock import REMEDY, in_words

log = logging.getLogger("concertmaster.cycle")

_REPLACE_FAULT_AFTER = 3  # consecutive readings after which a new kind of fault replaces the reported one
_MIN_INTERVAL_SHARE = 0.9  # of the interval: a cycle sooner than that after the last reading was woken by a change


@dataclass(slots=True)
class _Outage:
    """The fault that is reported for a source while it is down. Faults alternate in kind and wording (a timeout, then
    503, another query each time), and each new sentence would cause a status write for every profile. The log has all of
    them."""

    reason: Reason
    message: str
    others: int = 0  # readings in a row that failed for another reason

    def settled(self, report: SourceReport) -> SourceReport:
        """``report`` with the first fault, until another kind has lasted."""
        self.others = 0 if report.reason is self.reason else self.others + 1
        if self.others >= _REPLACE_FAULT_AFTER:
            self.reason, self.message, self.others = report.reason, report.message, 0
        elif report.message != self.message:
            log.warning("source %s: %s", report.source, report.message)
        return replace(report, reason=self.reason, message=self.message)


@dataclass(slots=True)
class Collector:
    """Reads what the cycle needs and keeps the last report of each source."""

    sources: MetricsSources
    live: LiveRuns | None
    health: Health
    outages: Outages
    interval: float  # seconds between readings
    archives: Sequence[ArchivedRuns] = ()
    config_maps: ConfigMaps | None = None
    reports: Mapping[str, SourceReport] = field(default_factory=dict)
    _more_archived: bool = False
    _read: dict[str, float] = field(default_factory=dict)
    _requests: list[CollectionRequest] = field(default_factory=list)  # in this cycle
    _faults: dict[str, _Outage] = field(default_factory=dict)

    @property
    def more(self) -> bool:
        """Whether a source or an archive has more of the past to read."""
        return self._more_archived or any(report.more for report in self.reports.values())

    def collect(self, requests: Sequence[CollectionRequest], now: float) -> Mapping[str, SourceReport]:
        """Read every source that is requested; reports of sources nobody asks for any more are dropped."""
        reports: dict[str, SourceReport] = {}
        self._requests = []
        for requested in requests:
            name = requested.source
            due = not recent(self._read.get(name), now, _MIN_INTERVAL_SHARE * self.interval)
            request = replace(requested, due=due)
            self._requests.append(request)
            try:
                reports[name] = self.sources.collect(request, self.health.heartbeat)
            except Exception as error:
                log.exception("reading source %s failed in an unexpected way", name)
                reports[name] = self._broken(name, error)
            if due:
                self._read[name] = now
            elif reports[name].ok and (last := self.reports.get(name)) is not None and not last.ok:
                # Little or nothing was queried: a source that was down counts as up only after a real reading.
                reports[name] = replace(reports[name], ok=False, reason=last.reason, message=last.message)
        self.reports = self._settled(reports, now)
        return self.reports

    def store_read_ahead(self, now: float) -> None:
        """Store what the sources have answered ahead of the next reading, in the cycle of ``now``. A fault does not delay
        the analyses."""
        try:
            self.sources.store_read_ahead(now)
        except Exception:
            log.exception("storing what was read ahead failed in an unexpected way")

    def run_user_queries(self) -> Mapping[str, SourceReport]:
        """Run users' queries against the sources that were read in this cycle. Returns the reports, completed with the
        results."""
        reports = dict(self.reports)
        self.sources.begin_queries()
        for request in self._requests:
            name = request.source
            try:
                reports[name] = self.sources.run_user_queries(request, reports[name], self.health.heartbeat)
            except Exception as error:
                log.exception("users' queries to source %s failed in an unexpected way", name)
                reports[name] = self._broken(name, error)
        self.reports = reports
        return reports

    def _settled(self, reports: Mapping[str, SourceReport], now: float) -> Mapping[str, SourceReport]:
        """``reports`` with steady sentences about sources that are down, and when they were."""
        self._faults = {
            name: self._faults.get(name) or _Outage(report.reason, report.message)
            for name, report in reports.items()
            if not report.ok
        }
        settled: dict[str, SourceReport] = {}
        for name, report in reports.items():
            steady = report if report.ok else self._faults[name].settled(report)
            try:
                spans = self.outages.spans(name, now, ok=report.ok, read=self._read.get(name, now))
                settled[name] = _with_clock(replace(steady, outages=spans))
            except HistoryError:  # said by the report, and nothing is judged before the journal can be read
                settled[name] = steady
        return settled

    def live_runs(self, definitions: Sequence[WorkflowDefinition]) -> LiveRunsReport:
        """Finished runs from the engines' own objects, and what ConfigMaps that workflows name say. Faults are in the
        report."""
        if self.live is None:
            return LiveRunsReport()
        try:
            seen = self.live.refresh(definitions, self.health.heartbeat)
            if self.config_maps is None:
                return seen
            self.health.heartbeat("live")
            return replace(seen, config_maps=self.config_maps.read(definitions))
        except Exception as error:
            log.exception("reading live runs failed in an unexpected way")
            problem = f"reading live runs failed ({type(error).__name__}); the operator's log has the details"
            return LiveRunsReport(problem=problem)

    def archived_runs(
        self, definitions: Sequence[WorkflowDefinition], reach: Mapping[WorkflowKey, Reach], now: float
    ) -> ArchiveReport:
        """Read finished runs from the engines' archives. Called after live runs are read, because live records take
        precedence. A fault of one archive affects only its own runs."""
        reports = [self._archived(archive, definitions, reach, now) for archive in self.archives]
        self._more_archived = any(report.more for report in reports)
        return ArchiveReport(
            frozenset().union(*(report.changed for report in reports)),
            tuple(note for report in reports for note in report.notes),
            self._more_archived,
        )

    def _archived(
        self,
        archive: ArchivedRuns,
        definitions: Sequence[WorkflowDefinition],
        reach: Mapping[WorkflowKey, Reach],
        now: float,
    ) -> ArchiveReport:
        try:
            return archive.read(definitions, reach, now, self.health.heartbeat)
        except Exception as error:
            log.exception("reading archived runs failed in an unexpected way")
            text = f"reading archived runs failed ({type(error).__name__}); the operator's log has the details"
            return ArchiveReport(notes=(text,))

    def _broken(self, source: str, error: Exception) -> SourceReport:
        """A report for a fault of our own, keeping what was known."""
        before = self.reports.get(source)
        return SourceReport(
            source,
            ok=False,
            reason=Reason.SOURCE_UNREACHABLE,
            message=f"reading source {source} failed ({type(error).__name__}); the operator's log has the details",
            data_until=before.data_until if before is not None else None,
            complete=before.complete if before is not None else {},
        )


def _with_clock(report: SourceReport) -> SourceReport:
    """``report`` with the difference of the clocks: of a source that answers, or lacks recent samples, maybe for that."""
    if not report.clock_ahead or not (report.ok or report.reason is Reason.SERIES_MISSING):
        return report
    text = f"{in_words(report.clock_ahead, 'the operator', report.source)}: {REMEDY}"
    if report.ok:
        return replace(report, reason=Reason.CLOCK_SKEW, message=text)
    return replace(report, message=f"{report.message}; {text}")
