"""What every API model shares: lenient reading, camelCase on the wire, and the words that end up in the CRD's schema.

Reading is lenient (unknown fields are ignored), because an older operator must survive objects written for a newer CRD;
the API server is the strict reader. Tests parse with ``extra="forbid"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP = "concertmaster.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# Patterns of Kubernetes' own names (RFC 1123), bounded so that CEL can estimate the cost of rules over them.
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
LABEL_KEY = rf"^({DNS_SUBDOMAIN[1:-1]}/)?[A-Za-z0-9]([-_.A-Za-z0-9]{{0,61}}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$"
# A recommendation is called after its rule and, when it is about one step, that step.
RECOMMENDATION_ID = r"^[a-z]([-a-z0-9]*[a-z0-9])?(\.[A-Za-z0-9][-_.A-Za-z0-9]*)?$"
ONE_LINE = r"^[^\r\n]*$"


class ApiModel(BaseModel):
    """Base of all models: frozen, camelCase on the wire, unknown fields ignored. The validators of a model are built when
    it is first used, by whichever thread that is: an operator without workflows needs few of them.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, defer_build=True
    )


def rule(expression: str, message: str, **more: str) -> JsonDict:
    """One CEL rule. ``more`` may carry ``messageExpression``, ``fieldPath`` or ``reason``."""
    return {"rule": expression, "message": message, **more}


def schema(
    *,
    unit: str | None = None,
    default: str | None = None,
    forms: str | None = None,
    rules: Sequence[JsonDict] = (),
    list_map: str | None = None,
    unique: bool = False,
    atomic: bool = False,
) -> JsonDict:
    """Additions to a field's or a model's schema, for pydantic's ``json_schema_extra``.

    ``unit`` and ``default`` are words for the description (``default`` for one that is not a literal of the schema);
    ``forms`` completes "must be ..." in the refusal of a text that does not match its pattern;
    ``list_map`` names the key of a list of objects, ``unique`` makes a list of scalars a set, ``atomic`` makes a
    server-side apply own the object as a whole.
    """
    extra: JsonDict = {}
    if unit is not None:
        extra["x-unit"] = unit
    if default is not None:
        extra["x-default"] = default
    if forms is not None:
        extra["x-forms"] = forms
    if rules:
        extra["x-kubernetes-validations"] = list(rules)
    if list_map is not None:
        extra["x-kubernetes-list-type"] = "map"
        extra["x-kubernetes-list-map-keys"] = [list_map]
    if unique:
        extra["x-kubernetes-list-type"] = "set"
    if atomic:
        extra["x-kubernetes-map-type"] = "atomic"
    return extra


_NAME_WORDS = "lower-case letters, digits and dashes, with a letter or digit at both ends"
_VALUE_WORDS = "letters, digits, dashes, dots and underscores, with a letter or digit at both ends"

Name = Annotated[
    str,
    StringConstraints(pattern=DNS_SUBDOMAIN, min_length=1, max_length=253),
    Field(json_schema_extra=schema(forms=f"a name of {_NAME_WORDS}; dots may separate such parts")),
]
ShortName = Annotated[
    str,
    StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=63),
    Field(json_schema_extra=schema(forms=f"a name of {_NAME_WORDS}")),
]
StepName = Annotated[
    str,
    StringConstraints(pattern=LABEL_VALUE, min_length=1, max_length=63),
    Field(json_schema_extra=schema(forms=f"a name of {_VALUE_WORDS}")),
]
LabelKey = Annotated[
    str,
    StringConstraints(pattern=LABEL_KEY, min_length=1, max_length=317),
    Field(json_schema_extra=schema(forms=f"a label key: {_VALUE_WORDS}, after an optional domain and a slash")),
]
LabelValue = Annotated[
    str,
    StringConstraints(pattern=LABEL_VALUE, max_length=63),
    Field(json_schema_extra=schema(forms=f"a label value: empty, or {_VALUE_WORDS}")),
]
RecommendationId = Annotated[
    str,
    StringConstraints(pattern=RECOMMENDATION_ID, min_length=1, max_length=200),
    Field(json_schema_extra=schema(forms="the id of a recommendation as in status, such as memory-request.transform")),
]
SeriesLabel = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", min_length=1, max_length=128),
    Field(json_schema_extra=schema(forms="the label of a series: letters, digits and underscores, not a digit first")),
]
Timestamp = Annotated[str, StringConstraints(max_length=40), Field(json_schema_extra={"format": "date-time"})]
Line80 = Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=80)]
Line160 = Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=160)]
Line400 = Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=400)]
Line1000 = Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=1000)]


class ObjectMeta(ApiModel):
    """The part of Kubernetes' object metadata the operator reads."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str | None = None
    creation_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class CustomResource(ApiModel):
    """What all kinds have beside spec and status."""

    api_version: str = API_VERSION
    metadata: ObjectMeta = ObjectMeta()

    @classmethod
    def parse(cls, document: object, *, strict: bool = False) -> Self:
        """The typed object from a decoded YAML or JSON ``document``; ``strict`` also refuses unknown fields.

        Raises ``pydantic.ValidationError``; ``types.explain`` turns that into sentences.
        """
        return cls.model_validate(document, extra="forbid" if strict else None)


def explain(error: ValidationError) -> tuple[str, ...]:
    """The problems of an object as sentences ``<field>: <what is wrong>``, for conditions and messages.

    No value is repeated beyond what the scalar's own message quotes, so nothing long or secret gets into a status.
    """
    return tuple(f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_url=False))


def _path(location: tuple[Any, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".") or "object"
