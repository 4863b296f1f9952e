"""Common structure of rules: evidence in, findings out; the rule completes each finding to a recommendation.

A rule is a pure function over the analysis of one workflow. ``because`` states number, unit, window and cause; ``expected``
is the effect predicted by replay or measurement; there is one command. Where the cause belongs to another rule, a finding
refers to that rule instead of repeating it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import (
    Category,
    Edit,
    Finding,
    Interval,
    Level,
    Recommendation,
)
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.recommendations import ProposedChange
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.fetched import FETCHED, reachable

THROTTLED = 0.1
"""Share of the CPU periods (0 to 1) from which a limit slows a container."""
GRADUAL = "gradual regression"
"""What growth without a date is called."""
INIT = "init container"
"""Said before the name of one in titles."""
ELSEWHERE = "elsewhere than in the"
"""Said in what is expected of a recommendation whose sizes have no effect in the definition."""


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
    """What ``find`` yields as None is nothing to report. ``category`` and ``effort`` are defaults for its findings.
    ``tie_break`` orders recommendations of equal expected gain (higher first); ``settings``: names of the settings it
    accepts. ``steps``: whether the part of an id after the rule's name is a step (and container) rather than a metric, an
    objective or the like. ``compares``: whether it compares workflows, so that what others do is a reason to analyse a
    workflow again. ``young``: whether it also judges workflows without enough runs (``Analysis.enough``)."""

    name: RuleName
    find: Callable[[Evidence], Iterable[Finding | None]]
    category: Category
    effort: Level
    tie_break: int
    settings: tuple[str, ...] = ()
    steps: bool = True
    damping: Damping = Damping.DAYS
    compares: bool = False
    young: bool = False

    def recommend(self, evidence: Evidence) -> Iterator[Recommendation]:
        """The rule's findings as recommendations."""
        findings = self.find(evidence) if self.young or evidence.analysis.enough else ()
        return (self._complete(found, evidence) for found in findings if found is not None)

    def _complete(self, found: Finding, evidence: Evidence) -> Recommendation:
        finding = reachable(found, evidence.analysis)
        about = finding.step if finding.about is None else finding.about
        identifier = f"{self.name}.{about}" if about else self.name.value
        definition = evidence.analysis.definition
        proposed: dict[str, Any] = {f.name: getattr(finding, f.name) for f in fields(ProposedChange)}
        if finding.items:
            proposed["snippet"] = definition.engine.remedies(_sizes(finding, evidence.analysis.steps))
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


def _sizes(finding: Finding, steps: Iterable[StepAnalysis]) -> dict[tuple[str, str], dict[str, str]]:
    """The proposed values of a finding, by (step, container); without init containers, for which no snippet has a place."""
    inits = {(step.step, container.name) for step in steps for container in step.inits}
    sizes: dict[tuple[str, str], dict[str, str]] = {}
    for item in finding.items:
        if (item.step, item.container) not in inits:
            sizes.setdefault((item.step, item.container), {})[item.field] = item.new
    return sizes


def share_range(interval: Interval) -> str:
    """``12 to 19%``; one number when both ends print alike."""
    low, high = 100 * interval.low, 100 * interval.high
    if f"{low:.0f}" == f"{high:.0f}":
        return text.percent(interval.likely)
    return f"{low:.0f} to {high:.0f}%"


def gain_sentence(share: Interval, seconds: Interval, run: str = "each run") -> str:
    """``each run 12 to 19% shorter, likely 15% (4m10s)``."""
    rng, likely = share_range(share), text.percent(share.likely)
    known = f", likely {likely}" if " to " in rng else ""
    return f"{run} {rng} shorter{known} ({text.duration(seconds.likely)})"


def container_id(step: StepAnalysis, container: ContainerUsage) -> str:
    """Name of a container in an id: its step, followed by its own name only if the step has several, or if it is an init."""
    return f"{step.step}.{container.name}" if container.init or len(step.containers) > 1 else step.step


def container_title(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> str:
    """Display name of a container: its step, followed by its own name only when the step has several, or it is an init."""
    title = evidence.title(step.step)
    if container.init:
        return f"{INIT} {title}/{text.plain(container.name)}"
    return f"{title}/{container.name}" if len(step.containers) > 1 else title


def resource_edits(
    step: StepAnalysis, container: ContainerUsage, values: Mapping[tuple[str, str], str]
) -> tuple[Edit, ...]:
    """Edits that set requests or limits, keyed by (section, resource); empty without a definition to patch, and where pods
    have something else than it declares: a change of it has no effect there."""
    spec = step.declared(container)
    if spec is None or any(container.overridden(*at) is not None for at in values):
        return ()
    edits = (commands.resource_edit(spec, resource, value, section) for (section, resource), value in values.items())
    return tuple(e for e in edits if e is not None)
