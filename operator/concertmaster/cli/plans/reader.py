"""What ``explain`` prints about carrying a recommendation out: the plan, its undoing, its form for Git, every policy check.

Computed here and now with the caller's own rights, from the profile's status and the object itself, exactly as the
operator does it. What only the operator knows (its own rights, Argo's settings) is taken from conditions, or assumed on
the careful side.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml
from pydantic import ValidationError

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType
from concertmaster.api.models.base import explain
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.policy import AnyPolicy, select
from concertmaster.api.resolve import resolve
from concertmaster.cli.plans.recommendations import edits_from, recommendation_of
from concertmaster.cli.policies import declared
from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.controller.changes.listed_changes import ListedChanges, objection
from concertmaster.controller.changes.writing.status import PARTIAL
from concertmaster.controller.policies.write_access import granted
from concertmaster.controller.workflow_change import WorkflowChangeView, ledger_entry
from concertmaster.core.changes.checks import run_checks
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.ledger import withdrawn
from concertmaster.core.changes.plan import Plan, plan
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.changes.situation import ClusterFacts, PastChange, Situation
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import TASK, Recommendation
from concertmaster.core.model.enums import ApplyMode, ChangePhase
from concertmaster.core.model.policy import Policy
from concertmaster.core.times import parse_time
from concertmaster.engines import PATCHABLE
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, NAMESPACES, POLICIES, Resource, target_resource

_NO_OBJECT = (
    "the operator changes only the object that spec.workflowRef of a profile names, and this profile has none; "
    "make the change where the pods are defined"
)


class PlanReader:
    """Plans and policy checks of one profile's recommendations, read once."""

    def __init__(self, client: KubeClient, raw: Mapping[str, Any]) -> None:
        self._client = client
        self._raw = raw
        self._namespace = str(raw["metadata"].get("namespace") or "")
        self._name = str(raw["metadata"]["name"])
        self._status: Mapping[str, Any] = raw.get("status") or {}
        self._notes: list[str] = []
        self._everyone = [WorkflowChangeView(o) for o in self._list(CHANGES, self._namespace)]
        self._changes = [c for c in self._everyone if (c.namespace, c.profile) == (self._namespace, self._name)]
        self._policy, self._unreadable = Policy(), ""
        self._access: conditions.ConditionDocument | None = None
        try:
            self._policy = self._resolve_policy()
        except ValidationError as error:
            self._unreadable = "; ".join(explain(error)[:3])

    def lines(self, item: Mapping[str, Any]) -> list[str]:
        """Everything about applying one recommendation."""
        out = self._history(str(item["id"]))
        change = self._open_change(str(item["id"]))
        try:
            made, raw = self._plan(item)
        except (Refused, KubeError) as error:
            if change is not None and isinstance(error, KubeError) and change.forged() is None:
                return [*out, *_proposed(change), f"  Checks: unknown, because the object cannot be read ({error})", ""]
            if item.get("kustomize"):
                out += [*_for_git(str(item["kustomize"])), ""]
            return [*out, f"  No automatic change: {error}", ""]
        if change is not None and PARTIAL in _prediction(change):
            made = replace(made, whole=False)
        says = made.says() if made.whole else f"{made.says()}{PARTIAL}"
        # Bounds of steps are for the operator: what a person commits is all of it, as the command is.
        complete = "" if made.whole or change is not None else str(item.get("kustomize") or "")
        out += _planned(says, list(made.patch), list(made.inverse), complete or _entry(made.kustomize))
        out += ["", "  Checks:"]
        for result in run_checks(made, self._situation(made, raw)):
            out.append(f"    {'passed ' if result.passed else 'blocked'}  {result.check:<17} {result.message}")
        return [*out, *(f"    note: {note}" for note in self._notes), ""]

    def _history(self, recommendation: str) -> list[str]:
        out = []
        for change in self._changes:
            if change.recommendation != recommendation:
                continue
            conditions = [f"{c['type']}: {c['message']}" for c in change.status.get("conditions") or ()]
            verdict = f", {change.verdict.value}" if change.verdict is not None else ""
            out += [
                f"  Change {change.name}: {change.phase or 'new'}{verdict}",
                *(f"    {line}" for line in conditions),
            ]
        return out + ([""] if out else [])

    def _plan(self, item: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
        if self._unreadable:
            raise Refused(
                f"this version of the command cannot read the WorkflowProfile ({self._unreadable}); use that of the operator"
            )
        ref, recommendation = self._ref, self._decided(recommendation_of(item))
        kind, name = str(ref.get("kind")), str(ref.get("name"))
        if recommendation.holder is not None:
            kind, name = TASK, recommendation.holder
        if commands.opens(str(item.get("how"))):
            raise Refused(f"the operator changes only {kind} {name}; this is set in the object that the command opens")
        resource = target_resource(str(ref.get("apiVersion")), kind)
        if resource is None or not recommendation.edits:
            raise Refused(_why_by_hand(item, kind, name) if resource is not None else _NO_OBJECT)
        space = self._namespace if resource.namespaced else None
        raw = self._client.get(resource.path(space, name))
        raw.setdefault("apiVersion", resource.api_version)
        raw.setdefault("kind", resource.kind)
        return plan(
            recommendation,
            raw,
            PATCHABLE,
            profile=self._name,
            namespace=self._namespace,
            bounds=self._policy.apply.bounds,
        ), raw

    def _decided(self, recommendation: Recommendation) -> Recommendation:
        """With the values of the change that waits or continues, where there is one: what is printed is what is approved."""
        change = self._open_change(recommendation.id)
        patch = change.operations("patch") if change is not None else None
        if not patch:
            return recommendation
        return replace(recommendation, edits=edits_from(patch, recommendation.holder, sure=True))

    def _open_change(self, recommendation: str) -> WorkflowChangeView | None:
        """The change of that recommendation that waits or continues."""
        open_ = (ChangePhase.PROPOSED, *IN_FLIGHT)
        return next((c for c in self._changes if c.recommendation == recommendation and c.phase in open_), None)

    @property
    def _ref(self) -> Mapping[str, Any]:
        ref = (self._raw.get("spec") or {}).get("workflowRef")
        return ref if isinstance(ref, Mapping) else {}

    def _situation(self, made: Plan, raw: Mapping[str, Any]) -> Situation:
        all_changes = ListedChanges(self._everyone)
        changes = all_changes.of_same_object(self._changes, made)
        lines = [line for c in self._changes if (line := ledger_entry(c)) is not None]
        now, until = time.time(), self._status.get("dataUntil")
        asks = withdrawn(lines, made.rule, f"{self._namespace}/{self._name}")
        reader = FactReader(self._client, AccessChecker(self._client), secure=True, person=True)
        facts = self._with_write_access(made, reader.read(made, raw, None, str(self._ref.get("name"))))
        return Situation(
            now=now,
            policy=self._policy,
            facts=facts,
            past=tuple(PastChange(c.applied, c.restored) for c in changes if c.applied is not None),
            in_flight=tuple(c.name for c in self._changes if c.phase in IN_FLIGHT),
            in_the_way=all_changes.in_the_way(made),
            data_until=parse_time(str(until)) if until else None,
            baseline_runs=int((self._status.get("runs") or {}).get("observed") or 0),
            coverage=1.0,  # sizes are only recommended where enough was sampled
            withdrawn=asks or objection(changes, made, now),
        )

    def _with_write_access(self, made: Plan, facts: ClusterFacts) -> ClusterFacts:
        """The operator's own right to write, by the policy's condition: the API server would answer for the caller."""
        resource = target_resource(made.target.api_version, made.target.kind)
        if resource is None:
            return facts
        right = Right("patch", resource, made.target.namespace if resource.namespaced else None)
        off = self._policy.source is None or self._policy.apply.mode is ApplyMode.RECOMMEND
        why = "not checked in mode Recommend" if off else "not known from the policy's condition WriteAccess"
        unknown = {**facts.unknown, "write_access": f"the operator's right to patch {made.target.kind} is {why}"}
        return replace(facts, write_access=granted(self._access, right), unknown=unknown)

    def _resolve_policy(self) -> Policy:
        profile = WorkflowProfile.parse(declared(self._raw))
        policies = [p for p in self._parsed(POLICIES, OptimizationPolicy) if isinstance(p, OptimizationPolicy)]
        wide = [
            p
            for p in self._parsed(CLUSTER_POLICIES, ClusterOptimizationPolicy)
            if isinstance(p, ClusterOptimizationPolicy)
        ]
        try:
            labels = self._client.get(NAMESPACES.path(None, self._namespace))["metadata"].get("labels") or {}
        except KubeError:
            labels = {}
        winner = select(profile, policies, wide, labels).winner
        if winner is not None:
            self._access = conditions.find(self._own_conditions(winner), ConditionType.WRITE_ACCESS)
            if self._access is not None and self._access.get("status") == "False":
                self._notes.append(str(self._access.get("message")))
        return resolve(profile, winner)

    def _own_conditions(self, policy: AnyPolicy) -> Sequence[Mapping[str, Any]]:
        cluster = isinstance(policy, ClusterOptimizationPolicy)
        path = (CLUSTER_POLICIES if cluster else POLICIES).path(
            None if cluster else self._namespace, policy.metadata.name
        )
        try:
            return (self._client.get(path).get("status") or {}).get("conditions") or ()
        except KubeError:
            return ()

    def _parsed(self, resource: Resource, model: type[AnyPolicy]) -> Iterator[AnyPolicy]:
        for raw in self._list(resource, self._namespace if resource.namespaced else None):
            try:
                yield model.parse({**declared(raw), "apiVersion": resource.api_version, "kind": resource.kind})
            except ValidationError:
                self._notes.append(f"{resource.kind} {raw['metadata']['name']} cannot be read and is left out")

    def _list(self, resource: Resource, namespace: str | None) -> list[dict[str, Any]]:
        try:
            return list(self._client.items(resource.path(namespace)))
        except KubeError as error:
            self._notes.append(f"{resource.kind} objects cannot be listed with your rights ({error})")
            return []


def _planned(says: str, patch: Sequence[Any], inverse: Sequence[Any], entry: str) -> list[str]:
    """A plan, its undoing, and the ``entry`` for Git."""
    return [f"  Plan: {says}", *_block("Patch", patch), *_block("Undo", inverse), *_for_git(entry)]


def _entry(kustomize: str) -> str:
    """The form for Git of a plan."""
    try:
        return yaml.safe_dump({"patches": [json.loads(kustomize)]}, sort_keys=False, width=110)
    except ValueError:  # a status that somebody edited
        return "not known"


def _for_git(entry: str) -> list[str]:
    return ["  For Git (kustomization.yaml):", *_indented(entry)]


def _proposed(change: WorkflowChangeView) -> list[str]:
    """The plan in the status of a change: all that a person sees who may not read its target."""
    kustomize = str((change.status.get("plan") or {}).get("kustomize"))
    patch, inverse = change.operations("patch") or (), change.operations("inverse") or ()
    return [*_planned(_prediction(change), patch, inverse, _entry(kustomize)), ""]


def _prediction(change: WorkflowChangeView) -> str:
    return str((change.status.get("predicted") or {}).get("text") or "")


def _why_by_hand(item: Mapping[str, Any], kind: str, name: str) -> str:
    """Why there is nothing in a recommendation that the operator could change in an object."""
    if " patch " in str(item.get("how")):
        return f"the status holds only part of the command of {item['id']}, from which no plan can be read"
    return f"the recommendation sets no field of {kind} {name} that the operator changes: make the change by hand"


def _block(title: str, operations: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"  {title}:", *(f"    {json.dumps(o)}" for o in operations), ""]


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
