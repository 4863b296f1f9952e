"""Amounts as manifests spell them, read strictly: a change is never based on a guess of what somebody meant.

Source of the notation: Kubernetes' ``resource.Quantity``. ``1e3Mi`` (an exponent and a suffix) is none.
"""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([KMGTPE]i)|([eE][+-]?[0-9]{1,2})|([numkMGTPE]?))")
_DECIMAL = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def quantity(literal: object) -> float | None:
    """Cores or bytes of a quantity; None for anything that is not exactly one (text, or a number without a unit)."""
    if isinstance(literal, bool):
        return None
    if isinstance(literal, int | float):
        return float(literal) if literal >= 0 else None
    match = _QUANTITY.fullmatch(literal) if isinstance(literal, str) else None
    if match is None:
        return None
    number, binary, exponent, decimal = match.groups()
    if binary:
        return float(number) * 1024.0 ** (_BINARY.index(binary) + 1)
    return float(number + exponent) if exponent else float(number) * _DECIMAL[decimal]


def whole(literal: object) -> int | None:
    """A whole number; None for text, booleans and fractions."""
    if isinstance(literal, bool) or not isinstance(literal, int):
        return None
    return literal


def digits(text: str) -> int | None:
    """The number that up to nine ASCII digits spell; None for any other text, also for ``²``, which is a digit to
    ``str.isdigit`` and none to ``int``."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
