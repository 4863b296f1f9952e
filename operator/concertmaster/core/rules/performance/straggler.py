"""``straggler``: a fan-out that waits for its last item after the others are done.

More workers do not help here; splitting the work evenly does. The recommendation depends on the cause: always the same item
(its input is large), a node that has more of them than of all items (see ``node-skew``), or varying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Level, StepExecution, in_group
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.performance.skew import FanOutItem, Skew, skew
from concertmaster.core.rules.rows import ExecutionsByRun
from concertmaster.core.stats.robust import COMPARABLE_FACTOR, straggler_level

_BALANCED_FACTOR = 1.25  # times the median up to which items count as balanced


def _cause(skewed: Skew, by_run: ExecutionsByRun, unit: str) -> tuple[str, str]:
    """Remedy and explanation, by what the stragglers have in common. ``unit``: of input sizes."""
    if skewed.same_item is not None:
        name, share = skewed.same_item
        size = _relative_size(by_run)
        more = (
            f", with {size:.1f} times the {text.input_name(unit)} of the median item"
            if size is not None and size >= 1.5
            else ""
        )
        return f"split item {name}", f"item {name} is the last in {text.percent(share)} of them{more}"
    if skewed.same_node is not None:
        name, share = skewed.same_node
        return f"check node {name}", f"the last item ran on node {name} in {text.percent(share)} of them"
    size = _relative_size(by_run)
    if size is not None and size >= 1.5:
        return (
            "split its largest inputs",
            f"the last item has {size:.1f} times the {text.input_name(unit)} of the median one",
        )
    return "split its work into even parts", "no single item or node explains them"


def _least_even(rows: Sequence[StepExecution]) -> Sequence[StepExecution]:
    """The items that belong together: those of the group of a nested fan-out whose longest stands out most; all without
    groups of some size."""
    groups: dict[str, list[StepExecution]] = {}
    for e in rows:
        groups.setdefault(in_group(e.item)[0], []).append(e)
    comparable = [own for own in groups.values() if len(own) >= COMPARABLE_FACTOR]
    if len(comparable) < 2:  # the common case
        return comparable[0] if comparable else rows
    return max(comparable, key=_stands_out)


def _stands_out(rows: Sequence[StepExecution]) -> float:
    seconds = sorted(e.duration or 0.0 for e in rows)
    level = straggler_level(np.array(seconds[:-1]))
    return seconds[-1] / level if level > 0.0 else 0.0


def _skew(by_run: ExecutionsByRun, least_runs: int) -> Skew | None:
    """Whose same item is that of one group, or the one of the same name in every group where that is it more often."""

    def of(name: Callable[[str], str]) -> Skew | None:
        items = {
            run: [FanOutItem(name(e.item) if e.item is not None else None, e.node, e.duration or 0.0) for e in rows]
            for run, rows in by_run.items()
        }
        return skew(items, least_runs)

    whole = of(str)
    if not any(in_group(e.item)[0] for rows in by_run.values() for e in rows):
        return whole
    own = of(lambda item: in_group(item)[1])
    return max(whole, own, key=lambda found: found.same_item[1] if found and found.same_item else 0.0)


def _relative_size(by_run: ExecutionsByRun) -> float | None:
    """Input of the slowest item divided by the median item's, median over runs; None when sizes are unknown."""
    ratios = []
    for rows in by_run.values():
        sizes = [e.input_size for e in rows if e.input_size]
        top: StepExecution = max(rows, key=lambda e: e.duration or 0.0)
        middle = median(sizes)
        if len(sizes) == len(rows) >= COMPARABLE_FACTOR and middle and top.input_size:
            ratios.append(top.input_size / middle)
    return median(ratios)


def _finding(evidence: Evidence, step: StepAnalysis, by_run: ExecutionsByRun) -> Finding | None:
    measured = _skew(by_run, evidence.analysis.options.min_runs)
    least = evidence.settings.number("minRunsPercent", 30.0) / 100
    if measured is None or measured.share < least:
        return None
    change = WhatIf.without_stragglers(step.step, _BALANCED_FACTOR)
    gains = evidence.worth(change, evidence.settings.number("minGainPercent", 5.0))
    if gains is None:
        return None
    share, seconds = gains
    todo, why = _cause(measured, by_run, evidence.analysis.policy.input_unit(step.step))
    name = evidence.title(step.step)
    return Finding(
        step=step.step,
        action=f"Balance the items of {name}; {todo}",
        because=(
            f"its last item takes {measured.ratio:.1f} times as long as the median one (median over {measured.runs}"
            f" runs, {evidence.recent_window()}); {text.percent(measured.share)} of the runs wait for a straggler,"
            f" and {why}"
        ),
        otherwise=f"runs stay longer than with balanced items, by {text.duration(seconds.likely)} on average",
        current=f"last item {measured.ratio:.1f} x the median",
        proposed=f"no item above {_BALANCED_FACTOR:g} x the median and above all others",
        expected=gain_sentence(share, seconds),
        confidence=min(0.9, measured.share),
        gain_seconds=seconds,
        gain_share=share,
        evidence=(
            f"{measured.skewed} of {measured.runs} runs have a straggler",
            f"replayed with no item above {_BALANCED_FACTOR:g} times the median of its run and above all others",
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per fan-out that waits for stragglers."""
    for step in evidence.analysis.steps:
        every = evidence.since_change(evidence.rows.succeeded.get(step.step, {}))
        if max(map(len, every.values()), default=0) >= COMPARABLE_FACTOR:
            by_run = {run: _least_even(rows) for run, rows in every.items()}
            yield _finding(evidence, step, by_run)


RULE = Rule(
    RuleName.STRAGGLER,
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=8,
    settings=("minGainPercent", "minRunsPercent"),
)
