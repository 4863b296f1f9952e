"""Flyte: pods of FlytePropeller.

All pods have ``workflow-name`` (with dashes for slashes and dots), ``execution-id``, ``node-id`` and ``task-name``. The
main container is named after its pod, whose name ends in the attempt number.

https://docs-legacy.flyte.org/en/latest/concepts/executions.html
https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/controller/nodes/node_exec_context.go
https://github.com/flyteorg/flyte/pull/5128 (which errors Flyte retries)
https://github.com/flyteorg/flytekit/releases/tag/v0.20.0 (max_parallelism of a launch plan)
"""

from __future__ import annotations

from concertmaster.core.model import PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import MAIN, Preset


def _resources(amounts: dict[str, str]) -> str:
    names = {"cpu": "cpu", "memory": "mem", "ephemeral-storage": "ephemeral_storage"}
    return f"Resources({', '.join(f'{names[r]}={amount!r}' for r, amount in amounts.items())})".replace("'", '"')


def remedies(sizes: Sizes) -> str | None:
    """``requests`` and ``limits`` of a task, or overrides of its node."""
    blocks = []
    for (step, _), values in sizes.items():
        given = ", ".join(
            f"{section}={_resources(a)}" for section, a in snippets.sections(values, snippets.NODE).items()
        )
        blocks.append([f"# node {step}; or .with_overrides({given}) where it is called", f"@task({given})"])
    return snippets.joined(blocks)


def retries(step: str, limit: int) -> str:
    return f"# task {step}; it must raise FlyteRecoverableException for what is worth a retry\n@task(retries={limit})"


def concurrency(workflow: str, limit: int) -> str:
    return f'# workflow {workflow}\nLaunchPlan.get_or_create(workflow=wf, name="limited", max_parallelism={limit})'


FLYTE = Preset(
    title="Flyte",
    keys=PodLabels("workflow-name", "execution-id", "node-id", preset="flyte"),
    written=remedies,
    retries=retries,
    concurrency=concurrency,
    main=frozenset({MAIN, "primary"}),
)
