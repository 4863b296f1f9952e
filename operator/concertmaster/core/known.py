"""Sums and shares of partly unknown figures: unknown values are left out, never counted as zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

_OPEN = 0.05  # of a share: what unknown outcomes may leave open


def known(values: Iterable[T | None]) -> list[T]:
    """The known ones."""
    return [v for v in values if v is not None]


def total(values: Iterable[float | None]) -> float | None:
    """Sum of the known values; None when there are none."""
    found = known(values)
    return math.fsum(found) if found else None


def upper_median(values: Sequence[float]) -> float:
    """Upper median of at least one value: always an observed one, never a mean of two."""
    return sorted(values)[len(values) // 2]


def median(values: Iterable[float | None]) -> float | None:
    """Upper median of the known values; None when there are none."""
    found = known(values)
    return upper_median(found) if found else None


def largest(values: Iterable[float | None]) -> float | None:
    """Largest of the known values; None when there are none."""
    return max((v for v in values if v is not None), default=None)


def success_rate(succeeded: int, failed: int, unseen: int = 0) -> float | None:
    """Succeeded share (0 to 1) of known outcomes; None without any, and where it says too little: of the ``unseen``, all may
    have succeeded, which would change it by more than five points."""
    ended = succeeded + failed
    if not ended or failed / ended - failed / (ended + unseen) > _OPEN:
        return None
    return succeeded / ended
