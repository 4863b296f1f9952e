"""RayJobs of KubeRay: each runs on a RayCluster created for it, or on several, one after the other, if it is retried.

Pods of a RayCluster have ``ray.io/group`` (``headgroup``, or the name of a group of workers) and ``ray.io/cluster``, the
name of the RayCluster, which is that of the RayJob with five generated characters. Those of a RayService have
``ray.io/serve`` as well. The submitter is a pod of the Job that is named like the RayJob; its labels are only those of
Jobs, its container is called ``ray-job-submitter`` unless the RayJob has a template for it.

https://docs.ray.io/en/latest/cluster/kubernetes/getting-started/rayjob-quick-start.html
https://github.com/ray-project/kuberay/blob/v1.6.0/ray-operator/controllers/ray/common/pod.go
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.engines.labels.preset import Preset, base, value
from concertmaster.engines.rayjob.pods import CLUSTER, GROUP, SERVES, UNDECLARED, cluster_of, group_of, run_of
from concertmaster.engines.rayjob.traits import SUBMITTER, SUBMITTING, remedies


def _submits(fact: PodFact) -> bool:
    return fact.owner_kind == "Job" and any(c.name == SUBMITTING for c in fact.containers)


def _run(fact: PodFact, keys: PodLabels) -> str | None:
    return fact.owner_name if _submits(fact) else run_of(value(fact, keys.run), fact)


def _workflow(fact: PodFact, keys: PodLabels) -> str | None:
    run = _run(fact, keys)
    return base(run) if run else None


def _step(fact: PodFact, keys: PodLabels) -> str | None:
    return SUBMITTER if _submits(fact) else group_of(value(fact, keys.step) or "")


KUBERAY = Preset(
    title="KubeRay",
    keys=PodLabels(CLUSTER, CLUSTER, GROUP, preset="kuberay"),
    more=(SERVES,),
    infers=False,
    of_workflow=_workflow,
    of_run=_run,
    of_step=_step,
    try_of=cluster_of,
    known_steps=UNDECLARED,
    written=remedies,
)
