"""Limits on the pods of a run of label engines: the recommendation says what to write where the workflow is defined."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import yaml

from concertmaster.core.model import Recommendation
from concertmaster.engines.labels.definition import TRAITS, define
from concertmaster.engines.labels.presets import ALL, BY_NAME
from tests.support.core.scenario_builder import Pod, Scenario, argo, noise, scenario, task

CONCURRENCY = {p.name: p.concurrency for p in ALL if p.concurrency("a", 3) is not None}


def written(preset: str, workflow: str, limit: int) -> str:
    return CONCURRENCY[preset](workflow, limit) or ""


class Labelled(Scenario):
    """A scenario of a workflow that is known by the labels of its pods."""

    preset = "airflow"
    steps: tuple[str, ...] = ("search",)

    @property
    def definition(self) -> Any:
        labels = {"preset": self.preset, "value": "nightly", "steps": [{"name": name} for name in self.steps]}
        meta = {"name": "airflow-nightly-4f1c2d3e", "namespace": "demo"}
        return define({"kind": "WorkflowProfile", "metadata": meta, "spec": {"podLabels": labels}})


def crowded(preset: str) -> list[Recommendation]:
    """Eight pods, of which the nodes hold two at a time."""
    of = argo(task("search", withItems=list("abcdefgh")))
    value = noise()
    made = scenario(of, 12, lambda _: {"search": [Pod(value(100), wait=1.0 + 115.0 * (i // 2)) for i in range(8)]})
    kind = type("Of", (Labelled,), {"preset": preset})
    found: list[Recommendation] = kind(made.manifest, made.runs).recommended("parallelism")
    return found


def test_tasks_that_are_ready_at_once_get_one_too() -> None:
    """Eight tasks without an order, each of one pod."""
    names = [f"search-{letter}" for letter in "abcdefgh"]
    value = noise()
    made = scenario(argo(*map(task, names)), 12, lambda _: {
        name: Pod(value(100), wait=1.0 + 115.0 * (i // 2)) for i, name in enumerate(names)
    })  # fmt: skip
    kind = type("Of", (Labelled,), {"steps": tuple(names)})
    (item,) = kind(made.manifest, made.runs).recommended("parallelism")
    assert item.proposed == "2 pods at a time"
    assert item.snippet == "# DAG nightly\nmax_active_tasks=2,"


@pytest.mark.parametrize("preset", sorted(CONCURRENCY))
def test_pods_that_wait_for_nodes_get_a_limit_in_the_words_of_the_engine(preset: str) -> None:
    (item,) = crowded(preset)
    assert item.proposed == "2 pods at a time"
    assert item.edits == ()
    assert not item.automatic
    assert item.snippet == TRAITS[preset].concurrency("nightly", 2)
    assert str(1 if preset == "spark" else 2) in (item.snippet or "")  # its driver is one of them


def test_engines_without_such_a_setting_get_none() -> None:
    assert len(CONCURRENCY) == 6
    for preset in sorted(set(BY_NAME) - set(CONCURRENCY)):
        assert crowded(preset) == [], preset


def test_yaml_is_yaml_and_python_is_python() -> None:
    assert yaml.safe_load(written("spark", "a", 4))["spec"]["dynamicAllocation"]["maxExecutors"] == 3
    for preset, around in (("airflow", "DAG({})"), ("dagster", "dict({})"), ("flyte", "{}")):
        head, _, arguments = written(preset, "a", 4).rpartition("# ")
        ast.parse(head)
        ast.parse(around.format(arguments.partition("\n")[2]))
    ast.parse(written("kubeflow-pipelines", "a", 4) + "\n    pass")
    assert "queueSize = 4" in written("nextflow", "a", 4)
