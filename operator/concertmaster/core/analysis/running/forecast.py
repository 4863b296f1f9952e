"""When a run in progress will end, from how earlier runs went on from where it is now.

Every step that is under way says how long earlier runs took from its start to their end; those in which the step was over
sooner than it has been running already do not count any more. The last step that ended says the same from its end. The end
of the run is the latest of what they say, because a run waits for all of its steps. No model stands in between, so that
whatever comes after a step (retries, waiting for nodes, an exit handler) is in the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.model.policy import Objectives

MIN_RUNS = 5  # below that nothing is said
NEWEST = 60  # earlier runs that are looked at
BAND = (0.05, 0.95)
LATE_FROM = 0.8  # probability of missing the deadline from which a run counts as late
USUAL_FACTOR = 1.5  # of the 95th percentile: the deadline of a workflow without a duration objective
_BEYOND = 0.25  # of its time so far: how much longer a step lasts that is slower than it ever was


@dataclass(frozen=True, slots=True)
class Course:
    """How one succeeded run went: when its steps began and ended, and when it ended, in seconds from its start."""

    seconds: float
    began: Mapping[str, float]
    ended: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Progress:
    """A run in progress at ``now``: when it started (unix seconds), when steps began that are under way, and when those
    that are over ended, in seconds from its start."""

    run: str
    start: float
    now: float
    under_way: Mapping[str, float]
    over: Mapping[str, float]

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return max(0.0, self.now - self.start)


@dataclass(frozen=True, slots=True)
class RunForecast:
    """When the run will end, with the interval that holds it in nine of ten cases (unix seconds), and what is held against
    its ``deadline``: the probability (0 to 1) to miss it. ``by``: the step that decides the end, empty without one."""

    run: str
    start: float
    end: float
    low: float
    high: float
    deadline: float | None
    risk: float
    runs: int
    by: str = ""

    @property
    def late(self) -> bool:
        """Whether the deadline is missed, or will be in all likelihood."""
        return self.deadline is not None and self.risk >= LATE_FROM


def courses(runs: Sequence[RunRecord]) -> list[Course]:
    """The courses of the newest succeeded runs (``runs``: oldest first)."""
    found: list[Course] = []
    for run in reversed(runs):
        if run.outcome is not Outcome.SUCCEEDED or run.start is None or not run.makespan:
            continue
        began, ended = _times(run.steps, run.start)
        found.append(Course(run.makespan, began, ended))
        if len(found) == NEWEST:
            break
    return found[::-1]


def progress(run: RunRecord, now: float) -> Progress | None:
    """Where a run is at ``now``; None before it has begun."""
    starts = [t for t in (run.start, *(e.created for e in run.steps)) if t is not None]
    if not starts or min(starts) > now:
        return None
    start = min(starts)
    open_steps = {e.step for e in run.steps if e.finished is None and _began(e) is not None}
    began, ended = _times(run.steps, start)
    over = {step: at for step, at in ended.items() if step not in open_steps}
    return Progress(run.run, start, now, {s: at for s, at in began.items() if s in open_steps}, over)


def deadline_seconds(objectives: Objectives, earlier: Sequence[Course]) -> float | None:
    """How long a run may take: the duration objective (p95, else p99, else p50), else well beyond what is usual; None with
    too few runs."""
    targets = {quantile: target for quantile, _, target in objectives.duration.targets()}
    for quantile in ("p95", "p99", "p50"):
        if quantile in targets:
            return float(targets[quantile])
    if len(earlier) < MIN_RUNS:
        return None
    return float(np.quantile([c.seconds for c in earlier], 0.95)) * USUAL_FACTOR


def forecast_run(at: Progress, earlier: Sequence[Course], allowed: float | None) -> RunForecast | None:
    """When the run will end. ``allowed``: seconds it may take. None with fewer than ``MIN_RUNS`` earlier runs."""
    if len(earlier) < MIN_RUNS:
        return None
    by, ends = max(
        ((step, ends) for step, ends in _said(at, earlier) if len(ends)),
        key=lambda said: (float(np.median(said[1])), said[0]),
    )
    low, middle, high = (at.start + float(v) for v in np.quantile(ends, [BAND[0], 0.5, BAND[1]]))
    deadline = at.start + allowed if allowed is not None else None
    risk = 0.0
    if deadline is not None:
        # One more run than were seen, which would be in time: three of three are no certainty.
        risk = 1.0 if at.now > deadline else float(np.sum(ends + at.start > deadline)) / (len(ends) + 1)
    return RunForecast(at.run, at.start, middle, low, high, deadline, risk, len(earlier), by)


def _said(at: Progress, earlier: Sequence[Course]) -> list[tuple[str, np.ndarray]]:
    """What each step says about the end of the run, as seconds from its start; without steps the run as a whole."""
    said = [(step, _under_way(at, step, began, earlier)) for step, began in at.under_way.items()]
    if at.over:
        step, ended = max(at.over.items(), key=lambda kv: (kv[1], kv[0]))
        rest = np.array([ended + c.seconds - c.ended[step] for c in earlier if step in c.ended])
        if not at.under_way:  # something has to follow yet, or the run would be over
            said.append((step, _not_before(rest, at.elapsed, ended)))
    said = [(step, ends) for step, ends in said if len(ends) >= MIN_RUNS]
    if said:
        return said
    whole = np.array([c.seconds for c in earlier])
    return [("", _not_before(whole, at.elapsed, 0.0))]


def _under_way(at: Progress, step: str, began: float, earlier: Sequence[Course]) -> np.ndarray:
    """Ends of the run, had it gone on from the start of this step as earlier runs did."""
    seen = [c for c in earlier if step in c.began and step in c.ended]
    if len(seen) < MIN_RUNS:
        return np.array([])
    so_far = at.elapsed - began
    lasted = np.array([c.ended[step] - c.began[step] for c in seen])
    after = np.array([c.seconds - c.ended[step] for c in seen])
    possible = lasted > so_far
    if possible.sum() >= min(3, len(seen)):
        ends: np.ndarray = (began + lasted + after)[possible]
        return ends
    # Slower than (almost) ever: how long it still takes is not in the past; what follows it is.
    return began + so_far * (1.0 + _BEYOND) + after


def _not_before(ends: np.ndarray, elapsed: float, since: float) -> np.ndarray:
    """``ends`` that are still possible, or a little more than now when all of them have passed."""
    possible = ends[ends > elapsed]
    if len(possible) >= min(3, len(ends)):
        return possible
    beyond = elapsed + _BEYOND * (elapsed - since)
    return np.full(max(len(ends), MIN_RUNS), beyond)


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
