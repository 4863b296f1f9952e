"""Measured effect of implementations: the before/after test of changes, for everything people implemented. Pure.

Fields set at the same time have one common effect. It is divided in proportion to their predictions, since their parts
cannot be separated. Nor can those of a recommendation and of an image that is released: measuring ends with the runs before
that. What other workflows share is left out, as in the verification of a change.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.changes.plan import Aim, PredictedEffect, aim_for
from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import split_runs
from concertmaster.core.changes.verification.one_image import of_one_image, released
from concertmaster.core.changes.verification.surroundings import OtherWorkflows, Surroundings
from concertmaster.core.changes.verification.verify import Verification, verify
from concertmaster.core.lifecycle.history import ImplementationResult, RelativeEffect
from concertmaster.core.lifecycle.states import step_of
from concertmaster.core.model import Category, RunRecord, WorkflowGraph
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import Policy, VerifySettings

MEASURES = {Aim.FASTER: "Duration", Aim.CHEAPER: "Cost", Aim.SAFER: "Failures"}
AIMS = {measure: aim for aim, measure in MEASURES.items()}
_NO_GRAPH = WorkflowGraph()
_SAME_TIME_SECONDS = 1.0  # seconds: implementations detected in one analysis have the same time


def measure_of(category: Category) -> str:
    """The measure by which a recommendation of a category is judged."""
    return MEASURES[aim_for(category)]


def measure(
    outcomes: Sequence[ImplementationResult],
    runs: Sequence[RunRecord],
    settings: VerifySettings,
    *,
    now: float,
    policy: Policy | None = None,
    graph: WorkflowGraph = _NO_GRAPH,
    others: OtherWorkflows | None = None,
    verifying: Collection[str] = (),
) -> tuple[ImplementationResult, ...]:
    """The outcomes, those without a verdict with the effect measured in ``runs`` (oldest first); ``now``: unix seconds. The
    operator verifies its own changes of the recommendations in ``verifying``: that verdict is the only one."""
    seen = _Observed(outcomes, runs, settings, now, policy or Policy(), graph, others)
    found = (o if o.verdict is not None else _verified(o, seen) for o in outcomes)
    kept = {(o.id, o.since) for o in outcomes if o.verdict is None and o.id in verifying}
    return tuple(replace(o, verdict=None, judged=None) if (o.id, o.since) in kept else o for o in found)


@dataclass(frozen=True, slots=True)
class _Observed:
    """The arguments of ``measure``, which are the same for each outcome."""

    outcomes: Sequence[ImplementationResult]
    runs: Sequence[RunRecord]
    settings: VerifySettings
    now: float
    policy: Policy
    graph: WorkflowGraph
    others: OtherWorkflows | None


def _verified(outcome: ImplementationResult, seen: _Observed) -> ImplementationResult:
    """``measure`` of one outcome."""
    apart = [o for o in seen.outcomes if abs(o.since - outcome.since) > _SAME_TIME_SECONDS]
    stayed = [o.since for o in apart if o.since < outcome.since and not o.undone]
    step = step_of(outcome.id, [s.name for s in seen.graph.steps])
    lowered = frozenset(new for f in outcome.fields if (new := _lowered_memory(f.path, f.old, f.new)) is not None)
    sides = split_runs(
        seen.runs,
        applied=outcome.since,
        since=max(stayed, default=None),
        now=seen.now if outcome.until is None else min(seen.now, outcome.until),
        without=[(o.since, o.until) for o in apart if o.undone and o.until is not None],
    )
    new_image, sides = released(sides, seen.graph), of_one_image(sides, seen.graph)
    verification = verify(
        AIMS.get(outcome.promised.measure, Aim.CHEAPER),
        sides,
        seen.settings,
        age=math.inf if outcome.until is not None or new_image else abs(seen.now - outcome.since),
        steps=(step,) if step is not None else (),
        lowered=LoweredMemory.of(lowered, seen.policy),
        around=Surroundings.of(seen.others, sides, outcome.since, pricing=seen.policy.pricing),
    )
    return _reported(outcome, verification, _share(outcome, seen.outcomes), seen.now)


def _reported(
    outcome: ImplementationResult, verification: Verification, share: float | None, now: float
) -> ImplementationResult:
    """The outcome after a verification. Runs counted earlier that are no longer available (lost history) remain counted."""
    measured = verification.measured
    if (
        measured is not None
        and measured.measure == outcome.promised.measure
        and verification.verified_runs >= outcome.after
    ):
        outcome = replace(outcome, measured=_scaled(measured, share))
    return replace(
        outcome,
        verdict=verification.verdict,
        judged=now if verification.verdict is not None else None,
        before=max(outcome.before, verification.baseline_runs),
        after=max(outcome.after, verification.verified_runs),
    )


def _share(outcome: ImplementationResult, outcomes: Sequence[ImplementationResult]) -> float | None:
    """This outcome's share of a common effect; None when it is unknown."""
    measure_, mine = outcome.promised.measure, outcome.promised.likely
    group = [
        o for o in outcomes if abs(o.since - outcome.since) <= _SAME_TIME_SECONDS and o.promised.measure == measure_
    ]  # fmt: skip
    if len(group) <= 1:
        return 1.0
    promises = [o.promised.likely for o in group if o.promised.likely is not None]
    if mine is None or len(promises) < len(group) or any(p >= 0 for p in promises):
        return None
    return mine / math.fsum(promises)


def _scaled(predicted: PredictedEffect, share: float | None) -> RelativeEffect:
    if share is None:
        return RelativeEffect(predicted.measure)
    return RelativeEffect(predicted.measure, predicted.likely * share, predicted.low * share, predicted.high * share)


def _lowered_memory(path: str, old: str | None, new: str | None) -> float | None:
    """The memory request (bytes) that a field was lowered to."""
    was, is_ = quantity(old), quantity(new)
    lower = path.endswith("/requests/memory") and was is not None and is_ is not None and is_ < was
    return is_ if lower else None
