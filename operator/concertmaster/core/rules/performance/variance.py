"""``variance``: a step with unpredictable duration, and what its slow executions have in common.

Variation explained by input size is removed first. Every run is replayed with the step capped at its own median, which
shows the value of a constant duration, mainly at the 95th percentile: an upper bound.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun
from concertmaster.core.analysis.replay.gain import Gain
from concertmaster.core.analysis.runs.usage import images_of
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median
from concertmaster.core.model import Category, Finding, Level, StepExecution
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import THROTTLED, Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence, worth
from concertmaster.core.rules.performance.replays import scaled
from concertmaster.core.rules.performance.skew import COMMON_SHARE, SIGNIFICANCE
from concertmaster.core.rules.rows import ExecutionsByRun
from concertmaster.core.rules.upper_bound import assumption, attainable
from concertmaster.core.stats.exact import fisher
from concertmaster.core.stats.least_squares import slope
from concertmaster.core.stats.summary import Summary, summarize
from concertmaster.core.times import day, utc, weekend

_ONE_SIDED = 1.2816  # normal quantile of one-sided 90% confidence
_MIN_RUNS_PER_HOUR = 3  # mean number of runs at an hour of a kind of day, for hours to explain them
_MIN_HOURLY_SHARE = 0.8  # share of the runs that are at hours of several days


def _longest(by_run: ExecutionsByRun) -> dict[str, StepExecution]:
    """The slowest execution of each run: the one the run waits for."""
    return {
        run: rows[0] if len(rows) == 1 else max(rows, key=lambda e: e.duration or 0.0) for run, rows in by_run.items()
    }


def _cv_at_equal_size(rows: Sequence[StepExecution]) -> float | None:
    """Coefficient of variation of durations (s) over those that a power of the input size predicts; None when sizes are
    unknown."""
    pairs = [(e.input_size, e.duration) for e in rows if e.input_size and e.duration]
    if len(pairs) < max(8, len(rows)):
        return None
    x, y = np.log(np.array(pairs)).T
    return summarize(np.exp(y - slope(x, y).value * (x - x.mean()))).cv


def _throttled(execution: StepExecution) -> float:
    return max((c.throttled_share or 0.0 for c in execution.containers), default=0.0)


def _clause(label: str, slow: Sequence[bool], fast: Sequence[bool]) -> str | None:
    """What is true of most slow executions and of less than half as many of the others; None when this is not."""
    share, beside = sum(slow) / len(slow), sum(fast) / len(fast)
    if share < COMMON_SHARE or share < 2 * beside:
        return None
    return f"{text.percent(share)} of the slow ones {label}, {text.percent(beside)} of the others"


def _usual(slow: Sequence[str | None], fast: Sequence[str | None]) -> str | None:
    """The most frequent value of the slow ones (None: unknown), if that is no chance: few slow ones may share any."""
    values = {*slow, *fast} - {None}
    value = max(sorted(filter(None, values)), key=slow.count, default=None)
    if value is None:
        return None
    has, others = slow.count(value), fast.count(value)
    chance = fisher(has, len(slow) - has, others, len(fast) - others)
    return value if chance is not None and chance * len(values) <= SIGNIFICANCE else None


def _shared(label: str, slow: Sequence[str | None], fast: Sequence[str | None]) -> str | None:
    """The clause on their usual value; None without one."""
    value = _usual(slow, fast)
    if value is None:
        return None
    return _clause(label.format(value), [v == value for v in slow], [v == value for v in fast])


def _split(
    longest: Mapping[str, StepExecution], limit: float
) -> tuple[dict[str, StepExecution], dict[str, StepExecution]]:
    """The executions that take longer than ``limit`` (s), and the others."""
    slow = {run: e for run, e in longest.items() if (e.duration or 0.0) > limit}
    return slow, {run: e for run, e in longest.items() if run not in slow}


def _common(longest: Mapping[str, StepExecution], starts: Mapping[str, float | None], limit: float) -> str:
    """What distinguishes the executions that take longer than ``limit`` (s), as a clause; their share when nothing does.
    ``starts``: when the runs began (unix seconds)."""
    slow, fast = _split(longest, limit)
    if not slow or not fast:
        return "the spread has no single cause"
    parts = list(slow.values()), list(fast.values())
    if (found := _shared("ran on node {}", *([e.node for e in part] for part in parts))) is not None:
        return found
    for label, true in (
        ("were throttled by the CPU limit", lambda e: _throttled(e) >= THROTTLED),
        ("were retries", lambda e: e.attempt > 0),
        ("waited 10 s or more for a node", lambda e: (e.scheduled or 0.0) - (e.created or e.scheduled or 0.0) >= 10.0),
    ):
        if (found := _clause(label, *(list(map(true, part)) for part in parts))) is not None:
            return found
    images = ([images_of([c.image for c in e.containers if not c.init]) for e in part] for part in parts)
    if (found := _shared("ran image {}", *images)) is not None:
        return found
    for label, name in (("on {} (UTC)", day), ("between {} UTC", _hour), ("on a {} (UTC)", _weekday)):
        when = (_named(part, starts, name) for part in (slow, fast))
        if (found := _shared(f"were in runs that began {label}", *when)) is not None:
            return found
    return f"{len(slow)} of {len(longest)} take twice the median or more; no recorded property explains them"


def _named(runs: Iterable[str], starts: Mapping[str, float | None], name: Callable[[float], str]) -> list[str | None]:
    return [name(at) if (at := starts.get(run)) is not None else None for run in runs]


def _in_rhythm(
    longest: Mapping[str, StepExecution], starts: Mapping[str, float | None], limit: float, threshold: float
) -> bool:
    """Whether the step varies by more than ``threshold`` because it takes longer than ``limit`` (s) at most runs of an hour,
    a day of the week, or an hour of it, and elsewhere does not: a full load every night is no surprise. So is what varies
    by no more than ``threshold`` at the same hour of days of a kind."""
    left = _cv_at_equal_hour(longest, starts)
    if left is not None and left <= threshold:
        return True
    slow, fast = _split(longest, limit)
    if not slow or not fast:
        return False
    for name in (_hour, _weekday, _hour_of_week):
        usual = _usual(_named(slow, starts, name), _named(fast, starts, name))
        then = {run for run, value in zip(longest, _named(longest, starts, name), strict=True) if value == usual}
        often = [run for run in slow if run in then]
        if usual is None or len(often) < COMMON_SHARE * len(then) or len({*_named(often, starts, day)}) < 2:
            continue  # of one day: an incident
        sides = [[e.duration or 0.0 for run, e in longest.items() if (run in then) is at] for at in (True, False)]
        alike = [seconds / middle for side in sides if (middle := median(side)) for seconds in side]
        if (summarize(alike).cv or 0.0) <= threshold:
            return True
    return False


def _cv_at_equal_hour(longest: Mapping[str, StepExecution], starts: Mapping[str, float | None]) -> float | None:
    """What is left of the coefficient of variation of durations at the same hour (UTC), on weekends or on other days; None
    where too few runs share one with runs of another day."""
    groups: dict[tuple[bool, str], list[tuple[str, float]]] = defaultdict(list)
    for run, e in longest.items():
        if (start := starts.get(run)) is not None:
            groups[weekend(start), _hour(start)].append((day(start), e.duration or 0.0))
    usual = [[seconds for _, seconds in own] for own in groups.values() if len({date for date, _ in own}) > 1]
    count = sum(map(len, usual))
    if count < max(_MIN_RUNS_PER_HOUR * len(usual), _MIN_HOURLY_SHARE * len(longest)):
        return None
    mean = sum(map(sum, usual)) / count
    squares = sum((seconds - fmean(own)) ** 2 for own in usual for seconds in own)
    return math.sqrt(squares / (count - len(usual))) / mean if mean > 0.0 else None


def _hour(start: float) -> str:
    """``00:00 and 01:00``: the hour in which a run began."""
    hour = utc(start).hour
    return f"{hour:02d}:00 and {(hour + 1) % 24:02d}:00"


def _weekday(start: float) -> str:
    return f"{utc(start):%A}"


def _hour_of_week(start: float) -> str:
    return f"{_weekday(start)}, {_hour(start)}"


def _steady(
    runs: Sequence[ExecutedRun], step: str, longest: dict[str, StepExecution], level: float
) -> tuple[Gain, float, float]:
    """Gain when the step never takes longer than ``level`` seconds, and the p95 of run times (s) before and after."""
    factors = {run: {step: min(1.0, level / e.duration)} for run, e in longest.items() if e.duration}
    gain, before, after = scaled(runs, factors)
    if not before:
        return gain, math.nan, math.nan
    return gain, float(np.quantile(before, 0.95)), float(np.quantile(after, 0.95))


def _varies(times: Summary, threshold: float) -> bool:
    """Whether there are enough of them and they vary by more than ``threshold``, chance aside."""
    return times.count >= 10 and times.cv is not None and _at_least(times.cv, times.count) > threshold


def _at_least(cv: float, count: int) -> float:
    """Lower 90% confidence bound of the coefficient of variation of ``count`` values: few runs vary by chance."""
    return cv * max(0.0, 1.0 - _ONE_SIDED * math.sqrt((0.5 + cv**2) / count))


def _spread_of_others(rows: Sequence[StepExecution]) -> float | None:
    """Coefficient of variation without the slowest execution: a single one makes no step unpredictable."""
    return summarize(sorted(e.duration or 0.0 for e in rows)[:-1]).cv


def _finding(evidence: Evidence, step: StepAnalysis, by_run: ExecutionsByRun) -> Finding | None:
    analysis = evidence.analysis
    threshold = evidence.settings.number("minCvPercent", 100 * analysis.options.high_variance_cv) / 100
    alone = step.duration.count == len(by_run)  # one execution in each run, the common case
    if alone and not _varies(step.duration, threshold):
        return None
    longest = _longest(by_run)
    rows = list(longest.values())
    times = [e.duration for e in rows]
    summary = summarize(times)
    if summary.cv is None or not _varies(summary, threshold):
        return None
    middle = median([t or 0.0 for t in times])
    if not middle:
        return None
    if (_spread_of_others(rows) or 0.0) <= threshold:
        return None
    left = _cv_at_equal_size(rows)
    if left is not None and left <= threshold:
        return None
    starts = {run.run: run.start for run in analysis.runs}
    if _in_rhythm(longest, starts, 2 * middle, threshold):
        return None
    replayed, now, then = _steady(evidence.recent(), step.step, longest, middle)
    bound = worth(replayed, evidence.settings.number("minGainPercent", 5.0))
    if bound is None:
        return None
    share, seconds = attainable(bound)
    name = evidence.title(step.step)
    unit = analysis.policy.input_unit(step.step)
    sizes = "input sizes" if unit != text.BYTES_READ else text.input_name(unit)
    low, high = text.duration(summary.minimum), text.duration(summary.maximum)
    return Finding(
        step=step.step,
        action=f"Investigate run time variance of {name}: {low} to {high}",
        because=(
            f"its run time varies by {text.percent(summary.cv)} of its mean {evidence.runs(len(rows))}: median"
            f" {text.duration(middle)}, p95 {text.duration(summary.p95)}; {_common(longest, starts, 2 * middle)}"
        ),
        otherwise=f"one run in twenty keeps taking {text.duration(now)} or more",
        current=f"p95 {text.duration(summary.p95)}, median {text.duration(middle)}",
        proposed=f"never above its median of {text.duration(middle)}",
        expected=(
            f"{gain_sentence(share, seconds)} on average, {assumption('spread')} (p95 of the run"
            f" {text.duration(then)} instead of {text.duration(now)})"
        ),
        confidence=0.5,
        gain_seconds=seconds,
        gain_share=share,
        upper_bound=True,
        evidence=(
            "at most: replayed with the step at no more than its median",
            f"{sizes} explain {text.percent(max(0.0, 1.0 - (left / summary.cv) ** 2))} of the spread"
            if left is not None
            else "input sizes are unknown",
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per step whose variation is significant and not explained by its input."""
    for step in evidence.analysis.steps:
        by_run = evidence.rows.succeeded.get(step.step, {})
        if by_run and step.path is not None and step.path.drag > 0:
            yield _finding(evidence, step, by_run)


RULE = Rule(
    RuleName.VARIANCE,
    evaluate,
    Category.PERFORMANCE,
    Level.HIGH,
    tie_break=4,
    settings=("minCvPercent", "minGainPercent"),
)
