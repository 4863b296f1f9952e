"""Whether pods would be refused with the requests that a rollback writes, by what was changed in their namespace since.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from concertmaster.core.changes.admission.limits import refused_anew
from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.admission.pods import pod_changes
from concertmaster.core.changes.fields import Setting
from concertmaster.core.changes.operations import limit_beside, tested, written
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.engines import ObjectKind


def refused_pods(
    kind: ObjectKind | None,
    inverse: Sequence[Mapping[str, Any]],
    raw: Mapping[str, Any],
    task: str | None,
    definition: WorkflowDefinition | None,
    ranges: Sequence[LimitRange],
    quotas: Sequence[ResourceQuota],
) -> str | None:
    """Why pods would be refused after the rollback ``inverse`` of the object ``raw``, as a sentence; None where they would
    not, or where the present ones are refused as well, so that there is nothing to lose. ``task``: the Tekton Task that it
    is; ``definition``: the workflow's as it is now (None: only the containers that the rollback sets are known)."""
    settings = tuple(_settings(kind, inverse, raw))
    refused = refused_anew(pod_changes(settings, task, definition), ranges, quotas)
    return refused[0].message if refused else None


def _settings(
    kind: ObjectKind | None, inverse: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]
) -> Iterable[Setting]:
    """The requests that a rollback sets."""
    present = tested(inverse)
    for pointer, literal in written(inverse).items():
        resource = kind.resource(pointer) if kind is not None else None
        old, new = quantity(present.get(pointer)), quantity(literal)
        if kind is not None and resource is not None and resource != "parallelism" and None not in (old, new):
            limit = quantity(limit_beside(kind, pointer, resource, raw))
            yield Setting(pointer, resource, "", old, new or 0.0, present.get(pointer), literal, limit)
