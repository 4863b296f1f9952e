"""Whether a step does as well on another model for less: what runs that used each paid, compared with an interval.

Which model an execution used comes from the label ``model`` of an extra metric with the role Cost or Tokens. People change
models when they change other things, so only a difference whose interval excludes zero is reported, with the
success of both.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Outcome, StepExecution
from concertmaster.core.model.enums import MetricRole
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.stats.comparison import LEVEL, Comparison, compare, compare_amounts
from concertmaster.core.stats.exact import fisher

LEAST = 5  # executions on each model
_WORSE = 0.05  # share of executions that may fail more often
_CHANCE = 0.1  # below it, success differs by more than chance


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Executions of a step on one model: amounts paid, and how many of those with a known outcome succeeded."""

    model: str
    amounts: tuple[float, ...]
    succeeded: int
    known: int

    @property
    def mean(self) -> float:
        """Mean amount of an execution."""
        return sum(self.amounts) / len(self.amounts)


@dataclass(frozen=True, slots=True)
class CheaperModel:
    """A step on a model that costs less than the one it uses most, at the same success rate. ``effect.ratio`` with its
    interval: amounts on ``other`` over those on ``usual``."""

    step: str
    metric: ExtraMetric
    usual: ModelUse
    other: ModelUse
    effect: Comparison


def cheaper_models(analysis: Analysis) -> tuple[CheaperModel, ...]:
    """For every step that ran on several models the one with the largest certain saving."""
    roles = (MetricRole.COST, MetricRole.TOKENS)
    metric = next((m for role in roles if (m := analysis.policy.metric(role)) is not None), None)
    if metric is None:
        return ()
    rows: dict[str, dict[str, list[StepExecution]]] = {}
    for run in analysis.runs:
        for e in run.steps:
            if e.model is not None and metric.name in e.extra:
                rows.setdefault(e.step, {}).setdefault(e.model, []).append(e)
    found = (_cheapest(step, metric, by_model) for step, by_model in rows.items())
    return tuple(c for c in found if c is not None)


def _cheapest(step: str, metric: ExtraMetric, by_model: dict[str, list[StepExecution]]) -> CheaperModel | None:
    counts = Counter({model: len(rows) for model, rows in by_model.items() if len(rows) >= LEAST})
    if len(counts) < 2:
        return None
    usual, *others = [model for model, _ in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]
    before = _use(usual, by_model[usual], metric)
    found = []
    for other in others:
        after = _use(other, by_model[other], metric)
        effect = _compared(by_model[usual], by_model[other], metric, LEVEL / len(others))
        if math.isfinite(effect.ratio) and effect.high < 1.0 and _as_good(before, after):
            found.append(CheaperModel(step, metric, before, after, effect))
    return min(found, key=lambda c: c.effect.ratio, default=None)


def _use(model: str, rows: list[StepExecution], metric: ExtraMetric) -> ModelUse:
    known = [e for e in rows if e.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    good = sum(e.outcome is Outcome.SUCCEEDED for e in known)
    return ModelUse(model, tuple(e.extra[metric.name] for e in rows), good, len(known))


def _compared(before: list[StepExecution], after: list[StepExecution], metric: ExtraMetric, level: float) -> Comparison:
    """At equal input where inputs are known."""
    amounts = [[e.extra[metric.name] for e in rows] for rows in (before, after)]
    if any(v <= 0 for side in amounts for v in side):
        return compare_amounts(*amounts, level=level)
    inputs = [[e.input_size for e in rows] for rows in (before, after)]
    return compare(*amounts, inputs_before=inputs[0], inputs_after=inputs[1], level=level)


def _as_good(before: ModelUse, after: ModelUse) -> bool:
    """Whether nothing says that executions on the other model fail more often."""
    if not before.known or not after.known:
        return False
    less = before.succeeded / before.known - after.succeeded / after.known
    p = fisher(before.succeeded, before.known - before.succeeded, after.succeeded, after.known - after.succeeded)
    return less <= 0.0 or (less <= _WORSE and (p is None or p >= _CHANCE))
