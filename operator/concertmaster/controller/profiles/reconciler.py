"""The profiles of one cycle: which source each needs, which must be analysed anew, and what their status should say.

Only what changed is analysed: new or corrected runs, another definition, policy or profile, and, a few times a day,
the sliding of the window. What an analysis said is remembered, so that a condition can be restated without it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.controller.changes.cycle import Candidate
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile, most_valuable_first
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.health import Heartbeat
from concertmaster.controller.live.live_runs import LiveRunsReport
from concertmaster.controller.logged_faults import LoggedFaults
from concertmaster.controller.object_cache import CachedObject, CachedObjects
from concertmaster.controller.profiles.analysis.inputs import AnalysisInputs
from concertmaster.controller.profiles.analysis.runner import AnalysisRunner
from concertmaster.controller.profiles.changed_runs import ChangedRuns
from concertmaster.controller.profiles.first_reading import FirstReading, compares_unknown, must_stay
from concertmaster.controller.profiles.fleet_index import FleetIndex
from concertmaster.controller.profiles.last_analyses import LastAnalyses, LastAnalysis
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.past_changes import PastChanges
from concertmaster.controller.profiles.request import AnalysisRequest, Analyzer, EarlierRecommendations
from concertmaster.controller.profiles.resolving import ProfileResolver
from concertmaster.controller.profiles.running import RunningForecasts
from concertmaster.controller.profiles.status_update import (
    MAX_BACKFILLING,
    ProfileOutcome,
    backfilling,
    status_update,
    without_analysis,
)
from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.model.config_maps import NONE_READ
from concertmaster.core.rules import DataGaps
from concertmaster.history import HistoryError
from concertmaster.kube.writer import StatusUpdate

log = logging.getLogger("concertmaster.analysis")


class ProfileReconciler:
    """Keeps the state of each profile between cycles."""

    def __init__(
        self,
        sources: MetricsSources,
        history: HistoryProvider,
        analyzer: Analyzer,
        outputs: Outputs | None = None,
        shares: TimeShares | None = None,
    ) -> None:
        self._history = history
        self._outputs = outputs or Outputs(history)
        self.shares = shares or TimeShares()
        self._resolving = ProfileResolver(sources, self.shares)
        self._profiles: Sequence[ResolvedProfile] = ()
        self._faults, self._first, self._fleet = LoggedFaults(log), FirstReading(), FleetIndex()
        self.last = LastAnalyses(history, self._fleet, self._outputs)
        self._changed = ChangedRuns(history, self.last, self._urgent)
        self._runner = AnalysisRunner(sources, history, analyzer, self.last, self._fleet, self._outputs)
        self._forecasts = RunningForecasts(history, self._outputs.series)
        self.again = False  # the last pass found a reason for another one at once
        # Of the cycle in progress:
        self.past_changes = PastChanges(CachedObjects())
        self._capacity: Mapping[str, Capacity] | None = None
        self._seen = LiveRunsReport()

    def profiles(self, snapshot: ClusterSnapshot) -> Sequence[ResolvedProfile]:
        """All profiles, parsed and resolved. One that cannot be read is among them: its status says so."""
        self.past_changes, self._capacity = PastChanges(snapshot.objects), snapshot.capacity
        self.shares.begin()
        profiles = self._resolving.profiles(snapshot)
        if profiles is self._profiles:
            return profiles
        self._profiles, uids = profiles, frozenset(p.entry.uid for p in profiles)
        self.last.keep_only(uids)
        self._faults.keep_only(uids)
        self._first.keep_only(uids)
        self._fleet.keep_only(keys := {p.key for p in profiles})
        self._changed.keep_only(keys)
        self._outputs.keep_only(uids)
        self._outputs.observe(profiles)
        return profiles

    def record_changes(self, changed: Iterable[WorkflowKey], answered: Iterable[WorkflowKey] = ()) -> None:
        """Remember that these workflows have new or corrected runs, or an answer that only an analysis takes."""
        self._changed.record(changed, answered)

    def record_live(self, seen: LiveRunsReport) -> None:
        """Record what live objects show of runs and of what these share."""
        self.record_changes(seen.changed)
        self._seen = seen

    def revision(self, key: WorkflowKey) -> int:
        """How often new or corrected runs of a workflow have come to this process."""
        return self._changed.revisions[key]

    def candidates(self, uid: str) -> tuple[Candidate, ...] | None:
        """Recommendations about a profile that sets fields; None until this process analysed it."""
        known = self.last.get(uid)
        return known.record.candidates if known is not None else None

    def updates(
        self,
        profiles: Sequence[ResolvedProfile],
        reports: Mapping[str, SourceReport],
        now: float,
        record: CycleLog,
        heartbeat: Heartbeat,
    ) -> Iterator[StatusUpdate]:
        """The writes the profiles need, one after the other, so that ten thousand documents never stand in memory."""
        others = ControlGroup(profiles, (), self._history, reports, now, lambda _: heartbeat("analyze"))
        reading, unread, room = any(r.more for r in reports.values()), others.unread, MAX_BACKFILLING
        self._forecasts.renew(profiles, self._seen.running, now)
        for profile in self.shares.in_order(most_valuable_first(profiles), lambda profile: profile.entry):
            heartbeat("analyze")
            report = reports.get(profile.source)
            before = self._recalled(profile)
            if must_stay(profile, report, before) or self.shares.defer_write(profile.entry):
                record.held += 1
                continue
            with self.shares.taking(profile.entry):
                if profile.entry.namespace in unread:
                    outcome = without_analysis(profile, report, before)
                else:
                    outcome = self._outcome(profile, report, before, others, now, record)
            if compares_unknown(profile, self._fleet) if outcome.document is not None else self._waits(profile, unread):
                record.held += 1
                continue
            running, workflow = self._forecasts.of(profile.entry.uid), f"{profile.key.kind}/{profile.key.name}"
            update = status_update(profile.entry, outcome, now, running, workflow)
            if update is not None and outcome.reading and report is not None and report.more:
                update, room = update if room else None, max(0, room - 1)
            if update is not None:
                self.shares.written(profile.entry)
                yield update
            elif outcome.document is not None:
                self.last.published(profile.entry, profile.entry.status)
        heartbeat("fleet")
        early = reading or any(self.shares.deferred(p.entry) and self.last.get(p.entry.uid) is None for p in profiles)
        self.again = (not early and self._fleet.settle(now)) or bool(self.shares.notes)

    def _waits(self, profile: ResolvedProfile, unread: Collection[str]) -> bool:
        """Whether its turn comes in one of the next cycles; its status stays until then."""
        late = profile.entry.namespace in unread or self.shares.deferred(profile.entry)
        return late and bool(profile.entry.status.conditions)

    def _outcome(
        self,
        profile: ResolvedProfile,
        report: SourceReport | None,
        before: LastAnalysis | None,
        others: ControlGroup,
        now: float,
        record: CycleLog,
    ) -> ProfileOutcome:
        """The outcome of one profile: a new analysis where something changed, else the remembered one, ``before``. What
        people applied is compared with ``others``."""
        known = without_analysis(profile, report, before)
        definition, policy = profile.resolved.definition, profile.policy
        if definition is None or policy is None:
            return known
        provisional = before is not None and before.record.provisional
        early = report is not None and definition.key in report.unread and (known.ready is None or provisional)
        if (
            report is not None
            and early
            and not provisional
            and self._first.waits(profile, report, self._changed.revisions)
        ):
            return replace(known, ready=backfilling(definition, policy, report, now))
        inputs = self._inputs(profile, definition, report)
        if inputs is None:
            return known
        until = known.data_until if known.data_until is not None else now  # until when facts are complete
        try:
            settled = early and before is not None and before.matches(profile.entry, inputs.fingerprint)
            digest = None if settled else self._changed.digest(profile, policy, inputs, now, until)
            if digest is None or self.shares.defer_work(profile.entry):
                return known
            if early and digest.runs < policy.analysis.min_runs:
                self._first.too_few(profile, self._changed.revisions)
                return replace(known, ready=backfilling(definition, policy, report, now))
            environment = inputs.environment(report, self._fleet.fleet)
            request = AnalysisRequest(
                profile.parse(), policy, inputs.definition, (), now, known.data_until, environment, self._past(profile),
                fewest_runs=profile.fewest_runs, provisional=early, was_provisional=provisional,
                others=others.of(profile),
            )  # fmt: skip
            self._changed.take_answer(definition.key)
            revision = self._changed.revisions[definition.key]
            outcome = self._runner.run(profile, request, inputs.fingerprint, digest, revision, known)
            if outcome.document is not None:
                record.analyzed += 1
                self._faults.forget(profile.entry.uid)
            return outcome
        except Exception as error:  # noqa: BLE001 - one workflow's analysis must not stop the others
            record.analyses_failed += 1
            return replace(known, failure=self._failure(profile.entry, error))

    def _failure(self, entry: CachedObject, error: Exception) -> str:
        """What the condition says of ``error``."""
        if isinstance(error, HistoryError):
            return str(error)
        self._faults.note(entry, "analysis", error)
        return f"the analysis failed ({type(error).__name__}); the operator's log has the details, please report it."

    def _inputs(
        self, profile: ResolvedProfile, definition: WorkflowDefinition, report: SourceReport | None
    ) -> AnalysisInputs | None:
        """What an analysis rests on beside the runs; None while some of it has not been read."""
        key, entry = definition.key, profile.entry
        maps = self._seen.config_maps.get(key, NONE_READ)
        if self._capacity is None or maps is None:
            return None
        capacity = self._capacity.get(key.namespace, UNBOUND)
        if definition.config_maps != maps:  # a copy for each of ten thousand is a tenth of an idle cycle
            definition = replace(definition, config_maps=maps)
        missing = report.missing if report is not None else ()
        notes = (*self._seen.by_workflow.get(key, ()), *(report.notes(key) if report else ()))
        edition, fleet = profile.resolved.edition, self._fleet.edition_for(key)
        rest = (self.past_changes.decided(entry), capacity, definition.config_maps)
        made_of = fingerprint(entry.spec_text, profile.policy_edition, edition, missing, notes, fleet, rest)
        return AnalysisInputs(definition, capacity, DataGaps(missing, notes), made_of)

    def _urgent(self, entry: CachedObject) -> bool:
        """Whether each run of a profile is waited for: a change is being verified by it, or a run in progress is late."""
        return self.past_changes.verifying(entry) or self._forecasts.late(entry.uid)

    def _recalled(self, profile: ResolvedProfile) -> LastAnalysis | None:
        return self.last.recall(profile.entry, profile.key, self._changed.revisions[profile.key])

    def _past(self, profile: ResolvedProfile) -> EarlierRecommendations:
        """Earlier recommendations, from the status as the server holds it; from the last one when somebody emptied it."""
        known = self.last.get(profile.entry.uid)
        return self.past_changes.recommendations(
            profile.entry, known.status if known is not None else None, profile.target, profile.held
        )
