"""How long a run was suspended before its pods could be created: by Kueue, by ``spec.suspend`` or by a lock.

Kueue keeps a Workload for each run it admits, whose conditions give the time of the quota reservation and the number of
evictions. Without permission to read Workloads, the status of a Job or JobSet still gives the time it was resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import ObjectKind, RunRecord, SuspendedRun, Suspension
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.engines.argo.config_maps import read_locks
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text, timestamp, whole
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.live import one_line

WORKLOAD = ObjectKind("kueue.x-k8s.io/v1", "Workload", "workloads")
WORKLOAD_VERSIONS = ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1")
_OWNER_LABEL = "kueue.x-k8s.io/job-uid"
# The v1beta1 API misspells the field.
_PAST = ("accumulatedPastExecutionTimeSeconds", "accumulatedPastExexcutionTimeSeconds")
_PENDING = "PipelineRunPending"
_MIN_SUSPENSION = 5.0  # seconds between creation and start of a run; shorter delays are normal controller latency

Raw = Mapping[str, Any]


def queued(raw: Raw) -> str | None:
    """Label selector of the Workloads of a run queued in Kueue; None for all other runs."""
    meta = KubeObject.of(raw).meta
    labels = meta.get("labels")
    uid = meta.get("uid")
    if not isinstance(labels, Mapping) or not labels.get(QUEUE_LABEL) or not isinstance(uid, str):
        return None
    return f"{_OWNER_LABEL}={uid}"


def with_suspension(record: RunRecord, raw: Raw, workloads: Sequence[Raw]) -> RunRecord:
    """``record`` with the time the run ``raw`` was suspended, from its Workloads, else from its own conditions."""
    suspensions = [s for s in map(_of_workload, workloads) if s is not None]
    own = max(suspensions, key=lambda s: s.seconds, default=None) or _of_run(
        record, KubeObject.of(raw), raw.get("kind")
    )
    return record if own is None else replace(record, suspension=own)


def suspended_run(raw: Raw, pods_by: str | None = None) -> SuspendedRun | None:
    """A run as its object says that it is suspended; None if it is not, or was not created at a known time. ``pods_by``: the
    LocalQueue that admits the pods of such runs one by one: then it waits, too, as long as none of them is said to run."""
    obj = KubeObject.of(raw)
    created, kind = timestamp(obj.meta.get("creationTimestamp")), str(raw.get("kind"))
    held = obj.spec.get("suspend") is True or (kind == "PipelineRun" and obj.spec.get("status") == _PENDING)
    if created is None or not (held or (pods_by is not None and not _at_work(obj))):
        return None
    queue = mapping(obj.meta.get("labels"), "metadata.labels", obj.problems).get(QUEUE_LABEL)
    return SuspendedRun(kind, obj.name, created, pods_by or text(queue, QUEUE_LABEL, obj.problems))


def _at_work(obj: KubeObject) -> bool:
    """Whether a Workflow says that a pod of it has been admitted. The status of a PipelineRun does not tell."""
    nodes = mapping(obj.status.get("nodes"), "status.nodes", obj.problems).values()
    rows = (mapping(node, "status.nodes.*", obj.problems) for node in nodes)
    return any(row.get("type") == "Pod" and row.get("phase") not in (None, "", "Pending") for row in rows)


def why_not_admitted(workload: Raw) -> str | None:
    """Kueue's reason why a Workload has no quota; None if it has, or none is known."""
    obj = KubeObject.of(workload)
    for raw in sequence(obj.status.get("conditions"), "conditions", obj.problems):
        row = mapping(raw, "conditions[]", obj.problems)
        if row.get("type") == "QuotaReserved" and row.get("status") == "False":
            return one_line(row.get("message"))
    return None


def _of_workload(raw: Raw) -> Suspension | None:
    """From the creation of the Workload to its last admission, without the time it was admitted before."""
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
    return Suspension(max(0.0, at - created - past), f"ClusterQueue {queue}" if queue else None, evicted, at)


def _of_run(record: RunRecord, obj: KubeObject, kind: object) -> Suspension | None:
    """From creation to the last resumption, if the object reports a suspension. A Workflow begins its first step once it
    holds its workflow-level locks, is not suspended, and the controller's limit on parallel workflows admits it: its own
    start may be before that, and is set anew by a retry. A PipelineRun starts once it is not pending any more."""
    created, resumed = timestamp(obj.meta.get("creationTimestamp")), _conditions(obj).get(("Suspended", "False"))
    by = None
    if kind == "Workflow":
        begun = min((e.created for e in record.steps if e.created is not None), default=None)
        resumed = begun if begun is not None else timestamp(obj.status.get("startedAt"))
        stored = mapping(obj.status.get("storedWorkflowTemplateSpec"), "storedWorkflowTemplateSpec", obj.problems)
        found = (read_locks(spec, "spec", obj.problems, obj.namespace) for spec in (obj.spec, stored))
        by = next((", ".join(locks) for locks in found if locks), None)
    if kind == "PipelineRun":
        resumed = timestamp(obj.status.get("startTime"))
    if created is None or resumed is None:
        return None
    if kind in ("Workflow", "PipelineRun") and resumed - created < _MIN_SUSPENSION:
        return None
    return Suspension(max(0.0, resumed - created), by, until=resumed)


def _conditions(obj: KubeObject) -> dict[tuple[str, str], float]:
    """Time of the last transition of each condition, by type and status."""
    since: dict[tuple[str, str], float] = {}
    for raw in sequence(obj.status.get("conditions"), "conditions", obj.problems):
        row = mapping(raw, "conditions[]", obj.problems)
        at = timestamp(row.get("lastTransitionTime"))
        if at is not None:
            since[str(row.get("type")), str(row.get("status"))] = at
    return since
