"""``gpu-request``: GPUs that a step reserves and does not use.

A GPU is reserved exclusively, so an idle one costs as much as a busy one. The highest number busy at any time bounds the
need, as long as runs need as many; if each was busy but rarely, the finding is about sharing one instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, container_id, container_title, resource_edits
from concertmaster.core.rules.earlier_peaks import earlier_peak
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import in_share, mean_interval
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit, by_unit
from concertmaster.core.rules.set_elsewhere import change_there, set_elsewhere
from concertmaster.core.stats.exact import is_over
from concertmaster.core.units import HOUR

_SURE_RUNS = 20
# Below which the newest runs need fewer GPUs because the work has changed; a run that lacks one fails.
_SIGNIFICANCE = 0.001
_SHARING = 2  # pods per shared GPU: supported by any kind of partitioning or time-slicing
_SELDOM = 0.05  # share of runs that may use more of their GPUs than a pod has of shared ones, and take longer then


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per container with idle or little used GPUs."""
    yield from by_unit(evidence, "gpu", _finding)


def _finding(evidence: Evidence, unit: SizingUnit) -> Finding | None:
    container, analysis = unit.container, evidence.analysis
    held, resource = container.gpu_request, container.gpu_resource
    if not held or resource is None:
        return None
    known = [r for r in container.runs if r.gpus_active is not None]
    latest = _latest(known)
    present = set(container.runs_with("gpu_request"))
    seen = [r for r in latest if r in present and r.gpus_used is not None]
    if len(seen) < analysis.options.min_runs:
        return None
    needed = max(r.gpus_active or 0.0 for r in latest)  # also with more GPUs than today
    since = latest[0].time if len(latest) < len(known) else 0.0
    earlier = earlier_peak(evidence, unit.steps, f"gpu/{container.name}", needed, since)
    needed = earlier.amount if earlier is not None else needed
    uses = [(r.gpus_used or 0.0) / held for r in seen]
    use = median(uses) or 0.0
    if needed < held:
        return _fewer(evidence, unit, resource, needed, use, len(seen))
    if use < evidence.settings.number("minUsePercent", 30.0) / 100 and _fits_shared(uses):
        return _shared(evidence, unit, resource, use, len(seen))
    return None


def _fits_shared(uses: list[float]) -> bool:
    """Whether the share of its GPUs that each run used (oldest first) is mostly, or by now, at most that of shared ones."""
    crowded = [use > 1.0 / _SHARING for use in uses]
    return sum(crowded) <= _SELDOM * len(crowded) or is_over(crowded, _SIGNIFICANCE)


def _latest(runs: list[RunUsage]) -> list[RunUsage]:
    """The ``runs`` (oldest first) since those that used more GPUs at once, where that is clearly over; else all."""
    while runs:
        most = max(r.gpus_active or 0.0 for r in runs)
        busy = [r.gpus_active == most for r in runs]
        if not is_over(busy, _SIGNIFICANCE):
            break
        runs = runs[len(runs) - [*reversed(busy)].index(True) :]
    return runs


def _fewer(evidence: Evidence, unit: SizingUnit, resource: str, needed: float, use: float, runs: int) -> Finding:
    """Fewer GPUs: some were never busy."""
    container = unit.container
    held = container.gpu_request or 0.0
    name = container_title(evidence, unit.step, container)
    idle = "its GPU was never busy" if held == 1 else f"none of its {held:g} GPUs was ever busy"
    busy = (
        f"at most {needed:g} of its {held:g} GPUs {'was' if needed == 1 else 'were'} busy at any time"
        if needed
        else idle
    )
    # Request and limit of extended resources must be equal: set whichever is declared.
    spec = unit.step.declared(container)
    written = [s for s in ("requests", "limits") if spec is not None and resource in spec.resources.get(s, {})]
    edits = resource_edits(unit.step, container, {(s, resource): f"{needed:g}" for s in written})
    freed, saving = _saving(evidence, unit, held - needed)
    return replace(
        _common(evidence, unit, resource, freed, saving),
        action=(
            f"Lower GPU request of {name}: {held:g} -> {needed:g}"
            if needed
            else f"Run {name} without a GPU: {held:g} -> 0"
        ),
        because=(f"{busy}, mean utilization {text.percent(use)} {evidence.runs(runs)}"),
        risk=Level.LOW if needed and runs >= _SURE_RUNS else Level.MEDIUM,
        proposed=f"{resource}: {needed:g}",
        confidence=min(0.9, runs / (runs + 5.0)),
        edits=tuple(replace(edit, weight=max(0.0, saving.likely) if saving is not None else 0.0) for edit in edits),
    )


def _shared(evidence: Evidence, unit: SizingUnit, resource: str, use: float, runs: int) -> Finding | None:
    """A shared GPU: every GPU was busy at some time, but rarely."""
    held = unit.container.gpu_request or 0.0
    if "mig" in resource:
        return None  # a slice already
    freed, saving = _saving(evidence, unit, held - held / _SHARING)
    common, name = (
        _common(evidence, unit, resource, freed, saving),
        container_title(evidence, unit.step, unit.container),
    )
    return replace(
        common,
        expected=f"{common.expected.partition(';')[0]}, with {_SHARING} pods on each GPU",
        action=f"Share the {'GPU' if held == 1 else 'GPUs'} of {name}, or use a smaller kind",
        because=f"mean utilization of {_gpus(held)} is {text.percent(use)} (median) {evidence.runs(runs)}",
        risk=Level.MEDIUM,
        effort=Level.MEDIUM,
        proposed="a MIG slice, time-slicing, or larger batches on the same GPU",
        confidence=0.4,
    )


def _common(evidence: Evidence, unit: SizingUnit, resource: str, freed: float, saving: Interval | None) -> Finding:
    """Fields common to both findings."""
    currency = evidence.analysis.pricing.currency
    money = f" ({text.money(saving.likely, currency)} a month)" if saving is not None else ""
    return Finding(
        step=unit.step.step,
        about=container_id(unit.step, unit.container),
        action="",
        because="",
        otherwise="every run keeps GPUs from other work while they are idle",
        category=Category.COST,
        current=f"{resource}: {unit.container.gpu_request:g}",
        proposed="",
        expected=f"{text.number(freed, 2)} GPU-hours less reserved per run{money}; no impact on run duration"
        + change_there(evidence, unit.step, unit.container, "gpu", "requests"),
        confidence=0.0,
        saving_per_month=saving,
        evidence=(
            "a GPU counts as used when its engine was busy for 5% of a sample at any time (DCGM)",
            f"price: {text.money(unit.step.pricing.gpu_hour, currency)} per GPU-hour (pricing.gpuHour)",
            *set_elsewhere(evidence, unit.step, unit.container, "gpu"),
        ),
    )


def _saving(evidence: Evidence, unit: SizingUnit, fewer: float) -> tuple[float, Interval | None]:
    """Reserved GPU-hours saved per run, and money per month."""
    analysis, container = evidence.analysis, unit.container
    present = analysis.presence(unit.step, container)
    times, held = analysis.held(container)
    freed = fewer * sum(held) / max(1, len(held)) / HOUR * present
    rate = analysis.cost.runs_per_month
    price = fewer / HOUR * unit.step.pricing.gpu_hour * rate * present if rate is not None else 0.0
    saving, runs = mean_interval(held, price) if price else None, len(analysis.since_added(times))
    return freed, in_share(saving, round(present * runs), runs) if saving is not None else None


def _gpus(count: float) -> str:
    return "GPU" if count == 1 else f"{count:g} GPUs"


RULE = Rule(RuleName.GPU_REQUEST, evaluate, Category.COST, Level.LOW, tie_break=8, settings=("minUsePercent",))
