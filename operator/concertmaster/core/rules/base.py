"""Common structure of rules: evidence in, findings out; the rule completes each finding to a recommendation.

A rule is a pure function over the analysis of one workflow. ``because`` states number, unit, window and cause; ``expected``
is the effect predicted by replay or measurement; there is one command. Where the cause belongs to another rule, a finding
refers to that rule instead of repeating it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf
from concertmaster.core.analysis.replay.gain import Gain, gain
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changes.admission.capacity import LARGEST_NODE, UNBOUND, Capacity
from concertmaster.core.fast_init import fast_init
from concertmaster.core.fleet.workflows import Fleet
from concertmaster.core.lifecycle import commands
from concertmaster.core.lifecycle.sizing_history import SizingHistory
from concertmaster.core.model import (
    Category,
    DailyPeaks,
    Edit,
    Finding,
    Interval,
    Level,
    Recommendation,
    StepSpec,
)
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.policy import Objectives, RuleSettings
from concertmaster.core.model.recommendations import ProposedChange
from concertmaster.core.rules.fetched import FETCHED, reachable
from concertmaster.core.rules.rows import Rows

T = TypeVar("T")

ELSEWHERE = "elsewhere than in the"
"""Said in what is expected of a recommendation whose sizes have no effect in the definition."""


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
    ``last_published`` those of any."""

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

    def published_about(self, rule: str, *, changed: bool = False) -> frozenset[str]:
        """What the rule's published recommendations are about: their ids without its name. ``changed``: also if their
        definition has changed since."""
        parts = (id_.partition(".") for id_ in (self.last_published if changed else self.published))
        return frozenset(about for name, _, about in parts if name == rule)

    @property
    def misses_success(self) -> bool:
        """Whether too few runs succeed for the objective."""
        return any(o.verdict is ObjectiveResult.MISSED and o.name == "success" for o in self.analysis.objectives)

    @property
    def misses_duration(self) -> bool:
        """Whether a duration objective is missed."""
        return any(
            o.verdict is ObjectiveResult.MISSED and o.name.startswith("duration") for o in self.analysis.objectives
        )

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
        """Display name of the time span covered by the ``recent`` runs."""
        recent = self.since_change({run.run: run.start for run in self.analysis.runs if run.start is not None})
        whole = self.analysis.recent is self.analysis.executed
        return self.window() if whole or not recent else text.window(self.analysis.now - min(recent.values()))

    def explain(self, recommendation: str) -> str:
        """The command that explains a recommendation."""
        return commands.explain(self.profile, self.namespace, recommendation)

    def gain(self, change: WhatIf, runs: Sequence[ExecutedRun] | None = None) -> Gain:
        """What ``change`` would have gained in the recent succeeded runs (of ``runs``), estimated by replay."""
        return gain(self.recent(runs), self.analysis.definition.graph, change)

    def recent(self, runs: Sequence[ExecutedRun] | None = None) -> Sequence[ExecutedRun]:
        """Those of ``runs`` (default: of all) since the last clear change: before it, another step may have been what
        determines the run time. All where none of them is as recent."""
        recent = self.analysis.recent
        if runs is None or recent is self.analysis.executed:
            return recent if runs is None else runs
        names = {run.run for run in recent}
        return [run for run in runs if run.run in names] or runs

    def since_change(self, by_run: Mapping[str, T]) -> Mapping[str, T]:
        """What is kept ``by_run`` of the ``recent`` runs, and of all where no change is clear."""
        if self.analysis.recent is self.analysis.executed:
            return by_run
        return {run.run: by_run[run.run] for run in self.analysis.recent if run.run in by_run}

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


class Damping(Enum):
    """How long a published recommendation of a rule is kept after an analysis without it (see ``core.pipeline.damping``)."""

    DAYS = "days"
    """While the runs up to some days ago still justify it."""
    DAY = "day"
    """The same for a day at most: the rule says that something lasts, and tests itself whether it has ended."""
    NONE = "none"
    """Not at all, and a new one is published at once: the rule reports a state, and ends with it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``category`` and ``effort`` are defaults for its findings. ``tie_break`` orders recommendations of equal expected gain
    (higher first); ``settings``: names of the settings it accepts. ``steps``: whether the part of an id after the rule's
    name is a step (and container) rather than a metric, an objective or the like. ``compares``: whether it compares
    workflows, so that what others do is a reason to analyse a workflow again."""

    name: RuleName
    find: Callable[[Evidence], Iterable[Finding]]
    category: Category
    effort: Level
    tie_break: int
    settings: tuple[str, ...] = ()
    steps: bool = True
    damping: Damping = Damping.DAYS
    compares: bool = False

    def recommend(self, evidence: Evidence) -> Iterator[Recommendation]:
        """The rule's findings as recommendations."""
        return (self._complete(finding, evidence) for finding in self.find(evidence))

    def _complete(self, found: Finding, evidence: Evidence) -> Recommendation:
        finding = reachable(found, evidence.analysis)
        about = finding.step if finding.about is None else finding.about
        identifier = f"{self.name}.{about}" if about else self.name.value
        definition = evidence.analysis.definition
        proposed: dict[str, Any] = {f.name: getattr(finding, f.name) for f in fields(ProposedChange)}
        if finding.items:
            proposed["snippet"] = definition.engine.remedies(_sizes(finding))
        elsewhere = ELSEWHERE in finding.expected or FETCHED in finding.expected
        declared = [] if elsewhere else [item.step for item in finding.items]
        return Recommendation(
            **proposed,
            id=identifier,
            rule=self.name.value,
            category=finding.category or self.category,
            effort=finding.effort or self.effort,
            how=finding.how
            or commands.patch(definition, finding.edits)
            or commands.edit_template(definition, declared)
            or evidence.explain(identifier),
            kustomize=commands.kustomize(definition, finding.edits),
        )


def _sizes(finding: Finding) -> dict[tuple[str, str], dict[str, str]]:
    """The proposed values of a finding, by (step, container)."""
    sizes: dict[tuple[str, str], dict[str, str]] = {}
    for item in finding.items:
        sizes.setdefault((item.step, item.container), {})[item.field] = item.new
    return sizes


def share_range(interval: Interval) -> str:
    """``12 to 19%``; one number when both ends print alike."""
    low, high = 100 * interval.low, 100 * interval.high
    if f"{low:.0f}" == f"{high:.0f}":
        return text.percent(interval.likely)
    return f"{low:.0f} to {high:.0f}%"


def gain_sentence(share: Interval, seconds: Interval, run: str = "each run") -> str:
    """``12 to 19%, likely 15% (4m10s) of each run``."""
    likely = f"{text.percent(share.likely)} ({text.duration(seconds.likely)}) of {run}"
    rng = share_range(share)
    return f"{rng}, likely {likely}" if " to " in rng else likely


def container_id(step: StepAnalysis, container: ContainerUsage) -> str:
    """Name of a container in an id: its step, followed by its own name only when the step has several."""
    return f"{step.step}.{container.name}" if len(step.containers) > 1 else step.step


def container_title(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> str:
    """Display name of a container: its step, followed by its own name only when the step has several."""
    title = evidence.title(step.step)
    return f"{title}/{container.name}" if len(step.containers) > 1 else title


def resource_edits(
    step: StepSpec | None, container: ContainerUsage, values: Mapping[tuple[str, str], str]
) -> tuple[Edit, ...]:
    """Edits that set requests or limits, keyed by (section, resource); empty without a definition to patch, and where pods
    have something else than it declares: a change of it has no effect there."""
    spec = next((c for c in step.sized if c.name == container.name), None) if step else None
    if spec is None or any(container.overridden(*at) is not None for at in values):
        return ()
    edits = (commands.resource_edit(spec, resource, value, section) for (section, resource), value in values.items())
    return tuple(e for e in edits if e is not None)


def worth(predicted: Gain, least_percent: float) -> tuple[Interval, Interval] | None:
    """Share and seconds of a replayed gain if it reaches ``least_percent`` of the run and its whole interval is positive,
    else None."""
    if predicted.share is None or predicted.seconds is None:
        return None
    enough = predicted.share.likely >= least_percent / 100 and predicted.share.low > 0
    return (predicted.share, predicted.seconds) if enough else None
