"""WorkflowChange objects as the operator reads and writes them: what a plan says in a status, and conditions.

Plain documents in and out. The API server keeps the spec immutable; the status belongs to the operator, and what it
says is believed only as far as its digest is the one of the spec.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType, Finding, Reason
from concertmaster.api.models.base import parse_time
from concertmaster.api.scalars import ScalarError, SignedPercent
from concertmaster.core import text
from concertmaster.core.jsonpatch import Operation, compact
from concertmaster.core.ledger import Line
from concertmaster.core.plan import Aim, Plan, Predicted, Target, describe, digest_of, within
from concertmaster.core.proof import Proof
from concertmaster.core.verdict import Verdict
from concertmaster.kube.objects import CHANGES, ObjectRef
from concertmaster.report.status import clip

FINISHED = frozenset({"Completed", "Conflict", "Failed", "Superseded"})
FLYING = frozenset({"Applied", "Verifying"})
_MEASURES = {Aim.FASTER: "Duration", Aim.CHEAPER: "Cost", Aim.SAFER: "Failures"}
_AIMS = {measure: aim for aim, measure in _MEASURES.items()}


@dataclass(frozen=True, slots=True)
class Change:
    """One WorkflowChange as the API server has it."""

    raw: Mapping[str, Any]

    @property
    def ref(self) -> ObjectRef:
        """The object."""
        return ObjectRef.of(CHANGES, self.raw)

    @property
    def name(self) -> str:
        """Its name."""
        return self.ref.name

    @property
    def uid(self) -> str:
        """Its uid."""
        return self.ref.uid

    @property
    def namespace(self) -> str:
        """Its namespace, which is its profile's."""
        return self.ref.namespace or ""

    @property
    def spec(self) -> Mapping[str, Any]:
        """The spec, empty when there is none."""
        found = self.raw.get("spec")
        return found if isinstance(found, Mapping) else {}

    @property
    def status(self) -> dict[str, Any]:
        """A copy of the status that may be changed."""
        found = self.raw.get("status")
        return dict(found) if isinstance(found, Mapping) else {}

    @property
    def profile(self) -> str:
        """Name of its profile."""
        return str((self.spec.get("profileRef") or {}).get("name") or "")

    @property
    def recommendation(self) -> str:
        """Id of its recommendation."""
        return str(self.spec.get("recommendation") or "")

    @property
    def rule(self) -> str:
        """The rule behind it."""
        return self.recommendation.partition(".")[0]

    @property
    def digest(self) -> str:
        """The digest that was proposed and is decided about."""
        return str(self.spec.get("planDigest") or "")

    @property
    def decision(self) -> str | None:
        """Approve, Reject or None."""
        found = self.spec.get("decision")
        return str(found) if found else None

    @property
    def phase(self) -> str:
        """Where it is in its life; empty before the operator wrote a status."""
        return str(self.status.get("phase") or "")

    @property
    def created(self) -> str:
        """When it was made, as the API server writes it."""
        return str((self.raw.get("metadata") or {}).get("creationTimestamp") or "")

    @property
    def aim(self) -> Aim:
        """What it is for."""
        return _AIMS.get(str((self.status.get("predicted") or {}).get("measure")), Aim.CHEAPER)

    @property
    def verdict(self) -> Verdict | None:
        """What was found out about it, if anything."""
        found = self.status.get("verdict")
        return Verdict(found) if found in set(Verdict) else None

    @property
    def target(self) -> Target | None:
        """The object its plan is for."""
        found = (self.status.get("plan") or {}).get("target")
        if not isinstance(found, Mapping):
            return None
        space = str(found["namespace"]) if found.get("namespace") else None
        word = {key: str(found.get(key) or "") for key in ("apiVersion", "kind", "name", "uid", "resourceVersion")}
        return Target(word["apiVersion"], word["kind"], word["name"], space, word["uid"], word["resourceVersion"])

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the definition right after it was written."""
        found = ((self.status.get("plan") or {}).get("target") or {}).get("fingerprint")
        return str(found) if found else None

    def operations(self, which: str) -> list[Operation] | None:
        """``patch`` or ``inverse`` of its plan; None when there is none or it is no JSON Patch."""
        try:
            found = json.loads((self.status.get("plan") or {}).get(which) or "")
        except (ValueError, TypeError):
            return None
        if not isinstance(found, list) or not all(
            isinstance(o, dict) and isinstance(o.get("path"), str) for o in found
        ):
            return None
        return found

    def condition(self, kind: ConditionType) -> Mapping[str, Any]:
        """The condition of that type, empty without one."""
        return conditions.find(self.status.get("conditions") or (), kind) or {}

    def since(self, kind: ConditionType) -> float | None:
        """Since when that condition is as it is (unix seconds)."""
        found = self.condition(kind).get("lastTransitionTime")
        try:
            return parse_time(str(found)) if found else None
        except ValueError:
            return None

    def is_(self, kind: ConditionType) -> bool | None:
        """Whether that condition is True or False; None when Unknown or absent."""
        return conditions.holds(self.status.get("conditions") or (), kind)

    @property
    def applied(self) -> float | None:
        """When it was written, None when it was not."""
        return self.since(ConditionType.APPLIED) if self.is_(ConditionType.APPLIED) else None

    @property
    def restored(self) -> float | None:
        """When it was taken back, None when it was not."""
        return self.since(ConditionType.RESTORED) if self.is_(ConditionType.RESTORED) else None

    def forged(self) -> str | None:
        """Why its plan cannot be the one that was proposed, None when it can."""
        target, patch, inverse = self.target, self.operations("patch"), self.operations("inverse")
        if target is None or patch is None or inverse is None:
            return "its status has no plan that can be read"
        if digest_of(self.namespace, self.profile, self.recommendation, target, patch) != self.digest:
            return "the plan in its status is not the one of spec.planDigest"
        outside = within(target.kind, patch) or within(target.kind, inverse)
        if outside is not None:
            return f"its plan writes {outside}; only parallelism and requests are ever changed"
        return None

    def undo(self) -> str:
        """The command that takes it back, for a person."""
        target, inverse = self.target, self.operations("inverse")
        if target is None or inverse is None:
            return "its plan is lost; look at the object's own history"
        where = f" -n {target.namespace}" if target.namespace else ""
        patch = compact(inverse).replace("'", "'\\''")
        return f"kubectl{where} patch {target.kind.lower()} {target.name} --type=json -p '{patch}'"

    def line(self) -> Line | None:
        """Its line of the ledger; None before a verdict."""
        verdict, finished = self.verdict, self.since(ConditionType.VERIFIED)
        if verdict is None or finished is None or self.phase not in FINISHED:
            return None
        predicted, measured = self.status.get("predicted") or {}, self.status.get("measured") or {}
        same = predicted.get("measure") == measured.get("measure")
        return Line(
            f"{self.namespace}/{self.profile}",
            self.rule,
            verdict,
            finished,
            _share(predicted.get("likely")),
            _share(measured.get("likely")) if same else None,
            _share(predicted.get("low")),
            _share(predicted.get("high")),
        )


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
        "predicted": effect(plan.predicted, _MEASURES[plan.aim]) | {"text": clip(promise(plan), 400)},
    }


def promise(plan: Plan) -> str:
    """What a plan changes and what is expected of it, as a sentence."""
    part = "" if plan.whole else " (as far as one step may go)"
    expected = plan.predicted
    if expected is None:
        return f"{plan.says()}{part}"
    low, high = sorted((abs(expected.low), abs(expected.high)))
    verb = {"Duration": "shorter runs", "Cost": "less cost", "Failures": "fewer failures"}[expected.measure]
    span = (
        text.percent(low) if text.percent(low) == text.percent(high) else f"{text.percent(low)} to {text.percent(high)}"
    )
    return f"{plan.says()}{part}: {span} {verb}, likely {text.percent(abs(expected.likely))}"


def effect(found: Predicted | None, measure: str) -> dict[str, Any]:
    """An Effect of the status; only its measure when nothing is known."""
    if found is None or found.measure != measure:
        return {"measure": measure}
    rows = {"high": found.high, "likely": found.likely, "low": found.low}
    shown = {k: v for k, v in ((k, _percent(v)) for k, v in rows.items()) if v is not None}
    return {**shown, "measure": measure}


def with_proof(status: Mapping[str, Any], proof: Proof, measure: str) -> dict[str, Any]:
    """The status after a look at the runs."""
    found = {**status, "baselineRuns": proof.baseline_runs, "verifiedRuns": proof.verified_runs}
    if proof.measured is not None and proof.measured.measure == measure:
        found["measured"] = effect(proof.measured, measure)
    if proof.verdict is not None:
        found["verdict"] = proof.verdict.value
    return found


def with_conditions(
    status: Mapping[str, Any], findings: Iterable[Finding], generation: int | None, now: float
) -> dict[str, Any]:
    """The status with these conditions."""
    current = conditions.update(status.get("conditions") or (), findings, generation=generation, now=now)
    found = {**status, "conditions": current}
    if generation is not None:
        found["observedGeneration"] = generation
    return found


def says(kind: ConditionType, status: bool | None, reason: Reason, message: str) -> Finding:
    """A finding, for brevity."""
    return Finding(kind, status, reason, message)


def summary(settings: Sequence[Any]) -> str:
    """Settings in words."""
    return "; ".join(describe(s) for s in settings)


def _percent(share: float) -> str | None:
    try:
        return str(SignedPercent.of(100.0 * share))
    except ScalarError:
        return None


def _share(value: Any) -> float | None:
    try:
        return float(value) / 100.0
    except (TypeError, ValueError):
        return None
