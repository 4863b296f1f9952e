"""What is written into a WorkflowChange: its plan, what is predicted and measured, conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionUpdate
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core import text
from concertmaster.core.changes.json_patch import compact
from concertmaster.core.changes.plan import Plan, PredictedEffect
from concertmaster.core.changes.verification.verify import Verification
from concertmaster.core.lifecycle.measured_gain import MEASURES
from concertmaster.core.model.scalars import ScalarError, SignedPercent
from concertmaster.kube.objects import CHANGES
from concertmaster.report.status.recommendation_log import clip

PARTIAL = " (part of what is recommended)"
"""Said of a plan that goes as far as one step may, or leaves out fields that the operator does not change."""
_WORDS = {
    "Duration": ("shorter", "longer", "runs"),
    "Cost": ("less", "more", "cost"),
    "Failures": ("fewer", "more", "failures"),
}


def object_name(plan: Plan, attempt: int = 1) -> str:
    """The name of a plan's object: profile, recommendation and the head of the digest; ``attempt`` for a repetition."""
    stem = re.sub(r"[^a-z0-9.-]+", "-", f"{plan.profile}.{plan.recommendation}".lower())
    stem = re.sub(r"[.-]*\.[.-]*", ".", stem[:200]).strip(".-")
    return f"{stem}.{plan.digest[:8]}" + (f"-{attempt}" if attempt > 1 else "")


def new_object(plan: Plan, name: str) -> dict[str, Any]:
    """The object to create for a plan, undecided."""
    return {
        "apiVersion": CHANGES.api_version,
        "kind": CHANGES.kind,
        "metadata": {"name": name, "namespace": plan.namespace},
        "spec": {
            "profileRef": {"name": plan.profile},
            "recommendation": plan.recommendation,
            "planDigest": plan.digest,
        },
    }


def plan_status(plan: Plan) -> dict[str, Any]:
    """``plan`` and ``predicted`` of a status."""
    target = plan.target
    where = {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "name": target.name,
        "namespace": target.namespace,
        "resourceVersion": target.resource_version,
        "uid": target.uid,
    }
    return {
        "plan": {
            "inverse": compact(list(plan.inverse)),
            "kustomize": plan.kustomize,
            "patch": compact(list(plan.patch)),
            "target": {k: v for k, v in where.items() if v},
        },
        "predicted": _correction(plan.factor) | effect(plan.predicted, MEASURES[plan.aim]) | {"text": prediction(plan)},
    }


def plan_for(change: WorkflowChangeView, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The plan in the status of ``change``, with version and generation of its target ``raw`` that the write is for."""
    plan, meta = change.status.get("plan") or {}, raw["metadata"]
    target = {**(plan.get("target") or {}), "resourceVersion": str(meta["resourceVersion"])}
    generation = meta.get("generation")
    return {**plan, "target": target if generation is None else {**target, "generation": generation}}


def _correction(factor: float) -> dict[str, str]:
    shown = _percent(factor)
    return {"correctionPercent": shown} if shown not in (None, "100") else {}


def prediction(plan: Plan) -> str:
    """What a plan changes and what is expected of it, as a sentence. Of many fields the last are left out: the patch has
    them."""
    expected = ("" if plan.whole else PARTIAL) + _expected(plan)
    return f"{clip(plan.says(), 400 - len(expected))}{expected}"


def _expected(plan: Plan) -> str:
    expected = plan.predicted
    if expected is None:
        return ""
    less, more, what = _WORDS[expected.measure]
    way, likely = less if expected.likely <= 0 else more, text.percent(abs(expected.likely))
    if expected.low < 0 < expected.high:
        span = f"{text.percent(-expected.low)} {less} to {text.percent(expected.high)} {more} {what}"
        return f": {span}, likely {likely} {way}"
    near, far = (text.percent(v) for v in sorted((abs(expected.low), abs(expected.high))))
    span = near if near == far else f"{near} to {far}"
    return f": {span} {way} {what}, likely {likely}"


def effect(predicted: PredictedEffect | None, measure: str) -> dict[str, Any]:
    """An Effect of the status; only its measure when nothing is known."""
    if predicted is None or predicted.measure != measure:
        return {"measure": measure}
    rows = {"high": predicted.high, "likely": predicted.likely, "low": predicted.low}
    shown = {k: v for k, v in ((k, _percent(v)) for k, v in rows.items()) if v is not None}
    return {**shown, "measure": measure}


def verification_fields(result: Verification, measure: str) -> dict[str, Any]:
    """What a verification says in the status."""
    fields: dict[str, Any] = {"baselineRuns": result.baseline_runs, "verifiedRuns": result.verified_runs}
    if result.measured is not None and result.measured.measure == measure:
        fields["measured"] = effect(result.measured, measure)
    if result.harmed:
        fields["harmedSteps"] = list(result.harmed[:100])
    if result.verdict is not None:
        fields["verdict"] = result.verdict.value
    return fields


def with_conditions(
    status: Mapping[str, Any], findings: Iterable[ConditionUpdate], generation: int | None, now: float
) -> dict[str, Any]:
    """The status with these conditions."""
    current = conditions.update(status.get("conditions") or (), findings, generation=generation, now=now)
    updated = {**status, "conditions": current}
    if generation is not None:
        updated["observedGeneration"] = generation
    return updated


def _percent(share: float) -> str | None:
    try:
        return str(SignedPercent.of(100.0 * share))
    except ScalarError:
        return None
