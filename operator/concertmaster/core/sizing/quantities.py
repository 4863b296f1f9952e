"""Rounding of computed sizes to quantities that people would write in a manifest.

An exact figure such as 1234567890 bytes is hard to read, and it changes with every run, which would make recommendations
flap.
"""

from __future__ import annotations

import math

from concertmaster.core.units import MIB

MILLI = 0.001  # cores
# Steps per octave. The safety margin of a well-known step is about one percent, so coarser steps would waste as much as the
# margin itself; 64 steps still give plain figures: 16Mi steps from 1Gi to 2Gi, 128Mi from 8Gi to 16Gi.
_STEPS_PER_OCTAVE = 64
_CPU_FINE, _CPU_COARSE, _CPU_FINE_UNTIL = 0.010, 0.050, 0.5
# Relative tolerance for binary rounding errors (0.3 cores is not exactly 30 steps of 0.01).
_EPS = 1e-9


def round_memory(size: float, at_least: float | None) -> float | None:
    """Memory quantity for ``size`` bytes, in whole MiB; None when ``size`` is not a positive finite number.

    Steps are 1/64 of the power of two below the value, at least 1 MiB. Without ``at_least`` the value is rounded up; with
    it, to the nearest step that is not below ``at_least`` bytes: rounding up on top of a margin would waste as much as the
    margin itself. Idempotent and monotone.
    """
    if not math.isfinite(size) or size <= 0.0:
        return None
    mib = size / MIB
    step = max(1.0, 2.0 ** (math.floor(math.log2(mib)) if mib >= 1.0 else 0) / _STEPS_PER_OCTAVE)
    up = math.ceil(mib / step * (1.0 - _EPS)) * step * MIB
    if at_least is None or not math.isfinite(at_least):
        return up
    nearest = max(1.0, round(mib / step)) * step * MIB
    return nearest if nearest >= min(at_least, up) else up


def plain_memory(size: float) -> float | None:
    """``size`` bytes rounded up to a common figure: steps of 16Mi up to 256Mi, 32Mi to 512Mi, 64Mi to 2Gi, 256Mi to 8Gi,
    512Mi to 16Gi, then 1Gi; None when not positive and finite."""
    if not math.isfinite(size) or size <= 0.0:
        return None
    mib = size / MIB
    step = next((s for most, s in ((256, 16), (512, 32), (2048, 64), (8192, 256), (16384, 512)) if mib <= most), 1024)
    return math.ceil(mib / step * (1.0 - _EPS)) * step * MIB


def at_most(size: float, limit: float | None, unit: float) -> float:
    """``size``, or the largest multiple of ``unit`` within ``limit`` if rounding exceeded it.

    The API server rejects pods with a request above their limit. In cores with MILLI, in bytes with MIB.
    """
    return size if limit is None else min(size, max(1, math.floor(limit / unit + _EPS)) * unit)


def round_cpu(cores: float) -> float | None:
    """Next CPU quantity at or above ``cores``: 10m steps below 500m, 50m steps above; None when not positive and finite."""
    if not math.isfinite(cores) or cores <= 0.0:
        return None
    step = _CPU_FINE if cores <= _CPU_FINE_UNTIL * (1.0 + _EPS) else _CPU_COARSE
    return round(math.ceil(cores / step * (1.0 - _EPS)) * step, 3)
