"""What is to be pasted has the shape that the engines' own releases accept, and sets the container it is about."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import models as k8s

from concertmaster.engines.labels.presets import ALL, BY_NAME

SHAPES = yaml.safe_load((Path(__file__).parents[4] / "support" / "engines" / "remedy_shapes.yaml").read_text())
SIZES = {"requests.cpu": "2", "requests.memory": "1536Mi", "limits.memory": "2Gi", "requests.ephemeral-storage": "2Gi"}
SMALL = {"requests.cpu": "50m"}


def snippet(preset: str, sizes: Mapping[tuple[str, str], dict[str, str]]) -> str:
    text = BY_NAME[preset].remedies(sizes)
    assert text is not None
    return text


def calls(text: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def keywords(call: ast.Call) -> dict[str, Any]:
    return {str(k.arg): k.value for k in call.keywords}


def pasted(text: str) -> dict[str, Any]:
    """The arguments of an Airflow task, made with the client that Airflow uses."""
    arguments = "\n".join(line for line in text.splitlines() if not line.startswith("from "))
    found = eval(f"dict({arguments}\n)", {"k8s": k8s})
    assert isinstance(found, dict)
    return found


def merged(template: list[Any], client: list[Any]) -> list[Any]:
    """Containers as Airflow merges them: by place, the later one's fields over the earlier one's."""
    if not template or not client:
        return client or template
    first, other = template[0], client[0]
    fields = {name: getattr(other, name) or getattr(first, name) for name in ("name", "image", "resources")}
    return [k8s.V1Container(**fields), *merged(template[1:], client[1:])]


def asks(containers: list[Any]) -> dict[str, Any]:
    return {c.name: c.resources.requests["cpu"] if c.resources else None for c in containers}


def test_an_airflow_task_sets_the_container_it_names_and_no_other() -> None:
    found = pasted(snippet("airflow", {("load", "vault-agent"): SMALL}))
    (key,) = found["executor_config"]
    assert key == SHAPES["airflow"]["executor_config"]
    template = [k8s.V1Container(name="base", image="airflow"), k8s.V1Container(name="vault-agent", image="vault")]
    after = merged(template, found["executor_config"][key].spec.containers)
    assert asks(after) == {"base": None, "vault-agent": "50m"}


def test_an_airflow_task_sets_all_its_containers_at_once() -> None:
    found = pasted(snippet("airflow", {("load", "vault-agent"): SMALL, ("load", "base"): SIZES}))
    assert asks(found["executor_config"]["pod_override"].spec.containers) == {"base": "2", "vault-agent": "50m"}
    assert found["executor_config"]["pod_override"].spec.containers[0].resources.limits == {"memory": "2Gi"}


def test_an_airflow_pod_operator_takes_what_is_pasted() -> None:
    sizes = {("load.pod", "base"): SIZES, ("load.pod", "proxy"): SMALL, ("load.pod", "airflow-xcom-sidecar"): SMALL}
    text = snippet("airflow", sizes)
    found = pasted(text.replace("KubernetesPodOperator(", "KubernetesPodOperator"))
    assert set(found) <= set(SHAPES["airflow"]["operator"])
    assert found["container_resources"].requests["memory"] == "1536Mi"
    built = merged(found["full_pod_spec"].spec.containers, [k8s.V1Container(name="base", image="etl")])
    assert asks(built) == {"base": None, "proxy": "50m"}
    extra = next(line for line in text.splitlines() if "connection" in line)
    name, _, value = extra.rpartition(": ")[0].rpartition(" ")[2], "", extra.partition("=")[2]
    assert extra.partition("=")[0].rpartition(" ")[2] in SHAPES["airflow"]["connection"], name
    assert yaml.safe_load(value) == {"requests": {"cpu": "50m"}}


def test_a_flyte_task_takes_what_is_pasted() -> None:
    text = f"{snippet('flyte', {('n1', 'main'): SIZES})}\ndef train(): ..."
    task = next(call for call in calls(text) if isinstance(call.func, ast.Name) and call.func.id == "task")
    assert set(keywords(task)) == {"requests", "limits"} <= set(SHAPES["flyte"]["task"])
    assert set(keywords(task)) <= set(SHAPES["flyte"]["with_overrides"])
    for call in keywords(task).values():
        for name, value in keywords(call).items():
            assert type(ast.literal_eval(value)).__name__ in SHAPES["flyte"]["Resources"][name]


@pytest.mark.parametrize("cpu", ["2", "500m", "0.5"])
def test_a_spark_application_takes_what_is_pasted(cpu: str) -> None:
    sizes = {
        ("driver", "spark-kubernetes-driver"): {**SIZES, "requests.cpu": cpu, "limits.cpu": cpu},
        ("executor", "spark-kubernetes-executor"): {**SIZES, "requests.cpu": cpu},
    }
    spec = yaml.safe_load(snippet("spark", sizes))["spec"]
    assert set(spec) == {"driver", "executor"}
    for role in spec.values():
        assert {name: type(value).__name__ for name, value in role.items()}.items() <= SHAPES["spark"]["fields"].items()
        assert role["coreRequest"] == cpu
    alone = {("run", "spark-kubernetes-executor"): SIZES}  # executors of a driver outside of the cluster
    assert set(yaml.safe_load(snippet("spark", alone))["spec"]) == {"executor"}


def test_a_volcano_task_takes_what_is_pasted() -> None:
    (task,) = yaml.safe_load(snippet("volcano", {("worker", "tensorflow"): SIZES}))["spec"]["tasks"]
    assert set(task) <= set(SHAPES["volcano"]["task"])
    (container,) = task["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow"


@pytest.mark.parametrize("preset", [p for p in ALL if p.main is not None], ids=lambda p: p.name)
def test_the_size_of_a_container_beside_the_work_is_never_set_for_the_work(preset: Any) -> None:
    """Pasted for the work, the size of a small proxy would starve it."""
    text = preset.remedies({("driver", "istio-proxy"): SMALL})
    assert text == f"{preset.comment} step driver, container istio-proxy: set where that container is added to the pod"
    both = preset.remedies({("driver", "istio-proxy"): SMALL, ("driver", next(iter(preset.main))): SIZES})
    assert both.splitlines()[-1] == text
    assert "50m" not in both
