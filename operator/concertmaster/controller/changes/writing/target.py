"""The objects that changes are for: read, compared with a plan, and patched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.json_patch import Operation
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.reconcile import TargetState, target_state
from concertmaster.kube.apply import PatchOutcome, WriteResult, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import NotFound
from concertmaster.kube.objects import ObjectRef, target_resource

MAX_UNANSWERED = 90.0
"""Seconds after which a write without an answer is not stored any more: the API server gives a request 60 seconds (its
``--request-timeout``); the rest is for the way to it."""


class TargetClient:
    """Reads and patches targets. ``clock``: seconds, for writes that were never answered."""

    def __init__(self, client: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._unanswered: dict[str, float] = {}  # by uid of the change: when the target was first seen as before

    def read(self, change_or_plan: WorkflowChangeView | Plan) -> dict[str, Any] | None:
        """The target as the API server has it now; None when it is gone, or being deleted. Raises KubeError."""
        ref = self.ref(change_or_plan)
        if ref is None:
            return None
        try:
            raw = self._client.get(ref.path)
        except NotFound:
            return None
        if (raw.get("metadata") or {}).get("deletionTimestamp"):
            return None
        raw.setdefault("apiVersion", ref.resource.api_version)
        raw.setdefault("kind", ref.resource.kind)
        return raw

    @staticmethod
    def ref(change_or_plan: WorkflowChangeView | Plan) -> ObjectRef | None:
        """The object a change or plan is for; None for a kind that is not known."""
        target = change_or_plan.target
        resource = target_resource(target.api_version, target.kind) if target is not None else None
        if target is None or resource is None:
            return None
        return ObjectRef(resource, target.namespace if resource.namespaced else None, target.name, target.uid)

    @staticmethod
    def state(change: WorkflowChangeView, raw: Mapping[str, Any] | None) -> TargetState:
        """What ``raw``, the present object of the target's name, holds of the change's plan."""
        target = change.target
        uid = target.uid if target is not None else None
        return target_state(raw, uid, change.operations("patch"), change.operations("inverse"))

    def patch(
        self, change_or_plan: WorkflowChangeView | Plan, operations: Sequence[Operation], *, dry_run: bool = False
    ) -> WriteResult:
        """Write a target. Raises Stopped only."""
        ref = self.ref(change_or_plan)
        if ref is None:
            return WriteResult(PatchOutcome.GONE)
        return patch_object(self._client, ref, operations, dry_run=dry_run)

    def may_still_be_stored(self, change: WorkflowChangeView, raw: Mapping[str, Any] | None) -> bool:
        """Whether a write of the plan that was begun and never answered, perhaps by an earlier process, may still be stored
        in ``raw``, the target as it is before it. The write tests the target's version, so that it fails on another one."""
        target, version = change.target, ((raw or {}).get("metadata") or {}).get("resourceVersion")
        as_before = self.state(change, raw) is TargetState.AS_BEFORE
        if as_before and target is not None and target.resource_version == version:
            since = self._unanswered.setdefault(change.uid, self._clock())
            if self._clock() - since < MAX_UNANSWERED:
                return True
        self._unanswered.pop(change.uid, None)
        return False

    @staticmethod
    def may_be_overwritten(change: WorkflowChangeView, raw: Mapping[str, Any] | None) -> bool:
        """Whether a write that was begun and never answered may have been stored and overwritten since: that makes two
        generations of ``raw``, an edit that kept it from being stored makes one."""
        before = ((change.status.get("plan") or {}).get("target") or {}).get("generation")
        present = ((raw or {}).get("metadata") or {}).get("generation")
        return isinstance(before, int) and isinstance(present, int) and present >= before + 2
