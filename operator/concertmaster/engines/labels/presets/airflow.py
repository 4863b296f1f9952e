"""Airflow: KubernetesExecutor and KubernetesPodOperator.

Both label their pods with ``dag_id``, ``task_id``, ``run_id``, ``try_number`` (from 1) and, for mapped tasks,
``map_index``; invalid label values are shortened and hashed (``make_safe_label_value``). A worker of the executor also
has ``kubernetes_executor=True``, a pod started by an operator ``kubernetes_pod_operator=True``.

https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/kubernetes_executor.html
https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html
https://airflow.apache.org/docs/apache-airflow/stable/faq.html (max_active_tasks)
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.common import snippets
from concertmaster.engines.labels.preset import PAUSE, Preset, value

OPERATOR = "kubernetes_pod_operator"
_BASE = "base"  # the container of the work
_SIDECAR, _SIDECAR_EXTRA = "airflow-xcom-sidecar", "xcom_sidecar_container_resources"
_OF_OPERATOR = ".pod"  # suffix of the operator's pod, whose worker waits with the same labels: two steps


def _step(fact: PodFact, keys: PodLabels) -> str | None:
    task = value(fact, keys.step)
    return f"{task}{_OF_OPERATOR}" if task and value(fact, OPERATOR) else task


def _container(name: str, values: Mapping[str, str]) -> str:
    resources = f", resources=k8s.V1ResourceRequirements({snippets.arguments(values)})" if values else ""
    return f'    k8s.V1Container(name="{name}"{resources}),'


def remedies(sizes: Sizes) -> str | None:
    """``executor_config`` of a task, or ``container_resources`` of its KubernetesPodOperator.

    Airflow merges the containers of two pods by their place, the first of which is the work: it is named in every list.
    """
    by_step: dict[str, dict[str, Mapping[str, str]]] = {}
    for (step, container), values in sizes.items():
        by_step.setdefault(step, {})[container] = values
    blocks = []
    for step, containers in by_step.items():
        task, started = step.removesuffix(_OF_OPERATOR), step.endswith(_OF_OPERATOR)
        lines = [f"# task {task}: {'KubernetesPodOperator(' if started else 'KubernetesExecutor'}"]
        if (sidecar := containers.pop(_SIDECAR, None)) is not None:
            written = json.dumps(snippets.sections(sidecar))
            lines.insert(0, f"# in the extra of the Kubernetes connection: {_SIDECAR_EXTRA}={written}")
        if started and (base := containers.pop(_BASE, None)) is not None:
            lines.append(f"container_resources=k8s.V1ResourceRequirements({snippets.arguments(base)}),")
        if containers:
            names = dict.fromkeys((_BASE, *containers))
            opens = "full_pod_spec=k8s.V1Pod(" if started else 'executor_config={"pod_override": k8s.V1Pod('
            lines += [
                *(["# in the order of the pod's template"] if len(names) > 1 else []),
                f"{opens}spec=k8s.V1PodSpec(containers=[",
                *(_container(name, containers.get(name, {})) for name in names),
                "]))," if started else "]))},",
            ]
        blocks.append(lines)
    return snippets.joined([["from kubernetes.client import models as k8s", ""], *blocks])


def retries(step: str, limit: int) -> str:
    return (
        f"from datetime import timedelta\n\n# task {step.removesuffix(_OF_OPERATOR)}\n"
        f"retries={limit}, retry_delay=timedelta(seconds={PAUSE}), retry_exponential_backoff=True,"
    )


AIRFLOW = Preset(
    title="Airflow",
    keys=PodLabels("dag_id", "run_id", "task_id", "try_number", "map_index", preset="airflow"),
    more=(OPERATOR,),
    first=1,
    beside=frozenset({_SIDECAR}),
    of_step=_step,
    work_suffix=_OF_OPERATOR,
    written=remedies,
    retries=retries,
    concurrency=lambda workflow, limit: f"# DAG {workflow}\nmax_active_tasks={limit},",
)
