"""Input sizes out of run objects: where each engine writes them, and which of several holds."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.core.model import InputSource, InputUnit, RunRecord, WorkflowKey
from concertmaster.engines import run_kind
from concertmaster.engines.inputs import with_inputs
from tests.support.engines.argo_definitions import NESTED, RUN
from tests.support.engines.argo_oracle import Controller
from tests.support.engines.live_jobs import live_job, pod
from tests.support.engines.tekton_objects import RUNS, pipeline_run

KEY = WorkflowKey("data", "WorkflowTemplate", "etl")
GI = 2.0**30


def read(
    raw: dict[str, Any], *sources: InputSource, children: list[dict[str, Any]] | None = None
) -> tuple[RunRecord, tuple[str, ...]]:
    kind = run_kind(raw)
    assert kind is not None
    record = kind.read(raw, children or [], KEY, None).record
    return with_inputs(record, sources, raw, children or [], kind.values)


def argo() -> dict[str, Any]:
    control = Controller(NESTED, RUN)
    control.execute()
    return control.workflow()


def parameters(**values: object) -> dict[str, Any]:
    return {"parameters": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]}


def test_an_argo_parameter_of_the_run_is_the_input_of_all_its_steps() -> None:
    raw = argo()
    raw["status"]["storedWorkflowTemplateSpec"] = {"arguments": parameters(size="1Gi", rows="7")}
    raw["spec"]["arguments"] = parameters(size="2Gi")
    record, problems = read(raw, InputSource(parameter="size"))
    assert (record.input_size, record.input_total, problems) == (2 * GI, 2 * GI, ())
    assert {e.input_size for e in record.steps} == {2 * GI}
    assert read(raw, InputSource(InputUnit.COUNT, parameter="rows"))[0].input_size == 7, "the template's default"


def test_the_parameter_of_an_argo_node_is_the_input_of_its_item() -> None:
    raw = argo()
    raw["spec"]["arguments"] = parameters(size=10)
    pods = [n for n in raw["status"]["nodes"].values() if n["type"] == "Pod"]
    for number, node in enumerate(pods):
        node["inputs"] = parameters(size=str(100 + number)) if number else {}
    record, _ = read(raw, InputSource(parameter="size"))
    sizes = [e.input_size for e in record.steps if e.pod is not None]
    assert sorted(s for s in sizes if s is not None) == [10, *range(101, 100 + len(pods))]
    assert record.input_size == 10


def test_a_source_of_one_step_wins_there_and_is_not_the_run_s() -> None:
    raw = argo()
    raw["spec"]["arguments"] = parameters(size=10, rows=3)
    step = next(e.step for e in read(raw)[0].steps)
    record, _ = read(raw, InputSource(parameter="size"), InputSource(InputUnit.COUNT, step, parameter="rows"))
    assert {(e.step == step, e.input_size) for e in record.steps} == {(True, 3), (False, 10)}
    only, _ = read(raw, InputSource(step=step, parameter="rows"))
    assert (only.input_size, only.input_total) == (None, 3.0 * len({e.item for e in only.steps if e.step == step}))


def test_params_of_a_pipeline_run_and_results_passed_on_to_its_tasks() -> None:
    raw, tasks = pipeline_run(), [{**r} for r in RUNS]
    raw["spec"]["params"] = [{"name": "bytes", "value": "5G"}]
    fan = next(r for r in tasks if r["metadata"]["name"].endswith("test-1"))  # it was retried
    fan["spec"] = {**fan.get("spec", {}), "params": [{"name": "bytes", "value": "3000"}]}
    record, problems = read(raw, InputSource(parameter="bytes"), children=tasks)
    assert (record.input_size, problems) == (5e9, ())
    tests = {(e.item, e.attempt): e.input_size for e in record.steps if e.step == "test"}
    assert tests == {("0", 0): 5e9, ("1", 0): 3000, ("1", 1): 3000}


def test_annotations_and_environment_of_a_job() -> None:
    raw = live_job(succeeded=2)
    env = [{"name": "INPUT_BYTES", "value": "2Gi"}, {"name": "TOKEN", "valueFrom": {}}]
    raw["spec"] = {"template": {"spec": {"containers": [{"name": "dump", "env": env}]}}}
    raw["metadata"]["annotations"] = {"example.com/rows": "12"}
    own = pod("b", 30, 50)
    own["metadata"]["annotations"] = {"example.com/rows": "5"}
    pods = [pod("a", 2, 20), own]
    record, _ = read(raw, InputSource(env="INPUT_BYTES"), children=pods)
    assert (record.input_size, {e.input_size for e in record.steps}) == (2 * GI, {2 * GI})
    record, _ = read(raw, InputSource(annotation="example.com/rows"), children=pods)
    assert (record.input_size, {e.pod: e.input_size for e in record.steps}) == (12, {"a": 12, "b": 5})


def test_a_json_path_adds_up_what_it_finds() -> None:
    raw = live_job()
    raw["status"]["files"] = [{"bytes": "1Ki"}, {"bytes": 6}]
    record, problems = read(raw, InputSource(json_path=".status.files[*].bytes"), children=[pod("a", 2, 20)])
    assert (record.input_size, problems) == (1030, ())


@pytest.mark.parametrize("value", ["much", "-1", "5 GB", "1e99", ""])
def test_what_is_no_size_is_said_and_left_out(value: str) -> None:
    raw = argo()
    raw["spec"]["arguments"] = parameters(size=value)
    record, problems = read(raw, InputSource(parameter="size"))
    assert record.input_total is None
    assert [f"parameter size of run {RUN} is" in p for p in problems] == [True] * bool(value)


def test_sources_that_find_nothing_leave_the_next_one_its_turn() -> None:
    raw = argo()
    raw["spec"]["arguments"] = parameters(size=10)
    sources = (InputSource(parameter="none"), InputSource(json_path=".a["), InputSource(parameter="size"))
    record, problems = read(raw, *sources)
    assert record.input_size == 10
    assert [p.startswith("spec.inputs: JSONPath '.a['") for p in problems] == [True]
