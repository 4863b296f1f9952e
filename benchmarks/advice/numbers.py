"""Whether a number that a recommendation states is the true one, within what its sample can tell."""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.advice.law import DAY, HOUR
from concertmaster.core.model import Recommendation
from concertmaster.core.model.amounts import quantity

Number = Callable[[Recommendation], bool]

_UNITS = {"d": DAY, "h": HOUR, "m": 60.0, "s": 1.0}


def sized(step: str, name: str, low: float, high: float) -> Number:
    """Whether the table sets this field of the step between the two amounts (cores or bytes)."""

    def right(item: Recommendation) -> bool:
        rows = [r for r in item.items if r.step == step and r.field == name]
        return bool(rows) and all(low <= amount(r.new) <= high for r in rows)

    return right


def stated(pattern: str, low: float, high: float) -> Number:
    """Whether what action or evidence state at the group of this pattern lies between the two: a count, a share (of 1) or
    seconds."""

    def right(item: Recommendation) -> bool:
        found = re.search(pattern, f"{item.action}; {item.because}")
        return found is not None and low <= plain(found[1]) <= high

    return right


def within(pattern: str, true: float, error: float) -> Number:
    """The same for a number that may differ from the true one by this share of it."""
    return stated(pattern, true * (1 - error), true * (1 + error))


def slower(step: str, factor: float, error: float = 0.1) -> Number:
    """Whether the step is said to take that many times as long as before, within this share."""

    def right(item: Recommendation) -> bool:
        found = re.search(rf"{step} went from (\w+) to (\w+)", item.because)
        return found is not None and abs(seconds(found[2]) / seconds(found[1]) / factor - 1) <= error

    return right


def retried(least: int, most: int) -> Number:
    """Whether that many retries are proposed."""
    return stated(r"retries of \S+: (?:\d+ -> )?(\d+)", least, most)


def plain(words: str) -> float:
    """The value of ``18%`` (0.18), ``14m15s`` (seconds) or ``7``."""
    if words.endswith("%"):
        return float(words[:-1]) / 100.0
    return seconds(words) if words[-1] in _UNITS else float(words)


def seconds(words: str) -> float:
    """The seconds of a duration as printed, such as ``9d01h``."""
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)([dhms])", words))


def amount(words: str) -> float:
    """The value of a quantity as shown in the table: ``500m``, ``1.5Gi``, ``2 cores``."""
    found = quantity(words.replace(" ", ""))
    if found is None:
        digits = re.match(r"[0-9.]+", words)
        found = float(digits.group()) if digits else 0.0
    return found
