"""WorkflowChange objects as the operator reads them (``changes/writing/status.py`` words what it writes).

The API server keeps the spec immutable; the status belongs to the operator, and what it
says is believed only as far as its digest is the one of the spec.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.controller.workflow_change.scope import Scope
from concertmaster.core.changes.json_patch import Operation, compact
from concertmaster.core.changes.operations import out_of_bounds, undoing, within
from concertmaster.core.changes.phases.transition import Transition, orphaned
from concertmaster.core.changes.plan import Aim, ChangeTarget, digest_of
from concertmaster.core.changes.reconcile import ChangeState
from concertmaster.core.lifecycle.measured_gain import AIMS
from concertmaster.core.model import TASK
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.fingerprints import known_fingerprint
from concertmaster.core.model.policy import Bounds
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.times import parse_time
from concertmaster.engines import PATCHABLE
from concertmaster.kube.objects import CHANGES, ObjectRef


@dataclass(frozen=True, slots=True)
class WorkflowChangeView:
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
    def version(self) -> str:
        """Its resourceVersion as it was read."""
        return str((self.raw.get("metadata") or {}).get("resourceVersion") or "")

    @property
    def namespace(self) -> str:
        """Its namespace, which is its profile's."""
        return self.ref.namespace or ""

    @property
    def spec(self) -> Mapping[str, Any]:
        """The spec, empty when there is none."""
        spec = self.raw.get("spec")
        return spec if isinstance(spec, Mapping) else {}

    @property
    def status(self) -> dict[str, Any]:
        """A copy of the status that may be changed."""
        status = self.raw.get("status")
        return dict(status) if isinstance(status, Mapping) else {}

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
        return rule_of(self.recommendation)

    @property
    def digest(self) -> str:
        """The digest that was proposed and is decided about."""
        return str(self.spec.get("planDigest") or "")

    @property
    def decision(self) -> str | None:
        """Approve, Reject or None."""
        decision = self.spec.get("decision")
        return str(decision) if decision else None

    @property
    def phase(self) -> str:
        """Its phase; empty before the operator wrote a status."""
        return str(self.status.get("phase") or "")

    @property
    def state(self) -> ChangeState:
        """What decides about its next step."""
        return ChangeState(
            phase=self.phase,
            decision=self.decision,
            decided_by=self.spec.get("decidedBy"),
            orphaned=bool(self.is_(ConditionType.ORPHANED)),
            restoring=self.condition(ConditionType.RESTORED).get("status") == "Unknown",
        )

    @property
    def created(self) -> str:
        """When it was made, as the API server writes it."""
        return str((self.raw.get("metadata") or {}).get("creationTimestamp") or "")

    @property
    def aim(self) -> Aim:
        """What it is for."""
        return AIMS.get(str((self.status.get("predicted") or {}).get("measure")), Aim.CHEAPER)

    @property
    def verdict(self) -> Verdict | None:
        """The outcome of its verification; None before it is decided."""
        verdict = self.status.get("verdict")
        return Verdict(verdict) if verdict in set(Verdict) else None

    @property
    def target(self) -> ChangeTarget | None:
        """The object its plan is for."""
        target = (self.status.get("plan") or {}).get("target")
        if not isinstance(target, Mapping):
            return None
        space = str(target["namespace"]) if target.get("namespace") else None
        word = {key: str(target.get(key) or "") for key in ("apiVersion", "kind", "name", "uid", "resourceVersion")}
        return ChangeTarget(word["apiVersion"], word["kind"], word["name"], space, word["uid"], word["resourceVersion"])

    @property
    def task(self) -> str | None:
        """The Tekton Task its plan is for; None: another kind of object."""
        target = self.target
        return target.name if target is not None and target.kind == TASK else None

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the definition right after it was written; None where another edition made it."""
        return known_fingerprint(((self.status.get("plan") or {}).get("target") or {}).get("fingerprint"))

    def operations(self, which: str) -> list[Operation] | None:
        """``patch`` or ``inverse`` of its plan; None when there is none or it is no JSON Patch."""
        try:
            operations = json.loads((self.status.get("plan") or {}).get(which) or "")
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(operations, list) or not all(
            isinstance(o, dict) and isinstance(o.get("path"), str) for o in operations
        ):
            return None
        return operations

    def condition(self, kind: ConditionType) -> Mapping[str, Any]:
        """The condition of that type, empty without one."""
        return conditions.find(self.status.get("conditions") or (), kind) or {}

    def since(self, kind: ConditionType) -> float | None:
        """Since when that condition is as it is (unix seconds)."""
        since = self.condition(kind).get("lastTransitionTime")
        try:
            return parse_time(str(since)) if since else None
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
        """When it was rolled back, None when it was not."""
        return self.since(ConditionType.RESTORED) if self.is_(ConditionType.RESTORED) else None

    def forged(self, of: Scope | None = None) -> str | None:
        """Why its plan cannot be the one that was proposed, None when it can.

        The digest holds target and patch; the inverse must be the undoing of that very patch, for it is written too.
        ``of`` is what changes of its profile may be for.
        """
        target, patch, inverse = self.target, self.operations("patch"), self.operations("inverse")
        if target is None or patch is None or inverse is None:
            return "its status has no plan that can be read"
        if digest_of(self.namespace, self.profile, self.recommendation, target, patch) != self.digest:
            return "the plan in its status is not the one of spec.planDigest"
        kind = PATCHABLE.get(target.kind)
        outside = within(kind, patch) or within(kind, inverse)
        if outside is not None:
            return f"its plan writes {outside}; only parallelism and containers' requests are ever changed"
        undo = undoing(patch)
        if undo is None or compact(undo) != compact(inverse):
            return "the inverse in its status does not undo its patch"
        if of is not None and not of.includes(target, self.namespace):
            return f"its plan is for {target}, which is not {of}"
        return None

    def undecidable(self, of: Scope | None) -> bool:
        """Whether its scope cannot be determined now: the Pipeline was not listed."""
        return of is not None and of.tasks is None and self.task is not None

    def rollback_command(self) -> str:
        """The command that rolls it back, for a person."""
        target, inverse = self.target, self.operations("inverse")
        if target is None or inverse is None or self.forged() is not None:
            return "its plan is lost; see the object's own history"
        where = f" -n {shlex.quote(target.namespace)}" if target.namespace else ""
        patch = compact(inverse).replace("'", "'\\''")
        return f"kubectl{where} patch {target.kind.lower()} {shlex.quote(target.name)} --type=json -p '{patch}'"

    def out_of_bounds(self, bounds: Bounds) -> str | None:
        """What its roll-back would write that ``bounds`` do not allow."""
        kind = PATCHABLE.get(self.target.kind) if self.target is not None else None
        return out_of_bounds(kind, self.operations("inverse") or (), bounds)

    def orphaned(self, reason: Reason, text: str) -> Transition:
        """The transition when the operator may not write any more."""
        known = self.condition(ConditionType.ORPHANED).get("reason") if self.is_(ConditionType.ORPHANED) else None
        return orphaned(reason, text, self.rollback_command(), str(known) if known else None)
