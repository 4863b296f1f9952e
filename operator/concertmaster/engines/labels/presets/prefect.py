"""Prefect: flow runs of a Kubernetes work pool.

The worker labels the Job of a flow run, and its pod, with ``prefect.io/flow-run-id``, ``prefect.io/flow-name`` and, for
a deployment, ``prefect.io/deployment-name``. Tasks run inside that pod, so a run has one step.

https://docs.prefect.io/integrations/prefect-kubernetes
https://github.com/PrefectHQ/prefect/blob/main/src/prefect/workers/base.py
https://docs.prefect.io/v3/how-to-guides/workflows/retries
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import PAUSE, Preset, value

DEPLOYMENT = "prefect.io/deployment-name"


def _deployment(fact: PodFact, keys: PodLabels) -> str | None:
    flow, deployment = value(fact, keys.workflow), value(fact, DEPLOYMENT)
    return f"{flow}.{deployment}" if flow and deployment else flow


def remedies(sizes: Sizes) -> str | None:
    """Job variables of a deployment."""
    blocks = []
    for values in sizes.values():
        lines = [
            f"    {resource.replace('-', '_')}_{section.removesuffix('s')}: {amount}"
            for section, amounts in snippets.sections(values, snippets.NODE).items()
            for resource, amount in amounts.items()
        ]
        head = "# prefect.yaml, below the deployment; the pool's base job template must put them into resources"
        blocks.append([head, "work_pool:", "  job_variables:", *lines])
    return snippets.joined(blocks)


PREFECT = Preset(
    title="Prefect",
    keys=PodLabels("prefect.io/flow-name", "prefect.io/flow-run-id", preset="prefect"),
    more=(DEPLOYMENT,),
    of_workflow=_deployment,
    of_step=lambda fact, keys: "flow",
    written=remedies,
    retries=lambda step, limit: f"# the flow\n@flow(retries={limit}, retry_delay_seconds={PAUSE})",
    main=frozenset({"prefect-job"}),
)
