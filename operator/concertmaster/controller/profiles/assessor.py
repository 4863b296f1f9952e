"""The profiles of one cycle: which source each needs, which must be analysed anew, and what their status should say.

Only what changed is analysed: new or corrected runs, another definition, policy or profile, and, a few times a day,
the sliding of the window. What an analysis said is remembered, so that a condition can be restated without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.discovery.subject import Subject, most_valuable_first
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.interfaces import (
    AnalysisRequest,
    Analyzer,
    Candidate,
    EarlierRecommendations,
    Heartbeat,
    History,
    SourceReport,
    Sources,
)
from concertmaster.controller.malloc import collect_afterwards
from concertmaster.controller.profiles.failures import Failures
from concertmaster.controller.profiles.first_reading import FirstReading, compares_unknown, kept
from concertmaster.controller.profiles.fleet_index import FleetIndex
from concertmaster.controller.profiles.last_analyses import AnalysisRecord, LastAnalysis, Memory, packed
from concertmaster.controller.profiles.learning import Learned
from concertmaster.controller.profiles.long_term import with_days
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.resolving import ProfileResolver
from concertmaster.controller.profiles.running import RunningForecasts
from concertmaster.controller.profiles.status_update import (
    MAX_BACKFILLING,
    ProfileOutcome,
    backfilling,
    status_update,
    without_analysis,
)
from concertmaster.controller.registry import Snapshot
from concertmaster.controller.run_sources import LiveRunsReport
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.damping import LAGS, split_at
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.model.config_maps import NONE_READ
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import Environment
from concertmaster.core.rules import DataGaps
from concertmaster.core.units import HOUR
from concertmaster.history import RunsEvidence, left_out
from concertmaster.kube.writer import StatusUpdate

REANALYZE_AFTER = 6 * HOUR  # seconds: runs leave the window even when none arrive


@dataclass(slots=True)
class CycleCounts:
    """Counts of one cycle."""

    analyzed: int = 0
    failed: int = 0
    held: int = 0


class Assessor:
    """Keeps the state of each profile between cycles."""

    def __init__(
        self,
        sources: Sources,
        history: History,
        analyzer: Analyzer,
        outputs: Outputs | None = None,
        shares: TimeShares | None = None,
    ) -> None:
        self._sources = sources
        self._history = history
        self._analyzer = analyzer
        self.shares = shares or TimeShares()
        self._resolving = ProfileResolver(sources, self.shares)
        self._subjects: Sequence[Subject] = ()
        self._revisions: Counter[WorkflowKey] = Counter()
        self._failures, self._answered = Failures(), set[WorkflowKey]()
        self._first, self._seen = FirstReading(), LiveRunsReport()
        self._outputs, self._fleet = outputs or Outputs(history), FleetIndex()
        self.memory = Memory(history, self._fleet, self._outputs)
        self.learned = Learned(Snapshot())
        self.again = False  # the last pass found a reason for another one at once
        self._forecasts = RunningForecasts(history, self._outputs.series)
        self._capacity: Mapping[str, Capacity] | None = None
        self._control: ControlGroup | None = None  # of the cycle in progress

    def subjects(self, snapshot: ClusterSnapshot) -> Sequence[Subject]:
        """All profiles, parsed and resolved. A profile that cannot be read is a subject too: its status says so."""
        self.learned, self._capacity = Learned(snapshot.snapshot), snapshot.capacity
        self.shares.begin()
        subjects = self._resolving.subjects(snapshot)
        if subjects is self._subjects:
            return subjects
        self._subjects, uids = subjects, frozenset(s.entry.uid for s in subjects)
        self.memory.keep_only(uids)
        self._failures.keep_only(uids)
        self._first.keep_only(uids)
        self._fleet.keep_only({s.key for s in subjects})
        self._outputs.keep_only(uids)
        self._outputs.observe(subjects)
        return subjects

    def record_changes(self, changed: Iterable[WorkflowKey], answered: Iterable[WorkflowKey] = ()) -> None:
        """Remember that these workflows have new or corrected runs, or an answer that only an analysis takes."""
        self._revisions.update(changed)
        self._answered.update(answered)

    def record_live(self, seen: LiveRunsReport) -> None:
        """Record what live objects show of runs and of what these share."""
        self.record_changes(seen.changed)
        self._seen = seen

    def candidates(self, uid: str) -> tuple[Candidate, ...] | None:
        """Recommendations about a profile that sets fields; None until this process analysed it."""
        known = self.memory.get(uid)
        return known.record.candidates if known is not None else None

    def updates(
        self,
        subjects: Sequence[Subject],
        reports: Mapping[str, SourceReport],
        now: float,
        tally: CycleCounts,
        heartbeat: Heartbeat,
    ) -> Iterator[StatusUpdate]:
        """The writes the subjects need, one after the other, so that ten thousand documents never stand in memory."""
        self._control = ControlGroup(subjects, (), self._history, reports, now, lambda _: heartbeat("analyze"))
        reading, unread, room = any(r.more for r in reports.values()), self._control.unread, MAX_BACKFILLING
        self._forecasts.renew(subjects, self._seen.running, now)
        for subject in self.shares.in_order(most_valuable_first(subjects), lambda subject: subject.entry):
            heartbeat("analyze")
            report = reports.get(subject.source)
            before = self._recalled(subject)
            if kept(subject, report, before) or self.shares.must_not_write(subject.entry):
                tally.held += 1
                continue
            with self.shares.taking(subject.entry):
                if subject.entry.namespace in unread:
                    outcome = without_analysis(subject, report, before)
                else:
                    outcome = self._outcome(subject, report, before, now, tally)
            if compares_unknown(subject, self._fleet) if outcome.document is not None else self._waits(subject, unread):
                tally.held += 1
                continue
            update = status_update(subject.entry, outcome, now, self._forecasts.of(subject.entry.uid))
            if update is not None and outcome.reading and report is not None and report.more:
                update, room = update if room else None, max(0, room - 1)
            if update is not None:
                self.shares.written(subject.entry)
                yield update
            elif outcome.document is not None:
                self.memory.published(subject.entry, subject.entry.status)
        self._control = None  # with the runs that it read
        heartbeat("fleet")
        early = reading or any(self.shares.waits(s.entry) and self.memory.get(s.entry.uid) is None for s in subjects)
        self.again = (not early and self._fleet.settle(now)) or bool(self.shares.waiting)

    def _waits(self, subject: Subject, unread: Collection[str]) -> bool:
        """Whether its turn comes in one of the next cycles; its status stays until then."""
        late = subject.entry.namespace in unread or self.shares.waits(subject.entry)
        return late and bool(subject.entry.status.conditions)

    def _outcome(
        self, subject: Subject, report: SourceReport | None, before: LastAnalysis | None, now: float, tally: CycleCounts
    ) -> ProfileOutcome:
        """The outcome of one profile: a new analysis where something changed, else the remembered one, ``before``."""
        known = without_analysis(subject, report, before)
        definition, policy = subject.resolved.definition, subject.policy
        if definition is None or policy is None:
            return known
        provisional = before is not None and before.record.provisional
        early = report is not None and definition.key in report.unread and (known.ready is None or provisional)
        if report is not None and early and not provisional and self._first.waits(subject, report, self._revisions):
            return replace(known, ready=backfilling(definition, policy, report, now))
        missing = report.missing if report is not None else ()
        notes = (*self._seen.by_workflow.get(definition.key, ()), *(report.notes(definition.key) if report else ()))
        bounds, maps = self._capacity, self._seen.config_maps.get(definition.key, NONE_READ)
        if bounds is None or maps is None:  # not read yet
            return known
        capacity = bounds.get(definition.key.namespace, UNBOUND)
        if definition.config_maps != maps:  # a copy for each of ten thousand is a tenth of an idle cycle
            definition = replace(definition, config_maps=maps)
        until = known.data_until if known.data_until is not None else now  # until when facts are complete
        edition, others = subject.resolved.edition, self._fleet.edition_for(definition.key)
        rest = (self.learned.decided(subject.entry), capacity, definition.config_maps)
        inputs = fingerprint(subject.entry.spec_text, subject.policy_edition, edition, missing, notes, others, rest)
        try:
            settled = early and before is not None and before.said(subject.entry, inputs)
            evidence = None if settled else self._news(subject, definition, policy, inputs, now, until)
            if evidence is None or self.shares.must_wait(subject.entry):
                return known
            if early and evidence.runs < policy.analysis.min_runs:
                self._first.too_few(subject, self._revisions)
                return replace(known, ready=backfilling(definition, policy, report, now))
            in_quotas = report.in_quotas.get(definition.key.namespace) if report is not None else None
            bound = replace(capacity, nodes=report.nodes, in_quotas=in_quotas) if report is not None else capacity
            outages = report.outages if report is not None else ()
            environment = Environment(DataGaps(missing, notes), self._fleet.fleet, bound, outages)
            case = AnalysisRequest(
                subject.profile, policy, definition, (), now, known.data_until, environment, fewest_runs=subject.fewest_runs,
                provisional=early, was_provisional=provisional, others=self._control.of(subject) if self._control else None,
            )  # fmt: skip
            return self._analyzed(subject, case, (inputs, evidence), known, tally)
        except Exception as error:  # noqa: BLE001 - one workflow's analysis must not stop the others
            tally.failed += 1
            return replace(known, failure=self._failures.message(subject.entry, error))

    def _news(
        self,
        subject: Subject,
        definition: WorkflowDefinition,
        policy: Policy,
        inputs: str,
        now: float,
        until: float,
    ) -> RunsEvidence | None:
        """The evidence for a new analysis; None when the last one still holds. Pods of a run in progress are no news."""
        remembered, revision = self.memory.get(subject.entry.uid), self._revisions[definition.key]
        stands = remembered is not None and remembered.stands(subject.entry, inputs, now)
        if remembered is not None and stands and remembered.undisturbed(revision, until):
            return None
        analysis = policy.analysis
        after = remembered.record.evidence.newest if remembered is not None else None
        evidence = self._history.evidence(
            definition, limit=analysis.max_runs, since=now - analysis.window_seconds, as_of=until, after=after
        )
        urgent = self.learned.verifying(subject.entry) or self._forecasts.late(subject.entry.uid)
        if stands and definition.key not in self._answered:
            return None if self.memory.holds(subject.entry, evidence, revision, urgent=urgent) else evidence
        return evidence

    @collect_afterwards()
    def _analyzed(
        self,
        subject: Subject,
        case: AnalysisRequest,
        inputs: tuple[str, RunsEvidence],
        known: ProfileOutcome,
        tally: CycleCounts,
    ) -> ProfileOutcome:
        """A fresh analysis. None with an empty history and a source that is down."""
        self._answered.discard(case.definition.key)
        analysis = case.policy.analysis
        since = case.now - analysis.window_seconds
        known_runs, first = self._history.runs_with_figures, since - max(LAGS)
        past, figures = known_runs(case.definition, analysis.max_runs, first, case.as_of)
        older, runs = split_at(past, since)
        available, problem = known.metrics.status is True, ""
        if not runs and not available:
            return known
        if case.policy.extra_metrics and available:
            runs, problem = self._sources.extras(
                subject.source,
                case.definition,
                case.policy.extra_metrics,
                runs,
                now=case.now,
                window=analysis.window_seconds,
            )
        before = self.memory.get(subject.entry.uid)
        said = before.record.query_problem if before is not None else None
        declared = known.query_problem if known.query_problem != said else ""
        case = replace(case, runs=runs, older=older, figures=figures, past=self._past(subject))
        gaps = replace(case.environment.gaps, notes=(*case.environment.gaps.notes, *left_out(inputs[1].runs, runs)))
        case = replace(case, environment=replace(case.environment, gaps=gaps))
        result = self._analyzer(with_days(case, self._history))
        tally.analyzed += 1
        self._failures.forget(subject.entry.uid)
        self._outputs.keep(subject, result)
        if result.member is not None:
            self._fleet.learn(result.member, waits=result.waits)
        lasts = REANALYZE_AFTER if result.lasts is None else min(REANALYZE_AFTER, result.lasts)
        ready, met, edition = result.ready, result.objectives, self._fleet.edition_for(case.definition.key)
        record = AnalysisRecord(
            *inputs, ready, met, case.now, lasts, packed(result.candidates), problem, edition, case.provisional
        )
        self.memory.put(subject.entry.uid, record, case.definition.key, self._revisions[case.definition.key])
        reported = declared or problem
        return replace(known, ready=ready, objectives=met, document=result.document, query_problem=reported)

    def _recalled(self, subject: Subject) -> LastAnalysis | None:
        return self.memory.recall(subject.entry, subject.key, self._revisions[subject.key])

    def _past(self, subject: Subject) -> EarlierRecommendations:
        """Earlier recommendations, from the status as the server holds it; from the last one when somebody emptied it."""
        known = self.memory.get(subject.entry.uid)
        return self.learned.past(
            subject.entry, known.status if known is not None else None, subject.target, subject.held
        )
