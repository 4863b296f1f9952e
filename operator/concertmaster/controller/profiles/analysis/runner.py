"""How an analysis is run: read the runs, call the analyzer, keep what it said."""

from __future__ import annotations

from dataclasses import dataclass, replace

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.malloc import collect_afterwards
from concertmaster.controller.profiles.analysis.long_term import with_days
from concertmaster.controller.profiles.fleet_index import FleetIndex
from concertmaster.controller.profiles.last_analyses import AnalysisRecord, LastAnalyses, packed
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.request import AnalysisRequest, Analyzer
from concertmaster.controller.profiles.status_update import ProfileOutcome
from concertmaster.core.pipeline.damping import LAGS, split_at
from concertmaster.core.units import HOUR
from concertmaster.history import RunsDigest, left_out

REANALYZE_AFTER = 6 * HOUR  # seconds: runs leave the window even when none arrive


@dataclass(frozen=True, slots=True)
class AnalysisRunner:
    """Runs analyses; ``last`` keeps what each said, ``fleet`` and ``outputs`` what others need of it."""

    sources: MetricsSources
    history: HistoryProvider
    analyzer: Analyzer
    last: LastAnalyses
    fleet: FleetIndex
    outputs: Outputs

    @collect_afterwards()
    def run(
        self,
        profile: ResolvedProfile,
        request: AnalysisRequest,
        inputs: str,
        digest: RunsDigest,
        revision: int,
        known: ProfileOutcome,
    ) -> ProfileOutcome:
        """A fresh analysis of the ``request``, whose runs are read here. ``inputs``, ``digest`` and ``revision``: what it
        rests on. Returns what is ``known`` with an empty history and a source that is down."""
        available = known.metrics.status is True
        request = self._with_runs(request, digest)
        if not request.runs and not available:
            return known
        problem = ""
        if request.policy.extra_metrics and available:
            request, problem = self._with_extra_metrics(profile, request)
        result = self.analyzer(with_days(request, self.history, record=not profile.led))
        self.outputs.keep(profile, result)
        if result.member is not None:
            self.fleet.learn(result.member, waits=result.waits)
        before, key = self.last.get(profile.entry.uid), request.definition.key
        said = before.record.query_problem if before is not None else None
        declared = known.query_problem if known.query_problem != said else ""
        record = AnalysisRecord(
            inputs,
            digest,
            result.ready,
            result.objectives,
            at=request.now,
            lasts=REANALYZE_AFTER if result.lasts is None else min(REANALYZE_AFTER, result.lasts),
            applicable=packed(result.candidates),
            query_problem=problem,
            edition=self.fleet.edition_for(key),
            provisional=request.provisional,
        )
        self.last.put(profile.entry.uid, record, key, revision)
        return replace(
            known,
            ready=result.ready,
            objectives=result.objectives,
            document=result.document,
            query_problem=declared or problem,
        )

    def _with_runs(self, request: AnalysisRequest, digest: RunsDigest) -> AnalysisRequest:
        """The request with the runs of its window, and with those of the days before, which earlier analyses saw."""
        analysis = request.policy.analysis
        since = request.now - analysis.window_seconds
        past, figures = self.history.runs_with_figures(
            request.definition, analysis.max_runs, since - max(LAGS), request.as_of
        )
        older, runs = split_at(past, since)
        gaps = request.environment.gaps
        cut = left_out(digest.runs, runs)
        gaps = replace(gaps, notes=(*gaps.notes, *cut))
        environment = replace(request.environment, gaps=gaps)
        return replace(request, runs=runs, older=older, figures=figures, environment=environment, cut=bool(cut))

    def _with_extra_metrics(self, profile: ResolvedProfile, request: AnalysisRequest) -> tuple[AnalysisRequest, str]:
        """The request with the values of users' metrics, and what is wrong with their queries (empty: nothing)."""
        runs, problem = self.sources.extras(
            profile.source,
            request.definition,
            request.policy.extra_metrics,
            request.runs,
            now=request.now,
            window=request.policy.analysis.window_seconds,
        )
        return replace(request, runs=runs), problem
