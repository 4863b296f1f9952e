"""The condition WriteAccess: whether the operator has the rights that the mode of a policy needs.

Without it, mode Auto on a read-only installation would silently do nothing. The message names the Helm values to
change, since that is where the right comes from, and no command: ``--set`` replaces a list, and the namespaces that are
in it already would lose their rights.
"""

from __future__ import annotations

import re

from concertmaster.api.conditions import ConditionDocument, ConditionType, ConditionUpdate, Reason
from concertmaster.api.policy import AnyPolicy
from concertmaster.controller.policies.summary import MAX_REVIEWS, PolicySummary
from concertmaster.core.model.enums import ApplyMode
from concertmaster.core.text import listing
from concertmaster.engines import PATCHABLE
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.objects import target_resource


def write_access(access: AccessChecker, policy: AnyPolicy, summary: PolicySummary) -> ConditionUpdate:
    """What the API server says about the rights the policy's mode needs on the objects it governs."""
    mode = policy.spec.apply.mode
    if mode is ApplyMode.RECOMMEND:
        return _is(True, Reason.NOT_NEEDED, "Recommend mode: workloads are not modified")
    needed = [
        Right("patch", resource, namespace if resource.namespaced else None)
        for api_version, kind, namespace in sorted(summary.targets)
        if kind in PATCHABLE and (resource := target_resource(api_version, kind)) is not None
    ]
    if not needed and summary.matched:
        kinds = listing(sorted(PATCHABLE), len(PATCHABLE))
        message = f"mode is {mode}, but no governed workflow is of a kind that the operator changes: {kinds}"
        return _is(True, Reason.NOT_NEEDED, message)
    if not needed:
        return _is(None, Reason.PENDING, f"mode is {mode}, and no workflow is governed yet that could be changed")
    denied: list[Right] = []
    for right in dict.fromkeys(needed[:MAX_REVIEWS]):
        everywhere = access.allowed(Right(right.verb, right.resource))
        answer = everywhere or access.allowed(right)
        if answer is None:
            return _is(
                None, Reason.PENDING, "the API server could not be asked about rights; the next cycle asks again"
            )
        if not answer:
            denied.append(right)
    if not denied:
        return _is(True, Reason.GRANTED, f"the operator may make the changes mode {mode} asks for")
    places = sorted({r.namespace for r in denied if r.namespace})
    added = f" and add {listing(places, len(places))} to apply.namespaces" if places else ""
    return _is(
        False,
        Reason.DENIED,
        f"mode is {mode}, but the operator may not {listing([str(r) for r in denied])}; nothing is changed there. Set "
        f"apply.enabled to true{added} in the chart's values, or set apply.mode to Recommend",
    )


def granted(condition: ConditionDocument | None, right: Right) -> bool | None:
    """What the condition says of one right of the operator's: for others, who may have it themselves or not. None where it
    says nothing, as in mode Recommend."""
    if condition is None or condition.get("reason") not in (Reason.GRANTED, Reason.DENIED):
        return None
    if condition["reason"] == Reason.GRANTED:
        return True
    message = str(condition.get("message"))
    if re.search(rf"{re.escape(str(right))}(?![\w-])", message):  # namespace team is not team-b
        return False
    return None if " more" in message else True  # of many denied rights the message names the first


def _is(status: bool | None, reason: Reason, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionType.WRITE_ACCESS, status, reason, message)
