"""A score from 0 to 100, reported together with its parts.

Parts and default weights: success 40, use of requested resources 25, stability of run time 20, waiting 15. An unknown part
is left out and the weights of the others are scaled up; without any part, without a sample of any container, or with fewer
runs than recommendations require, there is no score. Missed objectives and run time that recommendations would save are
deducted, up to 20 points each: deductions rather than parts, so that they cannot raise the score of a failing workflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from concertmaster.core import text
from concertmaster.core.analysis.cost.runs import CostSummary
from concertmaster.core.analysis.objectives import (
    COUNTED_ELSEWHERE,
    ObjectiveAssessment,
    ObjectiveResult,
    WorkflowSummary,
)
from concertmaster.core.analysis.replay import ExecutedRun, time_split
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.usage import ContainerUsage, unsampled
from concertmaster.core.changepoint import Detection
from concertmaster.core.known import success_rate
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.policy import Policy
from concertmaster.core.stats.summary import Summary
from concertmaster.core.units import GIB

UNSAMPLED = "no usage samples; no score without them"
_NO_CREDIT = 0.5  # an objective missed by this share, or run time reducible by it, gets the full deduction


@dataclass(frozen=True, slots=True)
class ScorePart:
    """``value``: 0 to 1; ``why``: the measured figure as text. A ``deducted`` part has no weight in the sum: the shortfall
    of its value from 1 is subtracted."""

    name: str
    weight: int
    value: float | None
    why: str
    deducted: bool = False

    @property
    def shown(self) -> bool:
        """Whether to print it: without a deduction there is no line."""
        return not self.deducted or (self.value is not None and self.value < 1.0)


@dataclass(frozen=True, slots=True)
class Score:
    """``total``: 0 to 100, or None when nothing is known."""

    total: int | None
    parts: tuple[ScorePart, ...]


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _efficiency_target(containers: Sequence[ContainerUsage], policy: Policy) -> float:
    """Target utilization (0 to 1) of CPU and memory, weighted by the cost of the requests."""
    rows = [(c, sum(c.columns["seconds"])) for c in containers]
    cpu = policy.pricing.cpu_core_hour * sum((c.cpu_request or 0.0) * seconds for c, seconds in rows)
    memory = policy.pricing.memory_gib_hour * sum((c.memory_request or 0.0) / GIB * seconds for c, seconds in rows)
    targets = policy.objectives.efficient_utilization
    return (cpu * targets[0] + memory * targets[1]) / (cpu + memory) if cpu + memory > 0 else min(targets)


def compute_score(
    policy: Policy, workflow: WorkflowSummary, objectives: Sequence[ObjectiveAssessment], blocked: float
) -> Score:
    """The score without its last part, which ``attainable`` adds. ``blocked``: mean seconds per run that a limit or a retry
    takes on the critical path."""
    weights, makespan = policy.analysis.score_weights, workflow.makespan
    known = [r for r in workflow.runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    judged = {
        "success": _success(workflow.runs, known, policy),
        "stability": _stability(makespan, workflow.trend, policy),
        "efficiency": _efficiency(workflow.cost, workflow.containers, policy),
        "waiting": _waiting(workflow.queue, makespan, blocked),
        "objectives": _objectives(objectives),
    }
    parts = tuple(ScorePart(name, weights[name], *part, deducted=name == "objectives") for name, part in judged.items())
    enough = len(known) >= policy.analysis.min_runs and not unsampled(workflow.containers)
    return Score(_total(parts) if enough else None, parts)


def blocked(runs: Sequence[ExecutedRun], figures: RunFigures) -> float:
    """Mean seconds per run that the critical path waited for a slot or lost to failed attempts."""
    splits = [split for split in figures.of_each(time_split, runs) if split is not None]
    return sum(s.limit + s.retry for s in splits) / len(splits) if splits else 0.0


_Judged = tuple[float | None, str]
"""Value of a part, 0 to 1, and the measured figure as text."""


def _success(runs: Sequence[RunRecord], known: Sequence[RunRecord], policy: Policy) -> _Judged:
    """Success rate: full marks at the target, none 20 points below it. ``known``: the runs whose outcome is."""
    succeeded, unseen = sum(r.outcome is Outcome.SUCCEEDED for r in known), sum([r.unseen for r in runs])
    rate = success_rate(succeeded, len(known) - succeeded, unseen)
    if rate is not None:
        value = _clip(1.0 - (policy.objectives.min_success - rate) / 0.20)
        return value, f"{text.percent(rate)} of {text.count(len(known), 'run')}"
    return None, f"the ends of {unseen} of {len(runs)} runs were not seen" if known else "no run with a known outcome"


def _stability(makespan: Summary, trend: Detection, policy: Policy) -> _Judged:
    """Variation of the makespan against twice the threshold for ``inconsistent``; half the marks during a slowdown."""
    if makespan.cv is None or makespan.count < 3:
        return None, "fewer than 3 succeeded runs"
    slower = any(p.ratio > 1.0 for p in trend.points)
    value = _clip(1.0 - makespan.cv / (2 * policy.analysis.high_variance_cv)) * (0.5 if slower else 1.0)
    return value, f"run time varies by {100 * makespan.cv:.0f}% of its mean" + (", and grew" if slower else "")


def _efficiency(cost: CostSummary, containers: Sequence[ContainerUsage], policy: Policy) -> _Judged:
    """Used share of the requested cost against the target utilization."""
    if cost.per_run is None or cost.per_run.requested <= 0 or cost.per_run.used <= 0:
        return None, UNSAMPLED if unsampled(containers) else "requests or usage unknown"
    share, target = cost.per_run.used / cost.per_run.requested, _efficiency_target(containers, policy)
    # Use beyond the request earns nothing: it may starve other pods, or be starved by them.
    value = _clip(share / target if target else 1.0) if share <= 1 else _clip(1.0 / share)
    return value, f"{100 * share:.0f}% of the requested resources used"


def _waiting(queue: Summary, makespan: Summary, blocked: float) -> _Judged:
    """Share of the makespan spent waiting for a node, or blocked by a limit or a retry: no marks at 20%."""
    if queue.mean is None or not makespan.mean:
        return None, "scheduling times unknown" if queue.mean is None else "no succeeded run"
    share = (queue.mean + blocked) / makespan.mean
    blocking = f" ({100 * blocked / makespan.mean:.0f}% for a free slot or a retry)" if blocked >= 1.0 else ""
    return _clip(1.0 - share / 0.20), f"queueing is {100 * share:.0f}% of run time{blocking}"


def attainable(score: Score, weight: int, gains: Sequence[float]) -> Score:
    """The score with its last part: run time that recommendations would save. ``gains``: likely shares of the makespan (0
    to 1) that do not overlap; each applies to the time left by the others."""
    gain = 1.0 - prod(1.0 - _clip(g) for g in gains)
    why = f"recommendations shorten runs by {100 * gain:.0f}%" if gain >= 0.005 else "no recommendation shortens runs"
    parts = (*score.parts, ScorePart("speed", weight, _clip(1.0 - gain / _NO_CREDIT), why, deducted=True))
    return Score(_total(parts) if score.total is not None else None, parts)


def _objectives(verdicts: Sequence[ObjectiveAssessment]) -> _Judged:
    """Deduction for missed objectives that no other part measures: full marks for each that is met, none for one missed by
    half. Its text counts all objectives, as the status does."""
    judged = [o for o in verdicts if o.verdict is not ObjectiveResult.UNKNOWN]
    known = [o for o in judged if o.kind not in COUNTED_ELSEWHERE]
    if not known:
        return None, "no objective beside those of the other parts"
    missed = [o for o in known if o.verdict is ObjectiveResult.MISSED]
    credit = sum(_clip(1.0 + (o.margin or 0.0) / _NO_CREDIT) for o in missed) + len(known) - len(missed)
    met = sum(o.verdict is ObjectiveResult.MET for o in judged)
    why = f"{met} of {len(judged)} objectives met" + (
        f"; missed: {', '.join(o.name for o in missed)}" if missed else ""
    )
    return credit / len(known), why


def _total(parts: Sequence[ScorePart]) -> int | None:
    weighed = [p for p in parts if p.value is not None and not p.deducted]
    weight = sum(p.weight for p in weighed)
    if not weight:
        return None
    total = 100 * sum(p.weight * (p.value or 0.0) for p in weighed) / weight
    missed = sum(p.weight * (1.0 - p.value) for p in parts if p.deducted and p.value is not None)
    return round(max(0.0, total - missed))
