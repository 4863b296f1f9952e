"""Every preset reads the labels its engine documents, as pods of it were seen to carry them, and says what to paste."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.core.model import ContainerFact, Outcome, PodFact, WorkflowDefinition
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.core.units import DAY
from concertmaster.engines import ENGINES, assign, complete, define, infer_definitions
from concertmaster.engines.common.names import pod_label
from concertmaster.engines.label_keys import labels_in_use
from concertmaster.engines.labels.presets import ALL, BY_NAME, PLAIN
from concertmaster.engines.registry import OWNER_KINDS
from tests.support.builders import build_run

RECORDED = Path(__file__).parents[4] / "support" / "engines" / "pod_labels"
PAGE = (Path(__file__).parents[5] / "docs" / "engines" / "labels.md").read_text()
SIZES = {"requests.cpu": "500m", "requests.memory": "1536Mi", "limits.memory": "1536Mi"}
ROWS = [
    pytest.param(name, row, id=f"{name}-{row['pod'][-20:]}")
    for name in BY_NAME
    for row in yaml.safe_load((RECORDED / f"{name}.yaml").read_text())
]


def fact(row: dict[str, Any], *, exported: bool = True) -> PodFact:
    kind, owner = row.get("owner", (None, None))
    labels = {pod_label(k): v for k, v in row["labels"].items()} if exported else row["labels"]
    containers = tuple(ContainerFact(name, started=2.0) for name in row["containers"])
    return PodFact("ns", row["pod"], row["pod"], owner_kind=kind, owner_name=owner, labels=labels, created=0.0,
                   scheduled=1.0, started=2.0, finished=60.0, phase="Succeeded", containers=containers)  # fmt: skip


def profile(preset: str, value: str, **more: Any) -> WorkflowDefinition:
    definition = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": "it", "namespace": "ns"},
            "spec": {"podLabels": {"preset": preset, "value": value, **more}},
        }
    )
    assert definition is not None
    assert not definition.graph.problems
    return definition


@pytest.mark.parametrize("exported", [True, False], ids=["metrics", "live"])
@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_recorded_pod_is_in_its_place(name: str, row: dict[str, Any], exported: bool) -> None:
    expected, pod = row["is"], fact(row, exported=exported)
    preset = BY_NAME[name]
    if expected is None:
        assert preset.workflow(pod, preset.keys) is None
        return
    definition = profile(name, expected["workflow"])
    placed = assign([pod], [definition])
    ((run, (execution,)),) = placed.executions[definition.key].items()
    found = {"run": run, "step": execution.step, "item": execution.item, "attempt": execution.attempt}
    assert {**found, "workflow": expected["workflow"]} == {k: v for k, v in expected.items() if k != "containers"}
    assert [c.name for c in execution.containers] == expected.get("containers", sorted(row["containers"]))


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_labels_that_are_read_are_asked_for(name: str, row: dict[str, Any]) -> None:
    """With nothing but the labels the metrics source is asked for, a pod is placed the same."""
    if row["is"] is None:
        return
    definition = profile(name, row["is"]["workflow"])
    asked = labels_in_use([definition])
    owner = row.get("owner", (None, None))[0]
    assert owner in OWNER_KINDS or set(asked.run_keys) & row["labels"].keys(), "or its pods are not found"
    few = {k: v for k, v in row["labels"].items() if k in asked.keys}
    assert (
        assign([fact({**row, "labels": few})], [definition]).executions == assign([fact(row)], [definition]).executions
    )


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_workflows_nobody_declared_are_inferred_where_labels_alone_say_so(name: str, row: dict[str, Any]) -> None:
    preset, found = BY_NAME[name], infer_definitions([fact(row)])
    if row["is"] is None:
        assert not found
    elif preset.infers:
        assert [(d.key.kind, d.key.name) for d in found] == [(preset.title, row["is"]["workflow"])]
    else:
        assert all(d.key.kind != preset.title for d in found)


def test_a_run_worker_is_beside_its_steps_and_is_the_work_where_there_are_none() -> None:
    worker, step = (fact(r) for r in yaml.safe_load((RECORDED / "dagster.yaml").read_text()))
    definition = profile("dagster", "nightly_sales")
    for pods, steps in (([worker, step], {"run-worker", "load_orders"}), ([worker], {"run"})):
        ((name, rows),) = assign(pods, [definition]).executions[definition.key].items()
        run = build_run(definition.key, name, rows, definition)
        assert {e.step for e in run.steps} == steps
        assert run.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("steps", [(), ("run-worker", "load_orders")], ids=["inferred", "declared"])
def test_a_step_is_io_bound_although_the_run_worker_beside_it_uses_more_of_the_cpu(steps: tuple[str, ...]) -> None:
    """The run worker waits for the step, not the step for the run worker."""
    rows = yaml.safe_load((RECORDED / "dagster.yaml").read_text())
    definition = profile("dagster", "nightly_sales", **({"steps": [{"name": n} for n in steps]} if steps else {}))

    def pods(run: int) -> Iterator[PodFact]:
        for row, cores, begin, end in zip(rows, (0.06, 0.02), (0, 5), (300 + run % 3, 290 + run % 3), strict=True):
            of = fact({**row, "pod": f"{row['pod']}-{run}", "labels": {**row["labels"], "dagster/run-id": f"r{run}"}})
            at = run * DAY
            used = ContainerFact("dagster", started=at + begin, cpu_request=0.1, memory_request=1e9,
                                 cpu_seconds=cores * (end - begin), cpu_sampled_seconds=end - begin)  # fmt: skip
            times = {"created": at + begin, "scheduled": at + begin, "started": at + begin, "finished": at + end}
            yield replace(of, containers=(used,), **times)

    placed = assign([pod for run in range(1, 13) for pod in pods(run)], [definition]).executions[definition.key]
    runs = [build_run(definition.key, name, own, definition) for name, own in placed.items()]
    result = analyze_workflow(*complete(definition, runs), Policy(), profile="it", now=13 * DAY)
    assert [r.step for r in result.recommendations if r.rule == "io-bound"] == ["load_orders"]


def test_pods_that_labels_do_not_tell_apart_are_numbered() -> None:
    """Tasks of Nextflow carry no number of their attempt: a pod after a failed one is its retry."""
    (row,) = yaml.safe_load((RECORDED / "nextflow.yaml").read_text())
    first = fact(row)
    failed = PodFact(**{**{f: getattr(first, f) for f in PodFact.__slots__}, "phase": "Failed"})
    again = {"uid": "again", "pod": "nf-again", "created": 70.0, "scheduled": 71.0, "started": 72.0, "finished": 90.0}
    later = {**again, "containers": (ContainerFact("nf-again", started=72.0),)}
    second = PodFact(**{**{f: getattr(first, f) for f in PodFact.__slots__}, **later})
    definition = profile("nextflow", "nextflow")
    ((name, rows),) = assign([failed, second], [definition]).executions[definition.key].items()
    run = build_run(definition.key, name, rows, definition)
    assert [(e.attempt, e.outcome) for e in run.steps] == [(0, Outcome.FAILED), (1, Outcome.SUCCEEDED)]


def test_a_label_of_ones_own_overrides_that_of_a_preset() -> None:
    (row,) = yaml.safe_load((RECORDED / "nextflow.yaml").read_text())
    definition = profile("nextflow", "rnaseq", workflow="pipeline")
    placed = assign([fact({**row, "labels": {**row["labels"], "pipeline": "rnaseq"}}), fact(row)], [definition])
    assert placed.pods == 1


def test_a_pod_without_a_run_is_said() -> None:
    row = yaml.safe_load((RECORDED / "airflow.yaml").read_text())[0]
    definition = profile("airflow", "sales_pipeline")
    labels = {k: v for k, v in row["labels"].items() if k != "run_id"}
    placed = assign([fact({**row, "labels": labels})], [definition])
    assert placed.pods == 0
    assert placed.unplaced[definition.key] == {"its labels name a workflow, but no run": row["pod"]}


@pytest.mark.parametrize("preset", [*ALL, PLAIN], ids=lambda p: p.name)
def test_sizes_become_what_can_be_pasted(preset: Any) -> None:
    assert preset.remedies({}) is None
    work = sorted(preset.main or {"base"})[0]
    text = preset.remedies({("transform", work): SIZES, ("driver", work): {"limits.cpu": "2"}})
    assert text is not None
    assert "transform" in text or preset.name in ("prefect", "github-actions", "jenkins")
    words = {
        "airflow": 'k8s.V1Container(name="base", resources=k8s.V1ResourceRequirements(requests={"cpu": "500m"',
        "dagster": '@op(tags={"dagster-k8s/config": {"container_config": {"resources": {"requests": {"cpu": "500m"',
        "flyte": '@task(requests=Resources(cpu="500m", mem="1536Mi"), limits=Resources(mem="1536Mi"))',
        "github-actions": "    - name: base\n      resources:\n        requests:\n          cpu: 500m",
        "gitlab": 'transform:\n  variables:\n    KUBERNETES_SERVICE_CPU_REQUEST: "500m"',
        "jenkins": "containerTemplate(name: 'base', resourceRequestCpu: '500m', resourceRequestMemory: '1536Mi', ",
        "kubeflow-pipelines": 'task.set_cpu_request("500m")\ntask.set_memory_request("1536Mi")',
        "kubeflow-trainer": "# TrainingRuntime: replicated Job transform, container base\nresources:\n  requests:",
        "kuberay": "    - groupName: transform\n      template:\n        spec:\n          containers:\n          - name:",
        "nextflow": "  withName: 'transform' {\n    cpus = 1\n    memory = '1536 MB'\n  }",
        "podLabels": "# step transform, container base\nresources:\n  requests:\n    cpu: 500m",
        "prefect": "work_pool:\n  job_variables:\n    cpu_request: 500m\n    memory_request: 1536Mi",
        "spark": '  transform:\n    coreRequest: "500m"\n    memory: 1152m\n    memoryOverhead: 384m',
        "volcano": "  - name: transform\n    template:\n      spec:\n        containers:\n        - name: base",
    }
    assert words[preset.name] in text


def test_what_is_pasted_is_what_its_language_reads() -> None:
    def sizes(name: str) -> dict[tuple[str, str], dict[str, str]]:
        return {("transform", sorted(BY_NAME[name].main or {"build"})[0]): SIZES}

    for name in ("gitlab", "github-actions", "volcano", "spark", "prefect"):
        assert yaml.safe_load(BY_NAME[name].remedies(sizes(name)) or ""), name
    assert yaml.safe_load(BY_NAME["gitlab"].remedies(sizes("gitlab")) or "")["transform"]["variables"] == {
        "KUBERNETES_CPU_REQUEST": "500m", "KUBERNETES_MEMORY_REQUEST": "1536Mi", "KUBERNETES_MEMORY_LIMIT": "1536Mi"
    }  # fmt: skip
    for name in ("kubeflow-pipelines",):
        ast.parse(BY_NAME[name].remedies(sizes(name)) or "")
    for name in ("dagster", "flyte"):
        ast.parse(f"{BY_NAME[name].remedies(sizes(name))}\ndef f(): ...")
    node = yaml.safe_load(BY_NAME["kubeflow-trainer"].remedies({("node", "node"): SIZES}) or "")
    assert node["spec"]["trainer"]["resourcesPerNode"]["requests"] == {"cpu": "500m", "memory": "1536Mi"}
    worker = BY_NAME["dagster"].remedies({("run-worker", "dagster"): SIZES}) or ""
    assert json.loads(worker.partition("tags=")[2].removesuffix(")"))


def test_a_run_without_pods_for_its_steps_is_sized_where_its_only_pod_is_made() -> None:
    """Its step has a name that no op, and no group of workers, has."""
    assert "@job(tags=" in (BY_NAME["dagster"].remedies({("run", "dagster"): SIZES}) or "")
    spec = yaml.safe_load(BY_NAME["kuberay"].remedies({("run", "ray-head"): SIZES}) or "")["spec"]
    assert spec["rayClusterSpec"].keys() == {"headGroupSpec"}


def test_the_autoscaler_of_a_ray_cluster_is_sized_by_its_own_field() -> None:
    sizes = {("head", "ray-head"): SIZES, ("head", "autoscaler"): {"requests.cpu": "100m"}}
    cluster = yaml.safe_load(BY_NAME["kuberay"].remedies(sizes) or "")["spec"]["rayClusterSpec"]
    assert cluster["autoscalerOptions"]["resources"] == {"requests": {"cpu": "100m"}}
    assert [c["name"] for c in cluster["headGroupSpec"]["template"]["spec"]["containers"]] == ["ray-head"]


@pytest.mark.parametrize("preset", ALL, ids=lambda p: p.name)
def test_other_resources_are_set_where_the_engine_has_a_word_for_them(preset: Any) -> None:
    work = sorted(preset.main or {"b"})[0]
    text = preset.remedies({("a", work): {**SIZES, "requests.ephemeral-storage": "2Gi", "limits.nvidia.com/gpu": "1"}})
    assert ("2Gi" in text) is (preset.name not in ("kubeflow-pipelines", "nextflow", "spark"))
    assert "_ephemeral-" not in text
    assert "nvidia.com/gpu_" not in text


@pytest.mark.parametrize("preset", ALL, ids=lambda p: p.name)
def test_its_section_of_the_page_has_the_exact_setting(preset: Any) -> None:
    """kube-state-metrics takes exact keys: the page says those that are read, no more and no fewer."""
    assert f"### {preset.title}\n" in PAGE
    section = PAGE.partition(f"### {preset.title}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    assert f"`preset: {preset.name}`" in section
    assert f"--metric-labels-allowlist=pods=[{','.join(preset.read(preset.keys))}]" in section


def test_every_preset_is_an_engine() -> None:
    assert {p.title for p in (*ALL, PLAIN)} <= {e.name for e in ENGINES}
    assert all(e.traits.remedies({("a", "b"): SIZES}) for e in ENGINES if e.name in {p.title for p in ALL})
