"""Snippets that configure retries, as documented by each engine.

https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html
https://docs.dagster.io/guides/build/ops/op-retries
https://docs.seqera.io/nextflow/reference/process/directives/max-retries
https://docs.prefect.io/v3/how-to-guides/workflows/retries
https://docs.gitlab.com/ci/yaml/#retry
https://www.kubeflow.org/docs/components/spark-operator/user-guide/working-with-sparkapplication/
https://github.com/flyteorg/flyte/pull/5128 (which errors Flyte retries)
https://plugins.jenkins.io/kubernetes/
"""

from __future__ import annotations

from collections.abc import Callable

_PAUSE = 30  # seconds before the first retry
_GITLAB_MAX = 2  # the maximum that GitLab accepts


def _airflow(step: str, limit: int) -> str:
    return (
        f"from datetime import timedelta\n\n# task {step.removesuffix('.pod')}\n"
        f"retries={limit}, retry_delay=timedelta(seconds={_PAUSE}), retry_exponential_backoff=True,"
    )


def _dagster(step: str, limit: int) -> str:
    policy = f"RetryPolicy(max_retries={limit}, delay={_PAUSE}, backoff=dg.Backoff.EXPONENTIAL)"
    return f"import dagster as dg\n\n# op {step}\n@dg.op(retry_policy=dg.{policy})"


def _nextflow(step: str, limit: int) -> str:
    return (
        "// nextflow.config\nprocess {\n"
        f"  withName: '{step}' {{\n    errorStrategy = 'retry'\n    maxRetries = {limit}\n  }}\n}}"
    )


def _prefect(step: str, limit: int) -> str:
    return f"# the flow\n@flow(retries={limit}, retry_delay_seconds={_PAUSE})"


def _flyte(step: str, limit: int) -> str:
    return f"# task {step}; it must raise FlyteRecoverableException for what is worth a retry\n@task(retries={limit})"


def _gitlab(step: str, limit: int) -> str:
    return f"# .gitlab-ci.yml\n{step}:\n  retry:\n    max: {min(limit, _GITLAB_MAX)}"


def _pipelines(step: str, limit: int) -> str:
    return f'# task {step}\n.set_retry(num_retries={limit}, backoff_duration="{_PAUSE}s", backoff_factor=2)'


def _spark(step: str, limit: int) -> str:
    return (
        "# SparkApplication\nspec:\n  restartPolicy:\n    type: OnFailure\n"
        f"    onFailureRetries: {limit}\n    onFailureRetryInterval: {_PAUSE}"
    )


def _jenkins(step: str, limit: int) -> str:
    # Jenkins counts attempts, not retries.
    conditions = "conditions: [kubernetesAgent(), nonresumable()]"
    return (
        "// inside podTemplate: agents that were lost get a new pod, steps that fail do not\n"
        f"retry(count: {limit + 1}, {conditions}) {{\n  node(POD_LABEL) {{\n    // stages as before\n  }}\n}}"
    )


RETRIES: dict[str, Callable[[str, int], str]] = {
    "airflow": _airflow,
    "dagster": _dagster,
    "nextflow": _nextflow,
    "prefect": _prefect,
    "flyte": _flyte,
    "gitlab": _gitlab,
    "kubeflow-pipelines": _pipelines,
    "spark": _spark,
    "jenkins": _jenkins,
}
"""By preset: returns the snippet for a step and a number of retries. Engines without a documented setting are
missing."""
