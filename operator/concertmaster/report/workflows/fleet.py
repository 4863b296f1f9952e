"""All workflows a reader may see, at one moment: rows, sums, and the pages of a sorted and filtered list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from typing import Any

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.api.views.fleet import (
    Adoption,
    Amounts,
    ChangeRow,
    Degradation,
    FleetSummary,
    ObjectiveRow,
    ResultRow,
    RunningRow,
    TopAction,
    WorkflowRow,
)
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.fleet.ranking import Headline, Totals, ranked, ranked_copies, totals
from concertmaster.core.model.enums import ChangePhase, RecommendationState, Severity
from concertmaster.core.model.policy import Pricing
from concertmaster.core.units import HOUR
from concertmaster.report.workflows import list_entries, rows, top
from concertmaster.report.workflows.fields import full_name, recommendations
from concertmaster.report.workflows.progress import late_since, running_rows

Raw = Mapping[str, Any]
_SEVERITIES = [s.value for s in Severity]


def _or_last(value: float | None) -> tuple[bool, float]:
    return (value is None, -(value or 0.0))


SORT: dict[str, Callable[[WorkflowRow], Any]] = {
    "impact": lambda r: -r.impact,
    "name": lambda r: (r.workflow or r.profile,),
    "namespace": lambda r: r.namespace,
    "score": lambda r: (r.score is None, r.score or 0),
    "success": lambda r: (r.success_percent is None, r.success_percent or 0.0),
    "p95": lambda r: _or_last(r.p95_seconds),
    "cost": lambda r: _or_last(r.cost_per_month),
    "open": lambda r: -r.open,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which workflows: by namespace, label (``key=value`` or ``key``), kind, least severity, and text in the name."""

    namespace: str = ""
    label: str = ""
    kind: str = ""
    severity: str = ""
    text: str = ""

    def __call__(self, row: WorkflowRow) -> bool:
        key, equals, value = self.label.partition("=")
        return (
            self.namespace in ("", row.namespace)
            and (not key or (row.labels.get(key) == value if equals else key in row.labels))
            and self.kind in ("", row.kind)
            and (self.severity not in _SEVERITIES or self._severe(row))
            and self.text.lower() in f"{row.namespace}/{row.workflow or ''} {row.profile}".lower()
        )

    def _severe(self, row: WorkflowRow) -> bool:
        return row.severity is not None and _SEVERITIES.index(row.severity) >= _SEVERITIES.index(self.severity)


@dataclass(frozen=True)
class FleetView:
    """Profiles and changes as read from the API server. ``now`` in unix seconds; ``pricing`` has the scale of the ranks, the
    default if ``policies_read`` is False."""

    profiles: Sequence[Raw]
    changes: Sequence[Raw]
    now: float
    pricing: Pricing = field(default_factory=Pricing)
    policies_read: bool = True

    def prepare(self) -> None:
        """Compute now what pages ask for: seconds with ten thousand workflows."""
        _ = (self.summary, self.ranked, self.ranked_copies, self.objectives, self.degradations)

    @cached_property
    def rows(self) -> list[WorkflowRow]:
        """One line per profile, in the order of the profiles."""
        return [rows.workflow_row(p, self.now) for p in self.profiles]

    def chosen(self, filter_: Filter) -> FleetView:
        """Only the workflows that pass the filter, and their changes."""
        if filter_ == Filter():
            return self
        return self._of([filter_(row) for row in self.rows])

    def _of(self, taken: Sequence[bool]) -> FleetView:
        """Only some of the workflows, and their changes."""
        rows_ = list(compress(self.rows, taken))
        names = {(row.namespace, row.profile) for row in rows_}
        view = replace(self, profiles=list(compress(self.profiles, taken)))
        view.__dict__["rows"] = rows_  # known already
        view.__dict__["change_rows"] = self.change_rows
        return view._with_changes([(row.namespace, row.profile) in names for row in self.change_rows])

    def _with_changes(self, taken: Sequence[bool]) -> FleetView:
        """The same with only some of the changes."""
        view = replace(self, changes=list(compress(self.changes, taken)))
        view.__dict__["rows"] = self.rows
        view.__dict__["change_rows"] = list(compress(self.change_rows, taken))
        return view

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Namespaces of its workflows and changes."""
        return frozenset([*(r.namespace for r in self.rows), *(c.namespace for c in self.change_rows)])

    def within(self, profiles: Collection[str], changes: Collection[str]) -> FleetView:
        """Only the workflows of the namespaces ``profiles``, and their changes of the namespaces ``changes``."""
        if self.namespaces <= set(profiles) and self.namespaces <= set(changes):
            return self
        view = self._of([row.namespace in profiles for row in self.rows])
        if self.namespaces <= set(changes):
            return view
        return view._with_changes([row.namespace in changes for row in view.change_rows])

    def page(
        self, sort: str = "impact", *, offset: int = 0, limit: int = 50, reverse: bool = False
    ) -> list[WorkflowRow]:
        """One page of the sorted list."""
        key = SORT.get(sort, SORT["impact"])
        order = sorted(self.rows, key=lambda r: (r.namespace, r.workflow or "", r.profile))
        order.sort(key=key, reverse=reverse)
        return order[offset : offset + limit]

    @cached_property
    def headlines(self) -> list[Headline]:
        """Active recommendations of all workflows."""
        return [h for p in self.profiles for h in top.headlines(p)]

    @cached_property
    def ranked(self) -> list[Headline]:
        """The same, the most valuable first."""
        return ranked(self.headlines, self.pricing)

    @cached_property
    def ranked_copies(self) -> list[Headline]:
        """The same with one line for copies of a workflow in several namespaces."""
        return ranked_copies(self.ranked, self.pricing)

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Raw]:
        return {full_name(p): p for p in self.profiles}

    def top(self, limit: int = 10) -> list[ListEntry]:
        """The most valuable recommendations."""
        return [entry for _, entry in self.described(self.ranked[:limit])]

    def top_actions(self, limit: int = 10) -> list[TopAction]:
        """The same, those of copies as one."""
        return [list_entries.top_action(entry, h) for h, entry in self.described(self.ranked_copies[:limit])]

    def described(self, headlines: Iterable[Headline]) -> Iterator[tuple[Headline, ListEntry]]:
        """Headlines of the fleet with all that a status says of each."""
        for h in headlines:
            profile = self._by_name[h.namespace, h.profile]
            items = (i for i in recommendations(profile) if i["id"] == h.id)
            yield from ((h, entry) for entry in list_entries.entries(profile, items))

    @cached_property
    def change_rows(self) -> list[ChangeRow]:
        """WorkflowChanges, in the order read."""
        return [rows.change_row(c) for c in self.changes]

    @cached_property
    def waiting(self) -> list[ChangeRow]:
        """Those that wait for approval, oldest first."""
        return sorted((c for c in self.change_rows if c.waiting), key=lambda c: (c.created or "", c.namespace, c.name))

    @cached_property
    def objectives(self) -> list[ObjectiveRow]:
        """Missed ones first, those furthest from their target before the others."""
        objectives = [o for p in self.profiles for o in rows.objective_rows(p)]
        order = [ObjectiveResult.MISSED, ObjectiveResult.UNKNOWN, ObjectiveResult.MET]

        def place(o: ObjectiveRow) -> tuple[Any, ...]:
            far = (o.margin is None, o.margin or 0.0)
            return order.index(ObjectiveResult(o.verdict)), *far, o.namespace, o.profile, o.name

        return sorted(objectives, key=place)

    @cached_property
    def degradations(self) -> list[Degradation]:
        """What takes longer than before, the most valuable to end first."""
        places = {(h.namespace, h.profile, h.id): i for i, h in enumerate(self.ranked)}
        found = [d for p in self.profiles for d in rows.degradations(p)]
        return sorted(found, key=lambda d: places.get((d.namespace, d.profile, d.recommendation), len(places)))

    @cached_property
    def results(self) -> list[ResultRow]:
        """Implemented recommendations, newest first; and changes of the operator that no status lists any more."""
        results = [r for p, row in zip(self.profiles, self.rows, strict=True) for r in rows.result_rows(p, row)]
        return sorted(results, key=lambda r: r.since or "", reverse=True)

    @cached_property
    def late(self) -> list[tuple[WorkflowRow, float]]:
        """Workflows whose next scheduled run is overdue, and since when."""
        pairs = [(row, late_since(p, self.now)) for p, row in zip(self.profiles, self.rows, strict=True)]
        return sorted(((row, since) for row, since in pairs if since is not None), key=lambda pair: pair[1])

    @cached_property
    def running(self) -> list[RunningRow]:
        """Runs in progress, late ones and those whose deadline is next first."""
        runs = [run for p in self.profiles for run in running_rows(p)]
        return sorted(runs, key=lambda r: (not r.late, r.deadline or "~", r.expected_end or "~"))

    @cached_property
    def totals(self) -> Totals:
        """What all Active recommendations are worth."""
        return totals(self.headlines)

    @cached_property
    def summary(self) -> FleetSummary:
        """The sums."""
        worth = self.totals
        cost: dict[str, float] = {}
        for row in self.rows:
            currency = row.currency or "USD"
            cost[currency] = cost.get(currency, 0.0) + (row.cost_per_month or 0.0)
        return FleetSummary(
            workflows=len(self.rows),
            healthy=sum(r.healthy is True for r in self.rows),
            unhealthy=sum(r.healthy is False for r in self.rows),
            not_analysed=sum(r.healthy is None for r in self.rows),
            stale=sum(r.stale for r in self.rows),
            runs=sum(r.runs or 0 for r in self.rows),
            failed_runs=sum(r.failed_runs or 0 for r in self.rows),
            missed_objectives=sum(r.missed for r in self.rows),
            recommendations=worth.recommendations,
            minor=top.minor_count(self.profiles),
            waiting_changes=len(self.waiting),
            late_runs=len(self.late),
            running=len(self.running),
            running_late=sum(r.late for r in self.running),
            available=Amounts(run_hours=worth.run_hours, failed_runs=worth.failed_runs, money=worth.money),
            realised=added(r.saving for r in self.results),
            queueing_hours=sum((r.queueing_seconds or 0.0) * (r.runs_per_month or 0.0) for r in self.rows) / HOUR,
            cost_per_month={k: v for k, v in sorted(cost.items()) if v > 0},
        )

    @cached_property
    def adoption(self) -> Adoption:
        """How many recommendations were implemented, dismissed or are open."""
        states = Counter(i.get("state", "Active") for p in self.profiles for i in recommendations(p))
        verdicts = Counter(
            r.verdict.value if r.verdict is not None else "Measuring" for r in self.results if not r.undone
        )
        phases = Counter((c.phase or ChangePhase.PROPOSED).value for c in self.change_rows)
        undone = {(r.namespace, r.profile, r.recommendation) for r in self.results if r.undone}
        undone |= {(c.namespace, c.profile, c.recommendation) for c in self.change_rows if c.restored}
        return Adoption(
            states={s: states.get(s, 0) for s in RecommendationState},
            results=dict(sorted(verdicts.items())),
            rolled_back=len(undone),
            changes=dict(sorted(phases.items())),
            waiting=len(self.waiting),
        )


def added(amounts: Iterable[Amounts | None]) -> Amounts:
    """The sum of amounts, leaving out unknown ones."""
    known = [a for a in amounts if a is not None]
    money: dict[str, float] = {}
    for currency, amount in (pair for a in known for pair in a.money.items()):
        money[currency] = money.get(currency, 0.0) + amount
    return Amounts(
        run_hours=sum(a.run_hours for a in known),
        failed_runs=sum(a.failed_runs for a in known),
        money=dict(sorted(money.items())),
    )
