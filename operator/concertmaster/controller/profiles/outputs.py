"""Where an analysis goes besides the status: daily rows into the history, details to the HTTP side, series to /metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.request import ProfileAnalysis
from concertmaster.controller.reporting.details import Details, Observed
from concertmaster.controller.reporting.workflow_series import WorkflowSeries
from concertmaster.core.model import WorkflowKey


class Outputs:
    """Distributes each analysis; decides nothing."""

    def __init__(
        self, history: HistoryProvider, details: Details | None = None, series: WorkflowSeries | None = None
    ) -> None:
        self._history = history
        self.details = details or Details()
        self.series = series or WorkflowSeries()

    def keep(self, profile: ResolvedProfile, analysis: ProfileAnalysis) -> None:
        """Keep an analysis of the profile. What the history keeps of a workflow comes from one of its profiles: another one
        may read other runs, at other prices."""
        entry, key = profile.entry, profile.key
        if not profile.led:
            self._history.record(key, analysis.figures)
        if analysis.detail:
            self.details.put(entry.namespace, entry.name, entry.uid, analysis.detail, key)
        self.series.put(entry.uid, key, analysis.samples)

    def restore(self, entry: CachedObject, key: WorkflowKey, detail: bytes | None, series: Mapping[str, str]) -> None:
        """Restore the output of an earlier process, as ``Details.packed`` and ``WorkflowSeries.lines`` gave it."""
        if detail is not None:
            self.details.restore(entry.namespace, entry.name, entry.uid, detail, key)
        self.series.restore(entry.uid, key, series)

    def observe(self, profiles: Iterable[ResolvedProfile]) -> None:
        """Say with what the runs of each workflow are read."""
        self.details.observed = {
            p.entry.uid: Observed(p.resolved.definition, p.policy, p.entry.status.data_until or None)
            for p in profiles
            if p.resolved.definition is not None and p.policy is not None
        }

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone; the history does so in its own time."""
        self.details.keep_only(uids)
        self.series.keep_only(uids)
