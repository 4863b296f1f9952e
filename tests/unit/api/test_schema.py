"""The generator: what pydantic says becomes what a CRD may contain, and everything else is refused with its path."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api import files, reference, schema
from concertmaster.api.kinds import KINDS, Kind
from concertmaster.api.models.base import ApiModel, CustomResource
from concertmaster.api.models.base import schema as extra
from concertmaster.core.model.scalars import Duration, Percent

REPOSITORY = Path(__file__).resolve().parents[3]


class Color(StrEnum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Inner(ApiModel):
    """Inner things."""

    model_config = ConfigDict(json_schema_extra=extra(rules=[{"rule": "self.depth > 0", "message": "inner"}]))

    depth: int = Field(default=3, ge=1, le=9, description="How deep.", examples=[4])


class Plain(ApiModel):
    """Things without defaults."""

    word: Annotated[str, StringConstraints(max_length=5)] | None = Field(
        default=None, description="A word.", examples=["hi"]
    )


class Spec(ApiModel):
    """What is wanted."""

    color: Color = Field(default=Color.RED, description="The colour.", examples=["blue"])
    fixed: Literal["only"] | None = Field(default=None, description="One value.", examples=["only"])
    inner: Inner = Field(
        default=Inner(),
        description="Inner.",
        examples=[{"depth": 1}],
        json_schema_extra=extra(rules=[{"rule": "self.depth < 9", "message": "outer"}]),
    )
    many: tuple[Inner, ...] = Field(
        default=(),
        max_length=3,
        description="Many.",
        examples=[[{"depth": 1}]],
        json_schema_extra=extra(list_map="depth"),
    )
    more_than: int | None = Field(default=None, gt=0, lt=10, description="Open ends.", examples=[5])
    names: dict[str, Annotated[str, StringConstraints(max_length=4)]] = Field(
        default_factory=dict, max_length=2, description="A map.", examples=[{"a": "b"}]
    )
    plain: Plain = Field(default=Plain(), description="Plain.", examples=[{"word": "hi"}])
    share: Percent | None = Field(
        default=None, description="A share.", examples=["5"], json_schema_extra=extra(default="none at all")
    )
    span: Duration = Field(default=Duration("1h"), description="A span.", examples=["2h"])


class Thing(CustomResource):
    """A thing
    of the test."""

    spec: Spec = Field(description="What is wanted.", examples=[{}])
    status: Plain | None = Field(default=None, description="What is.", examples=[{}])


THING = Kind(Thing, "things", "th", ())


def spec_schema() -> dict[str, Any]:
    """The schema of the sample's spec."""
    return schema.structural(THING)["properties"]["spec"]  # type: ignore[no-any-return]


def test_references_are_copied_and_all_rules_hold() -> None:
    inner = spec_schema()["properties"]["inner"]
    assert inner["type"] == "object"
    assert [rule["message"] for rule in inner["x-kubernetes-validations"]] == ["inner", "outer"]
    assert "$ref" not in str(schema.crd(THING)) and "$defs" not in str(schema.crd(THING))


def test_defaults_reach_the_api_server_through_every_parent() -> None:
    properties = spec_schema()["properties"]
    assert properties["inner"]["default"] == {}
    assert properties["inner"]["properties"]["depth"]["default"] == 3
    assert properties["color"]["default"] == "red"
    assert properties["span"]["default"] == "1h"


def test_a_default_that_says_nothing_is_left_out() -> None:
    properties = spec_schema()["properties"]
    for name in ("plain", "many", "names", "share", "fixed"):
        assert "default" not in properties[name], name


def test_optional_fields_are_simply_not_required() -> None:
    assert "required" not in spec_schema()
    assert spec_schema()["properties"]["share"]["type"] == "string"
    assert "anyOf" not in str(spec_schema()) and "null" not in str(spec_schema())


def test_numbers_enums_and_maps_take_openapi_form() -> None:
    properties = spec_schema()["properties"]
    assert properties["moreThan"] | {"description": ""} == {
        "type": "integer",
        "format": "int32",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 10,
        "exclusiveMaximum": True,
        "description": "",
    }
    assert properties["color"]["enum"] == ["red", "blue"]
    assert properties["fixed"]["enum"] == ["only"]
    assert properties["names"]["additionalProperties"] == {"type": "string", "maxLength": 4}
    assert properties["names"]["maxProperties"] == 2
    assert properties["many"]["x-kubernetes-list-map-keys"] == ["depth"]


def test_descriptions_carry_unit_default_and_example() -> None:
    properties = spec_schema()["properties"]
    assert properties["span"]["description"] == "A span. Unit: a duration in d, h, m, s. Default: 1h. Example: 2h"
    assert properties["share"]["description"].endswith("Default: none at all. Example: '5'")
    assert "Unit: a number, 1 to 9. Default: 3. Example: 4" in properties["inner"]["properties"]["depth"]["description"]
    assert schema.structural(THING)["description"] == "A thing of the test."


def test_a_pattern_is_also_refused_in_words() -> None:
    rules = spec_schema()["properties"]["share"]["x-kubernetes-validations"]
    assert [rule["message"] for rule in rules] == [f"must be {Percent.FORMS}"]
    assert Percent.PATTERN in rules[0]["rule"]


def bad(annotation: Any, **field: Any) -> Kind:
    """A kind whose spec has one field of this type."""
    given: dict[str, Any] = {"description": "Bad.", "examples": ["x"]} | field
    spec = type(
        "BadSpec", (ApiModel,), {"__annotations__": {"bad": annotation}, "bad": Field(**given), "__doc__": "Bad."}
    )
    thing = type(
        "BadThing",
        (CustomResource,),
        {
            "__annotations__": {"spec": spec, "status": Plain | None},
            "spec": Field(description="Spec.", examples=[{}]),
            "status": Field(default=None, description="Status.", examples=[{}]),
            "__doc__": "Bad.",
        },
    )
    return Kind(thing, "bads", "bd", ())


class Tree(ApiModel):
    """A tree."""

    children: tuple[Tree, ...] = Field(default=(), max_length=2, description="Children.", examples=[[]])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (bad(str), "spec.bad: a string needs maxLength"),
        (bad(tuple[int, ...]), "spec.bad: a list needs maxItems"),
        (bad(dict[str, int]), "spec.bad: a map needs maxProperties"),
        (bad(float), "spec.bad: floats change their text"),
        (bad(int | bool), "spec.bad: a choice of types"),
        (bad(tuple[int, bool], max_length=2), "spec.bad: prefixItems cannot be expressed"),
        (bad(Tree), "spec.bad.children\\[\\]: Tree contains itself"),
        (bad(Any), "spec.bad: the type is missing"),
        (bad(dict[str, Any], max_length=2), "spec.bad: an object needs properties"),
        (bad(int, description=None), "spec.bad: the description is missing"),
        (bad(int, examples=None), "spec.bad: an example is missing"),
    ],
)
def test_what_a_crd_cannot_say_stops_the_generator_with_the_field(kind: Kind, message: str) -> None:
    with pytest.raises(schema.SchemaError, match=message):
        schema.crd(kind)


class DefaultStatus(ApiModel):
    """A status that fills itself."""

    count: int = Field(default=0, ge=0, description="A count.", examples=[1])


class Filled(CustomResource):
    """A kind whose status has a default."""

    spec: Plain = Field(description="Spec.", examples=[{}])
    status: DefaultStatus | None = Field(default=None, description="Status.", examples=[{}])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_status_is_owned_as_a_whole_and_a_spec_by_its_fields(kind: Kind) -> None:
    properties = schema.structural(kind)["properties"]
    assert properties["status"]["x-kubernetes-map-type"] == "atomic"
    assert "x-kubernetes-map-type" not in properties["spec"]


def test_a_status_has_no_defaults() -> None:
    with pytest.raises(schema.SchemaError, match=r"status\.count: a status has no defaults"):
        schema.crd(Kind(Filled, "filleds", "fl", ()))


def nodes(schema_node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every sub-schema with its path."""
    yield path, schema_node
    for name, child in schema_node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema_node:
            yield from nodes(schema_node[key], f"{path}[]")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_api_is_structural_and_described(kind: Kind) -> None:
    allowed = {
        "type", "format", "description", "properties", "required", "items", "additionalProperties", "enum", "default",
        "pattern", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minimum", "maximum",
        "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    }  # fmt: skip
    for path, node in nodes(schema.structural(kind)):
        assert set(node) <= allowed, path
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        if path and path != ".metadata" and not path.endswith("[]"):
            assert len(node["description"]) > 10, path
            if path.startswith((".spec", ".status")):
                assert "Example: " in node["description"], path


def test_a_recommendation_comes_first_and_every_recommendation_opens_with_its_action() -> None:
    status = schema.structural(KINDS[0])["properties"]["status"]["properties"]
    assert min(status) == "advice"
    item = status["recommendations"]["items"]["properties"]
    assert min(item) == "action"
    assert {name for name, node in item.items() if node["type"] != "string"} == {"items"}  # a table, one line a row
    assert status["recommendations"]["maxItems"] == 5


def test_names_of_the_kinds() -> None:
    names = {kind.name: schema.crd(kind)["spec"]["names"] for kind in KINDS}
    assert {name: entry["shortNames"] for name, entry in names.items()} == {
        "WorkflowProfile": ["wfp"],
        "OptimizationPolicy": ["opol"],
        "ClusterOptimizationPolicy": ["copol"],
        "WorkflowChange": ["wfc"],
    }
    assert all(entry["categories"] == ["concertmaster"] for entry in names.values())


def test_output_is_the_same_every_time_and_plain_yaml() -> None:
    assert schema.render() == schema.render()
    for text in schema.render().values():
        assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"
        assert "&id" not in text and "!!" not in text


def differences(directory: Path) -> list[str]:
    return files.check(directory, schema.render(), foreign="*.yaml")


def test_write_and_check(tmp_path: Path) -> None:
    assert sorted(differences(tmp_path))[0].endswith("is missing")
    paths = files.write(tmp_path / "crds", schema.render())
    assert len(paths) == 4
    assert differences(tmp_path / "crds") == []
    before = paths[0].stat().st_mtime_ns
    files.write(tmp_path / "crds", schema.render())
    assert paths[0].stat().st_mtime_ns == before
    paths[0].write_text("changed")
    (tmp_path / "crds" / "other.yaml").write_text("")
    assert differences(tmp_path / "crds") == [f"{paths[0].name} is out of date", "other.yaml does not belong here"]


def test_the_committed_files_are_fresh() -> None:
    assert differences(REPOSITORY / "crds") == []
    assert files.check(REPOSITORY / "docs" / "reference", reference.render()) == []


def test_the_reference_names_every_field_and_every_refusal() -> None:
    pages = reference.render()
    for kind in KINDS:
        page = pages[f"{kind.name.lower()}.md"]
        for path, node in nodes(schema.structural(kind)):
            if path.startswith((".spec.", ".status.")) and not path.endswith("[]"):
                assert f"`{path[1:]}`" in page, path
            for rule in node.get("x-kubernetes-validations", ()) if not path.startswith(".status") else ():
                assert rule["message"].replace("<", "&lt;") in page, path
        refused = [line for line in page.splitlines() if line.startswith("- ")]
        assert len(refused) == len(set(refused))
        assert not any(line.startswith("- `status") for line in refused), "which only the operator writes"
