"""What is said of each run, read live and joined with the metrics, and what its Workload says."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.queues.objects import NAMESPACE, Object
from benchmarks.queues.play import Play
from benchmarks.torture.truth import unix
from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.engines import assign, define, whole_run
from concertmaster.history import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import collect
from concertmaster.settings import MetricsSource
from testbed.services.prometheus import PrometheusServer

SLACK = 4.0  # seconds: two controllers, and the scrape that last saw a pod that was deleted
SCRAPE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """Seconds suspended and admitted, the ClusterQueue, evictions, and pods of one run."""

    suspended: float | None
    seconds: float | None
    queue: str | None
    evictions: int
    pods: int

    def like(self, other: Facts) -> bool:
        """Whether both say the same, times within ``SLACK``."""
        pairs = ((self.suspended, other.suspended), (self.seconds, other.seconds))
        close = all(a is b if a is None or b is None else abs(a - b) <= SLACK for a, b in pairs)
        return close and (self.queue, self.evictions, self.pods) == (other.queue, other.evictions, other.pods)


def truth(play: Play, job: Object) -> Facts:
    """By the conditions of the Job's Workload, as they were seen to change, and the pods that were seen."""
    uid = job["metadata"]["uid"]
    pods = sum(
        p["metadata"].get("labels", {}).get("batch.kubernetes.io/controller-uid") == uid for p in play.pods.values()
    )
    name, workload = next(
        (n, w) for n, w in play.workloads.items() if w["metadata"]["labels"]["kueue.x-k8s.io/job-uid"] == uid
    )
    moments = sorted(play.admitted.get(name, {}).items())
    created = unix(workload["metadata"]["creationTimestamp"])
    finished = unix(job["status"].get("completionTime"))
    if not moments or created is None or finished is None:
        return Facts(None, None, None, 0, pods)
    ran = sum(later - at for (at, admitted), (later, _) in pairwise([*moments, (finished, False)]) if admitted)
    queue = workload["status"]["admission"]["clusterQueue"]
    return Facts(
        finished - created - ran, ran, f"ClusterQueue {queue}", sum(not admitted for _, admitted in moments), pods
    )


def said(
    play: Play, prometheus: PrometheusServer, cronjobs: dict[str, Object], *, workloads: bool
) -> dict[str, list[Facts]]:
    """By Job, one for each run of its name. ``workloads``: with the right to read Workloads."""
    definitions = [d for d in map(define, cronjobs.values()) if d is not None]
    source = {"name": "default", "url": prometheus.url, "scrapeInterval": f"{SCRAPE_SECONDS}s"}
    client, until = PrometheusClient(MetricsSource.model_validate(source)), time.time()
    metrics = collect(
        client, namespaces=[NAMESPACE], since=play.begun - 60, until=until, now=until + client.source.delay_seconds
    )
    placed = assign(metrics.facts, definitions, job_owners=metrics.job_owners).executions
    found: dict[str, list[Facts]] = {name: [] for name in play.jobs}
    with Store(":memory:") as store:
        store.add(placed, records=[r for d in definitions for r in _live(play, d, workloads)])
        for definition in definitions:
            for run in store.runs(definition.key, definition=definition):
                found[run.run.partition("@")[0]].append(_facts(run))
    return found


def _live(play: Play, definition: WorkflowDefinition, workloads: bool) -> list[RunRecord]:
    """Records of the Jobs that have ended, read with what was left of their pods."""
    records = []
    for name, job in play.jobs.items():
        uid = job["metadata"]["uid"]
        if name.rpartition("-")[0] != definition.key.name or not job["status"].get("completionTime"):
            continue
        own = [w for w in play.workloads.values() if w["metadata"]["labels"]["kueue.x-k8s.io/job-uid"] == uid]
        pods = [
            p
            for p in play.pods.values()
            if p["status"].get("phase") == "Succeeded" and p["metadata"]["ownerReferences"][0]["uid"] == uid
        ]
        run = whole_run(job, definition, pods, own if workloads else ())
        if run is not None:
            records.append(run.record)
    return records


def _facts(run: RunRecord) -> Facts:
    held = run.suspension
    return Facts(
        held.seconds if held is not None else None,
        run.makespan,
        held.by if held is not None else None,
        held.evictions if held is not None else 0,
        len(run.steps),
    )
