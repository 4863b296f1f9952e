"""Hostile but valid objects are bounded before anything is built of them, and what is left out is said."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from concertmaster.core.model import PodFact, WorkflowDefinition, WorkflowKey
from concertmaster.engines import assign
from concertmaster.engines.argo import nodes
from concertmaster.engines.argo.expansion import budget, items
from concertmaster.engines.argo.live import read_run
from concertmaster.engines.common.bounds import decoded_bytes
from concertmaster.engines.common.names import fnv32a
from concertmaster.engines.define import define
from concertmaster.engines.jobs.live import read_run as read_job
from concertmaster.engines.live import LiveRun
from tests.support.counting import all_calls, growth

LEAF = {"name": "leaf", "container": {"image": "x"}}


@contextmanager
def frugal(mebibytes: float) -> Iterator[None]:
    """The block takes no more memory than that, and so builds nothing without end."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * 2**20


def workflow(templates: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"namespace": "n", "name": "w"},
        "spec": {"entrypoint": "main", "templates": [LEAF, *templates], **spec},
    }


def task(name: str, template: str = "leaf", **more: Any) -> dict[str, Any]:
    return {"name": name, "template": template, **more}


def defined(raw: dict[str, Any]) -> WorkflowDefinition:
    found = define(raw)
    assert found is not None
    return found


def two_wide_groups() -> dict[str, Any]:
    return workflow([{"name": "main", "steps": [[task(f"{g}{i}") for i in range(4_000)] for g in "ab"]}])


def many_small_groups() -> dict[str, Any]:
    groups = [[task(f"s{i}-{j}") for j in range(100)] for i in range(140)]
    return workflow([{"name": "main", "steps": groups}])


def reversed_chain() -> dict[str, Any]:
    rows = [task(f"t{i}", dependencies=[f"t{i + 1}"] if i < 7_999 else []) for i in range(8_000)]
    return workflow([{"name": "main", "dag": {"tasks": rows}}])


def cycles() -> dict[str, Any]:
    rows = [task(f"t{i}", dependencies=[f"t{i ^ 1}"]) for i in range(8_000)]
    return workflow([{"name": "main", "dag": {"tasks": rows}}])


def wide_callee() -> dict[str, Any]:
    wide = {"name": "wide", "dag": {"tasks": [task(f"t{i}", "missing") for i in range(3_000)]}}
    return workflow([wide, {"name": "main", "steps": [[task(f"a{i}", "wide")] for i in range(3_000)]}])


def pipeline() -> dict[str, Any]:
    rows = [
        {"name": f"t{i}", "taskRef": {"name": "x"}, "runAfter": [f"t{i + 1}"] if i < 7_999 else []}
        for i in range(8_000)
    ]
    meta = {"namespace": "n", "name": "w"}
    return {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": {"tasks": rows}}


def job_set() -> dict[str, Any]:
    rows = [
        {"name": f"t{i}", "dependsOn": [{"name": f"t{i + 1}", "status": "Complete"}] if i < 7_999 else []}
        for i in range(8_000)
    ]
    meta = {"namespace": "n", "name": "w"}
    spec = {"replicatedJobs": rows}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    "make", [two_wide_groups, many_small_groups, reversed_chain, cycles, wide_callee, pipeline, job_set]
)
def test_a_definition_of_thousands_of_steps_is_read_in_part_and_says_so(make: Callable[[], dict[str, Any]]) -> None:
    raw = make()
    with frugal(mebibytes=60):
        graph = defined(raw).graph
    assert 0 < len(graph.steps) <= 2_000
    assert "the rest is left out" in graph.problems[0]


def test_steps_that_wait_for_the_same_share_one_list() -> None:
    raw = workflow([{"name": "main", "steps": [[task(f"{g}{i}") for i in range(400)] for g in "ab"]}])
    graph = defined(raw).graph
    assert (len(graph.steps), graph.problems) == (800, ())
    second = [s for s in graph.steps if s.name.startswith("b")]
    assert len({id(s.depends_on) for s in second}) == 1


def test_defaults_of_parameters_do_not_multiply() -> None:
    rows = ["{{workflow.parameters.p}}"] * 100
    raw = workflow(
        [{"name": "main", "steps": [[task(f"a{i}", withItems=rows) for i in range(100)]]}],
        arguments={"parameters": [{"name": "p", "value": "x" * 500_000}]},
    )
    with frugal(mebibytes=60):
        graph = defined(raw).graph
    assert [s.width for s in graph.steps] == [100] * 100


def each(**more: Any) -> dict[str, Any]:
    return workflow([{"name": "main", "dag": {"tasks": [task("a", **more)]}}])


@pytest.mark.parametrize(
    ("raw", "width"),
    [
        (each(withSequence={"count": "5", "format": "%1000000000d"}), 5),
        (each(withSequence={"count": "5", "format": f"%{'9' * 5_000}d"}), 5),
        (each(withSequence={"count": "20000", "format": "%0999999d"}), 20_000),
        (each(withSequence={"count": "20000", "format": "x" * 300_000}), 20_000),
        (each(withItems=["{{=" * 60_000]), 1),
        (each(withItems=["{{a" + " " * 60_000]), 1),
        (each(withItems=["{{= " * 60_000 + "}}"]), 1),
        (each(withParam="[" * 60_000), None),
        (each(withParam="[" * 60_000 + "]" * 60_000), None),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
def test_a_short_text_does_not_become_a_long_one_nor_take_long(raw: dict[str, Any], width: int | None) -> None:
    with frugal(mebibytes=30):
        graph = defined(raw).graph
    assert [s.width for s in graph.steps] == [width]


def test_items_of_many_tasks_are_not_named_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_NAMES", 20_000)
    made = 0

    def counted(index: int, item: object) -> str:
        nonlocal made
        made += 1
        return name(index, item)

    name = items.item_name
    monkeypatch.setattr(items, "item_name", counted)
    rows = [task(f"t{i}", withSequence={"count": "2000"}) for i in range(1_500)]
    graph = defined(workflow([{"name": "main", "dag": {"tasks": rows}}])).graph
    assert {s.width for s in graph.steps} == {2_000}
    assert made <= 6_000


def dag(name: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "dag": {"tasks": list(rows)}}


def itself() -> dict[str, Any]:
    """Each of many tasks calls a template of many tasks that call it again."""
    rows = [task(f"t{i}", "again") for i in range(600)]
    return workflow([dag("again", *rows), dag("main", *rows)])


def empty() -> dict[str, Any]:
    """Groups of tasks that run nothing, and hand on the ends of all before them."""
    groups = [[task(f"{g}{i}", "leaf" if g == "a" else "none") for i in range(300)] for g in "abc"]
    return workflow([dag("none"), {"name": "main", "steps": groups}])


def hooked() -> dict[str, Any]:
    """A template with thousands of hooks that call nothing, called by thousands of tasks."""
    hooks = {f"h{i}": {"template": "missing"} for i in range(5_000)}
    return workflow([dag("with", task("a", hooks=hooks)), dag("main", *(task(f"t{i}", "with") for i in range(600)))])


def duplicates() -> dict[str, Any]:
    """A template with thousands of tasks of one name, called by thousands of tasks."""
    same = dag("with", *[task("same", "none")] * 5_000)
    return workflow([dag("none"), same, dag("main", *(task(f"t{i}", "with") for i in range(600)))])


@pytest.mark.parametrize("make", [itself, empty, hooked, duplicates])
def test_the_work_is_bounded_where_many_calls_make_few_steps(make: Callable[[], dict[str, Any]]) -> None:
    raw = make()
    assert all_calls(lambda: defined(raw)) < 4_000_000


def test_what_many_steps_share_is_read_once() -> None:
    """Thousands of containers, locks and long arguments of a template that thousands of tasks call."""
    many = {"name": "many", "container": {"image": "x"}, "sidecars": [{"name": f"s{i}"} for i in range(5_000)],
            "synchronization": {"mutexes": [{"name": f"m{i}"} for i in range(5_000)]}}  # fmt: skip
    long = {"parameters": [{"name": "p", "value": "{{tasks.none.outputs.result}} " * 5_000}]}
    inner = dag("inner", task("a", "many", arguments=long, withParam="{{=" * 50_000))
    raw = workflow([many, inner, dag("main", *(task(f"t{i}", "inner") for i in range(1_500)))])
    with frugal(mebibytes=60):
        graph = defined(raw).graph
    assert len(graph.steps) == 1_500
    assert len(graph.steps[0].containers) == 201
    assert len(graph.steps[0].locks) == 100
    assert len({id(step.containers) for step in graph.steps}) == 1
    assert {p for p in graph.problems if "only the first" in p} == {
        "inner.dag.tasks[0].sidecars has 5000 entries: only the first 200 are considered",
        "inner.dag.tasks[0].synchronization has 5000 locks: only the first 100 are considered",
    }


def test_a_long_patch_of_all_pods_is_read_once_for_thousands_of_templates() -> None:
    """Read for each of them, it took minutes."""
    leaves = [{**LEAF, "name": f"leaf{i}"} for i in range(1_500)]
    main = dag("main", *(task(f"t{i}", f"leaf{i}") for i in range(1_500)))
    graph = defined(workflow([*leaves, main], podSpecPatch="{{x}}" + "a: {{x}} " * 70_000)).graph
    assert len(graph.steps) == 1_500


def test_a_task_that_thousands_of_pipeline_tasks_run_has_few_containers() -> None:
    steps = [{"name": f"s{i}", "image": "x"} for i in range(2_000)]
    rows = [{"name": f"t{i}", "taskRef": {"name": "wide"}} for i in range(300)]
    meta = {"namespace": "n", "name": "w"}
    raw = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": {"tasks": rows}}
    with frugal(mebibytes=20):
        found = define(raw, lambda kind, name: {"spec": {"steps": steps}})
    assert found is not None
    assert {len(step.containers) for step in found.graph.steps} == {200}
    assert found.graph.problems == ("Task wide.steps has 2000 entries: only the first 200 are considered",)


def test_handlers_of_a_pipeline_do_not_multiply_its_edges() -> None:
    rows, handlers = ([{"name": f"{x}{i}", "taskSpec": {}} for i in range(1_000)] for x in "tf")
    meta = {"namespace": "n", "name": "w"}
    spec = {"tasks": rows, "finally": handlers}
    graph = defined({"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": spec}).graph
    assert sum(len(step.depends_on) for step in graph.steps) <= 200_000
    assert "spec.finally has more than 200 tasks: the rest is left out" in graph.problems


def test_a_name_that_stands_in_the_names_of_thousands_of_steps_is_short() -> None:
    inner = dag("inner", *(task(f"a{i}") for i in range(1_500)))
    raw = workflow([inner, dag("main", task("x" * 100_000, "inner"), task("b"))])
    with frugal(mebibytes=60):
        graph = defined(raw).graph
    assert [step.name for step in graph.steps] == ["b"]
    assert "has 100000 characters, at most 253 are possible" in graph.problems[0]


def test_fan_outs_inside_fan_outs_are_no_number_that_nothing_can_compute() -> None:
    digits = "9" * 4_000
    wide = {"withSequence": {"count": "9" * 15}}
    nested = [dag(f"d{i}", task("a", f"d{i + 1}" if i < 30 else "leaf", **wide)) for i in range(31)]
    for raw in (each(withSequence={"count": digits}), workflow([*nested, dag("main", task("a", "d0"))])):
        (step,) = defined(raw).graph.steps
        assert step.width is None
        assert step.fan_out
    params = [{"name": f"p{i}", "value": ["x"] * 10} for i in range(400)]
    row = {"name": "t", "taskRef": {"name": "x"}, "matrix": {"params": params}}
    meta = {"namespace": "n", "name": "w"}
    found = defined({"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": {"tasks": [row]}})
    assert (found.graph.steps[0].width, found.graph.steps[0].fan_out) == (None, True)


@pytest.mark.parametrize(
    "inner", [{"withSequence": {"count": "2000"}}, {"withItems": ["x" * 100_000] * 9}], ids=["many", "long"]
)
def test_names_of_fan_outs_inside_fan_outs_are_computed_up_to_a_limit(
    inner: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number is the product of the items; one pod that may be of such a run is enough to have them computed."""
    raw = workflow([dag("b", task("x", **inner)), dag("main", task("a", "b", withSequence={"count": "2000"}))])
    hashed: list[int] = []

    def counted(text: str, *state: int) -> int:
        hashed.append(len(text))
        return fnv32a(text[:100], *state)

    monkeypatch.setattr(nodes, "fnv32a", counted)
    pod = PodFact("n", "w-leaf-1473801270", "u", owner_kind="Workflow", owner_name="w")
    assign([pod], [defined(raw)])
    assert 1_000 < sum(hashed) <= 2_001_000
    assert len(hashed) < 110_000


@pytest.mark.parametrize("digits", ["1" * 60_000, "0" * 60_000 + "x", "1." * 30_000, "1s" * 30_000])
def test_a_duration_of_many_digits_is_refused_at_once(digits: str) -> None:
    work = {"name": "a", "timeout": digits, "taskRef": {"name": "x"}}
    meta = {"namespace": "n", "name": "w"}
    with frugal(mebibytes=30):
        found = defined(
            {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": {"tasks": [work]}}
        )
    assert found.graph.steps[0].timeout_seconds is None
    assert any("where a duration such as 30m is expected" in problem for problem in found.graph.problems)


def test_a_chain_of_steps_in_any_order_is_put_in_order() -> None:
    rows = [task(f"t{i}", dependencies=[f"t{i + 1}"] if i < 999 else []) for i in range(1_000)]
    graph = defined(workflow([{"name": "main", "dag": {"tasks": rows}}])).graph
    assert [s.name for s in graph.steps] == [f"t{i}" for i in reversed(range(1_000))]
    assert graph.problems == ()


@pytest.mark.parametrize(
    "table",
    ['{"a":[' + ",".join(["[]"] * 13_000_000) + "]}", '{"a":[' + ",".join(["[]"] * 6_000_000) + "]}"],
    ids=["39 MB", "18 MB of empty lists"],
)
def test_a_small_compressed_table_of_much_is_not_decoded(table: str) -> None:
    packed = base64.b64encode(gzip.compress(table.encode())).decode()
    raw = {"metadata": {"name": "r"}, "status": {"phase": "Succeeded", "compressedNodes": packed}}
    assert len(packed) < 60_000
    with frugal(mebibytes=70):
        run = read_run(raw, WorkflowKey("n", "WorkflowTemplate", "w"))
    assert not run.complete
    assert "only known from the metrics" in run.problems[0]


def test_a_table_of_ten_thousand_nodes_is_decoded() -> None:
    node = {
        "displayName": "step", "type": "Pod", "phase": "Succeeded", "templateName": "leaf", "hostNodeName": "node-1",
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z", "progress": "1/1",
        "inputs": {"parameters": [{"name": f"p{n}", "value": "x" * 40} for n in range(6)]},
        "resourcesDuration": {"cpu": 3, "memory": 20}, "outputs": {"exitCode": "0", "artifacts": [{"name": "main-logs"}]},
    }  # fmt: skip
    table = {f"r-{i}": {**node, "id": f"r-{i}", "name": f"r.s{i}"} for i in range(10_000)}
    packed = base64.b64encode(gzip.compress(json.dumps(table).encode())).decode()
    run = read_run(
        {"metadata": {"name": "r"}, "status": {"phase": "Succeeded", "compressedNodes": packed}},
        WorkflowKey("n", "WorkflowTemplate", "w"),
    )
    assert (len(run.record.steps), run.problems) == (10_000, ())


def test_the_estimate_is_not_below_what_decoding_takes() -> None:
    documents = ["[" + ",".join(["[]"] * 100_000) + "]", json.dumps({str(i): {} for i in range(100_000)}),
                 json.dumps([{"a": 1.5, "b": "x"}] * 50_000)]  # fmt: skip
    for document in documents:
        tracemalloc.start()
        found = json.loads(document)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert found
        assert decoded_bytes(document.encode()) >= taken


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_job_of_thousands_of_pods_is_read_in_proportion_to_their_number(phase: str) -> None:
    state = {"terminated": {"exitCode": 1, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}}
    raw = {"metadata": {"name": "j"}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}

    def job(count: int) -> Callable[[], LiveRun]:
        pods = [
            {
                "metadata": {"name": f"j-{i}", "uid": f"u{i}", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]},
            }
            for i in range(count)
        ]
        return lambda: read_job(raw, pods, WorkflowKey("n", "Job", "j"))

    assert len(job(2_000)().record.steps) == 2_000
    assert growth(job, 1_000) < 2.2


def test_thousands_of_schedules_are_considered_in_part_and_it_is_said() -> None:
    raw = workflow([{"name": "main", "steps": [[task("a")]]}])
    cron = {
        **raw,
        "kind": "CronWorkflow",
        "spec": {"schedules": [f"{n % 60} {n // 60} * * *" for n in range(1_200)], "workflowSpec": raw["spec"]},
    }
    assert any("only the first 50" in problem for problem in defined(cron).graph.problems)
