"""Several profiles of one workflow: each gets recommendations, one of them is used for changes, and all of them say so.

Two profiles may be intended (two sets of objectives). Two that change the same template would each take the other's
changes for a user's, and verify their own on the same runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.api.conditions import ConditionUpdate, Reason
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.core.model.enums import ApplyMode
from concertmaster.core.model.policy import Policy
from concertmaster.kube.profiles import is_discovered


def elect_leaders(profiles: Sequence[ResolvedProfile]) -> list[ResolvedProfile]:
    """The profiles in the same order; of those with the same target all but the oldest (then by name) only recommend."""
    groups: dict[tuple[str, ...], list[ResolvedProfile]] = {}
    for p in profiles:
        ref = reference(p.entry)
        if ref is not None and p.policy is not None:
            groups.setdefault((p.entry.namespace, *ref), []).append(p)
    changed: dict[str, ResolvedProfile] = {}
    for group in groups.values():
        if len(group) > 1:
            leader = min(group, key=lambda p: (p.entry.created, p.entry.name))
            fewest = min(p.policy.analysis.max_runs for p in group if p.policy is not None)
            changed.update({p.entry.uid: replace(_reported(p, leader, len(group)), fewest_runs=fewest) for p in group})
    return [changed.get(p.entry.uid, p) for p in profiles]


def _reported(profile: ResolvedProfile, leader: ResolvedProfile, count: int) -> ResolvedProfile:
    if profile is leader:
        text = f"{count} profiles describe it; this one, the oldest, is used for changes"
        return replace(profile, resolved=replace(profile.resolved, finding=_shared(profile.resolved.finding, text)))
    if is_discovered(leader.entry.labels) and not is_discovered(profile.entry.labels):
        what = (
            "which discovery made, is used for changes until its change in progress is decided, and is withdrawn then"
        )
    else:
        what = "the oldest, is used for changes and this one only recommends; delete one of them"
    text = f"{count} profiles describe it; {leader.entry.name}, {what}"
    policy = _recommending(profile.policy, f"{leader.entry.name} describes the same workflow and is older")
    return replace(
        profile,
        resolved=replace(profile.resolved, finding=_shared(profile.resolved.finding, text)),
        policy=policy,
        policy_edition=fingerprint(policy),
        led=True,
    )


def _shared(update: ConditionUpdate, text: str) -> ConditionUpdate:
    """TargetResolved with the notice; a problem with the target takes precedence over the notice."""
    if update.status is not True:
        return update
    reason = Reason.SHARED_TARGET if update.reason is Reason.FOUND else update.reason
    return replace(update, reason=reason, message=f"{update.message}; {text}")


def _recommending(policy: Policy | None, why: str) -> Policy | None:
    if policy is None or not policy.apply.allows_changes:
        return policy
    return replace(policy, apply=replace(policy.apply, mode=ApplyMode.RECOMMEND), notes=(*policy.notes, why))
