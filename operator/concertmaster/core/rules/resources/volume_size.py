"""``volume-size``: a persistent volume mounted by steps that is nearly full, soon will be, or is far too large."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.shared.volumes import VolumeFill, volume_fills
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.earlier_peaks import earlier_peak
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import mean_interval, share_of_month
from concertmaster.core.stats.means import combined
from concertmaster.core.times import to_minute
from concertmaster.core.units import DAY, GIB

_MONTH = 30.0  # days
_MARGIN = 30.0  # days of growth a new size must last
_LONG_MARGIN = 90.0  # days of growth a smaller volume must last, since data should be moved only once


def _needed(used: float, fill: VolumeFill, target: float, margin: float) -> int:
    """Size in GiB at which ``used`` is at most the share ``target``, with room for ``margin`` days of growth."""
    grown = used + (fill.growth.high * margin if fill.growth is not None else 0.0)
    return math.ceil(max(used / target, grown) / GIB)


def _whose(fill: VolumeFill) -> str:
    return f"PersistentVolumeClaim {fill.claim}" if fill.shared else f"the claim {fill.claim} that each run makes"


def _larger(evidence: Evidence, fill: VolumeFill) -> Finding | None:
    nearly = _nearly(evidence)
    days = evidence.settings.number("fullWithinDays", 14.0)
    soon = fill.full is not None and fill.full.likely <= evidence.analysis.now + days * DAY
    if fill.share < nearly and not soon:
        return None
    new = max(_needed(fill.used, fill, _target(evidence), _MARGIN), math.ceil((fill.capacity + 1) / GIB)) * GIB
    now, then = text.memory(fill.capacity), text.memory_quantity(new)
    when = ""
    if fill.full is not None and fill.growth is not None:
        low, high = to_minute(fill.full.low), to_minute(fill.full.high)
        when = f"; it grows by {text.memory(fill.growth.likely)} a day and is full around {to_minute(fill.full.likely)}"
        when += f" (95% CI {low} to {high})" if low != high else ""
    last = "in its last run" if fill.shared else "in its fullest run"
    patch = {"spec": {"resources": {"requests": {"storage": then}}}}
    holds = f"{text.percent(fill.used / new)} of it used" + (f", room for {_MARGIN:.0f} days of growth" if when else "")
    return Finding(
        about=fill.claim,
        action=f"Enlarge {_whose(fill)}: {now} -> {text.memory(new)} ({text.percent(fill.share)} used)",
        because=(
            f"{text.listing(list(fill.steps))} used {text.memory(fill.used)} of {now} ({text.percent(fill.share)}) {last},"
            f" of {text.count(fill.runs, 'run')} ({evidence.window()}){when}"
        ),
        otherwise='writes fail with "no space left on device" once it is full, and the runs with them',
        risk=Level.LOW,
        current=now,
        proposed=then,
        expected=holds,
        how=commands.merge_patch(evidence.namespace, "PersistentVolumeClaim", fill.claim, patch)
        if fill.shared
        else None,
        confidence=0.7,
        failures_avoided=share_of_month(fill.full, evidence.analysis.now, evidence.analysis.cost.runs_per_month)
        if fill.full is not None
        else None,
        urgent=True,
        evidence=(
            f"mounted by {text.listing(list(fill.steps))}",
            "its StorageClass must allow expansion (allowVolumeExpansion); a claim is never made smaller"
            if fill.shared
            else _TEMPLATES,
            "deleting what is not needed any more is a remedy too",
            *(["runs of the next 30 days after it is full count as failed runs"] if when else []),
        ),
    )


_TEMPLATES = "set resources.requests.storage in the workflow's volumeClaimTemplates"


def _smaller(evidence: Evidence, fill: VolumeFill) -> Finding | None:
    """A volume little used even by the fullest run. Claims cannot shrink, so it is replaced by another."""
    times = evidence.settings.number("timesNeeded", 3.0)
    seen = f"in {text.count(fill.runs, 'run')} ({evidence.window()})"
    if (earlier := earlier_peak(evidence, fill.steps, f"volume/{fill.claim}", fill.peak)) is not None:
        fill = replace(fill, peak=earlier.amount)
        seen = f"{earlier.when} ({text.memory(earlier.recent)} in the newest runs)"
    new = max(1, _needed(max(fill.used, fill.peak), fill, _target(evidence), _LONG_MARGIN)) * GIB
    freed = (fill.capacity - new) / GIB
    if fill.runs < evidence.analysis.options.min_runs or fill.capacity < times * new:
        return None
    if freed < evidence.settings.number("minFreedGiB", 10.0):
        return None
    now, then, steps = text.memory(fill.capacity), text.memory_quantity(new), text.listing(list(fill.steps))
    saving = _saving(evidence, fill, new / GIB)
    currency = evidence.analysis.pricing.currency
    price = text.money(evidence.analysis.pricing.volume_gib_month, currency)
    money = f" ({text.money(saving.likely, currency)} a month)" if saving is not None else ""
    return Finding(
        about=fill.claim,
        action=f"Replace {_whose(fill)} with a smaller one: {now} -> {text.memory(new)}"
        f" ({text.percent(fill.peak / fill.capacity)} used at most)",
        because=(
            f"{steps} used at most {text.memory(fill.peak)} of {now} ({text.percent(fill.peak / fill.capacity)}) {seen}"
        ),
        otherwise=f"{freed:.0f}Gi stay reserved that no run has used",
        category=Category.COST,
        risk=Level.MEDIUM if fill.shared else Level.LOW,
        effort=Level.MEDIUM if fill.shared else Level.LOW,
        current=now,
        proposed=then,
        expected=f"{freed:.0f}Gi less{'' if fill.shared else ' in each run'}{money}; no impact on run duration",
        confidence=min(0.8, fill.runs / (fill.runs + 5.0)),
        saving_per_month=saving,
        evidence=(
            f"mounted by {steps}",
            f"a claim is never made smaller: create one of {then} with the same StorageClass and access modes, copy the data"
            f" while no run is in progress, set the new claimName where {fill.claim} is mounted, then delete {fill.claim}"
            if fill.shared
            else f"{_TEMPLATES} to {then}; claims of runs in progress keep their size",
            "what else uses the volume between the runs cannot be seen from here"
            if fill.shared
            else "a claim costs from the start to the end of its run, at least",
            f"price: {price} per GiB and 30 days (pricing.volumeGiBMonth)",
        ),
    )


def _saving(evidence: Evidence, fill: VolumeFill, new: float) -> Interval | None:
    """Money per month for a volume of ``new`` GiB; None without a price or, for per-run claims, without a known run rate.

    Other sizes are as right: down to one that is not nearly full, and larger by as much.
    """
    analysis, capacity = evidence.analysis, fill.capacity / GIB
    price = (capacity - new) * analysis.pricing.volume_gib_month
    if not price:
        return None
    room = max(1.0, new * GIB / max(fill.used, fill.peak) * _nearly(evidence))
    ends = (capacity - min(new * room, (capacity + new) / 2), capacity - new / room)
    size = Interval(*(price * freed / (capacity - new) for freed in (ends[0], capacity - new, ends[1])))
    if fill.shared:
        return size
    rate = analysis.cost.runs_per_month
    lengths = [r.makespan for r in analysis.runs if r.makespan is not None]
    held = mean_interval(lengths, price * rate / (_MONTH * DAY)) if rate is not None else None
    return combined(held.likely, [held, size.scaled(held.likely / price)]) if held is not None else None


def _nearly(evidence: Evidence) -> float:
    return evidence.settings.number("nearlyFullPercent", 85.0) / 100


def _target(evidence: Evidence) -> float:
    return max(0.01, evidence.settings.number("targetPercent", 70.0) / 100)


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation for each volume that is nearly full, soon will be, or is far too large."""
    for fill in volume_fills(evidence.analysis):
        yield _larger(evidence, fill) or _smaller(evidence, fill)


RULE = Rule(
    RuleName.VOLUME_SIZE,
    evaluate,
    Category.RELIABILITY,
    Level.LOW,
    tie_break=7,
    settings=("nearlyFullPercent", "fullWithinDays", "minFreedGiB", "targetPercent", "timesNeeded"),
    steps=False,
)
