"""Choice of model, a part of ``budget``: compares the cost of executions of one step by model."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.shared.models import CheaperModel, ModelUse, cheaper_models
from concertmaster.core.model import Finding, Interval, Level
from concertmaster.core.model.enums import MetricRole
from concertmaster.core.rules.base import share_range
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import in_share


def find(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per step that costs significantly less on another model, at the same success rate."""
    for cheaper in cheaper_models(evidence.analysis):
        yield _finding(evidence, cheaper)


def _finding(evidence: Evidence, cheaper: CheaperModel) -> Finding:
    metric, usual, other = cheaper.metric, cheaper.usual, cheaper.other
    less = Interval(1.0 - cheaper.effect.high, 1.0 - cheaper.effect.ratio, 1.0 - cheaper.effect.low)
    unit = metric.unit or metric.name
    much = f"{text.percent(less.likely)} less ({share_range(less)})"
    before, after = text.plain(usual.model), text.plain(other.model)
    now, then = (f"{text.number(use.mean, 4)} {unit} per execution" for use in (usual, other))
    return Finding(
        step=cheaper.step,
        about=f"model.{cheaper.step}",
        action=f"Change model of {evidence.title(cheaper.step)}: {before} -> {after}",
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
        saving_per_month=_saving(evidence, cheaper, less),
        evidence=(
            _succeeded(usual),
            _succeeded(other),
            "amounts at equal input size" if cheaper.effect.adjusted else "input sizes are not known for all of them",
            "whether the answers are as good cannot be seen from cost and success alone",
        ),
    )


def _succeeded(use: ModelUse) -> str:
    share = text.percent(use.succeeded / use.known) if use.known else "unknown"
    return f"{text.plain(use.model)}: {share} of {text.count(use.known, 'execution')} succeeded"


def _saving(evidence: Evidence, cheaper: CheaperModel, less: Interval) -> Interval | None:
    """Money per month: cost of the executions on the usual model times the saving, at the current run rate."""
    analysis = evidence.analysis
    rate, runs = analysis.cost.runs_per_month, len(analysis.runs)
    price = analysis.pricing.units.get(cheaper.metric.name)
    if price is None and cheaper.metric.role is MetricRole.COST:
        price = 1.0
    if price is None or rate is None or not runs:
        return None
    amounts = cheaper.usual.amounts
    paid = sum(amounts) / runs * price * rate
    return in_share(Interval(*(max(0.0, v) * paid for v in (less.low, less.likely, less.high))), len(amounts), runs)
