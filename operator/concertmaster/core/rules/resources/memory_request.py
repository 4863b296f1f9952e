"""``memory-request``: the memory request that wastes least without letting runs fail.

Fires when the size the per-run peaks call for differs from the request by at least ``minChangePercent``. Lowering never
goes below the largest recent peak; raising fires when peaks come near the request or limit, or runs were OOM-killed.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import StepAnalysis
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.rules.base import Evidence, Rule, container_id, mean_interval, resource_edits, share_interval
from concertmaster.core.rules.resources.places import places
from concertmaster.core.rules.resources.sizes import memory_size, size_guard
from concertmaster.core.sizing import round_memory

_GIB = 1024.0**3
_HOUR = 3600.0
_AFTER_KILL = 1.5  # times the limit a run was killed at


def _unseen(container: ContainerUsage, peak: float, headroom: float) -> float:
    """Headroom (share) for what happens between two samples: no more than the kernel's own high-water mark allows."""
    most = max((r.memory_most for r in container.runs if r.memory_most is not None), default=None)
    return headroom if most is None else min(headroom, max(0.0, most / peak - 1))


def _saving(evidence: Evidence, step: StepAnalysis, container: ContainerUsage, freed: float) -> Interval | None:
    """Money per month that ``freed`` bytes less are worth over the run times seen; None without a known rate of runs."""
    rate = evidence.analysis.cost.runs_per_month
    if rate is None:
        return None
    present = evidence.analysis.presence(step, container)
    price = freed / _GIB / _HOUR * evidence.analysis.pricing.memory_gib_hour * rate * present
    return mean_interval([r.reserved_seconds for r in container.runs], price) if price > 0 else None


def _finding(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> Finding | None:
    options, current = evidence.analysis.options, container.memory_request
    if current is None or size_guard(container, options) is not None:
        return None
    size = memory_size(container)
    if not size.enough or size.largest_recent_peak is None or size.automatic_request is None:
        return None
    killed = sum(r.oom_killed for r in container.runs)
    limits = [r.memory_floor for r in container.runs if r.oom_killed and r.memory_floor is not None]
    enough = size.largest_recent_peak * (1 + _unseen(container, size.largest_recent_peak, options.memory_headroom))
    if limits:
        # A killed run needed more than its limit; how much more, nobody has seen.
        enough = max(enough, _AFTER_KILL * max(limits))
    request = round_memory(max(size.automatic_request, enough), at_least=enough)
    if request is None:
        return None
    threshold = evidence.settings.number("minChangePercent", 100 * evidence.analysis.policy.apply.min_change) / 100
    change = request / current - 1
    if abs(change) < threshold and not killed:
        return None
    if change > 0 and not killed and enough <= current:
        return None  # more room would pay, but what is there suffices: nobody needs to touch it
    if change <= 0 and killed:
        return None  # killed below a limit that is not the request: never shrink on such evidence
    proposed, shown = text.memory_quantity(request), text.memory(size.largest_recent_peak)
    runs = len(container.runs)
    values = {("requests", "memory"): proposed}
    over_limit = container.memory_limit is not None and container.memory_limit < request
    if over_limit or killed:
        values["limits", "memory"] = proposed
    edits = resource_edits(step.spec, container, values)
    seconds = sum(r.seconds for r in container.runs) / runs
    if change < 0:
        saved_gib_hours = (current - request) * seconds / _GIB / _HOUR
        saving = _saving(evidence, step, container, current - request)
        money = f", {text.money(saving.likely, evidence.analysis.pricing.currency)} a month" if saving else ""
        return Finding(
            step=step.step,
            about=container_id(step, container),
            action=f"Lower the memory request of {evidence.title(step.step)} from {text.memory(current)} to {proposed}",
            because=(
                f"the largest peak {evidence.runs(runs)} was {shown}, {text.percent(size.largest_recent_peak / current)}"
                f" of the request"
            ),
            otherwise=f"each run keeps {text.memory(current - request)} reserved that nobody else can use",
            category=Category.COST,
            risk=Level.LOW if runs >= 20 else Level.MEDIUM,
            current=text.memory(current),
            proposed=proposed,
            expected=f"{text.memory(current - request)} less reserved for {text.duration(seconds)} of pod time in each run"
            f" ({saved_gib_hours:.2g} GiBh{money})",
            confidence=size.coverage_confidence,
            saving_per_month=saving,
            edits=edits,
            evidence=_evidence(container, size.coverage_confidence),
            automatic=True,
        )
    share = killed / runs
    because = f"{killed} of {runs} runs were OOM-killed ({evidence.window()}); the largest peak seen is {shown}"
    if not killed:
        because = (
            f"the largest peak {evidence.runs(runs)} was {shown}, {text.percent(size.largest_recent_peak / current)} of the"
            f" request" + (", and peaks are growing" if size.drifting else "")
        )
    return Finding(
        step=step.step,
        about=container_id(step, container),
        action=f"Raise the memory request of {evidence.title(step.step)} from {text.memory(current)} to {proposed}",
        because=because,
        otherwise=(
            f"about {text.percent(share)} of the runs keep being killed and retried"
            if killed
            else "on a full node the pod is among the first to be evicted or killed"
        ),
        current=text.memory(current),
        proposed=proposed,
        expected=(
            f"room for runs that need up to {proposed}; what the killed ones needed is not known, only that it was more than"
            f" {text.memory(max(limits, default=size.largest_recent_peak))}"
            if killed
            else f"about {text.percent(size.failure_share_bound)} of runs above the request"
        ),
        confidence=size.coverage_confidence,
        failures_avoided=share_interval(_failed(evidence, step, killed), len(evidence.analysis.runs)),
        edits=edits,
        evidence=_evidence(container, size.coverage_confidence),
        automatic=not killed,
    )


def _failed(evidence: Evidence, step: StepAnalysis, killed: int) -> int:
    """How many of the ``killed`` runs failed for it: those that no retry made good."""
    failures = step.failures
    if not failures.failed:
        return 0
    lasting = 1 - failures.retried / failures.failed
    return min(round(killed * lasting), evidence.analysis.failed)


def _sure(confidence: float) -> str:
    """No sample is proof: what would round to 100 % is said to be above 99.9 %."""
    return "more than 99.9 %" if confidence > 0.999 else text.percent(confidence, 1 if confidence > 0.99 else 0)


def _evidence(container: ContainerUsage, confidence: float) -> tuple[str, ...]:
    peaks = sorted(r.memory_peak for r in container.runs if r.memory_peak is not None)
    return (
        f"per-run peaks: smallest {text.memory(peaks[0])}, median {text.memory(peaks[len(peaks) // 2])}, largest"
        f" {text.memory(peaks[-1])} over {len(peaks)} runs",
        f"the largest of {len(peaks)} peaks covers 95 % of future runs with {_sure(confidence)} confidence",
        f"{text.percent(container.coverage)} of the executions have memory samples",
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per container whose request is off by more than the threshold."""
    if not evidence.analysis.enough:
        return
    for place in places(evidence.analysis):
        finding = _finding(evidence, place.step, place.container)
        if finding is not None:
            yield place.described(finding)


RULE = Rule("memory-request", evaluate, Category.RELIABILITY, Level.LOW, tie_break=7, settings=("minChangePercent",))
