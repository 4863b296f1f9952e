"""The first lines of a status: the result of an analysis in one or two sentences, and the shape of its graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.analysis.pattern import pattern, step_levels
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fleet.combined_gain import combined_gain
from concertmaster.core.model import Recommendation, WorkflowGraph
from concertmaster.core.schedules.starts import span
from concertmaster.core.times import iso
from concertmaster.core.units import DAY
from concertmaster.report import impact as impacts

MAX_WINDOW = 400 * DAY
"""The longest window that a policy may have, in seconds."""
INSUFFICIENT = "Insufficient data: "  # how the first line begins where recommendations have to wait for more runs
_LEVELS, _PARALLEL = 12, 6  # levels of the graph that are shown, and steps of each


def graph_line(graph: WorkflowGraph) -> str | None:
    """The pattern of a graph and the groups of steps that can run in parallel, level by level; None without steps."""
    name = pattern(graph)
    if name is None:
        return None
    groups = [
        ", ".join(level[:_PARALLEL]) + (f" and {len(level) - _PARALLEL} more" if len(level) > _PARALLEL else "")
        for level in step_levels(graph)
    ]
    more = [text.count(len(groups) - _LEVELS, "more level")] if len(groups) > _LEVELS else []
    return f"{name.value}: {' | '.join([*groups[:_LEVELS], *more])}"


def too_rare(analysis: Analysis) -> str:
    """Why the required runs never come together, and what to set; empty where they may."""
    options = analysis.options
    fewest, needed = (span(analysis.definition, analysis.now, options.min_runs - less) for less in (1, 0))
    if fewest is None or needed is None or fewest < options.window_seconds:  # the first leaves it as the last one ends
        return ""
    longer = f"spec.analysis.window of the policy to {text.window(math.ceil(needed / DAY) * DAY)}, or "
    return (
        f"the schedule starts fewer than {options.min_runs} runs in {text.window(options.window_seconds)}: set"
        f" {longer if needed <= MAX_WINDOW else ''}a smaller spec.analysis.minRuns"
    )


def overview(
    analysis: Analysis,
    published: Sequence[Recommendation],
    minor: Sequence[Recommendation],
    profile: str,
    next_expected: float | None,
) -> list[str]:
    """The result in one or two sentences: what all recommendations are worth, or that nothing needs to be done, what could
    not be assessed, and what the minor ones add up to."""
    known = sum(r.outcome.over for r in analysis.runs)
    window = text.window(analysis.covered_seconds)
    if known < analysis.options.min_runs:
        due = f"; next expected {iso(next_expected)}" if next_expected is not None else ""
        lines = [f"{INSUFFICIENT}{known} of {analysis.options.min_runs} required runs in {window}{due}."]
        lines += [f"{why[:1].upper()}{why[1:]}." for why in [too_rare(analysis)] if why]
        if analysis.failed:
            where = text.listing([s.step for s in analysis.steps if s.failures.lost_runs])
            lines.append(f"{analysis.failed} of {known} failed{f', at {where}' if where else ''}.")
        return lines
    runs = f"{text.count(known, 'run')} in {window}"
    lines = [f"No recommendation from {runs}." if analysis.unsampled else f"No action needed: {runs} analyzed."]
    if missed := [o for o in analysis.objectives if o.verdict is ObjectiveResult.MISSED]:
        figures = text.listing([f"{o.name} {o.actual} (target {o.bound} {o.target})" for o in missed])
        which = "the missed objective" if len(missed) == 1 else f"{len(missed)} missed objectives"
        lines = [f"No recommendation for {which}: {figures}; {runs} analyzed."]
    if published:
        total = combined_gain((r.id, r.impact) for r in published)
        worth = impacts.line(total, analysis.pricing.currency)
        sums = f", worth {worth} in total" if worth != impacts.NOTHING else ""
        lines = [f"{text.count(len(published), 'recommendation')} from {runs}{sums}."]
    if analysis.unsampled:
        lines.append("Resource requests were not assessed: no container has usage samples (see data-quality).")
    if minor:
        money = sum(r.impact.money.likely for r in minor if r.impact.money is not None)
        sums = f", {text.money(money, analysis.pricing.currency)} a month in total" if money > 0 else ""
        namespace = analysis.definition.key.namespace
        command = f"kubectl concertmaster explain {profile} -n {namespace} --all"
        lines.append(f"{text.count(len(minor), 'minor item')}{sums}: {command}")
    return lines
