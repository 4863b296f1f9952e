"""Live runs as somebody hostile may have made them: recorded objects of every engine with parts of them replaced, removed
or multiplied. Readers raise nothing, take bounded time and memory, and what they read can be stored."""

from __future__ import annotations

import base64
import copy
import gzip
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.model import RunRecord, WorkflowKey
from concertmaster.engines import Claims, children, define, end_alone, end_mark, ended, run_kind, whole_run
from concertmaster.engines.argo import links
from concertmaster.engines.argo.live import read_run as read_workflow
from concertmaster.engines.tekton.live import read_run as read_pipeline_run
from concertmaster.history.encoding import decode_record, encode_record
from concertmaster.kube.nesting import TooDeep, check_depth
from tests.support.engines.argo_definitions import DYNAMIC, NESTED, RUN
from tests.support.engines.argo_oracle import Controller
from tests.support.engines.jobset_objects import replicated
from tests.support.engines.json_values import JSON
from tests.support.engines.live_jobs import live_job, pod
from tests.support.engines.tekton_objects import RUNS, attempt, pipeline_run, task_run

KEY = WorkflowKey("n", "K", "w")
REMOVED = object()


def workflow(spec: dict[str, Any]) -> dict[str, Any]:
    control = Controller(spec, RUN, failures=lambda n: len(n) % 3, param_items={"work": [{"a": "b c"}, "[x].y", 7]})
    control.execute()
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", **control.workflow()}


def job_set() -> dict[str, Any]:
    rows = [{"name": name, "succeeded": 1, "failed": 0} for name in ("load", "work")]
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train-1", "namespace": "ops", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicatedJobs": [replicated("load"), replicated("work", "load")]},
        "status": {"conditions": [{"type": "Completed", "status": "True"}], "replicatedJobsStatus": rows},
    }


def member(step: str) -> dict[str, Any]:
    labels = {"jobset-name": "train-1", "replicatedjob-name": step, "job-index": 0, "restart-attempt": 0}
    return pod(f"train-1-{step}", 1, 9, 0, {f"jobset.sigs.k8s.io/{k}": str(v) for k, v in labels.items()})


RAY = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {"name": "train-x7k2z", "namespace": "ml", "creationTimestamp": "2026-08-01T02:00:00Z"},
    "spec": {"rayClusterSpec": {"workerGroupSpecs": [{"groupName": "w", "replicas": 2}]}},
    "status": {"jobDeploymentStatus": "Complete", "jobStatus": "FAILED", "endTime": "2026-08-01T03:00:00Z"},
}
RECORDED: dict[str, list[dict[str, Any]]] = {
    "Workflow": [workflow(NESTED)],
    "Workflow with items": [workflow(DYNAMIC)],
    "PipelineRun": [pipeline_run(), *RUNS],
    "Job": [live_job(), pod("a", 1, 5, 1), pod("b", 6, 9)],
    "JobSet": [job_set(), member("load"), member("work")],
    "RayJob": [RAY],
}


def nested(levels: int) -> Any:
    value: Any = "x"
    for n in range(levels):
        value = [value] if n % 2 else {"k": value}
    return value


SMALL = (
    REMOVED, None, True, -1, 0, 1.5, 2**63, 10**400, -(10**400), 1.7e308, float("inf"), float("nan"), "", "\ud800x",
    "a\x00b", "9" * 5_000, "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", f"exit code {'9' * 180}",
    f"{RUN}.a({'9' * 5_000})",
    f"{RUN}{'.a' * 30_000}", f"{RUN}.a{'(1)' * 30_000}", "x" * 100_000, [], {}, [[]] * 100, [None, 1, "x", [[]], {}],
    {"": None}, nested(60), nested(5_000),
)  # fmt: skip
WIDE: tuple[Callable[[], Any], ...] = (
    lambda: list(range(100_000)),
    lambda: [{} for _ in range(100_000)],
    lambda: [{"name": str(n)} for n in range(100_000)],
    lambda: {str(n): {} for n in range(50_000)},
    lambda: {str(n): {"name": RUN, "type": "Pod"} for n in range(20_000)},
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an object."""
    if len(at) > 1:
        yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*at, key))


PLACES = {name: list(paths(objects)) for name, objects in RECORDED.items()}


def changed(objects: list[dict[str, Any]], changes: list[tuple[tuple[Any, ...], Any]]) -> list[Any]:
    """A copy with the value at each place replaced; a place that an earlier change took away is left."""
    made = copy.deepcopy(objects)
    for place, value in changes:
        holder: Any = made
        try:
            for key in place[:-1]:
                holder = holder[key]
            if isinstance(holder, dict) and not isinstance(place[-1], str):
                continue  # a place in what was a list: keys of JSON are strings
            if value is REMOVED:
                del holder[place[-1]]
            else:
                holder[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    return made


def read(objects: list[Any]) -> RunRecord | None:
    """All that the operator does with a run object and what belongs to it, up to the bytes it keeps."""
    raw, parts = objects[0], objects[1:]
    try:
        for each in objects:
            check_depth(each)
    except TooDeep:
        return None  # the one refusal there is: such an object reaches no reader
    ended(raw)
    assert len(end_mark(raw)) < 10_000
    belonging = children(raw)
    kind = run_kind(raw)
    definition = define(raw)
    Claims([definition] if definition is not None else []).of(raw)
    if kind is None:
        return None
    if belonging is not None:
        parts = [belonging.reduce(part) for part in parts if isinstance(part.get("metadata"), dict)]
    key = kind.workflow_of(raw) or KEY
    run = kind.read(raw, parts, key, definition)
    kind.values(raw, parts)
    end_alone(run)
    whole = whole_run(raw, definition, parts) if definition is not None else None
    record = whole.record if whole is not None else run.record
    stored = decode_record(encode_record(record), key, record.run)
    assert len(stored.steps) == len(record.steps)
    assert all(len(problem) < 1_000 for problem in run.problems)
    assert sum(len(e.after or ()) for e in record.steps) <= 200_000
    return record


@given(st.data())
@settings(max_examples=250)
def test_no_part_of_an_object_breaks_its_reader(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(RECORDED)))
    changes = st.tuples(st.sampled_from(PLACES[name]), st.sampled_from(SMALL) | JSON)
    begun = time.process_time()
    read(changed(RECORDED[name], data.draw(st.lists(changes, min_size=1, max_size=4))))
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("name", RECORDED)
def test_objects_as_recorded_are_read_whole(name: str) -> None:
    record = read(copy.deepcopy(RECORDED[name]))
    assert record is not None
    assert bool(record.steps) == (name != "RayJob")


@given(st.sampled_from(sorted(RECORDED)), st.data())
@settings(max_examples=12)
def test_a_hundred_thousand_entries_anywhere_are_read_within_bounds(name: str, data: st.DataObject) -> None:
    place, make = data.draw(st.sampled_from(PLACES[name])), data.draw(st.sampled_from(WIDE))
    objects = changed(RECORDED[name], [(place, make())])
    tracemalloc.start()
    begun = time.process_time()
    try:
        read(objects)
        spent, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < 40  # tracing takes four times as long
    assert peak < 200 * 2**20


# --- tables that made readers slow ---


def node(name: str, kind: str = "Pod", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "phase": "Succeeded", "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:01:00Z", **more}  # fmt: skip


def handlers(n: int) -> dict[str, Any]:
    """Every one of many steps follows a step with many handlers."""
    table = {f"h{i}": node("r.a.onExit", nodeFlag={"hooked": True}) for i in range(n)}
    table |= {f"z{i}": node(f"r.z{i}") for i in range(n)}
    return table | {"a": node("r.a", children=[f"z{i}" for i in range(n)])}


def attempts(n: int) -> dict[str, Any]:
    """Many steps follow a retry that holds many."""
    inner, behind = [f"i{i}" for i in range(n)], [f"b{i}" for i in range(n)]
    table = {"c": node("r.c", "Retry", children=["t", *behind]), "t": node("r.c(0)", "DAG", children=inner)}
    return table | {i: node(f"r.c(0).{i}") for i in inner} | {b: node(f"r.{b}") for b in behind}


def groups(n: int) -> dict[str, Any]:
    """Each of many steps follows all of many others."""
    table = {f"a{i}": node(f"r[0].a{i}", children=["g"]) for i in range(n)}
    table["g"] = node("r[1]", "StepGroup", children=[f"b{i}" for i in range(n)])
    return table | {f"b{i}": node(f"r[1].b{i}") for i in range(n)}


def chain(n: int) -> dict[str, Any]:
    table = {f"c{i}": node(f"r.c{i}", "DAG", children=[f"c{i + 1}"]) for i in range(n)}
    return table | {f"c{n}": node("r.leaf")}


@pytest.mark.parametrize("table", [handlers, attempts, groups, chain])
def test_links_of_a_node_table_are_followed_within_a_budget(table: Callable[[int], dict[str, Any]]) -> None:
    raw = {"metadata": {"name": "r"}, "status": {"phase": "Succeeded", "nodes": table(5_000)}}
    begun = time.process_time()
    run = read_workflow(raw, KEY)
    assert time.process_time() - begun < 15
    assert len(run.record.steps) >= 1
    assert sum(len(e.after or ()) for e in run.record.steps) <= 200_000
    if table is not chain:
        assert all(e.after is None for e in run.record.steps), "half of the edges would be worse than the declared ones"
        assert any(re.search("taken from the declared graph", problem) for problem in run.problems)


def test_a_run_as_large_as_they_get_keeps_its_links() -> None:
    """A fan-out of 5,000 items that 5,000 others follow, as Argo writes it."""
    n = 5_000
    table = {f"a{i}": node(f"r[0].a({i}:x)", children=["g"] if i == n - 1 else []) for i in range(n)}
    table["t"] = node("r[0].a", "TaskGroup", children=[f"a{i}" for i in range(n)])
    table["g"] = node("r[1]", "StepGroup", children=[f"b{i}" for i in range(n)])
    table |= {f"b{i}": node(f"r[1].b({i}:x)") for i in range(n)}
    run = read_workflow({"metadata": {"name": "r"}, "status": {"phase": "Succeeded", "nodes": table}}, KEY)
    assert run.problems == ()
    assert {e.after for e in run.record.steps} == {(), ("a",)}


def test_the_budget_is_ten_times_what_a_run_of_two_thousand_steps_needs() -> None:
    control = Controller(DYNAMIC, RUN, param_items={"work": list(range(700))})
    control.execute()
    counted: list[int] = []
    original = links.Links

    class Counted(original):  # type: ignore[misc, valid-type]
        def before(self, node: Any) -> Any:
            found = super().before(node)
            counted.append(self.work)
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("concertmaster.engines.argo.live.Links", Counted)
        run = read_workflow(control.workflow(), KEY)
    assert len(run.record.steps) >= 700
    assert 0 < counted[-1] * 10 < links.MAX_WORK


def test_skipped_items_of_a_large_template_are_bounded() -> None:
    """Each stands for all steps inside it."""
    inner = {"name": "inner", "dag": {"tasks": [{"name": f"t{i}", "template": "leaf"} for i in range(1_500)]}}
    main = {"name": "main", "dag": {"tasks": [{"name": "a", "template": "inner"}]}}
    leaf = {"name": "leaf", "container": {"image": "x"}}
    meta = {"namespace": "n", "name": "w"}
    spec = {"entrypoint": "main", "templates": [main, inner, leaf]}
    definition = define(
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": meta, "spec": spec}
    )
    table = {f"a{i}": {**node(f"r.a({i}:x)", "Skipped"), "phase": "Skipped"} for i in range(1_000)}
    run = read_workflow({"metadata": {"name": "r"}, "status": {"phase": "Succeeded", "nodes": table}}, KEY, definition)
    assert len(run.record.steps) == 100_000
    assert "the run has more than 100,000 step executions: the rest is left out" in run.problems


def retry_of_many(n: int) -> dict[str, Any]:
    """Retries whose last attempts all end with one that names a hundred thousand children."""
    table = {f"r{i}": node(f"r.r{i}", "Retry", children=[f"t{i}", f"z{i}"]) for i in range(n)}
    table |= {f"t{i}": node(f"r.r{i}(0)", "DAG", outboundNodes=["c"]) for i in range(n)}
    table |= {f"z{i}": node(f"r.z{i}") for i in range(n)}
    return table | {"c": node("r.c", "Retry", children=["x"] * 100_000)}


def test_children_of_a_retry_count_each_time_they_are_looked_through() -> None:
    raw = {"metadata": {"name": "r"}, "status": {"phase": "Succeeded", "nodes": retry_of_many(30)}}
    run = read_workflow(raw, KEY)
    assert any(re.search("taken from the declared graph", problem) for problem in run.problems)


def test_retries_of_a_task_run_are_bounded() -> None:
    """Each would have all parameters hashed again."""
    status = {**attempt("p", 1, 2), "retriesStatus": [{} for _ in range(100_000)]}
    parts = [task_run(f"{RUN}-fetch", "fetch", status, params=[{"name": "x", "value": "y" * 200_000}])]
    begun = time.process_time()
    run = read_pipeline_run(pipeline_run(), parts, KEY)
    assert time.process_time() - begun < 10
    fetched = [e for e in run.record.steps if e.step == "fetch"]
    assert sorted(e.attempt for e in fetched) == list(range(99_900, 100_001))
    assert any("has 100000 retries" in problem for problem in run.problems)


def test_lone_surrogates_of_a_packed_table_do_not_reach_the_history() -> None:
    table = b'{"a": {"name": "r.\\ud800x", "type": "Pod", "phase": "Succeeded", "message": "\\ud83d\\ude00"}}'
    packed = base64.b64encode(gzip.compress(table)).decode()
    run = read_workflow({"metadata": {"name": "r"}, "status": {"phase": "Failed", "compressedNodes": packed}}, KEY)
    assert [(e.step, e.message) for e in run.record.steps] == [("?x", "\U0001f600")]
