"""The runs of a workflow before and after a change of it, read from the history, without those of other edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.verification.compared_change import ComparedChange
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.core.changes.verification.before_after import BASELINE, BeforeAfter, foresee, requested, split_runs
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS
from concertmaster.core.changes.verification.one_image import edited_often, of_one_image, released
from concertmaster.core.changes.verification.start_times import Span, StartTimes
from concertmaster.core.model.enums import ChangePhase
from concertmaster.core.units import HOUR

# Of one workflow before a change, to tell weekends: those of twelve days, at one every half an hour.
_MAX_RUNS = 600
_BEHIND = 6 * HOUR  # seconds: runs of so long ago are still being read


class OwnRuns(NamedTuple):
    """Runs whose difference is due to a change alone; what others did that ``ended`` its verification (empty: nothing); and
    when they ``edited`` the workflow (unix seconds; None: not known)."""

    runs: BeforeAfter
    ended: str
    edited: float | None


class ComparedRuns:
    """Reads the runs that changes are verified by."""

    def __init__(self, history: HistoryProvider) -> None:
        self._history = history

    def own(self, compared: ComparedChange, times: StartTimes, max_age: float) -> OwnRuns:
        """The runs before and after the change, without those that others' edits and releases took part in. ``max_age``: for
        how long (seconds) it is verified at the most."""
        context, graph = compared.context, compared.definition.graph
        foreign = self.touched(compared)
        edited = _edited(compared, times) if foreign else None
        window = context.policy.analysis.window_seconds + max_age
        runs = self.split(context, compared.applied, window, compared.change, edited)
        # The span in which the edit was made ends with it.
        unwatched = [(a, b) for a, b in times.unwatched if edited is None or not a <= edited <= b]
        runs = self.watched(compared, runs, unwatched)
        ended = ""
        if foreign:
            ended = "the workflow was changed otherwise meanwhile"
        elif released(runs, graph):
            ended = "the image was changed meanwhile"
        return OwnRuns(of_one_image(runs, graph), "" if behind(context) else ended, edited)

    def watched(self, compared: ComparedChange, runs: BeforeAfter, unwatched: Sequence[Span]) -> BeforeAfter:
        """``runs`` without those since the change of the spans ``unwatched``, which may be of another definition."""
        if not unwatched or self._edited_often(compared):
            return runs
        why = "of a time in which the workflow was edited and no cycle ran"
        return runs.without(lambda r: any(a <= (r.start or 0.0) < b for a, b in unwatched), why)

    def split(
        self, context: WorkflowContext, applied: float, window: float, change: WorkflowChangeView | None = None,
        until: float | None = None,
    ) -> BeforeAfter:  # fmt: skip
        """Runs before and after ``applied``, the moment of ``change`` or (None) of one that is only planned, of those begun
        before ``until`` (None: all)."""
        definition = context.definition
        if definition is None:
            return BeforeAfter((), ())
        now = context.data_until or context.now
        limit = _MAX_RUNS + max(context.policy.apply.verify.max_runs, MAX_RUNS)
        known = self._history.runs(definition, limit=limit, since=applied - window, as_of=now)
        runs = with_pods(definition, [r for r in known if until is None or (r.start or 0.0) < until])[1]
        others = [(c, at) for c in context.changes if (at := c.applied) and (change is None or c.uid != change.uid)]
        stayed = [
            _baseline_from(context, c, at)
            for c, at in others
            if c.phase in FINISHED and c.restored is None and at < applied
        ]
        undone = [(at, c.restored) for c, at in others if c.restored is not None]
        since = max(stayed, default=None)
        if change is None:
            return split_runs(runs, applied=applied, since=since, now=now, without=undone)
        shown = requested(definition, change.task, change.operations("patch") or ())
        return split_runs(runs, applied=applied, since=since, now=now, without=undone, changed=shown)

    def foresee(self, context: WorkflowContext) -> tuple[int, str | None]:
        """How many runs a change made now could be compared with, and why its verification could miss harm (None: it
        would not). Computed once for a context."""
        if context.foreseen is None:
            before = self.split(context, context.now, context.policy.analysis.window_seconds).before
            verify = context.policy.apply.verify
            forecast = foresee(before, max(verify.min_runs, verify.max_runs))
            context.foreseen = len(before), forecast.warns() if forecast is not None else None
        return context.foreseen

    def touched(self, compared: ComparedChange) -> bool:
        """Whether the definition was changed since, by anybody but another change of ours. False when the definition
        cannot be read completely at present, and where it is edited for each run, before the change as since."""
        change, marks = compared.change, {compared.change.fingerprint, compared.definition.fingerprint}
        if None in marks or len(marks) == 1:
            return False
        others = [t for c in compared.context.changes if c.uid != change.uid for t in (c.applied, c.restored) if t]
        if any(t >= compared.applied for t in others):
            return False
        return not self._edited_often(compared)

    def _edited_often(self, compared: ComparedChange) -> bool:
        """Whether every run, or every few of them, had an edit of their own before the change: one since then says
        nothing."""
        definition, applied = compared.definition, compared.applied
        since = applied - compared.context.policy.analysis.window_seconds
        return edited_often(
            self._history.runs(definition, limit=BASELINE, since=since, as_of=applied), definition.graph
        )


def _baseline_from(context: WorkflowContext, earlier: WorkflowChangeView, applied: float) -> float:
    """From when on runs are what a later change is compared with (unix seconds): since an ``earlier`` one was written,
    unless somebody overwrote it after that, or made its object anew."""
    overwritten = earlier.since(ConditionType.RESTORED) if earlier.phase == ChangePhase.CONFLICT else None
    return max(applied, overwritten or 0.0, context.made_anew(earlier) or 0.0)


def _edited(compared: ComparedChange, times: StartTimes) -> float | None:
    """When somebody else edited the workflow since the change (unix seconds; None: not known). Without a date, it was when
    no cycle looked."""
    dated = compared.context.edited(compared.change, compared.applied)
    unseen = times.unwatched[-1] if times.unwatched else None
    if unseen is None or (dated is not None and dated >= unseen[0]):
        return dated
    return unseen[0]


def behind(context: WorkflowContext) -> bool:
    """Whether the metrics are not read up to now: a new process reads first, and days of an absence one by one."""
    return context.now - context.ahead - (context.data_until or 0.0) > _BEHIND
