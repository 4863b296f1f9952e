"""``bottleneck``: the steps that delay the run most, by drag.

Drag is how much shorter the run would be if the step took no time. It is neither the longest step (which may run parallel
to another) nor a share of the critical path (shortening one branch exposes the next). Idea: W. Duncan / S. Devaux, "critical
path drag". The predicted gain is replayed with half the step's duration.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.replay import CriticalShare, WhatIf
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import THROTTLED, Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.performance.daemons import serving


def _where_time_goes(step: StepAnalysis) -> str:
    run, wait, start = (s.p50 for s in (step.duration, step.waiting, step.starting))
    parts = [f"execution {text.duration(run)}"]
    if wait is not None and wait >= 1:
        parts.append(f"scheduling latency {text.duration(wait)}")
    if start is not None and start >= 1:
        parts.append(f"startup {text.duration(start)}")
    return ", ".join(parts) + " (medians)"


def _hint(step: StepAnalysis, analysis: Analysis) -> str:
    if step.spec is not None and step.spec.creates:
        return "it waits for the object it creates, so look at what that runs"
    used = [(c, u) for c in step.containers if (u := c.utilization("cpu")) is not None]
    uses = [u for _, u in used]
    # Relative to one core, whatever is requested: a fully busy single thread is not waiting.
    busy = [u * (c.cpu_request or 0.0) for c, u in used]
    if (median(share for c in step.containers for share in c.known("throttled_share")) or 0.0) >= THROTTLED:
        return "its CPU limit throttles it, see cpu-request"
    daemons = serving(step, analysis)
    if daemons and max(busy, default=0.0) <= 0.7:  # else it works itself
        return f"it waits for {text.listing(daemons)}, so look at what takes time there"
    off = bool(busy) and max(busy) < 0.3
    if uses and max(uses) > 0.8:
        much = f"it uses {text.percent(max(uses))} of the CPU it requests"
        return (
            f"{much}, which is little, so on full nodes a larger request shortens it; elsewhere, check its I/O"
            if off
            else f"{much}, so splitting its work, or more CPU if its threads can use it, shortens it"
        )
    if off:
        return "it is mostly off-CPU, so check its I/O and the services it calls"
    if uses and max(uses) < 0.5 and max(busy) > 0.7:
        return "one of its threads does all the work, so use more threads or split it"
    return "splitting its work or caching its result shortens it"


def _even_share(analysis: Analysis) -> float:
    """One and a half times the average drag on the critical path: in a chain of equal steps none is a bottleneck."""
    critical = sum(s.path is not None and s.path.share >= 0.5 for s in analysis.steps)
    return min(0.6, 1.5 / critical) if critical else 0.0


def _finding(evidence: Evidence, step: StepAnalysis, path: CriticalShare, makespan: float) -> Finding | None:
    analysis = evidence.analysis
    share = path.drag / makespan
    if share < evidence.settings.number("minDragPercent", 15.0) / 100 or path.seconds / makespan < _even_share(
        analysis
    ):
        return None
    predicted = evidence.gain(WhatIf.scale_step(step.step, 0.5))
    if predicted.seconds is None or predicted.share is None or predicted.seconds.likely <= 0:
        return None
    return Finding(
        step=step.step,
        action=f"Optimize {evidence.title(step.step)}: {text.percent(share)} of critical-path time",
        because=(
            f"it is on the critical path in {text.percent(path.share)} of {text.count(path.runs, 'run')}"
            f" ({evidence.window()}): {_where_time_goes(step)}; without it a run would be {text.duration(path.drag)} shorter"
            f" ({text.percent(share)} of {text.duration(makespan)}); {_hint(step, analysis)}"
        ),
        otherwise=f"{evidence.title(step.step)} keeps taking {text.duration(path.seconds)} of an average run",
        current=f"{text.duration(step.duration.p50)} median, {text.duration(step.duration.p95)} p95",
        proposed=f"{text.duration((step.duration.p50 or 0.0) / 2)} median",
        expected=f"at half its time: {gain_sentence(predicted.share, predicted.seconds)}",
        confidence=min(0.9, path.share),
        # Half the duration measures the weight of the step, it predicts no remedy: counted only for a missed objective.
        gain_seconds=predicted.seconds if evidence.misses_duration else None,
        gain_share=predicted.share if evidence.misses_duration else None,
        evidence=(
            f"critical-path time {text.duration(path.drag)} per run on average",
            f"on the critical path in {text.percent(path.share)} of {predicted.runs_used} replayed runs",
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """At most the two steps with the largest drag, if significant and the graph has more than one step."""
    analysis = evidence.analysis
    makespan = analysis.makespan.mean
    if not makespan or len(analysis.steps) < 2:
        return
    ranked = sorted(((s, s.path) for s in analysis.steps if s.path is not None), key=lambda pair: -pair[1].drag)
    for step, path in ranked[: int(evidence.settings.number("maxSteps", 2))]:
        yield _finding(evidence, step, path, makespan)


RULE = Rule(
    RuleName.BOTTLENECK,
    evaluate,
    Category.PERFORMANCE,
    Level.HIGH,
    tie_break=9,
    settings=("maxSteps", "minDragPercent"),
)
