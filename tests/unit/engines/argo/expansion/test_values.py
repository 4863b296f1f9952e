"""Fan-outs over parameters that tasks pass on to the templates they call."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.core.model import StepSpec
from concertmaster.engines import define
from tests.support.engines.argo_definitions import spec_of
from tests.support.engines.argo_oracle import leaf, template

LIST = {"withParam": "{{inputs.parameters.files}}"}


def given(value: object, name: str = "files") -> dict[str, Any]:
    return {"arguments": {"parameters": [{"name": name, "value": value}]}}


def block(name: str, task: dict[str, Any], **parameter: object) -> dict[str, Any]:
    return {"name": name, "inputs": {"parameters": [{"name": "files", **parameter}]}, "dag": {"tasks": [task]}}


def fan(main: dict[str, Any], *blocks: dict[str, Any], **more: object) -> StepSpec:
    """The only step of a workflow, which fans out."""
    definition = define(template("etl", spec_of({"dag": {"tasks": [main]}}, *blocks, leaf("run"), **more)))
    assert definition is not None and not definition.graph.problems
    (step,) = definition.graph.steps
    return step


def items(step: StepSpec) -> tuple[str, ...] | None:
    return step.path[-1].items


INNER = block("inner", {"name": "each", "template": "run", **LIST})


def test_a_list_that_a_task_passes_on_names_the_items() -> None:
    step = fan({"name": "a", "template": "inner", **given('["x", "y"]')}, INNER)
    assert (items(step), step.width) == (("0:x", "1:y"), 2)


def test_it_is_passed_on_through_several_templates() -> None:
    outer = block("outer", {"name": "in", "template": "inner", **given("{{inputs.parameters.files}}")})
    step = fan({"name": "a", "template": "outer", **given('["x", "y"]')}, outer, INNER)
    assert (items(step), step.width) == (("0:x", "1:y"), 2)


def test_what_a_run_may_override_names_items_and_leaves_their_number_open() -> None:
    parameters = {"arguments": {"parameters": [{"name": "all", "value": '["x"]'}]}}
    step = fan({"name": "a", "template": "inner", **given("{{workflow.parameters.all}}")}, INNER, **parameters)
    assert (items(step), step.width) == (("0:x",), None)


def test_without_an_argument_the_default_of_the_template_applies() -> None:
    inner = block("inner", {"name": "each", "template": "run", **LIST}, default='["d"]')
    assert items(fan({"name": "a", "template": "inner"}, inner)) == ("0:d",)
    assert items(fan({"name": "a", "template": "inner", **given('["x"]')}, inner)) == ("0:x",)
    assert items(fan({"name": "a", "template": "inner", **given("{{workflow.name}}")}, inner)) is None


def test_two_tasks_that_call_a_template_have_items_of_their_own() -> None:
    tasks = [{"name": n, "template": "inner", **given(f'["{n}"]')} for n in ("a", "b")]
    definition = define(template("etl", spec_of({"dag": {"tasks": tasks}}, INNER, leaf("run"))))
    assert definition is not None
    assert [items(s) for s in definition.graph.steps] == [("0:a",), ("0:b",)]


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ({"withSequence": {"count": "{{inputs.parameters.files}}"}}, ("0:0", "1:1")),
        ({"withItems": ["{{inputs.parameters.files}}-x"]}, ("0:2-x",)),
        ({"inline": {"dag": {"tasks": [{"name": "in", "template": "run", **LIST}]}}}, None),
    ],
)
def test_sequences_and_items_of_it_are_known_as_well(task: dict[str, Any], names: tuple[str, ...] | None) -> None:
    inner = block("inner", {"name": "each", **({} if "inline" in task else {"template": "run"}), **task})
    number = "2" if names is not None else '["i"]'
    step = fan({"name": "a", "template": "inner", **given(number)}, inner)
    assert items(step) == (names if names is not None else ("0:i",))


def test_an_item_that_is_passed_on_is_not_known_before_the_run() -> None:
    step = fan({"name": "a", "template": "inner", "withItems": ['["p"]', '["q"]'], **given("{{item}}")}, INNER)
    assert (items(step), step.width) == (None, None)


def test_the_entrypoint_gets_the_arguments_of_the_workflow() -> None:
    each = {"name": "each", "template": "run", **LIST}
    spec = {**spec_of({"dag": {"tasks": [each]}}, leaf("run")), **given('["x"]')}
    spec["templates"][0]["inputs"] = {"parameters": [{"name": "files"}]}
    definition = define(template("etl", spec))
    assert definition is not None
    (step,) = definition.graph.steps
    assert (items(step), step.width) == (("0:x",), None), "a run may be submitted with others"
