"""From a recommendation to the exact operations on one object, and back.

A plan is built from the object as returned by the API server, so that every ``test`` holds the current literal and every
parent to be added is known to be absent. It is minimal, touches only parallelism and requests, and is deterministic: the
same recommendation on the same object gives the same plan, whose digest is what people approve and what the operator
recomputes before it writes.

The digest excludes ``resourceVersion``, so that unrelated updates of the object do not invalidate the plan. The version is
tested when the plan is written (``Plan.operations``).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from concertmaster.core.changes.fields import Refused, Setting, describe, progress, resolve_setting
from concertmaster.core.changes.json_patch import Operation, PatchFailed, compact
from concertmaster.core.changes.operations import of_manifest, operations, version_test
from concertmaster.core.model import TASK, Category, Edit, Level, ObjectKind, PatchableKinds, Recommendation
from concertmaster.core.model.enums import ChangeKind, RuleName
from concertmaster.core.model.policy import Bounds
from concertmaster.core.stats.quantiles import Z90

# Rules whose edits do not depend on each other.
_SIZES = frozenset({RuleName.RIGHT_SIZE, RuleName.CPU_REQUEST, RuleName.MEMORY_REQUEST})


class Aim(StrEnum):
    """Purpose of a change, which determines how it is judged."""

    FASTER = "Faster"
    CHEAPER = "Cheaper"
    SAFER = "Safer"  # fewer failures; like Cheaper it must not cost time


@dataclass(frozen=True, slots=True)
class ChangeTarget:
    """The object a plan applies to. ``namespace`` is None for cluster-scoped kinds."""

    api_version: str
    kind: str
    name: str
    namespace: str | None
    uid: str
    resource_version: str

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ChangeTarget:
        """The target that identifies the object ``raw``."""
        meta = raw.get("metadata") or {}
        return cls(
            str(raw.get("apiVersion") or ""),
            str(raw.get("kind") or ""),
            str(meta.get("name") or ""),
            str(meta["namespace"]) if meta.get("namespace") else None,
            str(meta.get("uid") or ""),
            str(meta.get("resourceVersion") or ""),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class PredictedEffect:
    """Predicted relative change of one measure (Duration, Cost, Failures); negative is less."""

    measure: str
    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The ``patch`` to write, its ``inverse``, the same for the manifest in Git, and the predicted effect.

    ``whole`` is False when the maximum step allows only part of the recommended change.
    """

    profile: str
    namespace: str
    recommendation: str
    rule: str
    step: str | None
    aim: Aim
    risk: Level
    automatic: bool
    target: ChangeTarget
    object_kind: ObjectKind
    settings: tuple[Setting, ...]
    patch: tuple[Operation, ...]
    inverse: tuple[Operation, ...]
    manifest_patch: tuple[Operation, ...]
    predicted: PredictedEffect | None
    whole: bool
    factor: float = 1.0  # the ledger's correction of the prediction

    @property
    def kind(self) -> ChangeKind:
        """The kind of field it sets; parallelism if it sets both."""
        both = {ChangeKind.PARALLELISM if s.resource == "parallelism" else ChangeKind.RESOURCES for s in self.settings}
        return ChangeKind.PARALLELISM if ChangeKind.PARALLELISM in both else ChangeKind.RESOURCES

    @property
    def task(self) -> str | None:
        """The Tekton Task it is for; None: another kind of object."""
        return self.target.name if self.target.kind == TASK else None

    @property
    def digest(self) -> str:
        """SHA-256 of profile, recommendation, target and operations."""
        return digest_of(self.namespace, self.profile, self.recommendation, self.target, self.patch)

    @property
    def kustomize(self) -> str:
        """The same change as an entry of a kustomization's ``patches``, as JSON on one line."""
        group, _, version = self.target.api_version.rpartition("/")
        target = {"group": group, "version": version, "kind": self.target.kind, "name": self.target.name}
        return compact({"patch": compact(list(self.manifest_patch)), "target": target})

    def operations(self, resource_version: str) -> list[Operation]:
        """The patch for one version of the object: it fails if the object has been written since."""
        return [version_test(resource_version), *self.patch]

    def says(self) -> str:
        """The change as text: ``CPU request of main from 2 to 1``."""
        return "; ".join(describe(s) for s in self.settings)


def digest_of(
    namespace: str, profile: str, recommendation: str, target: ChangeTarget, patch: Sequence[Mapping[str, Any]]
) -> str:
    """The digest of a plan from its parts, to verify the plan in a status against the approved one."""
    identity = [target.api_version, target.kind, target.namespace, target.name, target.uid]
    return hashlib.sha256(compact([namespace, profile, recommendation, identity, list(patch)]).encode()).hexdigest()


def aim_for(category: Category) -> Aim:
    """Aim by category: Faster for saved time, Safer against failures, Cheaper otherwise."""
    if category is Category.RELIABILITY:
        return Aim.SAFER
    return Aim.FASTER if category is Category.PERFORMANCE else Aim.CHEAPER


def plan(
    item: Recommendation,
    raw: Mapping[str, Any],
    kinds: PatchableKinds,
    *,
    profile: str,
    namespace: str,
    bounds: Bounds | None = None,
    monthly_cost: float | None = None,
    spread: float = 0.0,
) -> Plan:
    """The plan of ``item`` on the object ``raw`` as returned by the API server, of one of the patchable ``kinds``. Raises
    Refused.

    With ``bounds``, requests move towards the recommended value as far as the maximum step and the bounds allow. ``spread``:
    relative standard error of a measured effect on the duration.
    """
    target = ChangeTarget.of(raw)
    kind, edits = _allowed(item, target, kinds, bounds)
    resolved = [(edit, resolve_setting(edit, raw, kind, bounds)) for edit in edits]
    changing = _changing(resolved, bounds)
    if not changing:
        raise Refused(f"{item.id}: the bounds and the largest step leave nothing to change")
    patch, inverse = _guarded_patch(raw, [s for _, s in changing])
    held = {e.pointer: e.weight * progress(e, s) for e, s in resolved if s.old is not None}
    weight = sum(e.weight for e in item.edits if e.current is not None or e.pointer in held)
    part = sum(held.values()) / weight if weight > 0 else min(progress(e, s) for e, s in changing)
    shares = [e.share * progress(e, s) for e, s in changing if e.share is not None]
    return Plan(
        profile=profile,
        namespace=namespace,
        recommendation=item.id,
        rule=item.rule,
        step=item.step,
        aim=aim_for(item.category),
        risk=item.risk,
        automatic=item.automatic,
        target=target,
        object_kind=kind,
        settings=tuple(s for _, s in changing),
        patch=patch,
        inverse=inverse,
        manifest_patch=tuple(of_manifest(raw, patch, kind)),
        predicted=predict(item, sum(shares) if shares else part, monthly_cost, spread),
        whole=all(progress(e, s) >= 1.0 - 1e-9 for e, s in changing) and len(edits) == len(item.edits),
        factor=item.factor,
    )


def _allowed(
    item: Recommendation, target: ChangeTarget, kinds: PatchableKinds, bounds: Bounds | None
) -> tuple[ObjectKind, Sequence[Edit]]:
    """The kind of the target, and the edits of ``item`` that a change may make there. Raises Refused."""
    if not item.edits:
        raise Refused(f"{item.id} cannot be applied automatically: it sets no field")
    kind = kinds.get(target.kind)
    if kind is None:
        raise Refused(f"objects of kind {target.kind} are never changed")
    edits = _settable(item.edits, kind) if bounds is not None and item.rule in _SIZES else item.edits
    for edit in edits or item.edits:
        if edit.holder != (target.name if target.kind == TASK else None):
            raise Refused(f"{item.id} sets {edit.place}, which is no field of {target}")
        if kind.resource(edit.pointer) is None:
            raise Refused(f"{item.id} sets {edit.pointer}; only parallelism and containers' requests are ever changed")
    return kind, edits


def _changing(resolved: Sequence[tuple[Edit, Setting]], bounds: Bounds | None) -> list[tuple[Edit, Setting]]:
    """Those that set another value. With ``bounds``, an initial value is left to people where others change."""
    changing = [(e, s) for e, s in resolved if s.old is None or s.new != s.old]
    known = [(e, s) for e, s in changing if s.old is not None]
    return known if bounds is not None and known else changing


def _guarded_patch(
    raw: Mapping[str, Any], settings: Sequence[Setting]
) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """Patch and inverse, each with tests of all that it relies on, the places that values come from included. Raises
    Refused."""
    try:
        guards, patch, inverse = operations(raw, [(s.pointer, s.new_literal) for s in settings])
    except PatchFailed as error:
        raise Refused(str(error), changed=True) from error
    own = {s.pointer for s in settings}
    sources = {s.source: s.old_literal for s in settings if s.source is not None and s.source not in own}
    guards += [{"op": "test", "path": path, "value": value} for path, value in sources.items()]
    return (*guards, *patch), (*guards, *inverse)


def _settable(edits: Sequence[Edit], kind: ObjectKind) -> tuple[Edit, ...]:
    """The edits that a change may make. A request whose limit must change with it is left to people, without blocking the
    other containers."""
    people = {e.pointer for e in edits if kind.resource(e.pointer) is None}
    people |= {p.replace("/limits/", "/requests/") for p in people}
    return tuple(e for e in edits if e.pointer not in people)


def predict(
    item: Recommendation, part: float = 1.0, monthly_cost: float | None = None, spread: float = 0.0
) -> PredictedEffect | None:
    """Effect that later runs will show for this part of the change: see ``expected_change`` and ``widened``."""
    expected = expected_change(item, part, monthly_cost)
    return widened(expected, spread) if expected is not None else None


def expected_change(
    item: Recommendation, part: float = 1.0, monthly_cost: float | None = None
) -> PredictedEffect | None:
    """The rule's interval as a relative change, scaled to the part of the effect that is made: 0 to 1, of a saving also more
    or less, where what is left out takes from it or is all of it."""
    gain, saving = item.gain_share, item.saving_per_month
    if gain is not None:
        return PredictedEffect(
            "Duration", *(max(1e-3, 1.0 - v * part) - 1.0 for v in (gain.high, gain.likely, gain.low))
        )
    if saving is not None and monthly_cost:
        less = [-min(1.0, v / monthly_cost) * part for v in (saving.high, saving.likely, saving.low)]
        return PredictedEffect("Cost", min(less), less[1], max(less))
    return None


def widened(predicted: PredictedEffect, spread: float) -> PredictedEffect:
    """The interval in which a verification will measure the change.

    A rule's interval is for the mean of all runs to come. What a few later runs measure also varies with their own noise
    (``spread``, a standard error): the prediction combines both.
    """
    if predicted.measure == "Duration":
        low, likely, high = (math.log1p(max(v, 1e-3 - 1.0)) for v in (predicted.low, predicted.likely, predicted.high))
        ends = (likely - math.hypot(likely - low, Z90 * spread), likely + math.hypot(high - likely, Z90 * spread))
        return replace(predicted, low=math.expm1(ends[0]), high=math.expm1(ends[1]))
    noise = Z90 * spread * (1.0 + predicted.likely)  # cost per run scales with duration
    ends = (
        predicted.likely - math.hypot(predicted.likely - predicted.low, noise),
        predicted.likely + math.hypot(predicted.high - predicted.likely, noise),
    )
    return replace(predicted, low=max(-1.0, ends[0]), high=ends[1])
