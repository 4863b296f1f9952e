"""The first line of a status: the result of an analysis in one or two sentences."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core import text
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fleet.together import together
from concertmaster.core.model import Recommendation
from concertmaster.core.times import iso
from concertmaster.report import impact as impacts


def overview(
    analysis: Analysis,
    published: Sequence[Recommendation],
    minor: Sequence[Recommendation],
    profile: str,
    next_expected: float | None,
) -> list[str]:
    """The result in one or two sentences: what all recommendations are worth, or that nothing needs to be done, and what
    the minor ones add up to."""
    known = sum(r.outcome.over for r in analysis.runs)
    window = text.window(analysis.covered_seconds)
    if known < analysis.options.min_runs:
        due = f"; next expected {iso(next_expected)}" if next_expected is not None else ""
        return [f"Insufficient data: {known} of {analysis.options.min_runs} required runs in {window}{due}."]
    runs = f"{text.count(known, 'run')} in {window}"
    lines = [f"No action needed: {runs} analysed."]
    if published:
        total = together((r.id, r.impact) for r in published)
        worth = impacts.line(total, analysis.pricing.currency)
        lines = [f"{text.count(len(published), 'recommendation')} from {runs}, worth {worth} in total."]
    if minor:
        money = sum(r.impact.money.likely for r in minor if r.impact.money is not None)
        sums = f", {text.money(money, analysis.pricing.currency)} a month in total" if money > 0 else ""
        namespace = analysis.definition.key.namespace
        command = f"kubectl concertmaster explain {profile} -n {namespace} --all"
        lines.append(f"{text.count(len(minor), 'minor item')}{sums}: {command}")
    return lines
