"""Nextflow with the Kubernetes executor.

Pods have ``nextflow.io/runName``, ``nextflow.io/processName``, ``nextflow.io/taskName`` and ``nextflow.io/app``, but no
name of the pipeline: all runs of a namespace form one workflow unless a label names the pipeline
(``process.resourceLabels = [pipeline: 'rnaseq']`` and ``workflow: pipeline`` next to the preset). The container is
named after its pod.

https://www.nextflow.io/docs/latest/kubernetes.html
https://github.com/nextflow-io/nextflow/blob/master/plugins/nf-k8s/src/main/nextflow/k8s/K8sTaskHandler.groovy
https://docs.seqera.io/nextflow/reference/process/directives/max-retries
https://docs.seqera.io/nextflow/reference/process/directives/max-forks (executor.queueSize)
"""

from __future__ import annotations

from concertmaster.core.model import PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import MAIN, Preset


def remedies(sizes: Sizes) -> str | None:
    """``withName`` blocks for ``nextflow.config``: memory is both request and limit, CPUs are integers."""
    blocks = []
    for (step, _), values in sizes.items():
        cpu = values.get("requests.cpu") or values.get("limits.cpu")
        memory = values.get("limits.memory") or values.get("requests.memory")
        lines = [f"    cpus = {snippets.whole_cores(cpu)}"] if cpu else []
        lines += [f"    memory = '{snippets.mebibytes(memory)} MB'"] if memory else []
        blocks.append([f"  withName: '{step}' {{", *lines, "  }"])
    return snippets.joined([["// nextflow.config", "process {"], *blocks, ["}"]])


def retries(step: str, limit: int) -> str:
    return (
        "// nextflow.config\nprocess {\n"
        f"  withName: '{step}' {{\n    errorStrategy = 'retry'\n    maxRetries = {limit}\n  }}\n}}"
    )


def concurrency(workflow: str, limit: int) -> str:
    return f"// nextflow.config; or maxForks of a process\nexecutor {{\n  queueSize = {limit}\n}}"


NEXTFLOW = Preset(
    title="Nextflow",
    keys=PodLabels(
        "nextflow.io/app",
        "nextflow.io/runName",
        "nextflow.io/processName",
        item="nextflow.io/taskName",
        preset="nextflow",
    ),
    written=remedies,
    retries=retries,
    concurrency=concurrency,
    main=frozenset({MAIN}),
    one_memory_size=True,
    comment="//",
)
