"""Creation and deletion of the profiles that discovery owns, and of those only.

The mark of ownership is a label on our own kind. A profile without it belongs to a person or to Git: it is never
written, relabelled or deleted here, whatever its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from concertmaster.kube.client import SLOW_ONCE, KubeClient
from concertmaster.kube.errors import (
    Busy,
    Conflict,
    Denied,
    Forbidden,
    KubeError,
    NotAdmitted,
    NotFound,
    Unreachable,
)
from concertmaster.kube.objects import GROUP, PROFILES, ObjectRef

DISCOVERED_LABEL = f"{GROUP}/discovered"
DISCOVERED_VALUE = "true"


class ProfileWriteOutcome(StrEnum):
    """The outcome of one write of a profile."""

    DONE = "done"
    NAME_TAKEN = "name_taken"
    GONE = "gone"
    FORBIDDEN = "forbidden"
    UNDECIDED = (
        "undecided"  # by admission that cannot be asked, or by an API server in difficulty, after several attempts
    )
    FAILED = "failed"


NO_FURTHER = frozenset({ProfileWriteOutcome.FORBIDDEN, ProfileWriteOutcome.UNDECIDED})
"""After one of these, no other profile of the namespace is written in the same cycle: it would fare no better."""


@dataclass(frozen=True, slots=True)
class ProfileWriteResult:
    """Outcome of one creation, relabelling or withdrawal, with a sentence when it did not work; the object when it was
    created."""

    outcome: ProfileWriteOutcome
    message: str = ""
    created: Mapping[str, Any] = field(default_factory=dict)


def is_discovered(labels: Mapping[str, str]) -> bool:
    """Whether discovery made the profile with these labels."""
    return labels.get(DISCOVERED_LABEL) == DISCOVERED_VALUE


def discovered_profile(namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The profile that discovery creates: with the target's labels (so that selectors on teams work), the mark of
    discovery, and the reference to its target."""
    meta = {"name": name, "namespace": namespace, "labels": {**labels, DISCOVERED_LABEL: DISCOVERED_VALUE}}
    return PROFILES.body(metadata=meta, spec=dict(spec))


def create_profile(client: KubeClient, body: Mapping[str, Any]) -> ProfileWriteResult:
    """Create a discovered profile. An existing one of that name is left alone, whoever made it."""
    meta = body["metadata"]
    what = f"WorkflowProfile {meta['namespace']}/{meta['name']}"
    try:
        created = client.create(PROFILES.path(meta["namespace"]), body, again=SLOW_ONCE)
    except Conflict:
        return ProfileWriteResult(ProfileWriteOutcome.NAME_TAKEN, f"{what} exists already and is left as it is")
    except NotFound as error:
        return ProfileWriteResult(ProfileWriteOutcome.GONE, f"{what}: {error}")
    except KubeError as error:
        return _failure(error, what, "create")
    return ProfileWriteResult(ProfileWriteOutcome.DONE, created=created)


def relabel_profile(client: KubeClient, ref: ObjectRef, labels: Mapping[str, str | None]) -> ProfileWriteResult:
    """Set the given labels (None removes) of a discovered profile."""
    body = {"metadata": {"uid": ref.uid, "labels": {k: v for k, v in labels.items() if k != DISCOVERED_LABEL}}}
    try:
        client.patch(ref.path, body, again=SLOW_ONCE)
    except (NotFound, Conflict):
        return ProfileWriteResult(ProfileWriteOutcome.GONE, f"{ref} was deleted")
    except KubeError as error:
        return _failure(error, str(ref), "patch")
    return ProfileWriteResult(ProfileWriteOutcome.DONE)


def withdraw_profile(client: KubeClient, ref: ObjectRef, resource_version: str) -> ProfileWriteResult:
    """Delete a discovered profile, exactly the one that was seen: a person who just edited it keeps it."""
    try:
        client.delete(ref.path, uid=ref.uid, resource_version=resource_version, again=SLOW_ONCE)
    except NotFound:
        return ProfileWriteResult(ProfileWriteOutcome.GONE)
    except Conflict:
        return ProfileWriteResult(
            ProfileWriteOutcome.FAILED, f"{ref} changed in the meantime; the next cycle tries again"
        )
    except KubeError as error:
        return _failure(error, str(ref), "delete")
    return ProfileWriteResult(ProfileWriteOutcome.DONE)


def _failure(error: KubeError, what: str, verb: str) -> ProfileWriteResult:
    if isinstance(error, Forbidden) and not isinstance(error, Denied):
        message = f"{what}: {error}"
        if not isinstance(error, NotAdmitted):
            message = (
                f"the operator may not {verb} {what}; grant its service account {verb} on workflowprofiles.{GROUP}"
            )
        return ProfileWriteResult(ProfileWriteOutcome.FORBIDDEN, message)
    undecided = isinstance(error, Busy | Unreachable)
    outcome = ProfileWriteOutcome.UNDECIDED if undecided else ProfileWriteOutcome.FAILED
    return ProfileWriteResult(outcome, f"{what}: {error}")
