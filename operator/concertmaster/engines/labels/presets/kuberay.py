"""RayJobs of KubeRay: each runs on a RayCluster created for it.

Pods of the RayCluster have ``ray.io/group`` (``headgroup``, or the name of a group of workers),
``ray.io/originated-from-crd`` (``RayJob``) and ``ray.io/originated-from-cr-name``, the name of the RayJob (since KubeRay
1.2). The submitter is a pod of the Job that is named like the RayJob; its labels are only those of Jobs, its container
is called ``ray-job-submitter`` unless the RayJob has a template for it.

https://docs.ray.io/en/latest/cluster/kubernetes/getting-started/rayjob-quick-start.html
https://github.com/ray-project/kuberay/blob/master/ray-operator/controllers/ray/utils/constant.go
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels, StepSpec
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.labels.preset import ALONE, Preset, base, value
from concertmaster.engines.rayjob.pods import LABELS, group_of, origin
from concertmaster.engines.rayjob.traits import HEAD, SUBMITTER
from concertmaster.engines.rayjob.traits import remedies as of_rayjob

_GROUP, _NAME, _KIND = LABELS
_SUBMITTING = "ray-job-submitter"


def _submits(fact: PodFact) -> bool:
    return fact.owner_kind == "Job" and any(c.name == _SUBMITTING for c in fact.containers)


def _run(fact: PodFact, keys: PodLabels) -> str | None:
    return fact.owner_name if _submits(fact) else origin(fact)


def _workflow(fact: PodFact, keys: PodLabels) -> str | None:
    run = _run(fact, keys)
    return base(run) if run else None


def _step(fact: PodFact, keys: PodLabels) -> str | None:
    return SUBMITTER if _submits(fact) else group_of(value(fact, keys.step) or "")


def remedies(sizes: Sizes) -> str | None:
    """Parts of the RayJob's spec. Where no other pod ran, the head did the work."""
    return of_rayjob({(HEAD if step == ALONE else step, container): v for (step, container), v in sizes.items()})


KUBERAY = Preset(
    title="KubeRay",
    keys=PodLabels(_NAME, _NAME, _GROUP, preset="kuberay"),
    more=(_KIND,),
    infers=False,
    of_workflow=_workflow,
    of_run=_run,
    of_step=_step,
    daemons=(StepSpec(HEAD, daemon=True, conditional=True),),
    written=remedies,
)
