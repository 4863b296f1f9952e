"""Amounts of resources: their names, strict parsing (a change is never based on a guess of what was meant), equality."""

from __future__ import annotations

import math
import re

from concertmaster.core.model.scalars import Quantity, ScalarError

STORAGE = "ephemeral-storage"
"""Local disk of a pod, as manifests call it."""
RESOURCES = ("cpu", "memory", STORAGE)
"""Requested by containers and limited by namespaces."""
ROUNDING = 1e-6
"""Relative difference of amounts that are equal but for what their way through metrics and computations leaves."""

_GPU = re.compile(r"(nvidia|amd|gpu\.intel)\.com/(gpu|mig|i915|xe).*")


def is_gpu(resource: str) -> bool:
    """Whether an extended resource is a GPU or a part of one: nvidia.com/gpu, nvidia.com/mig-1g.5gb, amd.com/gpu ..."""
    return _GPU.fullmatch(resource) is not None


def same_amount(one: float, other: float) -> bool:
    """Whether two requests, limits or sizes are equal, wherever they were read."""
    return math.isclose(one, other, rel_tol=ROUNDING)


def quantity(literal: object) -> float | None:
    """Cores or bytes of a non-negative quantity; None for anything else (text, booleans)."""
    if isinstance(literal, bool):
        return None
    if isinstance(literal, int | float):
        amount = finite(literal)
        return amount if amount is not None and amount >= 0 else None
    try:
        written = float(Quantity(literal).amount) if isinstance(literal, str) else -1.0
    except ScalarError:
        return None
    return written if written >= 0 else None


def finite(number: float) -> float | None:
    """``number`` as a float; None for values no quantity can have: infinite, NaN, or above 2**63."""
    return float(number) if abs(number) <= 2**63 else None


def whole(literal: object) -> int | None:
    """An integer; None for text, booleans and fractions."""
    if isinstance(literal, bool) or not isinstance(literal, int):
        return None
    return literal


def digits(text: str) -> int | None:
    """The number written with at most nine ASCII digits; None for any other text, including ``²``, which ``str.isdigit``
    accepts and ``int`` does not."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
