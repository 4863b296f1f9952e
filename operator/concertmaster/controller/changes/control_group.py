"""The workflows that a verification's own is compared with: those of the same metrics source that nobody changed
meanwhile.

Reading their runs takes time and memory, of which each namespace with verifications has its own: those of one tenant do not
take the control group from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile, unread_namespaces
from concertmaster.controller.source_report import SourceReport
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.verification.before_after import (
    BASELINE,
    SEASONS,
    BeforeAfter,
    seasonal,
    split_runs,
)
from concertmaster.core.changes.verification.control_group import common_factor, shared_pauses
from concertmaster.core.changes.verification.one_image import of_one_image, released
from concertmaster.core.changes.verification.shared_failures import without_shared
from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.stats.comparison import CommonFactor
from concertmaster.core.units import DAY

_WORKFLOWS = 12  # with runs on both sides; more make the interval hardly narrower
MAX_CANDIDATES = 30  # in one cycle, for verifications of one namespace: reading 60 runs of a dozen pods takes 0.1 s
MAX_ALL_CANDIDATES = 300  # in one cycle
MAX_PODS = 50_000  # of one namespace, and about as many in all: their runs stay in memory, 1 to 2 KiB for each pod
_MIN_SEASON_SPAN = 2 * DAY  # before a change: the least span that tells hours; runs of a shorter one keep their season
_RUNS = 60  # the newest, of one workflow; where hours or weekends matter, as many as tell them


class ControlGroup:
    """All workflows of one cycle. Their runs are read once, and only when a verification asks. Without ``changes``, only
    their definitions say when they were changed."""

    def __init__(
        self, profiles: Sequence[ResolvedProfile], changes: Sequence[WorkflowChangeView], history: HistoryProvider,
        reports: Mapping[str, SourceReport], now: float, heartbeat: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._history = history
        self._reports = reports
        self._now = now
        self._beat = heartbeat
        self._runs: dict[tuple[WorkflowKey, int], Sequence[RunRecord]] = {}
        self._readers: dict[tuple[WorkflowKey, int], str] = {}  # for verifications of which namespace each was read
        self._candidates: Counter[str] = Counter()  # by that namespace, of what is in memory
        self._pods: Counter[str] = Counter()
        self._readings = 0
        self._profiles = profiles
        self._changes = changes

    @cached_property
    def unread(self) -> set[str]:
        """Namespaces that are not read in this cycle."""
        return unread_namespaces(self._profiles)

    @cached_property
    def _rows(self) -> dict[str, dict[str, list[tuple[WorkflowDefinition, float]]]]:
        """By source and namespace: workflows, and when each was changed last."""
        changed: dict[tuple[str, str], float] = {}
        for change in self._changes:
            at = (change.namespace, change.profile)
            changed[at] = max(changed.get(at, 0.0), change.applied or 0.0, change.restored or 0.0)
        known: dict[
            WorkflowKey, tuple[ResolvedProfile, WorkflowDefinition, float]
        ] = {}  # once, also with several profiles
        for p in self._profiles:
            definition = p.resolved.definition
            if definition is not None and p.entry.namespace not in self.unread:
                edited = [t.written[1] for t in (p.target, *p.held) if t is not None]
                ours = changed.get((p.entry.namespace, p.entry.name), 0.0)
                events, _, before = known.get(definition.key, (p, definition, 0.0))
                known[definition.key] = events, definition, max(before, ours, *edited)
        rows: dict[str, dict[str, list[tuple[WorkflowDefinition, float]]]] = {}
        for p, definition, before in known.values():
            rows.setdefault(p.source, {}).setdefault(p.entry.namespace, []).append((definition, before))
        return rows

    def of(self, profile: ResolvedProfile) -> WorkflowControl:
        """The control group of one workflow."""
        return WorkflowControl(self, profile)

    def beside(
        self, profile: ResolvedProfile, first: float, begin: float, applied: float, most: int
    ) -> Iterator[BeforeAfter]:
        """Those with runs on both sides that nobody changed since ``first``, from ``begin`` on."""
        for definition, changed, until, runs in self.unchanged(profile, first, most):
            beside = split_runs(runs, applied=applied, since=max(begin, changed), now=until)
            # Also what a definition refers to (a shared template, say) may have been changed: its fingerprint holds it.
            sides = (*beside.before, *beside.after)
            marks = {r.fingerprint for r in sides if r.start is not None and r.start >= first} - {None}
            if len(marks) > 1 or released(beside, definition.graph):
                continue
            beside = of_one_image(beside, definition.graph)
            if beside.before and beside.after:
                yield beside

    def unchanged(
        self, profile: ResolvedProfile, first: float, most: int
    ) -> Iterator[tuple[WorkflowDefinition, float, float, Sequence[RunRecord]]]:
        """Those that nobody changed since ``first``: when each was changed last, up to when its runs are read, and these."""
        report = self._reports.get(profile.source)
        for definition, changed in self._near(profile):
            if definition.key == profile.key or changed >= first:
                continue
            read = {(definition.key, most), (definition.key, SEASONS)} & self._runs.keys()
            if not read and not self._may_read(profile.entry.namespace):
                continue
            until = (report.complete_until(definition.key.namespace) if report is not None else None) or self._now
            yield definition, changed, until, self._read(definition, until, most, profile.entry.namespace)

    def _near(self, profile: ResolvedProfile) -> Iterator[tuple[WorkflowDefinition, float]]:
        """Workflows of the same source and when each was changed last, those of the same namespace first, because they
        share most with it. A dozen are enough, so that a verification does not examine ten thousand."""
        spaces, own = self._rows.get(profile.source, {}), profile.entry.namespace
        yield from spaces.get(own, ())
        yield from chain.from_iterable(rows for namespace, rows in spaces.items() if namespace != own)

    def _may_read(self, space: str) -> bool:
        """Whether the runs of a further workflow are read for verifications of that namespace."""
        own = self._candidates[space] < MAX_CANDIDATES and self._pods[space] < MAX_PODS
        return own and self._readings < MAX_ALL_CANDIDATES

    def _make_room(self, space: str) -> None:
        """Forget what was read for other namespaces, where all of it takes too much memory; they may read it again."""
        if self._pods.total() >= MAX_PODS:
            self._readers = {key: reader for key, reader in self._readers.items() if reader == space}
            self._runs = {key: self._runs[key] for key in self._readers}
            self._candidates = Counter({space: self._candidates[space]})
            self._pods = Counter({space: self._pods[space]})

    def _read(self, definition: WorkflowDefinition, until: float, most: int, space: str) -> Sequence[RunRecord]:
        key, longer = (definition.key, most), self._runs.get((definition.key, SEASONS))
        if longer is not None:
            return longer[-most:]
        if key not in self._runs:
            self._beat("changes")
            self._make_room(space)
            self._runs[key] = self._history.runs(definition, limit=most, since=0.0, as_of=until)
            self._readers[key] = space
            self._candidates[space] += 1
            self._pods[space] += sum([len(run.steps) for run in self._runs[key]])
            self._readings += 1
        return self._runs[key]


@dataclass(frozen=True, slots=True)
class WorkflowControl:
    """The others of one workflow."""

    group: ControlGroup
    profile: ResolvedProfile

    def common(self, before_after: BeforeAfter, applied: float) -> CommonFactor | None:
        """How the run times of the other workflows moved since ``applied``, over the span of its own runs."""
        first = _first(before_after.before[-BASELINE:], applied)
        # Hours and weekends are removed from its own runs, so they have to be from those of the others.
        seasons = seasonal(before_after)
        begin, most = (_first(before_after.before, applied), SEASONS) if seasons else (first, _RUNS)
        beside = self.group.beside(self.profile, first, begin, applied, most)
        usable = (b for b in beside if not seasons or _first(b.before, applied) <= applied - _MIN_SEASON_SPAN)
        return common_factor(list(islice(usable, _WORKFLOWS)), first)

    def own_runs(self, before_after: BeforeAfter, applied: float) -> BeforeAfter:
        """Its runs without those near failures that the other workflows share."""
        first = _first(before_after.before[-BASELINE:], applied)
        begin = _first(before_after.before, applied)
        beside = self.group.beside(self.profile, first, begin, applied, SEASONS)
        return without_shared(before_after, list(islice(beside, _WORKFLOWS)), applied)

    def pauses(self, before_after: BeforeAfter, applied: float, until: float) -> list[tuple[float, float]]:
        """When most of the other workflows did not run either (``shared_pauses``); suspended ones tell nothing."""
        first = _first(before_after.before[-BASELINE:], applied)
        others = self.group.unchanged(self.profile, first, _RUNS)
        own = (runs for definition, _, _, runs in others if not definition.suspended)
        return shared_pauses(islice(own, _WORKFLOWS), applied, until)


def _first(runs: Sequence[RunRecord], applied: float) -> float:
    """When the first of the runs began."""
    return min((r.start for r in runs if r.start is not None), default=applied)
