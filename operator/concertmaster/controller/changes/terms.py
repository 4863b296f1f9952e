"""From a policy to the plain values that gates and proofs work with."""

from __future__ import annotations

from concertmaster.api.effective import EffectivePolicy
from concertmaster.core.changes.fields import Reach
from concertmaster.core.changes.situation import Bounds, Rights, Window
from concertmaster.core.changes.verification import Terms
from concertmaster.core.model import Level, WorkflowDefinition
from concertmaster.core.model.enums import ChangeKind, GitOps, OnSame
from concertmaster.core.model.options import Pricing
from concertmaster.report.pipeline import next_run, pricing_of

_LEAST_INTERVALS = 10  # a proof waits at least so many intervals of the schedule


def rights_of(policy: EffectivePolicy) -> Rights:
    """What the policy allows, for the gates."""
    apply, bounds = policy.apply, policy.apply.bounds
    return Rights(
        policy=str(policy.source) if policy.source is not None else None,
        mode=apply.mode.value,
        suspended=policy.suspended,
        allow=frozenset(ChangeKind(k.value) for k in apply.allow),
        max_risk=Level(apply.max_risk.value),
        bounds=Bounds(
            cpu=(bounds.cpu_min, bounds.cpu_max),
            memory=(bounds.memory_min, bounds.memory_max),
            parallelism=(bounds.parallelism_min, bounds.parallelism_max),
            max_step=bounds.max_step,
        ),
        min_change=apply.min_change,
        cooldown_seconds=apply.cooldown_seconds,
        windows=tuple(Window(w.schedule, w.time_zone, w.duration_seconds) for w in apply.windows),
        max_in_flight=apply.max_in_flight,
        git_ops_apply=apply.git_ops is GitOps.APPLY,
    )


def reach_of(policy: EffectivePolicy) -> Reach:
    """How far one change may go."""
    bounds = policy.apply.bounds
    return Reach(bounds.max_step, (bounds.cpu_min, bounds.cpu_max), (bounds.memory_min, bounds.memory_max))


def terms_of(policy: EffectivePolicy, definition: WorkflowDefinition | None, now: float) -> Terms:
    """How a change is proven. A rare schedule gets time for ten of its runs."""
    verify = policy.apply.verify
    first = next_run(definition, now) if definition is not None else None
    second = next_run(definition, first) if definition is not None and first is not None else None
    interval = second - first if first is not None and second is not None else 0.0
    return Terms(
        min_runs=verify.min_runs,
        max_runs=max(verify.min_runs, verify.max_runs),
        max_age=max(verify.max_age_seconds, _LEAST_INTERVALS * interval),
        restore_same=verify.on_same is OnSame.RESTORE,
        restore_inconclusive=verify.on_inconclusive is OnSame.RESTORE,
    )


def prices_of(policy: EffectivePolicy) -> Pricing:
    """The policy's prices."""
    return pricing_of(policy.pricing)
