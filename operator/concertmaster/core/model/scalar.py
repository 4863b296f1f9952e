"""The base of the API's scalar values: a string as its author wrote it, with an exact value beside it.

The API carries no floats, because a float changes its text from one encoder to the next and a status that changes its
text is a needless write. Two scalars are equal when their values are ("0.5" and "500m").
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from functools import total_ordering
from typing import Any, ClassVar, Self, TypeGuard

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# Wide enough for every value below 2**63 with nine decimals; an own context keeps the caller's settings out of here.
EXACT = Context(prec=60)


class ScalarError(ValueError):
    """A scalar that cannot be read. The message says what was given and which forms are accepted."""


@total_ordering
class Scalar:
    """A string with an exact value. Immutable; equality, order and hash go by the value, ``str()`` gives the text."""

    __slots__ = ("_text", "_value")

    PATTERN: ClassVar[str]
    MAX_LENGTH: ClassVar[int] = 32  # generous: too long a text should meet the pattern, whose message says more
    FORMAT: ClassVar[str | None] = None
    UNIT: ClassVar[str]  # how the generated descriptions state the unit
    FORMS: ClassVar[str]  # accepted forms, for error messages

    _text: str
    _value: Decimal

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ScalarError(f"{text!r} is not a string: write {self.FORMS} in quotes")
        if len(text) > self.MAX_LENGTH or re.fullmatch(self.PATTERN, text) is None:
            raise ScalarError(f"{text[:64]!r} is not {self.FORMS}")
        object.__setattr__(self, "_text", text)
        with localcontext(EXACT):
            object.__setattr__(self, "_value", self._parse(text))

    @classmethod
    def _parse(cls, text: str) -> Decimal:
        """The exact value of a text that matches the pattern."""
        return Decimal(text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self._text,)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __hash__(self) -> int:
        return hash(self._value)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if self._comparable(other) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._value < other._value if self._comparable(other) else NotImplemented

    def _comparable(self, other: object) -> TypeGuard[Scalar]:
        """A CPU quantity may be compared with any quantity, never with a percent: both share the class below Scalar."""
        family = next(base for base in type(self).__mro__ if Scalar in base.__bases__)
        return isinstance(other, family)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Scalar:
            if isinstance(value, cls):
                return value
            try:
                return cls(value)
            except ScalarError as error:
                # The message may hold braces, which a pydantic template would try to fill in.
                raise PydanticCustomError("scalar", "{reason}", {"reason": str(error)}) from error

        write = core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema())
        return core_schema.no_info_plain_validator_function(read, serialization=write)

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema: JsonSchemaValue = {"type": "string", "pattern": cls.PATTERN, "maxLength": cls.MAX_LENGTH}
        # Words the schema generator turns into a description and into the message of a refusal. The API server hands
        # a text with a format to its rules as a value, whose notation they cannot look at.
        schema["x-unit"] = cls.UNIT
        if cls.FORMAT is None:
            schema["x-forms"] = cls.FORMS
        if cls.FORMAT is not None:
            schema["format"] = cls.FORMAT
        return schema
