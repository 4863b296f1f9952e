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


def test_the_width_is_open_only_for_the_caller_whose_value_a_run_may_override() -> None:
    tasks = [
        {"name": n, "template": "inner", **given(v)} for n, v in (("a", "{{workflow.parameters.all}}"), ("b", '["x"]'))
    ]
    spec = spec_of({"dag": {"tasks": tasks}}, INNER, leaf("run"), **given('["x"]', "all"))
    definition = define(template("etl", spec))
    assert definition is not None
    assert [(items(s), s.width) for s in definition.graph.steps] == [(("0:x",), None), (("0:x",), 1)]


def test_a_run_may_add_an_argument_for_a_default_of_the_entrypoint() -> None:
    spec = spec_of({"dag": {"tasks": [{"name": "each", "template": "run", **LIST}]}}, leaf("run"))
    spec["templates"][0]["inputs"] = {"parameters": [{"name": "files", "default": '["x"]'}]}
    definition = define(template("etl", spec))
    assert definition is not None
    assert [(items(s), s.width) for s in definition.graph.steps] == [(("0:x",), None)]


KEY = {"configMapKeyRef": {"name": "lists", "key": "files"}}


@pytest.mark.parametrize(
    ("declared", "argument"),
    [({"default": '["d"]', "valueFrom": KEY}, None), ({"default": '["d"]'}, {"name": "files", "valueFrom": KEY})],
)
def test_a_value_from_a_config_map_is_not_known_whatever_the_default(
    declared: dict[str, Any], argument: dict[str, Any] | None
) -> None:
    inner = block("inner", {"name": "each", "template": "run", **LIST}, **declared)
    passed = {"arguments": {"parameters": [argument]}} if argument else {}
    assert items(fan({"name": "a", "template": "inner", **passed}, inner)) is None


def test_an_inline_template_reads_what_its_caller_knows_before_its_own_inputs() -> None:
    inline = {
        "inputs": {"parameters": [{"name": "files", "default": '["own"]'}]},
        "dag": {"tasks": [{"name": "in", "template": "run", **LIST}]},
    }
    inner = block("inner", {"name": "each", "inline": inline})
    assert items(fan({"name": "a", "template": "inner", **given('["x"]')}, inner)) == ("0:x",)


@pytest.mark.parametrize(
    ("hooks", "names", "width"),
    [
        ({"onExit": "inner"}, ("0:w",), None),
        ({"hooks": {"exit": {"template": "inner"}}}, ("0:w",), None),
        ({"hooks": {"exit": {"template": "inner", **given('["h"]')}}}, ("0:h",), 1),
        ({"hooks": {"late": {"template": "inner", "expression": "true"}}}, ("0:d",), 1),
    ],
)
@pytest.mark.parametrize("of_workflow", [False, True])
def test_an_exit_handler_without_arguments_gets_those_of_the_workflow(
    hooks: dict[str, Any], names: tuple[str, ...], width: int | None, of_workflow: bool
) -> None:
    inner = block("inner", {"name": "each", "template": "run", **LIST}, default='["d"]')
    task = {"name": "a", "template": "run", **given('["t"]'), **({} if of_workflow else hooks)}
    spec = {
        **spec_of({"dag": {"tasks": [task]}}, inner, leaf("run")),
        **given('["w"]'),
        **(hooks if of_workflow else {}),
    }
    definition = define(template("etl", spec))
    assert definition is not None and not definition.graph.problems
    (step,) = [s for s in definition.graph.steps if s.name.endswith(".each")]
    assert (items(step), step.width) == (names, width)
