"""Airflow: KubernetesExecutor and KubernetesPodOperator.

Both label their pods with ``dag_id``, ``task_id``, ``run_id``, ``try_number`` (from 1) and, for mapped tasks,
``map_index``; invalid label values are shortened and hashed (``make_safe_label_value``). A worker of the executor also
has ``kubernetes_executor=True``, a pod started by an operator ``kubernetes_pod_operator=True``.

https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/kubernetes_executor.html
https://airflow.apache.org/docs/apache-airflow-providers-cncf-kubernetes/stable/operators.html
"""

from __future__ import annotations

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.engines import Sizes
from concertmaster.engines.labels import snippets
from concertmaster.engines.labels.preset import Preset, value

OPERATOR = "kubernetes_pod_operator"
_OF_OPERATOR = ".pod"  # suffix of the operator's pod, whose worker waits with the same labels: two steps


def _step(fact: PodFact, keys: PodLabels) -> str | None:
    task = value(fact, keys.step)
    return f"{task}{_OF_OPERATOR}" if task and value(fact, OPERATOR) else task


def remedies(sizes: Sizes) -> str | None:
    """``executor_config`` of a task, or ``container_resources`` of its KubernetesPodOperator."""
    blocks = []
    for (step, container), values in sizes.items():
        task = step.removesuffix(_OF_OPERATOR)
        resources = f"k8s.V1ResourceRequirements({snippets.arguments(values)})"
        if step != task and container == "base":
            lines = [f"# task {task}: KubernetesPodOperator(", f"container_resources={resources},"]
        else:
            where = "full_pod_spec of the KubernetesPodOperator" if step != task else "KubernetesExecutor"
            lines = [
                f"# task {task}: {where}",
                'executor_config={"pod_override": k8s.V1Pod(spec=k8s.V1PodSpec(containers=[',
                f'    k8s.V1Container(name="{container}", resources={resources}),',
                "]))},",
            ]
            if step != task:
                lines[1] = "full_pod_spec=k8s.V1Pod(spec=k8s.V1PodSpec(containers=["
                lines[3] = "])),"
        blocks.append(lines)
    return snippets.joined(
        [["from kubernetes.client import models as k8s", ""], *blocks] if blocks else [],
    )


AIRFLOW = Preset(
    name="airflow",
    title="Airflow",
    keys=PodLabels("dag_id", "run_id", "task_id", "try_number", "map_index", preset="airflow"),
    more=(OPERATOR,),
    first=1,
    beside=frozenset({"airflow-xcom-sidecar"}),
    of_step=_step,
    remedies=remedies,
)
