"""Whether a cheaper model serves a step equally well: cost per execution by model, compared with an interval.

The model of an execution is the label ``model`` of an extra metric with the role Cost or Tokens. People often change models
together with other things, so a difference is reported only when its interval excludes zero, with the success rates of
both.
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

MIN_EXECUTIONS = 5  # executions on each model
_TOLERATED_FAILURES = 0.05  # tolerated increase of the failure share
_SIGNIFICANCE = 0.1  # p-value below which success rates are taken to differ


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Executions of a step on one model: amounts paid, and the number of successes among known outcomes."""

    model: str
    amounts: tuple[float, ...]
    succeeded: int
    known: int

    @property
    def mean(self) -> float:
        """Mean amount per execution."""
        return sum(self.amounts) / len(self.amounts)


@dataclass(frozen=True, slots=True)
class CheaperModel:
    """A step and a model that costs less than the one it uses most, at the same success rate. ``effect.ratio`` with its
    interval: amounts on ``other`` divided by those on ``usual``."""

    step: str
    metric: ExtraMetric
    usual: ModelUse
    other: ModelUse
    effect: Comparison


def cheaper_models(analysis: Analysis) -> tuple[CheaperModel, ...]:
    """For every step that ran on several models, the one with the largest significant saving."""
    roles = (MetricRole.COST, MetricRole.TOKENS)
    metric = next((m for role in roles if (m := analysis.policy.metric(role)) is not None), None)
    if metric is None:
        return ()
    rows: dict[str, dict[str, list[StepExecution]]] = {}
    for run in analysis.runs:
        for e in run.steps:
            if e.model is not None and metric.name in e.extra:
                rows.setdefault(e.step, {}).setdefault(e.model, []).append(e)
    candidates = (_cheapest(step, metric, by_model) for step, by_model in rows.items())
    return tuple(c for c in candidates if c is not None)


def _cheapest(step: str, metric: ExtraMetric, by_model: dict[str, list[StepExecution]]) -> CheaperModel | None:
    counts = Counter({model: len(rows) for model, rows in by_model.items() if len(rows) >= MIN_EXECUTIONS})
    if len(counts) < 2:
        return None
    usual, *others = [model for model, _ in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]
    before = _use(usual, by_model[usual], metric)
    cheaper = []
    for other in others:
        after = _use(other, by_model[other], metric)
        effect = _compared(by_model[usual], by_model[other], metric, LEVEL / len(others))
        if math.isfinite(effect.ratio) and effect.high < 1.0 and _as_good(before, after):
            cheaper.append(CheaperModel(step, metric, before, after, effect))
    return min(cheaper, key=lambda c: c.effect.ratio, default=None)


def _use(model: str, rows: list[StepExecution], metric: ExtraMetric) -> ModelUse:
    known = [e for e in rows if e.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    good = sum(e.outcome is Outcome.SUCCEEDED for e in known)
    return ModelUse(model, tuple(e.extra[metric.name] for e in rows), good, len(known))


def _compared(before: list[StepExecution], after: list[StepExecution], metric: ExtraMetric, level: float) -> Comparison:
    """Cost comparison of two models, adjusted for input where inputs are known."""
    amounts = [[e.extra[metric.name] for e in rows] for rows in (before, after)]
    if any(v <= 0 for side in amounts for v in side):
        return compare_amounts(*amounts, level=level)
    inputs = [[e.input_size for e in rows] for rows in (before, after)]
    return compare(*amounts, inputs_before=inputs[0], inputs_after=inputs[1], level=level)


def _as_good(before: ModelUse, after: ModelUse) -> bool:
    """Whether there is no evidence that executions on the other model fail more often."""
    if not before.known or not after.known:
        return False
    less = before.succeeded / before.known - after.succeeded / after.known
    p = fisher(before.succeeded, before.known - before.succeeded, after.succeeded, after.known - after.succeeded)
    return less <= 0.0 or (less <= _TOLERATED_FAILURES and (p is None or p >= _SIGNIFICANCE))
