"""Base class of the API's scalar values: a string as written by its author, with an exact value.

The API carries no floats, because their text differs between encoders, and a status with changed text causes a needless
write. Two scalars are equal when their values are ("0.5" and "500m").
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from functools import total_ordering
from typing import Any, ClassVar, Self, TypeGuard

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# Enough digits for every value below 2**63 with nine decimals; a context of its own ignores the caller's settings.
EXACT = Context(prec=60)


class ScalarError(ValueError):
    """A scalar that cannot be parsed. The message states the input and the accepted forms."""


@total_ordering
class Scalar:
    """A string with an exact value. Immutable; equality, order and hash use the value, ``str()`` returns the text."""

    __slots__ = ("_text", "_value")

    PATTERN: ClassVar[str]
    MAX_LENGTH: ClassVar[int] = 32  # generous, so that overlong text fails the pattern, which has the better message
    FORMAT: ClassVar[str | None] = None
    UNIT: ClassVar[str]  # unit as stated in generated descriptions
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
        """The exact value of text that matches the pattern."""
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
        """A CPU quantity is comparable with any quantity, but not with a percent: the classes share a base below Scalar."""
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
                # The message may contain braces, which pydantic would treat as placeholders.
                raise PydanticCustomError("scalar", "{reason}", {"reason": str(error)}) from error

        write = core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema())
        return core_schema.no_info_plain_validator_function(read, serialization=write)

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema: JsonSchemaValue = {"type": "string", "pattern": cls.PATTERN, "maxLength": cls.MAX_LENGTH}
        # Used by the schema generator for the description and the error message of a rule: with a format, the API server
        # passes the parsed value to rules, which cannot see its notation.
        schema["x-unit"] = cls.UNIT
        if cls.FORMAT is None:
            schema["x-forms"] = cls.FORMS
        if cls.FORMAT is not None:
            schema["format"] = cls.FORMAT
        return schema
