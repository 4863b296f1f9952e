"""Snippets that limit the parallel pods of a run, as documented by each engine.

https://airflow.apache.org/docs/apache-airflow/stable/faq.html (max_active_tasks)
https://docs.dagster.io/guides/operate/managing-concurrency/run-executor-limits
https://docs.seqera.io/nextflow/reference/process/directives/max-forks (executor.queueSize)
https://github.com/flyteorg/flytekit/releases/tag/v0.20.0 (max_parallelism of a launch plan)
https://kubeflow-pipelines.readthedocs.io (dsl.ParallelFor)
https://www.kubeflow.org/docs/components/spark-operator/ (dynamicAllocation)

Prefect, GitHub Actions and Jenkins start one pod per run, Volcano and Kubeflow Trainer start all pods of a run at once,
and GitLab limits runners instead of pipelines: none of them has such a setting.
"""

from __future__ import annotations

from collections.abc import Callable


def _airflow(workflow: str, limit: int) -> str:
    return f"# DAG {workflow}\nmax_active_tasks={limit},"


def _dagster(workflow: str, limit: int) -> str:
    return (
        f"from dagster_k8s import k8s_job_executor\n\n# job {workflow}\n"
        f'executor_def=k8s_job_executor.configured({{"max_concurrent": {limit}}}),'
    )


def _nextflow(workflow: str, limit: int) -> str:
    return f"// nextflow.config; or maxForks of a process\nexecutor {{\n  queueSize = {limit}\n}}"


def _flyte(workflow: str, limit: int) -> str:
    return f'# workflow {workflow}\nLaunchPlan.get_or_create(workflow=wf, name="limited", max_parallelism={limit})'


def _pipelines(workflow: str, limit: int) -> str:
    return f"# the loop of {workflow} whose pods wait\nwith dsl.ParallelFor(items=items, parallelism={limit}) as item:"


def _spark(workflow: str, limit: int) -> str:
    # The driver is a pod as well.
    most = max(1, limit - 1)
    return (
        "# SparkApplication\nspec:\n  dynamicAllocation:\n    enabled: true\n"
        f"    maxExecutors: {most}\n# or, for spark-submit:\n#   --conf spark.dynamicAllocation.enabled=true\n"
        f"#   --conf spark.dynamicAllocation.shuffleTracking.enabled=true\n"
        f"#   --conf spark.dynamicAllocation.maxExecutors={most}"
    )


CONCURRENCY: dict[str, Callable[[str, int], str]] = {
    "airflow": _airflow,
    "dagster": _dagster,
    "nextflow": _nextflow,
    "flyte": _flyte,
    "kubeflow-pipelines": _pipelines,
    "spark": _spark,
}
"""By preset: returns the snippet for a workflow and a number of pods. Engines without a documented setting are
missing."""
