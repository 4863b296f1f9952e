"""Writes to users' objects: one JSON Patch at a time, dry-run first, and distinguished from others' writes.

Every kind gets a JSON Patch, Jobs' and CronJobs' too: server-side apply would make the operator an owner of the field,
and the next ``kubectl apply`` of its author would be refused. The patch tests the version, the names on the way and the
literal old value; nothing is annotated, no finalizer is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from concertmaster.core.changes.json_patch import apply, compact, difference, find, fits
from concertmaster.core.times import parse_time
from concertmaster.kube.client import FIELD_MANAGER, KubeClient
from concertmaster.kube.errors import (
    Conflict,
    Forbidden,
    KubeError,
    NotFound,
    Rejected,
    Undecided,
    by_admission,
)
from concertmaster.kube.objects import ObjectRef

_PROMPT = 1.0  # seconds in which a write may be begun again: what allowed it was read just before
DRY_RUN_SECONDS = 5.0  # in which a dry run may be begun again: one that admission lets hang would hang each time

Operations = Sequence[Mapping[str, Any]]


class PatchOutcome(StrEnum):
    """The outcome of one write."""

    DONE = "done"
    TRIED = "tried"  # a dry run that would have succeeded
    CHANGED = "changed"  # somebody else wrote in between: a test failed
    GONE = "gone"
    FORBIDDEN = "forbidden"  # a right is missing, or admission denies it or cannot decide, which may end
    REFUSED = "refused"  # by the schema, or what admission would store is not the plan
    UNCERTAIN = "uncertain"  # no answer: the object must be read


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome of one write, with a sentence when it did not succeed; ``at``: when, by the API server's clock (unix seconds;
    None: it does not say); ``stored``: the object as the API server stored it, or would have; ``undecided``: admission could
    not be asked."""

    outcome: PatchOutcome
    message: str = ""
    at: float | None = None
    stored: Mapping[str, Any] = field(default_factory=dict)
    undecided: bool = False


def last_write(managed: Any, part: str | None = "f:spec") -> tuple[str, float]:
    """The manager that wrote that ``part`` of an object last (None: any of it but the status), and when (unix seconds; 0:
    not known), by its ``managedFields``. The API server does not date a patch or update that only removes fields; a
    server-side apply that does so is dated."""
    writes = [
        (parse_time(str(entry["time"])), str(entry.get("manager") or ""))
        for entry in managed or ()
        if entry.get("time") and not entry.get("subresource") and part in (None, *(entry.get("fieldsV1") or ()))
    ]
    at, manager = max(writes, default=(0.0, ""))
    return manager, at


def written_at(raw: Mapping[str, Any]) -> float | None:
    """When the operator wrote the object, if nobody has written its spec since: by the clock that also dates runs."""
    manager, at = last_write((raw.get("metadata") or {}).get("managedFields"))
    return at if manager == FIELD_MANAGER else None


def patch_object(client: KubeClient, ref: ObjectRef, operations: Operations, *, dry_run: bool = False) -> WriteResult:
    """Send ``operations`` to the object; with ``dry_run`` the server checks everything and stores nothing. Raises Stopped
    only. A failed test is not repeated here: the present object must be compared first. Nor is a write retried after a
    pause: meanwhile a person may have suspended the policy that allowed it."""
    query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
    if dry_run:
        query["dryRun"] = "All"
    content = "application/json-patch+json"
    try:
        answer = client.request(
            "PATCH", ref.path, query=query, body=list(operations), content_type=content,
            again=DRY_RUN_SECONDS if dry_run else _PROMPT,
        )  # fmt: skip
    except NotFound:
        return WriteResult(PatchOutcome.GONE, f"{ref} was deleted")
    except Conflict as error:
        return WriteResult(PatchOutcome.CHANGED, str(error))
    except (Forbidden, Rejected) as error:
        if isinstance(error, Forbidden) or by_admission(error):
            return WriteResult(PatchOutcome.FORBIDDEN, f"the operator may not patch {ref}: {error}")
        return _rejected(client, ref, operations, error)
    except Undecided as error:
        return WriteResult(PatchOutcome.FORBIDDEN, f"admission cannot decide about {ref}: {error}", undecided=True)
    except KubeError as error:
        return WriteResult(PatchOutcome.UNCERTAIN, str(error))
    return WriteResult(PatchOutcome.TRIED if dry_run else PatchOutcome.DONE, at=written_at(answer), stored=answer)


def as_planned(tried: WriteResult, raw: Mapping[str, Any], operations: Operations) -> WriteResult:
    """A dry run of ``operations`` on the object ``raw``, rejected where admission (a mutating webhook or policy) would
    store anything else in its spec: the verification would be of another change, and a rollback could not restore all of
    it."""
    if tried.outcome is not PatchOutcome.TRIED:
        return tried
    place = difference(apply(raw, operations).get("spec"), tried.stored.get("spec"), "/spec")
    if place is None:
        return tried
    text = f"admission would store {compact(find(tried.stored, place)[1])[:100]} at {place}, which is not the plan"
    return WriteResult(PatchOutcome.REFUSED, f"{text}: exempt this object from the mutating webhook or policy")


def _rejected(client: KubeClient, ref: ObjectRef, operations: Operations, error: Rejected) -> WriteResult:
    """A failed ``test`` and an invalid value have the same code and similar texts. One read, on which the operations are
    tried locally, tells them apart."""
    try:
        present = client.get(ref.path)
    except NotFound:
        return WriteResult(PatchOutcome.GONE, f"{ref} was deleted")
    except KubeError as again:
        return WriteResult(PatchOutcome.UNCERTAIN, f"{error}; {again}")
    if fits(present, operations):
        return WriteResult(PatchOutcome.REFUSED, str(error))
    return WriteResult(PatchOutcome.CHANGED, f"{ref} is not what the plan was made for any more: {error}")
