"""What rules judge: the analysis of one workflow, with what is known of its namespace, its past and other workflows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf
from concertmaster.core.analysis.replay.gain import Gain, gain
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changes.admission.capacity import LARGEST_NODE, UNBOUND, Capacity
from concertmaster.core.fast_init import fast_init
from concertmaster.core.fleet.workflows import Fleet
from concertmaster.core.lifecycle import commands
from concertmaster.core.lifecycle.sizing_history import SizingHistory
from concertmaster.core.model import (
    DailyPeaks,
    Interval,
    RunRecord,
)
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.policy import Objectives, RuleSettings
from concertmaster.core.rules.rows import Rows

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataGaps:
    """Gaps in the data of the metrics source. ``missing``: absent series, each with the setting that provides it; ``notes``:
    sentences on anomalies of the workflow's objects, pods and runs."""

    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@fast_init
@dataclass(frozen=True, slots=True)
class Evidence:
    """Input of a rule: the analysis of one workflow, the profile's name for commands, and the rule's settings. ``capacity``
    is that of the namespace, ``sizing`` the history of sizing decisions; ``peaks`` and ``days`` (rows of runs and steps) are
    of days whose runs may be gone; ``published`` are the ids that the last analysis published, of the same definition,
    ``last_published`` those of any; ``rolled_back``: spans (unix seconds) in which a change of the workflow was in effect
    that was rolled back."""

    analysis: Analysis
    profile: str
    settings: RuleSettings = field(default_factory=RuleSettings)
    gaps: DataGaps = field(default_factory=DataGaps)
    fleet: Fleet | None = None
    capacity: Capacity = UNBOUND
    shared: Rows | None = None
    sizing: SizingHistory = field(default_factory=SizingHistory)
    peaks: DailyPeaks = field(default_factory=DailyPeaks)
    days: Sequence[DailyRow] = ()
    published: Collection[str] = ()
    last_published: Collection[str] = ()
    rolled_back: Sequence[tuple[float, float]] = ()

    def under_rolled_back(self, run: RunRecord) -> bool:
        """Whether the run began under a change that was rolled back, so that it says nothing of the workflow as it is."""
        return any(since <= (run.start or 0.0) < until for since, until in self.rolled_back)

    def published_about(self, rule: str, *, changed: bool = False) -> frozenset[str]:
        """What the rule's published recommendations are about: their ids without its name. ``changed``: also if their
        definition has changed since."""
        parts = (id_.partition(".") for id_ in (self.last_published if changed else self.published))
        return frozenset(about for name, _, about in parts if name == rule)

    @property
    def misses_success(self) -> bool:
        """Whether too few runs succeed for the objective."""
        return any(o.verdict is ObjectiveResult.MISSED and o.kind == "success" for o in self.analysis.objectives)

    @property
    def misses_duration(self) -> bool:
        """Whether a duration objective is missed."""
        return any(o.verdict is ObjectiveResult.MISSED and o.of_duration for o in self.analysis.objectives)

    def above_capacity(self, resource: str, size: float, limit: float | None) -> str | None:
        """What must be raised before a request of ``size`` (cores or bytes) with ``limit`` (None: none) is admitted in the
        namespace and fits on a node; None: nothing."""
        wanted = [(size, self.capacity.request(resource, limit))]
        if limit is not None:
            wanted.append((limit, self.capacity.limit(resource)))
        for amount, bound in wanted:
            if bound.most is not None and amount > bound.most * (1 + 1e-9):
                most, least = text.resource_amount(resource, bound.most), text.resource_amount(resource, amount)
                if bound.most_by == LARGEST_NODE:
                    return (
                        f"add a node with more than {least} allocatable first: the largest of the last day had {most}"
                    )
                return f"raise {bound.most_by} from {most} to at least {least} first"
        return None

    @property
    def objectives(self) -> Objectives:
        """The effective objectives."""
        return self.analysis.policy.objectives

    def above_bounds(self, resource: str, size: float) -> str | None:
        """What must be raised in the policy before ``size`` (cores or bytes) is within its bounds; None: nothing."""
        most = getattr(self.analysis.policy.apply.bounds, resource).max
        if size <= most * (1 + 1e-9):
            return None
        now, least = text.resource_amount(resource, most), text.resource_amount(resource, size)
        return f"raise apply.bounds.{resource}.max of the policy from {now} to at least {least} first"

    @property
    def rows(self) -> Rows:
        """Executions by step and run; shared between rules when the caller provided them."""
        return self.shared if self.shared is not None else Rows(self.analysis)

    @property
    def namespace(self) -> str:
        """Namespace of the profile."""
        return self.analysis.definition.key.namespace

    def title(self, step: str) -> str:
        """Display name of a step: for a Job, which has only one, the name of the workflow."""
        definition = self.analysis.definition
        return definition.key.name if definition.engine.single_step and len(self.analysis.steps) == 1 else step

    def window(self) -> str:
        """Display name of the time span covered by the runs."""
        return text.window(self.analysis.covered_seconds)

    def recent_window(self) -> str:
        """Display name of the time span covered by the ``recent`` runs: one that hung may have begun long before."""
        since = self.analysis.since
        return self.window() if since == -math.inf else text.window(self.analysis.now - since)

    def explain(self, recommendation: str) -> str:
        """The command that explains a recommendation."""
        return commands.explain(self.profile, self.namespace, recommendation)

    def gain(self, change: WhatIf, runs: Sequence[ExecutedRun] | None = None) -> Gain:
        """What ``change`` would have gained in the recent succeeded runs (of ``runs``), estimated by replay."""
        return gain(self.recent(runs), change)

    def recent(self, runs: Sequence[ExecutedRun] | None = None) -> Sequence[ExecutedRun]:
        """Those of ``runs`` (default: of all) since the last clear change: before it, another step may have been what
        determines the run time. All where none of them is as recent."""
        if runs is None:
            return self.analysis.recent
        return [*self.since_change({run.run: run for run in runs}).values()] or runs

    def since_change(self, by_run: Mapping[str, T]) -> Mapping[str, T]:
        """What is kept ``by_run`` of the present runs."""
        return {run.run: by_run[run.run] for run in self.analysis.present if run.run in by_run}

    def worth(
        self, change: WhatIf, least_percent: float, runs: Sequence[ExecutedRun] | None = None
    ) -> tuple[Interval, Interval] | None:
        """Share and seconds gained by ``change`` if significant (see the function ``worth``), else None."""
        return worth(self.gain(change, runs), least_percent)

    def runs(self, count: int) -> str:
        """``in 38 runs (14d)``."""
        return f"in {text.count(count, 'run')} ({self.window()})"

    def recent_runs(self, count: int) -> str:
        """``in 12 runs (5d)``, of those since the last clear change."""
        return f"in {text.count(count, 'run')} ({self.recent_window()})"


def worth(predicted: Gain, least_percent: float) -> tuple[Interval, Interval] | None:
    """Share and seconds of a replayed gain if it reaches ``least_percent`` of the run, its whole interval is positive, and
    there still is something to gain, else None."""
    if predicted.share is None or predicted.seconds is None or predicted.ended:
        return None
    enough = predicted.share.likely >= least_percent / 100 and predicted.share.low > 0
    return (predicted.share, predicted.seconds) if enough else None
