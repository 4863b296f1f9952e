"""How long a run was held before its pods could be made: by Kueue, by ``spec.suspend`` or by a lock.

Kueue keeps a Workload beside each run it admits, whose conditions say when quota was reserved and how often it was taken
back. Without the right to read Workloads a Job or JobSet still tells when it was resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import ObjectKind, RunRecord, Suspension
from concertmaster.engines.argo.templates import read_locks
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text, timestamp, whole
from concertmaster.engines.common.objects import KubeObject

WORKLOAD = ObjectKind("kueue.x-k8s.io/v1", "Workload", "workloads")
OLDER = ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1")
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_OWNER_LABEL = "kueue.x-k8s.io/job-uid"
# v1beta1 spells it differently.
_PAST = ("accumulatedPastExecutionTimeSeconds", "accumulatedPastExexcutionTimeSeconds")
_LEAST = 5.0  # seconds between the creation of a Workflow and its start: less is the controller at work

Raw = Mapping[str, Any]


def queued(raw: Raw) -> str | None:
    """Selector of the Workloads of a run that waits in a queue of Kueue; None for every other run."""
    meta = KubeObject.of(raw).meta
    labels = meta.get("labels")
    uid = meta.get("uid")
    if not isinstance(labels, Mapping) or not labels.get(QUEUE_LABEL) or not isinstance(uid, str):
        return None
    return f"{_OWNER_LABEL}={uid}"


def with_suspension(record: RunRecord, raw: Raw, workloads: Sequence[Raw] = ()) -> RunRecord:
    """``record`` with the time the run ``raw`` was suspended, by its Workloads, else by its own conditions."""
    found = [s for s in map(_of_workload, workloads) if s is not None]
    own = max(found, key=lambda s: s.seconds, default=None) or _of_run(KubeObject.of(raw), raw.get("kind"))
    return record if own is None else replace(record, suspension=own)


def _of_workload(raw: Raw) -> Suspension | None:
    """From the Workload's creation to its last admission, less the time it was admitted before that."""
    obj = KubeObject.of(raw)
    created = timestamp(obj.meta.get("creationTimestamp"))
    conditions = _conditions(obj)
    at = next((t for kind in ("Admitted", "QuotaReserved") if (t := conditions.get((kind, "True"))) is not None), None)
    if created is None or at is None:
        return None
    problems = Problems()
    past = next((n for name in _PAST if (n := whole(obj.status.get(name), name, problems)) is not None), 0)
    admission = mapping(obj.status.get("admission"), "status.admission", problems)
    stats = mapping(obj.status.get("schedulingStats"), "status.schedulingStats", problems)
    rows = [mapping(r, "evictions[]", problems) for r in sequence(stats.get("evictions"), "evictions", problems)]
    evictions = sum(whole(row.get("count"), "count", problems) or 0 for row in rows)
    evicted = evictions or int(("Evicted", "True") in conditions or ("Evicted", "False") in conditions)
    queue = text(admission.get("clusterQueue"), "status.admission.clusterQueue", problems)
    return Suspension(max(0.0, at - created - past), f"ClusterQueue {queue}" if queue else None, evicted)


def _of_run(obj: KubeObject, kind: object) -> Suspension | None:
    """From creation to the last resumption, where the object says that it was suspended. A Workflow starts once it has the
    locks it needs as a whole, and once the controller's limits on concurrent workflows let it."""
    created, resumed = timestamp(obj.meta.get("creationTimestamp")), _conditions(obj).get(("Suspended", "False"))
    by = None
    if kind == "Workflow":
        resumed = timestamp(obj.status.get("startedAt"))
        stored = mapping(obj.status.get("storedWorkflowTemplateSpec"), "storedWorkflowTemplateSpec", obj.problems)
        by = next(
            (", ".join(locks) for s in (obj.spec, stored) if (locks := read_locks(s, "spec", obj.problems))), None
        )
    if created is None or resumed is None or (kind == "Workflow" and resumed - created < _LEAST):
        return None
    return Suspension(max(0.0, resumed - created), by)


def _conditions(obj: KubeObject) -> dict[tuple[str, str], float]:
    """Since when each condition has been what it is, by type and status."""
    found: dict[tuple[str, str], float] = {}
    for raw in sequence(obj.status.get("conditions"), "conditions", obj.problems):
        row = mapping(raw, "conditions[]", obj.problems)
        at = timestamp(row.get("lastTransitionTime"))
        if at is not None:
            found[str(row.get("type")), str(row.get("status"))] = at
    return found
