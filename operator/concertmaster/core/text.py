"""Formatting of numbers for people and for Kubernetes.

One place, so that the same quantity is written the same way in recommendations, conditions, tables and patches.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

_MI = 1024.0**2
_MAX_DIGITS = 2  # of a percentage: what is closer to 0 or 100 is rounding of its own
BYTES = "bytes"  # unit of input sizes that are not counts
BYTES_READ = "bytes read"  # unit of input sizes that bytes read stand in for


def duration(seconds: float | None) -> str:
    """``4m10s``, ``2h05m``, ``3d04h``, ``850ms``, ``0s``; ``unknown`` for None or a non-finite value."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 1:
        milli = round(seconds * 1000)
        return f"{milli}ms" if 0 < milli < 1000 else f"{milli // 1000}s"
    if seconds < 9.95:
        return f"{seconds:.1f}s".replace(".0s", "s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        minutes = round(seconds / 60)
        return f"{minutes // 60}h{minutes % 60:02d}m" if minutes < 1440 else "1d00h"
    hours = round(seconds / 3600)
    return f"{hours // 24}d{hours % 24:02d}h"


def signed(seconds: float) -> str:
    """A difference of durations: ``+5m28s``, ``-12s``, ``0s``."""
    return f"{'+' if seconds > 0 else '-'}{duration(abs(seconds))}" if abs(seconds) >= 0.05 else "0s"


def percent(share: float | None, digits: int = 0) -> str:
    """``41%`` from 0.41; ``unknown`` for None. What is neither nothing nor all does not read so: 0.0003 is ``0.03%``, and
    0.9996 ``99.96%``."""
    if share is None or not math.isfinite(share):
        return "unknown"
    value = 100.0 * share
    if 0 < abs(value) < 100:
        for more in range(max(digits, 1) if abs(value) < 1 else digits, _MAX_DIGITS + 1):
            shown = f"{value:.{more}f}"
            if abs(float(shown)) not in (0.0, 100.0):
                return f"{shown}%"
    return f"{value:.{digits}f}%"


def change_range(low: float, high: float) -> str:
    """The 95% interval of a ratio of after to before as a change: ``95% interval +23 to +30%``."""
    return f"95% interval {100 * (low - 1):+.0f} to {100 * (high - 1):+.0f}%"


def memory_quantity(size: float) -> str:
    """A Kubernetes quantity in whole Mi (Gi when exact), rounded up: ``448Mi``, ``2Gi``, ``0``."""
    if size <= 0:
        return "0"
    mebibytes = max(1, math.ceil(size / _MI - 1e-9))
    if mebibytes >= 1024 and mebibytes % 1024 == 0:
        return f"{mebibytes // 1024}Gi"
    return f"{mebibytes}Mi"


def memory(size: float | None) -> str:
    """Memory (bytes) in sentences: ``448Mi``, ``1.9Gi``, ``40Ki``."""
    if size is None or not math.isfinite(size):
        return "unknown"
    mebibytes = size / _MI
    if abs(mebibytes) < 0.095:
        return f"{math.copysign(max(1, round(abs(size) / 1024)), size):.0f}Ki" if size else "0"
    if mebibytes < 1023.5:
        return f"{mebibytes:.0f}Mi" if mebibytes >= 10 else f"{mebibytes:.1f}Mi"
    gibibytes = mebibytes / 1024
    return f"{gibibytes:.0f}Gi" if abs(gibibytes - round(gibibytes)) < 1e-9 else f"{gibibytes:.1f}Gi"


def input_size(size: float | None, unit: str) -> str:
    """An input size: ``1.2 GB`` for bytes, ``12,000 rows`` for counts."""
    if size is None or not math.isfinite(size):
        return "unknown"
    if unit not in (BYTES, BYTES_READ):
        return f"{number(size)} {unit}" if 0 < abs(size) < 100 else f"{size:,.0f} {unit}"
    power = next((p for p in (5, 4, 3, 2, 1) if size >= 1000**p * 0.9995), 0)
    return f"{number(size / 1000**power)} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"


def input_name(unit: str) -> str:
    """What input sizes in this unit are: ``input``, or what stands in for it."""
    return "bytes read (a proxy for input)" if unit == BYTES_READ else "input"


def cpu_quantity(cores: float) -> str:
    """A Kubernetes quantity in millicores, rounded up: ``750m``, ``2``."""
    milli = max(1, math.ceil(cores * 1000 - 1e-6))
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def cpu(cores: float | None) -> str:
    """CPU (cores) in sentences: ``750m``, ``2``."""
    if cores is None or not math.isfinite(cores):
        return "unknown"
    return "0" if cores <= 0 else cpu_quantity(cores)


def cores(amount: float | None) -> str:
    """CPU as an amount in sentences: ``0.5 cores``, ``1 core``, ``0.05 cores``."""
    if amount is None or not math.isfinite(amount):
        return "unknown"
    shown = f"{amount:.2f}" if amount < 1 else f"{amount:.1f}"
    shown = (shown.rstrip("0").rstrip(".") if "." in shown else shown) or "0"
    if shown == "0" and amount > 0:
        shown = number(amount, 1)
    return f"{shown} core" if shown == "1" else f"{shown} cores"


def resource_amount(resource: str, value: float) -> str:
    """An exact amount of ``cpu`` (cores), ``memory`` or ``ephemeral-storage`` (bytes) or a counted resource, as a field
    holds it: ``750m``, ``1152Mi``, ``12``."""
    if resource == "cpu":
        return cpu(value)
    return memory_quantity(value) if resource in ("memory", "ephemeral-storage") else str(int(value))


def number(value: float, digits: int = 3) -> str:
    """So many significant digits in plain notation: ``12.5``, ``41``, ``1230``, ``0.05``; no more than six decimals."""
    if value == 0 or not math.isfinite(value):
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{round(Decimal(repr(float(value))), min(decimals, 6)):f}"
    return shown.rstrip("0").rstrip(".") or "0" if "." in shown else shown


def money(amount: float | None, currency: str) -> str:
    """``0.42 USD``, with the digits of ``number``; ``unknown`` for None or a non-finite value."""
    return "unknown" if amount is None or not math.isfinite(amount) else f"{number(amount)} {currency}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 run``, ``12 runs``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def window(seconds: float) -> str:
    """A window as written in policies: ``14d``, ``36h``, ``90m``; others rounded to the nearest unit: ``8d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        exact = abs(seconds / size - round(seconds / size)) < 1e-9
        if seconds >= size and (exact or seconds >= 3 * size):
            return f"{round(seconds / size)}{unit}"
    return f"{round(seconds)}s"


def plain(text: str) -> str:
    """Text safe for a terminal: names come from clusters and files and may contain control characters."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c == "\n" else "\ufffd" for c in text])


def names(lists: Iterable[str]) -> tuple[str, ...]:
    """Each name of comma-separated lists once, in the order given."""
    found = (name.strip() for one in lists for name in one.split(","))
    return tuple(dict.fromkeys(name for name in found if name))


def listing(names: list[str], limit: int = 3) -> str:
    """``a, b and 4 more``: a bounded list of names for sentences."""
    if len(names) <= limit:
        return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more"


def meant(given: str, known: Iterable[str], otherwise: str) -> str:
    """Which of the ``known`` names was meant by a misspelt one; ``otherwise`` where none is close to it."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def json_size(document: Mapping[str, Any]) -> int:
    """Size in bytes of a document as compact JSON, as transmitted and stored."""
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
