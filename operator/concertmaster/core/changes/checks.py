"""The checks a change must pass. All of them always run, so that every reason is visible at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from concertmaster.core.changes import checks_cluster as cluster
from concertmaster.core.changes import checks_policy as policy
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import Check, CheckResult, Situation

CHECKS: tuple[Check, ...] = (
    policy.suspended,
    policy.mode,
    policy.kind,
    policy.risk,
    policy.bounds,
    policy.largest_step,
    policy.minimum_change,
    policy.data,
    cluster.owner,
    cluster.controllers,
    cluster.shared_task,
    cluster.namespace_limits,
    cluster.pod_admission,
    cluster.pod_spec_patch,
    cluster.write_access,
    cluster.secure_reference,
    policy.cooldown,
    policy.in_flight,
    policy.window,
)


def name_of(check: Check) -> str:
    """The name shown to users."""
    return check.__name__.replace("_", "-")


REMEDIES: Mapping[str, str] = {
    "suspended": "set spec.suspend to false",
    "mode": "set apply.mode to Approve or Auto",
    "kind": "add the kind to apply.allow, or apply the printed patch",
    "risk": "raise apply.maxRisk, or apply the printed patch",
    "bounds": "widen apply.bounds",
    "largest-step": "raise apply.bounds.maxStepPercent; where no value is set, apply the printed patch once",
    "minimum-change": "lower apply.minChangePercent",
    "data": "see MetricsAvailable of the profiles; fresh metrics and five runs since the last change are needed",
    "owner": "commit the printed patch to its source (Git, Helm or kubectl), or set apply.gitOps to Apply",
    "controllers": "leave the sizing to that autoscaler, or remove it",
    "namespace-limits": "raise the ResourceQuota or LimitRange",
    "pod-admission": "approve it, or let the operator try pods: apply.trialPods in the chart",
    "pod-spec-patch": "change the resources in the podSpecPatch",
    "write-access": "give the operator the right to patch; see the condition WriteAccess",
    "in-flight": "wait for the verification in progress, or raise apply.maxInFlight",
}
"""By check, what lets the plans it blocks pass; those without an entry pass by themselves with time."""


NAMES: tuple[str, ...] = tuple(name_of(check) for check in CHECKS)


def run_checks(plan: Plan, situation: Situation) -> tuple[CheckResult, ...]:
    """The results of all checks, in their order."""
    return tuple(replace(check(plan, situation), check=name) for check, name in zip(CHECKS, NAMES, strict=True))


def blocking(results: Sequence[CheckResult], *, proposing: bool) -> list[CheckResult]:
    """The results that block a plan: for a write all that did not pass, for a proposal those that neither a decision nor
    time can resolve."""
    return [r for r in results if not r.passed and not (proposing and r.waiting)]


def needs_decision(results: Sequence[CheckResult]) -> bool:
    """Whether a check waits for an approval."""
    asking = tuple(map(name_of, (policy.mode, cluster.shared_task, cluster.pod_admission)))
    return any(r.check in asking and not r.passed and r.waiting for r in results)
