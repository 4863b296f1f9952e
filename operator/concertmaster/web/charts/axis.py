"""Marks of an axis of time that people can count by: seconds, minutes, hours and days in round numbers."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.units import DAY, HOUR, MINUTE

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
          *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)), *(n * HOUR for n in (1, 2, 3, 6, 12)))  # fmt: skip


def marks(end: float, most: int = 6) -> list[tuple[float, str]]:
    """Round amounts of seconds from 0 up to ``end``, at most ``most`` after the 0, each with its label."""
    step = next((s for s in _STEPS if end / s <= most), None)
    if step is None:
        step = DAY
        while end / step > most:
            step *= 2
    return [(0.0, "0")] + [(i * step, text.duration(i * step)) for i in range(1, int(end / step + 1e-9) + 1)]
