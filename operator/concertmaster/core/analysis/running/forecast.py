"""Forecast of the end of a run in progress, from how earlier runs continued from the same state.

Each earlier run is continued from the present: finished steps keep their ends, running steps last as long as in that run if
that is longer than they have run already, and all others follow their predecessors with the pauses and durations of that
run. Retries, scheduling latency and exit handlers are therefore included, and a slow step counts only as far as the run has
to wait for it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.analysis.replay.forecast import one_more
from concertmaster.core.analysis.running.timeline import Progress, Timeline, before
from concertmaster.core.model.policy import Objectives

MIN_RUNS = 5  # earlier runs required for a forecast
LATE_PROBABILITY = 0.8  # probability of missing the deadline at which a run counts as late
DEFAULT_DEADLINE_FACTOR = 1.5  # times the 95th percentile: the deadline of a workflow without a duration objective
MAX_STEPS = 300  # per run; larger runs are forecast from their elapsed time alone
MAX_COMPARED = 10  # running steps that are compared for the decisive one
_MIN_REMAINING_SHARE = 0.25  # median remaining share of its elapsed time for a step that is slower than ever before


@dataclass(frozen=True, slots=True)
class RunForecast:
    """The forecast end of the run with its 90% interval (unix seconds), its ``deadline`` and the probability (0 to 1) of
    missing it. ``by``: the step that determines the end, empty if none does."""

    run: str
    start: float
    end: float
    low: float
    high: float
    deadline: float | None
    risk: float
    by: str = ""

    @property
    def late(self) -> bool:
        """Whether the deadline is missed or very likely to be."""
        return self.deadline is not None and self.risk >= LATE_PROBABILITY


def deadline_seconds(objectives: Objectives, earlier: Sequence[Timeline]) -> float | None:
    """Allowed run time in seconds: the duration objective (p95, else p99, else p50), else ``DEFAULT_DEADLINE_FACTOR``
    times the usual; None with too few runs."""
    targets = {quantile: target for quantile, _, target in objectives.duration.targets()}
    for quantile in ("p95", "p99", "p50"):
        if quantile in targets:
            return float(targets[quantile])
    if len(earlier) < MIN_RUNS:
        return None
    return float(np.quantile([c.seconds for c in earlier], 0.95)) * DEFAULT_DEADLINE_FACTOR


def forecast_run(
    at: Progress,
    earlier: Sequence[Timeline],
    allowed: float | None,
    after: Mapping[str, Sequence[str]] | None = None,
) -> RunForecast | None:
    """Forecast of the end of the run. ``earlier``: timelines adjusted to its input (``by_input.adjusted``). ``allowed``: run
    time in seconds before the deadline. ``after``: what each step waits for; None: whatever had ended in an earlier run
    before the step started. None with fewer than ``MIN_RUNS`` earlier runs."""
    if len(earlier) < MIN_RUNS:
        return None
    by, ends, seen = "", np.array([]), 0
    if any(len(c.began) > MAX_STEPS for c in earlier) or not (at.under_way or at.over):
        usable: list[Timeline] = []
    else:
        usable = [c for c in earlier if all(s in c.ended for s in (*at.under_way, *at.over))]
    if len(usable) >= MIN_RUNS:
        lengths = {s: _lengths(at.elapsed - began, s, usable) for s, began in at.under_way.items()}
        ends = np.array(
            [_played(at, c, {s: v[n] for s, (v, _) in lengths.items()}, after) for n, c in enumerate(usable)]
        )
        by = _decisive(at, usable, lengths, after, float(np.median(ends)))
        seen = lengths[by][1] if by else len(usable)
    else:
        ends, seen = _whole(at.elapsed, earlier)
    ends = np.maximum(ends, at.elapsed)
    low, middle, high = (at.start + v for v in _interval(ends, at.elapsed))
    deadline = at.start + allowed if allowed is not None else None
    risk = 0.0
    if deadline is not None:
        # Counts one more run, which is in time: three late runs out of three are no certainty.
        late = float(np.mean(ends + at.start > deadline)) * seen / (seen + 1)
        risk = 1.0 if at.now > deadline else late
    return RunForecast(at.run, at.start, middle, low, high, deadline, risk, by)


def _interval(ends: np.ndarray, elapsed: float) -> tuple[float, float, float]:
    """Low end, median and high end (seconds from the start) of one more end like these, none before ``elapsed``."""
    middle = float(np.median(ends))
    expected = one_more(ends.tolist()) if middle > 0.0 else None
    if expected is None:
        return middle, middle, middle
    return max(elapsed, min(middle, expected.low)), middle, max(middle, expected.high)


def _lengths(so_far: float, step: str, earlier: Sequence[Timeline]) -> tuple[list[float], int]:
    """Durations of a running step by earlier run, and the number of those longer than its elapsed time. Shorter ones are
    replaced by these in turn."""
    lasted = [c.ended[step] - c.began[step] for c in earlier]
    possible = sorted(v for v in lasted if v > so_far)
    if len(possible) < min(3, len(lasted)):
        # Slower than (almost) ever: the past does not show its remaining time, only that of the steps after it.
        return _unseen(so_far, len(lasted)), len(lasted)
    turn = itertools.cycle(possible[len(possible) // 2 :] + possible[: len(possible) // 2])
    return [v if v > so_far else next(turn) for v in lasted], len(possible)


def _played(
    at: Progress, timeline: Timeline, lengths: Mapping[str, float], after: Mapping[str, Sequence[str]] | None
) -> float:
    """End of the run, in seconds from its start, if it continues like ``timeline``."""
    ended: dict[str, float] = {}
    for step in sorted(timeline.began, key=timeline.began.__getitem__):
        if step not in timeline.ended:
            continue
        if step in at.over:
            ended[step] = at.over[step]
        elif step in lengths:
            ended[step] = at.under_way[step] + lengths[step]
        else:
            began = timeline.began[step]
            waited = before(step, timeline, after)
            if step in at.skipped:
                ended[step] = max((ended[s] for s in waited if s in ended), default=0.0)
                continue
            pause = began - max((timeline.ended[s] for s in waited), default=0.0)
            ready = max((ended[s] for s in waited if s in ended), default=0.0)
            start = max(ready + pause, at.elapsed)
            ended[step] = start + timeline.ended[step] - began
    rest = timeline.seconds - max(timeline.ended.values())
    return max(ended.values()) + rest


def _decisive(
    at: Progress,
    earlier: Sequence[Timeline],
    lengths: Mapping[str, tuple[list[float], int]],
    after: Mapping[str, Sequence[str]] | None,
    middle: float,
) -> str:
    """The running step without which the run would end earliest; empty when none makes a difference."""
    gains = {}
    for step in list(lengths)[:MAX_COMPARED]:
        now = at.elapsed - at.under_way[step]
        without = [
            _played(at, c, {s: now if s == step else v[n] for s, (v, _) in lengths.items()}, after)
            for n, c in enumerate(earlier)
        ]
        gains[step] = middle - float(np.median(without))
    best = max(gains, key=lambda s: (gains[s], s), default="")
    return best if best and gains[best] > 0.0 else ""


def _whole(elapsed: float, earlier: Sequence[Timeline]) -> tuple[np.ndarray, int]:
    """Ends by elapsed time alone: those still possible, or a little after now when all have passed."""
    whole = np.array([c.seconds for c in earlier])
    possible = whole[whole > elapsed]
    if len(possible) >= min(3, len(whole)):
        return possible, len(possible)
    return np.array(_unseen(elapsed, len(whole))), len(whole)


def _unseen(so_far: float, n: int) -> list[float]:
    """Durations beyond any seen: the rest is exponential, in proportion to what has passed."""
    return [so_far * (1.0 - _MIN_REMAINING_SHARE * math.log2(1.0 - (i + 0.5) / n)) for i in range(n)]
