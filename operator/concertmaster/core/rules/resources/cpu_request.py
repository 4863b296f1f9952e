"""``cpu-request``: a step slowed by lack of CPU, because of its limit or a full node.

Where a limit throttles a step on the critical path, the rule proposes more CPU and predicts the gain by replaying the runs
with the throttled share shortened (Amdahl's law). Where a full node is the cause, the kernel's pressure figures show how
long the step waited: the rule raises the request to what the step would use without waiting. A request that is merely far
from usage belongs to ``right-size``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.replay.gain import Gain
from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import known, median
from concertmaster.core.model import Category, Edit, Finding, Interval, Level, SizeItem
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import THROTTLED, Rule, container_id, container_title, gain_sentence, resource_edits
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.sizes import size_guard
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit, by_unit
from concertmaster.core.rules.set_elsewhere import change_there, set_elsewhere
from concertmaster.core.sizing import MILLI, at_most, round_cpu
from concertmaster.core.stats.means import combined, mean_with_interval

# Of the waiting: pressure counts all time in which any thread of a container waited, not only when all did.
_MIN_LOW_SHARE = 0.5
_AT_LIMIT_SHARE = 0.9  # of the limit, on average
_NONE_LEFT = 1e-6  # share of the throttled time
_MAX_RAISE = 4.0  # times the current request: usage without waiting has not been observed


def _throttled(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> Finding | None:
    shares = known(r.throttled_share for r in container.runs_with("cpu_limit"))
    share = median(shares)
    least = evidence.settings.number("throttledPercent", 100 * THROTTLED) / 100
    if (
        share is None
        or share < least
        or container.cpu_limit is None
        or len(shares) < evidence.analysis.options.min_runs
    ):
        return None
    # A container throttled in a share s of its periods needs about limit / (1 - s); at most doubled.
    factor = min(2.0, 1.0 / (1.0 - min(share, 0.5)))
    limit = round_cpu(container.cpu_limit * factor)
    if limit is None:
        return None
    gain: tuple[Interval | None, Interval | None] = (None, None)
    if _is_sidecar(step, container):
        expected = "no shorter run is predicted: it runs beside the step's own container"
    else:
        expected = "no shorter run: other steps run beside it; the step itself gets faster"
        predicted = _gain_of_limit(evidence, step.step, container, limit / container.cpu_limit)
        if predicted.share is not None and predicted.seconds is not None and predicted.seconds.likely > 0:
            gain = predicted.share, predicted.seconds
            expected = gain_sentence(*gain)
    proposed, name = text.cpu_quantity(limit), container_title(evidence, step, container)
    first = evidence.above_capacity("cpu", container.cpu_request or limit, limit) or evidence.above_bounds("cpu", limit)
    return Finding(
        step=step.step,
        about=container_id(step, container),
        action=f"Raise CPU limit of {name}: {text.cpu(container.cpu_limit)} -> {proposed}, or remove it",
        because=(
            f"the limit throttled it in {text.percent(share)} of its CPU periods (median) {evidence.runs(len(shares))}"
            + (
                f", and the step is on the critical path in {text.percent(step.path.share)} of runs"
                if step.path
                else ""
            )
        ),
        otherwise=(
            f"{name} keeps taking {text.duration(step.duration.p50)}, throttled in {text.percent(share)} of its CPU periods"
        ),
        current=f"limit {text.cpu(container.cpu_limit)}",
        proposed=f"limit {proposed}",
        expected=expected + (f"; {first}" if first else "") + change_there(evidence, step, container, "cpu", "limits"),
        confidence=_confidence(len(shares)),
        gain_seconds=gain[1],
        gain_share=gain[0],
        items=(
            SizeItem(
                step.step,
                container.name,
                "limits.cpu",
                text.cpu(container.cpu_limit),
                proposed,
                f"throttled {text.percent(share)}",
                text.percent(limit / container.cpu_limit - 1),
            ),
        ),
        edits=_edits(step, container, "limits", proposed, first),
        evidence=(
            f"throttled share per run: smallest {text.percent(min(shares))}, largest {text.percent(max(shares))}",
            "gain replayed with less throttling of the step; upper bound: none left; lower bound: half of the likely gain,"
            " because the CPU it would use above the limit is unknown",
            *set_elsewhere(evidence, step, container, "cpu"),
        ),
    )


def _is_sidecar(step: StepAnalysis, container: ContainerUsage) -> bool:
    """Whether it is a sidecar, declared or injected: how long its pod takes does not follow from its speed."""
    return step.spec is not None and bool(step.spec.sized) and container.name not in step.spec.own


def _gain_of_limit(evidence: Evidence, step: str, container: ContainerUsage, factor: float) -> Gain:
    """Gain of ``factor`` times the limit. A throttled period does not show how much CPU was missing: the interval runs from
    half of what Amdahl's law gives for the throttled time to none of it left. A container that uses all of its limit is
    bound by it outside throttled periods too, so that all of its time shrinks with more CPU: without throttled time is then
    the likely value, and the upper end is the whole factor."""
    runs = [r for r in container.runs_with("cpu_limit") if r.throttled_share is not None and r.mean_cores is not None]
    used = (median(r.mean_cores for r in runs) or 0.0) / (container.cpu_limit or math.inf)
    throttled = min(used, median(r.throttled_share for r in runs) or 0.0)  # share of the time, as in the replay
    full, spared = used >= _AT_LIMIT_SHARE, 1.0 - 1.0 / factor
    left = 1.0 - spared / throttled if throttled > spared else 0.0  # of the throttled time
    predicted = evidence.gain(WhatIf.more_cpu(step, factor))
    freed = evidence.gain(WhatIf.more_cpu(step, 1.0 / max(left, _NONE_LEFT)))
    most = evidence.gain(WhatIf.scale_step(step, 1.0 / factor)) if full else freed
    parts = []
    for likely, without, high in (
        (predicted.seconds, freed.seconds, most.seconds),
        (predicted.share, freed.share, most.share),
    ):
        if likely is None or without is None or high is None:
            return predicted
        low = min(likely.low, _MIN_LOW_SHARE * likely.likely)
        middle = max(likely.likely, without.likely) if full else likely.likely
        parts.append(Interval(low, middle, max(likely.high, without.high, high.high)))
    return replace(predicted, seconds=parts[0], share=parts[1])


def _starved(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> Finding | None:
    """More CPU for a step on the critical path that waits for CPU without being throttled by a limit."""
    if _is_sidecar(step, container):
        return None
    current = container.cpu_request
    comparable = container.runs_with("cpu_request", "cpu_limit")  # throttled time counts as waiting, too
    seen = [r for r in comparable if r.waiting_share is not None and r.mean_cores is not None]
    share = median(r.waiting_share for r in seen)
    used = median(r.mean_cores for r in seen)
    least = evidence.settings.number("waitingPercent", 10.0) / 100
    options = evidence.analysis.options
    if share is None or used is None or not current or size_guard(container, options) is not None:
        return None
    if not least <= share < 1.0 or len(seen) < options.min_runs:
        return None
    request = _without_waiting(evidence, container, current, seen)
    gain = _gain_without_waiting(evidence, step.step, seen) if request is not None else None
    if request is None or gain is None:
        return None
    proposed, name = text.cpu_quantity(request), container_title(evidence, step, container)
    first = evidence.above_capacity("cpu", request, container.cpu_limit) or evidence.above_bounds("cpu", request)
    return Finding(
        step=step.step,
        about=container_id(step, container),
        action=f"Raise CPU request of {name}: {text.cpu(current)} -> {proposed}",
        because=(
            f"it waited for CPU {text.percent(share)} of its time (median) {evidence.runs(len(seen))} while it used"
            f" {text.cores(used)}, {text.percent(used / current)} of its request; the node is short of CPU, not its limit"
        ),
        otherwise=f"{name} keeps waiting about {text.duration(share * (step.duration.p50 or 0.0))} per run for CPU",
        risk=Level.LOW if request <= 2 * current else Level.MEDIUM,
        current=text.cpu(current),
        proposed=proposed,
        expected=gain_sentence(*gain)
        + (f"; {first}" if first else "")
        + change_there(evidence, step, container, "cpu", "requests"),
        confidence=_confidence(len(seen)),
        gain_seconds=gain[1],
        gain_share=gain[0],
        items=(
            SizeItem(
                step.step,
                container.name,
                "requests.cpu",
                text.cpu(current),
                proposed,
                text.cores(used),
                text.percent(request / used - 1),
            ),
        ),
        edits=_edits(step, container, "requests", proposed, first),
        evidence=(
            "gain replayed without the time the step waited for CPU; lower bound: half of it, because one waiting"
            " thread counts as much as all",
            *set_elsewhere(evidence, step, container, "cpu"),
        ),
        automatic=("requests", "cpu") not in container.overrides,  # a first value may have no effect: a person decides
    )


def _without_waiting(
    evidence: Evidence, container: ContainerUsage, current: float, seen: Sequence[RunUsage]
) -> float | None:
    """The request (cores) that covers what the container would have used in each of the runs ``seen`` without waiting; None
    when that is about the ``current`` one. Runs that waited least used most, so that each has its own wait."""
    waits = [(r.mean_cores or 0.0, r.waiting_share or 0.0) for r in seen]
    used = max(cores / (1.0 - wait) for cores, wait in waits if wait < 1.0)
    rounded = round_cpu(min(used, container.cpu_limit or math.inf, _MAX_RAISE * current))
    if rounded is None:
        return None
    request = at_most(rounded, container.cpu_limit, MILLI)
    least = evidence.settings.number("minChangePercent", 100 * evidence.analysis.policy.apply.min_change) / 100
    return request if request / current - 1 >= least else None


def _gain_without_waiting(evidence: Evidence, step: str, seen: Sequence[RunUsage]) -> tuple[Interval, Interval] | None:
    """Gain (share and seconds) when the step no longer waits for CPU as in the runs ``seen``, at the least when half of that
    time counted; None when it is too small. Runs that wait most take longest: what counts is the share of all their time,
    as well as it is known from so many."""
    waits = [(r.waiting_share or 0.0) * r.seconds for r in seen]
    share = math.fsum(waits) / (math.fsum(r.seconds for r in seen) or math.inf)
    gains = evidence.worth(WhatIf.scale_step(step, 1.0 - share), evidence.settings.number("minGainPercent", 5.0))
    sure = evidence.gain(WhatIf.scale_step(step, 1.0 - _MIN_LOW_SHARE * share))
    most = evidence.gain(WhatIf.scale_step(step, 0.0))
    if gains is None or sure.share is None or sure.seconds is None or most.share is None or most.seconds is None:
        return None
    of_share, seconds = (_as_known(gain, waits) for gain in gains)
    return _within(of_share, sure.share, most.share), _within(seconds, sure.seconds, most.seconds)


def _as_known(gain: Interval, waits: Sequence[float]) -> Interval:
    """The gain with the error of the mean of these seconds."""
    mean = mean_with_interval(waits)
    return gain if mean is None else combined(gain.likely, [gain, mean.scaled(gain.likely / mean.likely)])


def _within(gain: Interval, least: Interval, most: Interval) -> Interval:
    """The gain, at the lowest the ``least`` one, and at the highest that without the step: a mean of few runs may be known
    so badly that more seems possible."""
    return Interval(least.low, gain.likely, max(gain.likely, min(gain.high, most.high)))


def _edits(
    step: StepAnalysis, container: ContainerUsage, section: str, proposed: str, first: str | None
) -> tuple[Edit, ...]:
    """The change, unless something else must be done ``first``."""
    return resource_edits(step, container, {(section, "cpu"): proposed}) if first is None else ()


def _confidence(runs: int) -> float:
    return min(0.9, runs / (runs + 5.0))


def find_slowed(evidence: Evidence, unit: SizingUnit) -> Finding | None:
    """A finding for a container slowed by lack of CPU; None when it is not."""
    return _throttled(evidence, unit.step, unit.container) or _starved(evidence, unit.step, unit.container)


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """At most one recommendation per container slowed by lack of CPU."""
    yield from by_unit(evidence, "cpu", find_slowed)


RULE = Rule(
    RuleName.CPU_REQUEST,
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=8,
    settings=("minChangePercent", "minGainPercent", "throttledPercent", "waitingPercent"),
)
