"""``split-long-step``: one pod that works for most of the run while everything waits for it.

Only for steps that compute: dividing does not help a step that waits. Whether the work can be divided is not observable, so
the replay with equal parts is an upper bound, and each part pays for its own start-up.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.replay.gain import Gain
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth

_PARTS = (2, 4, 8)
_MIN_EXTRA_GAIN = 0.03  # additional parts must gain this much more to justify their pods
_BUSY = 0.7


def _busy(step: StepAnalysis) -> tuple[float, float] | None:
    """Of the busiest container, cores used divided by what one thread, or a smaller request, could use, and these cores;
    None when unknown."""
    shares = []
    for container in step.containers:
        cores = median(container.known("mean_cores"))
        if cores is not None:
            shares.append((cores / min(1.0, container.cpu_request or 1.0), cores))
    return max(shares, default=None)


def _parts(evidence: Evidence, step: str) -> tuple[int, Gain] | None:
    """The smallest number of parts with nearly the best gain."""
    tried = [(n, evidence.gain(WhatIf.split_step(step, n))) for n in _PARTS]
    known = [(n, g, g.share.likely) for n, g in tried if g.share is not None]
    if not known:
        return None
    best = max(k[2] for k in known)
    return next((n, g) for n, g, share in known if share >= best - _MIN_EXTRA_GAIN)


def _halves(evidence: Evidence, step: str, most: tuple[Interval, Interval]) -> tuple[Interval, Interval]:
    """Share and seconds of the gain: at most ``most``, likely that of two even parts; how well the work divides is not
    observable."""
    two = evidence.gain(WhatIf.split_step(step, 2))
    if two.share is None or two.seconds is None:
        return most
    share, seconds = (
        Interval(min(0.0, m.low), min(t.likely, m.likely), m.high)
        for t, m in zip((two.share, two.seconds), most, strict=True)
    )
    return share, seconds


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the busy single pod that delays runs most."""
    analysis = evidence.analysis
    makespan = analysis.makespan.mean
    if not makespan:
        return
    least = evidence.settings.number("minDragPercent", 50.0) / 100
    for step in analysis.steps:
        single = step.spec is not None and not step.spec.fan_out and not step.spec.waits and not step.spec.daemon
        if not single or step.path is None or step.path.drag < least * makespan:
            continue
        if (step.duration.p50 or 0.0) < evidence.settings.number("minSeconds", 600.0):
            continue  # dividing a step is manual work that a few minutes do not justify
        busy = _busy(step)
        cut = _parts(evidence, step.step) if busy is not None and busy[0] >= _BUSY else None
        gains = worth(cut[1], evidence.settings.number("minGainPercent", 10.0)) if cut is not None else None
        if cut is None or gains is None or busy is None:
            continue
        parts, (share, seconds) = cut[0], _halves(evidence, step.step, gains)
        name = evidence.title(step.step)
        yield Finding(
            step=step.step,
            action=f"Split {name} into {parts} parallel pods",
            because=(
                f"one pod computes for {text.duration(step.duration.p50)} on {text.cores(busy[1])} while"
                " everything waits for it,"
                f" {text.percent(step.path.drag / makespan)} of the run (medians {evidence.runs(step.runs)})"
            ),
            otherwise=f"no run gets below {text.duration(step.path.seconds)}, however many nodes there are",
            current="1 pod",
            proposed=f"{parts} pods",
            expected=f"{gain_sentence(share, seconds)}, at most if the work divides evenly into {parts}, likely if into two",
            confidence=0.4,
            # Whether the work can be divided is unknown: an upper bound, counted only for a missed objective.
            gain_seconds=seconds if evidence.misses_duration else None,
            gain_share=share if evidence.misses_duration else None,
            upper_bound=True,
            evidence=(
                f"replayed with {parts} equal parts, each with a start of its own; more parts gain less than 3% more",
            ),
        )


RULE = Rule(
    RuleName.SPLIT_LONG_STEP,
    evaluate,
    Category.SCALABILITY,
    Level.HIGH,
    tie_break=4,
    settings=("minDragPercent", "minGainPercent", "minSeconds"),
)
