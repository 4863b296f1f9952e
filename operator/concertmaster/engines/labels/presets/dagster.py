"""Dagster: K8sRunLauncher, and steps of ``k8s_job_executor``.

Pods of both have ``dagster/job`` and ``dagster/run-id``; step pods also ``dagster/op``. The run worker runs as long as
the run: beside its steps if these have pods of their own, otherwise as the only step.

https://docs.dagster.io/deployment/oss/deployment-options/kubernetes/customizing-your-deployment
https://github.com/dagster-io/dagster/blob/master/python_modules/libraries/dagster-k8s/dagster_k8s/executor.py
https://docs.dagster.io/guides/build/ops/op-retries
https://docs.dagster.io/guides/operate/managing-concurrency/run-executor-limits
"""

from __future__ import annotations

import json

from concertmaster.core.model import PodFact, PodLabels, StepSpec
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.common.ordering import ALONE
from concertmaster.engines.labels.preset import PAUSE, Preset, value

WORKER = "run-worker"


def _step(fact: PodFact, keys: PodLabels) -> str | None:
    return value(fact, keys.step) or WORKER


def remedies(sizes: Sizes) -> str | None:
    """``dagster-k8s/config`` tags of an op, or of the job for its run worker."""
    blocks = []
    for (step, _), values in sizes.items():
        tags = {"dagster-k8s/config": {"container_config": {"resources": snippets.sections(values)}}}
        worker = step in (WORKER, ALONE)
        head = "# run worker: tags of the job" if worker else f"# op {step}: its op_tags, or @op"
        blocks.append([head, f"{'@job' if worker else '@op'}(tags={json.dumps(tags)})"])
    return snippets.joined(blocks)


def retries(step: str, limit: int) -> str:
    policy = f"RetryPolicy(max_retries={limit}, delay={PAUSE}, backoff=dg.Backoff.EXPONENTIAL)"
    return f"import dagster as dg\n\n# op {step}\n@dg.op(retry_policy=dg.{policy})"


def concurrency(workflow: str, limit: int) -> str:
    return (
        f"from dagster_k8s import k8s_job_executor\n\n# job {workflow}\n"
        f'executor_def=k8s_job_executor.configured({{"max_concurrent": {limit}}}),'
    )


DAGSTER = Preset(
    title="Dagster",
    keys=PodLabels("dagster/job", "dagster/run-id", "dagster/op", preset="dagster"),
    of_step=_step,
    known_steps=(StepSpec(WORKER, daemon=True, conditional=True, creates=True),),
    written=remedies,
    retries=retries,
    concurrency=concurrency,
    main=frozenset({"dagster"}),
)
