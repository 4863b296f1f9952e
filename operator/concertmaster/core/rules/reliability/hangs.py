"""Whether long executions hung. Their length alone does not show it: a full load at the weekend takes as long as a hang.

An execution hung that did not end by itself, or that was idle: it took many times as long as the others while it spent no
more CPU than they did. None is a hang where its input explains it. One that succeeded, or whose end was not seen, and whose
CPU is unknown is judged by the others that took as long, if enough of them are known. CPU shows nothing about a step that
always waits, for a job elsewhere or for a file: a full load is as idle as a hang.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from concertmaster.core.analysis.runs.executions import ABSENT
from concertmaster.core.analysis.runs.usage import IDLE_CORES, mean_cores
from concertmaster.core.known import largest, median, total
from concertmaster.core.model import RunRecord, StepExecution, StepSpec

LONG_FACTOR = 2.0
"""Times what the other executions call for, in time, CPU or time per input: a slow execution is no hang."""

_MIN_HANGS = 3  # long executions of which it is known that they hung; or most of them


class DeadlineSpan(NamedTuple):
    """What a time limit applies to: one execution of a step, or a run with several. ``seconds`` from creation to end,
    ``pending`` of them without a node; ``good``: whether it succeeded, with known start and end; ``unseen``: whether it may
    have."""

    step: str
    item: str | None
    seconds: float
    pending: float
    good: bool
    executions: tuple[StepExecution, ...]
    unseen: bool = False


def spans(run: RunRecord) -> list[DeadlineSpan]:
    """Of the executions of a run that ran and ended."""
    return [
        DeadlineSpan(
            e.step, e.item, seconds, _pending(e, seconds), e.outcome.timed and e.started is not None, (e,), e.unseen
        )
        for e in run.steps
        if e.outcome not in ABSENT and (seconds := e.span) is not None
    ]


def spans_on_node(run: RunRecord) -> list[DeadlineSpan]:
    """The same, ``seconds`` without those pending: what the kubelet limits."""
    return [span._replace(seconds=span.seconds - span.pending) for span in spans(run)]


def _pending(e: StepExecution, seconds: float) -> float:
    """All of it, if the pod is not known to have had a node."""
    begin = e.scheduled if e.scheduled is not None else e.started
    if begin is None or e.created is None:
        return seconds if begin is None else 0.0
    return min(seconds, max(0.0, begin - e.created))


def hung(longest: Sequence[DeadlineSpan], others: Sequence[DeadlineSpan], spec: StepSpec) -> int:
    """How many of the longest are known to have hung, compared with the others of the same step that succeeded; 0 if one of
    them did not, or if too few are known."""
    good = [span for span in others if span.good]
    cpu = median(_cpu_seconds(span, spec) for span in good)
    ran = median(total(e.duration for e in span.executions) for span in good)
    if cpu is not None and ran is not None and cpu <= IDLE_CORES * ran:
        cpu = None
    rate = median(span.seconds / size for span in good if (size := _input(span)))
    least = LONG_FACTOR * max((span.seconds for span in good), default=0.0)
    if any(_explained(span, rate) for span in longest):
        return 0
    verdicts = [_idle(span, spec, least, cpu) if span.good or span.unseen else True for span in longest]
    known = verdicts.count(True)
    return known if False not in verdicts and (known >= _MIN_HANGS or 2 * known > len(verdicts)) else 0


def _explained(span: DeadlineSpan, rate: float | None) -> bool:
    """Whether its input is as much larger as it took longer; ``rate``: the usual seconds per input."""
    size = _input(span)
    return size is not None and rate is not None and span.seconds <= LONG_FACTOR * rate * size


def _idle(span: DeadlineSpan, spec: StepSpec, least: float, usual: float | None) -> bool | None:
    """Whether one pod ran for ``least`` seconds, pending time excluded, with the ``usual`` CPU seconds at most; None where
    that is unknown."""
    if (largest(e.duration for e in span.executions) or 0.0) < least:
        return False
    spent = _cpu_seconds(span, spec)
    return None if spent is None or usual is None else spent <= LONG_FACTOR * usual


def _cpu_seconds(span: DeadlineSpan, spec: StepSpec) -> float | None:
    """Of the step's own containers, sidecars excepted; None when unknown for all. The part without samples counts like the
    rest."""
    own = spec.own
    return total(
        cores * e.duration
        for e in span.executions
        for c in e.containers
        if (c.name in own or not spec.containers) and not (c.init or c.sidecar or c.ambiguous)
        if e.duration is not None and (cores := mean_cores(c, e.duration)) is not None
    )


def _input(span: DeadlineSpan) -> float | None:
    """Attempts at the same item count once."""
    return total({(e.step, e.item): e.input_size for e in span.executions}.values())
