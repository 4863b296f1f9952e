"""Whether the runs that came since the last analysis of a workflow are a reason for another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.analysis.inputs import AnalysisInputs
from concertmaster.controller.profiles.last_analyses import LastAnalyses
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.policy import Policy
from concertmaster.history import RunsDigest


class ChangedRuns:
    """Counts changes of the runs of each workflow. ``urgent``: whether each run of a profile is waited for, so that one
    alone is a reason for an analysis."""

    def __init__(self, history: HistoryProvider, last: LastAnalyses, urgent: Callable[[CachedObject], bool]) -> None:
        self._history = history
        self._last = last
        self._urgent = urgent
        self._revisions: Counter[WorkflowKey] = Counter()
        self._answered: set[WorkflowKey] = set()

    @property
    def revisions(self) -> Mapping[WorkflowKey, int]:
        """How often new or corrected pods of each workflow have come; 0 for one without any."""
        return self._revisions

    def keep_only(self, keys: Collection[WorkflowKey]) -> None:
        """Forget workflows that are gone."""
        self._revisions = Counter({key: number for key, number in self._revisions.items() if key in keys})
        self._answered.intersection_update(keys)

    def record(self, changed: Iterable[WorkflowKey], answered: Iterable[WorkflowKey] = ()) -> None:
        """Remember that these workflows have new or corrected runs, or an answer that only an analysis takes."""
        self._revisions.update(changed)
        self._answered.update(answered)

    def take_answer(self, key: WorkflowKey) -> None:
        """An analysis of the workflow takes the answer."""
        self._answered.discard(key)

    def digest(
        self, profile: ResolvedProfile, policy: Policy, inputs: AnalysisInputs, now: float, until: float
    ) -> RunsDigest | None:
        """The digest of the runs for a new analysis; None when the last one still holds. Pods of a run in progress are no
        news. ``until``: when facts are complete (unix seconds)."""
        entry, key = profile.entry, inputs.definition.key
        last, revision = self._last.get(entry.uid), self._revisions[key]
        current = last is not None and last.is_current(entry, inputs.fingerprint, now)
        if last is not None and current and last.runs_unchanged(revision, until):
            return None
        analysis = policy.analysis
        found = self._history.runs_digest(
            inputs.definition,
            limit=analysis.max_runs,
            since=now - analysis.window_seconds,
            as_of=until,
            after=last.record.runs.newest if last is not None else None,
        )
        if not current or key in self._answered:
            return found
        return None if self._last.holds(entry, found, revision, urgent=self._urgent(entry)) else found
