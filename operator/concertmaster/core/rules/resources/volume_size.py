"""``volume-size``: a persistent volume that steps mount is nearly full, or grows and will be full soon."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.shared.volumes import VolumeFill, volume_fills
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.rules.base import Evidence, Rule
from concertmaster.core.times import to_minute

_GIB = 1024.0**3
_DAY = 86400.0
_MARGIN = 30.0  # days of growth a new size holds at least


def _size(fill: VolumeFill, target: float) -> float:
    """Bytes, in whole GiB: at most ``target`` of it is used, and what grows has room for a month; never less than now."""
    grown = fill.used + (fill.growth.high * _MARGIN if fill.growth is not None else 0.0)
    return max(math.ceil(max(fill.used / target, grown) / _GIB), math.ceil((fill.capacity + 1) / _GIB)) * _GIB


def _finding(evidence: Evidence, fill: VolumeFill, nearly: float, days: float, target: float) -> Finding | None:
    soon = fill.full is not None and fill.full.likely <= evidence.analysis.now + days * _DAY
    if fill.share < nearly and not soon:
        return None
    new = _size(fill, target)
    now, then = text.memory(fill.capacity), text.memory_quantity(new)
    kind = f"PersistentVolumeClaim {fill.claim}" if fill.shared else f"the claim {fill.claim} that each run makes"
    when = ""
    if fill.full is not None and fill.growth is not None:
        low, high = to_minute(fill.full.low), to_minute(fill.full.high)
        when = f"; it grows by {text.memory(fill.growth.likely)} a day and is full around {to_minute(fill.full.likely)}"
        when += f" (95% CI {low} to {high})"
    last = "in its last run" if fill.shared else "in its fullest run"
    patch = json.dumps({"spec": {"resources": {"requests": {"storage": then}}}}, separators=(",", ":"))
    holds = f"{text.percent(fill.used / new)} of it used" + (f", room for {_MARGIN:.0f} days of growth" if when else "")
    return Finding(
        about=fill.claim,
        action=f"Enlarge {kind}: {now} -> {text.memory(new)} ({text.percent(fill.share)} used)",
        because=(
            f"{text.listing(list(fill.steps))} used {text.memory(fill.used)} of {now} ({text.percent(fill.share)}) {last},"
            f" of {text.count(fill.runs, 'run')} ({evidence.window()}){when}"
        ),
        otherwise='writes fail with "no space left on device" once it is full, and the runs with them',
        risk=Level.LOW,
        current=now,
        proposed=then,
        expected=holds,
        how=(
            f"kubectl -n {shlex.quote(evidence.namespace)} patch persistentvolumeclaim {shlex.quote(fill.claim)}"
            f" --type=merge -p {shlex.quote(patch)}"
            if fill.shared
            else None
        ),
        confidence=0.7,
        objective="free space",
        evidence=(
            f"mounted by {text.listing(list(fill.steps))}",
            "its StorageClass must allow expansion (allowVolumeExpansion); a claim is never made smaller"
            if fill.shared
            else "set resources.requests.storage in the workflow's volumeClaimTemplates",
            "deleting what is not needed any more is a remedy too",
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for each volume that is nearly full or soon will be."""
    if not evidence.analysis.enough:
        return
    nearly = evidence.settings.number("nearlyFullPercent", 85.0) / 100
    days = evidence.settings.number("fullWithinDays", 14.0)
    target = evidence.settings.number("targetPercent", 70.0) / 100
    for fill in volume_fills(evidence.analysis):
        found = _finding(evidence, fill, nearly, days, max(0.01, target))
        if found is not None:
            yield found


RULE = Rule(
    "volume-size",
    evaluate,
    Category.RELIABILITY,
    Level.LOW,
    tie_break=7,
    settings=("nearlyFullPercent", "fullWithinDays", "targetPercent"),
    steps=False,
)
