"""Difference of values under a condition from the others, where values of one group (a run) have a common effect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.stats.quantiles import student_tail

_LEAST = 3  # groups, or pairs, required to estimate a spread


class GroupedShift(NamedTuple):
    """``shift``: difference of the values under the condition from the others. ``p_value``: one-sided."""

    shift: float
    p_value: float


def grouped_shift(inside: Mapping[str, Sequence[float]], outside: Mapping[str, Sequence[float]]) -> GroupedShift | None:
    """Compares groups of values by their means. Groups with values on both sides are compared within themselves, which
    removes their common effect; the others with each other. None when neither has enough groups."""
    pairs = [_mean(inside[g]) - _mean(outside[g]) for g in inside if g in outside]
    only_in = [_mean(v) for g, v in inside.items() if g not in outside]
    only_out = [_mean(v) for g, v in outside.items() if g not in inside]
    parts = [p for p in (_paired(pairs), _apart(only_in, only_out)) if p is not None]
    if not parts:
        return None
    weights = [1.0 / max(variance, 1e-12) for _, variance, _ in parts]
    shift = sum(w * s for w, (s, _, _) in zip(weights, parts, strict=True)) / sum(weights)
    freedom = sum(df for _, _, df in parts)
    return GroupedShift(shift, student_tail(shift * math.sqrt(sum(weights)), freedom))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _paired(pairs: Sequence[float]) -> tuple[float, float, float] | None:
    """Mean difference, its variance and the degrees of freedom."""
    n = len(pairs)
    return (float(np.mean(pairs)), float(np.var(pairs, ddof=1)) / n, n - 1.0) if n >= _LEAST else None


def _apart(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float] | None:
    """``_paired`` for two independent samples, with Welch's degrees of freedom."""
    if min(len(one), len(other)) < _LEAST:
        return None
    a, b = float(np.var(one, ddof=1)) / len(one), float(np.var(other, ddof=1)) / len(other)
    freedom = (a + b) ** 2 / max(1e-300, a**2 / (len(one) - 1) + b**2 / (len(other) - 1)) if a + b > 0 else 1.0
    return float(np.mean(one) - np.mean(other)), a + b, freedom
