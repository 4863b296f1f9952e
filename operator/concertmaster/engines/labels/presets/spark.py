"""Spark on Kubernetes, with or without the Spark operator.

Driver and executors have ``spark-role``, ``spark-app-selector`` (unique per run of an application), ``spark-app-name``
(since Spark 3.2) and, for executors, ``spark-exec-id``. The operator adds ``sparkoperator.k8s.io/app-name``, the name
of the SparkApplication; a ScheduledSparkApplication appends the creation time to it.

https://spark.apache.org/docs/latest/running-on-kubernetes.html
https://www.kubeflow.org/docs/components/spark-operator/
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels, StepSpec
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.common.ordering import ALONE
from concertmaster.engines.labels.preset import PAUSE, Preset, base, value

APPLICATION = "sparkoperator.k8s.io/app-name"
EXECUTOR = "executor"  # value of spark-role
_OVERHEAD_FACTOR, _MIN_OVERHEAD = 1.1, 384  # memory overhead: factor, and minimum in MiB


def _application(fact: PodFact, keys: PodLabels) -> str | None:
    application = value(fact, APPLICATION) or value(fact, keys.workflow)
    return base(application) if application else None


def remedies(sizes: Sizes) -> str | None:
    """Driver and executor of a SparkApplication, and the same as Spark properties."""
    blocks, conf = [], []
    for (step, _), values in sizes.items():
        role, lines = EXECUTOR if step == ALONE else step, []  # alone: the driver is outside of the cluster
        if cpu := values.get("requests.cpu"):
            lines.append(f'    coreRequest: "{cpu}"')  # a whole number of cores would be no text
            conf.append(f"#   --conf spark.kubernetes.{role}.request.cores={cpu}")
        if cpu := values.get("limits.cpu"):
            lines.append(f'    coreLimit: "{cpu}"')
            conf.append(f"#   --conf spark.kubernetes.{role}.limit.cores={cpu}")
        if amount := values.get("requests.memory") or values.get("limits.memory"):
            total = snippets.mebibytes(amount)
            memory = max(1, min(int(total / _OVERHEAD_FACTOR), total - _MIN_OVERHEAD))
            lines += [f"    memory: {memory}m", f"    memoryOverhead: {total - memory}m"]
            conf += [
                f"#   --conf spark.{role}.memory={memory}m",
                f"#   --conf spark.{role}.memoryOverhead={total - memory}m",
            ]
        blocks.append([f"  {role}:", *lines])
    head = ["# SparkApplication", "spec:"]
    return snippets.joined([head, *blocks, ["# or, for spark-submit:", *conf]])


def retries(step: str, limit: int) -> str:
    return (
        "# SparkApplication\nspec:\n  restartPolicy:\n    type: OnFailure\n"
        f"    onFailureRetries: {limit}\n    onFailureRetryInterval: {PAUSE}"
    )


def concurrency(workflow: str, limit: int) -> str:
    most = max(1, limit - 1)  # the driver is a pod as well
    return (
        "# SparkApplication\nspec:\n  dynamicAllocation:\n    enabled: true\n"
        f"    maxExecutors: {most}\n# or, for spark-submit:\n#   --conf spark.dynamicAllocation.enabled=true\n"
        f"#   --conf spark.dynamicAllocation.shuffleTracking.enabled=true\n"
        f"#   --conf spark.dynamicAllocation.maxExecutors={most}"
    )


SPARK = Preset(
    title="Spark",
    keys=PodLabels("spark-app-name", "spark-app-selector", "spark-role", item="spark-exec-id", preset="spark"),
    more=(APPLICATION,),
    found_by="spark-app-selector",
    of_workflow=_application,
    written=remedies,
    retries=retries,
    concurrency=concurrency,
    main=frozenset({"spark-kubernetes-driver", "spark-kubernetes-executor"}),
    one_memory_size=True,
    # The driver replaces executors that fail, and deletes them when it ends: its end is that of the application.
    known_steps=(StepSpec(EXECUTOR, daemon=True, conditional=True, tolerated=EXECUTOR),),
)
