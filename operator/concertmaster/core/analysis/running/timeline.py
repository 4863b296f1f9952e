"""The timeline of a run: first start and last end of each step, for finished runs and runs in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.core.analysis.recent import MATERIAL_SHARE
from concertmaster.core.changepoint import detect
from concertmaster.core.changepoint.clear import last_clear
from concertmaster.core.model import Outcome, RunRecord, StepExecution

NEWEST = 60  # earlier runs that are considered
MIN_SINCE = 8  # of them since a clear change: as many as show what inputs explain
RUN = ""
"""The key of the run as a whole among ``inputs``."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The timeline of one succeeded run: start and end of its steps, and its own end, in seconds from its start. ``inputs``:
    known input sizes of its steps and (``RUN``) of the run as a whole."""

    seconds: float
    began: Mapping[str, float]
    ended: Mapping[str, float]
    inputs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """A run in progress at ``now``: its start (unix seconds), starts of running steps and ends of finished ones, in seconds
    from its start. ``skipped`` steps will not run. ``inputs`` as in ``Timeline``."""

    run: str
    start: float
    now: float
    under_way: Mapping[str, float]
    over: Mapping[str, float]
    skipped: frozenset[str] = frozenset()
    inputs: Mapping[str, float] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return max(0.0, self.now - self.start)


def timelines(runs: Sequence[RunRecord]) -> list[Timeline]:
    """The timelines of the newest succeeded runs (``runs``: oldest first), without those before the last clear change of the
    run time that at least ``MIN_SINCE`` followed: they do not predict the next one."""
    selected: list[Timeline] = []
    ends: list[float] = []
    for run in reversed(runs):
        span = run.run_span
        if run.outcome is not Outcome.SUCCEEDED or span is None or not run.makespan:
            continue
        began, ended = _times(run.steps, span[0])  # as ``progress``: with an approval before the first pod
        selected.append(Timeline(span[1] - span[0], began, ended, _inputs(run, run.input_total)))
        ends.append(span[1])
        if len(selected) == NEWEST:
            break
    return selected[::-1][_first_alike(ends[::-1], selected[::-1]) :]


def _first_alike(ends: Sequence[float], earlier: Sequence[Timeline]) -> int:
    """Index of the first run since the change; ``ends``: unix seconds."""
    trend = detect(ends, [c.seconds for c in earlier], inputs=[c.inputs.get(RUN) for c in earlier])
    change = last_clear(trend.points, MATERIAL_SHARE, until=max(ends, default=0.0))
    first = next((n for n, end in enumerate(ends) if change is not None and end >= change.time), 0)
    return first if len(ends) - first >= MIN_SINCE else 0


def comparable(run: RunRecord, earlier: Sequence[Timeline], least: int) -> RunRecord:
    """A run in progress without the steps that have no pod, such as an approval, and that fewer than ``least`` earlier runs
    have: where these are known from the metrics, they began with their first pod."""
    unlike = {e.step for e in run.steps if e.pod is None and sum(e.step in c.began for c in earlier) < least}
    if not any(e.step in unlike and e.outcome is not Outcome.SKIPPED for e in run.steps):
        return run
    steps = tuple(e for e in run.steps if e.step not in unlike or e.outcome is Outcome.SKIPPED)
    begins = (e.created for e in steps if e.created is not None and e.outcome is not Outcome.SKIPPED)
    return replace(run, start=min(begins, default=None), steps=steps)


def progress(run: RunRecord, now: float) -> Progress | None:
    """Progress of a run at ``now`` (unix seconds); None when it has not started."""
    begins = (e.created for e in run.steps if e.outcome is not Outcome.SKIPPED)
    starts = [t for t in (run.start, *begins) if t is not None]
    if not starts or min(starts) > now:
        return None
    start = min(starts)
    open_steps = {e.step for e in run.steps if e.finished is None and _began(e) is not None}
    began, ended = _times(run.steps, start)
    over = {step: at for step, at in ended.items() if step not in open_steps}
    skipped = {e.step for e in run.steps if e.outcome is Outcome.SKIPPED} - began.keys() - ended.keys()
    under_way = {s: at for s, at in began.items() if s in open_steps}
    return Progress(run.run, start, now, under_way, over, frozenset(skipped), _inputs(run, run.input_size))


def before(step: str, timeline: Timeline, after: Mapping[str, Sequence[str]] | None) -> list[str]:
    """The steps that the step waited for in that run."""
    if after is not None and step in after:
        return [s for s in after[step] if s in timeline.ended]
    began = timeline.began[step]
    return [s for s, end in timeline.ended.items() if end <= began and s != step]


def _times(steps: Sequence[StepExecution], start: float) -> tuple[dict[str, float], dict[str, float]]:
    """First start and last end of each step, in seconds from ``start``."""
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    for e in steps:
        if e.outcome is Outcome.SKIPPED:
            continue
        if (first := _began(e)) is not None:
            began[e.step] = min(began.get(e.step, first - start), first - start)
        if e.finished is not None:
            ended[e.step] = max(ended.get(e.step, e.finished - start), e.finished - start)
    return began, ended


def _began(e: StepExecution) -> float | None:
    return next((t for t in (e.created, e.scheduled, e.started) if t is not None), None)


def _inputs(run: RunRecord, whole: float | None) -> dict[str, float]:
    """Input sizes by step and of the run. For a run in progress only sizes from its own object are complete: not all of its
    steps, nor all items of a fan-out, have started."""
    sizes = {e.step: e.input_size for e in run.steps if e.input_size is not None and e.item is None}
    return sizes | {RUN: whole} if whole is not None else sizes
