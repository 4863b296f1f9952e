"""Whether the inputs of an analysis are those of an earlier one, in this process or another."""

from __future__ import annotations

import hashlib
import re
from types import FunctionType, MethodType
from typing import Any

import msgspec


def _stable(value: Any) -> str:
    """Encodes what msgspec cannot: an engine's patterns, and its functions, whose ``repr`` differs between processes."""
    if isinstance(value, FunctionType | MethodType):
        return f"{value.__module__}.{value.__qualname__}"
    return value.pattern if isinstance(value, re.Pattern) else repr(value)


# Sets and mappings in a fixed order: what is equal has the same bytes in every process.
_ENCODER = msgspec.msgpack.Encoder(order="deterministic", enc_hook=_stable)


def fingerprint(*parts: object) -> str:
    """A digest of dataclasses, enums and plain values."""
    return hashlib.blake2b(_ENCODER.encode(parts), digest_size=16).hexdigest()
