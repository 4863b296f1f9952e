"""Choice of model, a part of ``budget``: compares the cost of executions of one step by model.

The model of an execution is the label ``model`` of an extra metric with the role Cost or Tokens. People often change models
together with other things, so a difference is reported only when its interval excludes zero, with the success rates of
both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.model import Finding, Interval, Level, Outcome, StepExecution
from concertmaster.core.model.enums import MetricRole
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.rules.base import share_range
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import in_share
from concertmaster.core.stats.comparison import LEVEL, Comparison, compare, compare_amounts
from concertmaster.core.stats.exact import fisher

_MIN_EXECUTIONS = 5  # executions on each model
_TOLERATED_FAILURES = 0.05  # tolerated increase of the failure share
_SIGNIFICANCE = 0.1  # p-value below which success rates are taken to differ


@dataclass(frozen=True, slots=True)
class _Use:
    """Executions of a step on one model: amounts paid, and the number of successes among known outcomes."""

    model: str
    amounts: tuple[float, ...]
    succeeded: int
    known: int

    @property
    def mean(self) -> float:
        """Mean amount per execution."""
        return sum(self.amounts) / len(self.amounts)


_Cheaper = tuple[_Use, _Use, Comparison]
"""The model used most, another one, and the amounts on that divided by those on the usual one."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per step that costs significantly less on another model, at the same success rate: of several such
    models, on the one that costs least."""
    roles, policy = (MetricRole.COST, MetricRole.TOKENS), evidence.analysis.policy
    metric = next((m for role in roles if (m := policy.metric(role)) is not None), None)
    if metric is None:
        return
    rows: dict[str, dict[str, list[StepExecution]]] = {}
    for run in evidence.analysis.runs:
        for e in run.steps:
            if e.model is not None and metric.name in e.extra:
                rows.setdefault(e.step, {}).setdefault(e.model, []).append(e)
    for step, by_model in rows.items():
        if (cheaper := _cheapest(metric, by_model)) is not None:
            yield _finding(evidence, step, metric, *cheaper)


def _cheapest(metric: ExtraMetric, by_model: dict[str, list[StepExecution]]) -> _Cheaper | None:
    counts = Counter({model: len(rows) for model, rows in by_model.items() if len(rows) >= _MIN_EXECUTIONS})
    if len(counts) < 2:
        return None
    usual, *others = [model for model, _ in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]
    before = _use(usual, by_model[usual], metric)
    cheaper: list[_Cheaper] = []
    for other in others:
        after = _use(other, by_model[other], metric)
        effect = _compared(by_model[usual], by_model[other], metric, LEVEL / len(others))
        if math.isfinite(effect.ratio) and effect.high < 1.0 and _as_good(before, after):
            cheaper.append((before, after, effect))
    return min(cheaper, key=lambda c: c[2].ratio, default=None)


def _use(model: str, rows: list[StepExecution], metric: ExtraMetric) -> _Use:
    known = [e for e in rows if e.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    good = sum(e.outcome is Outcome.SUCCEEDED for e in known)
    return _Use(model, tuple(e.extra[metric.name] for e in rows), good, len(known))


def _compared(before: list[StepExecution], after: list[StepExecution], metric: ExtraMetric, level: float) -> Comparison:
    """Cost comparison of two models, adjusted for input where inputs are known."""
    amounts = [[e.extra[metric.name] for e in rows] for rows in (before, after)]
    if any(v <= 0 for side in amounts for v in side):
        return compare_amounts(*amounts, level=level)
    inputs = [[e.input_size for e in rows] for rows in (before, after)]
    return compare(*amounts, inputs_before=inputs[0], inputs_after=inputs[1], level=level)


def _as_good(before: _Use, after: _Use) -> bool:
    """Whether there is no evidence that executions on the other model fail more often."""
    if not before.known or not after.known:
        return False
    less = before.succeeded / before.known - after.succeeded / after.known
    p = fisher(before.succeeded, before.known - before.succeeded, after.succeeded, after.known - after.succeeded)
    return less <= 0.0 or (less <= _TOLERATED_FAILURES and (p is None or p >= _SIGNIFICANCE))


def _finding(
    evidence: Evidence, step: str, metric: ExtraMetric, usual: _Use, other: _Use, effect: Comparison
) -> Finding:
    less = Interval(1.0 - effect.high, 1.0 - effect.ratio, 1.0 - effect.low)
    unit = metric.unit or metric.name
    much = f"{text.percent(less.likely)} less ({share_range(less)})"
    before, after = text.plain(usual.model), text.plain(other.model)
    now, then = (f"{text.number(use.mean, 4)} {unit} per execution" for use in (usual, other))
    return Finding(
        step=step,
        about=f"model.{step}",
        action=f"Change model of {evidence.title(step)}: {before} -> {after}",
        because=(
            f"on model {after} the same step {'cost' if metric.role is MetricRole.COST else f'used {unit}:'} {much} than on"
            f" {before} at the same success rate, in {len(other.amounts)} executions against {len(usual.amounts)}"
            f" ({evidence.window()})"
        ),
        otherwise=f"executions on {before} keep using {now} where {after} takes {then}",
        risk=Level.MEDIUM,
        current=f"{now} on {before}",
        proposed=f"{then} on {after}",
        expected=f"{share_range(less)} less {unit} per execution",
        confidence=0.7,
        saving_per_month=_saving(evidence, metric, usual.amounts, less),
        evidence=(
            _succeeded(usual),
            _succeeded(other),
            "amounts at equal input size" if effect.adjusted else "input sizes are not known for all of them",
            "whether the answers are as good cannot be seen from cost and success alone",
        ),
    )


def _succeeded(use: _Use) -> str:
    share = text.percent(use.succeeded / use.known) if use.known else "unknown"
    return f"{text.plain(use.model)}: {share} of {text.count(use.known, 'execution')} succeeded"


def _saving(evidence: Evidence, metric: ExtraMetric, amounts: tuple[float, ...], less: Interval) -> Interval | None:
    """Money per month: the ``amounts`` of the executions on the usual model times the saving, at the current run rate."""
    analysis = evidence.analysis
    rate, runs = analysis.cost.runs_per_month, len(analysis.runs)
    price = analysis.pricing.units.get(metric.name)
    if price is None and metric.role is MetricRole.COST:
        price = 1.0
    if price is None or rate is None or not runs:
        return None
    paid = sum(amounts) / runs * price * rate
    return in_share(Interval(*(max(0.0, v) * paid for v in (less.low, less.likely, less.high))), len(amounts), runs)
