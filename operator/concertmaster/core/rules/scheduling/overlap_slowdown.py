"""How much runs that overlap slow each other down.

The run time (its logarithm, without what input size, slow nodes, hours and weekends explain) is regressed on how long
earlier runs were beside the run. Later ones tell nothing: a long run has the next one beside it because it is long. Nor do
runs at a time at which all take long, as in an outage: the level of the runs around is a covariate, and runs where it is
unusual are left out. Run times that follow each other for another reason do so where the run before was over, too: if runs
that begin alone take longer after a longer one, overlapping must explain more than the time of the run before does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.analysis.runs.starts import Starts
from concertmaster.core.arrays import Flags, Floats, Indices
from concertmaster.core.changepoint.inputs import explained_by
from concertmaster.core.changepoint.seasons import hours_by_kind, without_seasons
from concertmaster.core.model import Interval
from concertmaster.core.stats.grouped import within_groups
from concertmaster.core.stats.means import combined, mean_with_interval
from concertmaster.core.stats.quantiles import student_quantile
from concertmaster.core.stats.robust import array_median, mad_sigma
from concertmaster.core.stats.shift import amount_shift, residuals

_MIN_RUNS = 12  # runs
# Runs before and after, whose median is the level; the next ones depend on the run, or it on them.
_NEIGHBOURS = (2, 3, 4, 5)
_MAX_DEVIATIONS = 2.0  # robust standard deviations of the level
_PARTS = 10  # of the runs in order, for the error of how often they overlap: those in a row overlap together
_SIGNIFICANCE = 0.005  # one-sided: most workflows whose runs overlap have no such effect
_CARRIES = 1.0  # Student's t from which on runs that begin alone follow the time of the one before: rather too often


class Slowdown(NamedTuple):
    """``longer``: how much longer a run takes that begins beside another, as a share; ``seconds`` that runs lose on average
    (from 0 to all of their time): at the least by earlier ones alone, at the most as much by later ones."""

    longer: Interval
    seconds: Interval


def slowdown(starts: Starts, node_delays: Mapping[str, float]) -> Slowdown | None:
    """None where no effect is significant. ``node_delays``: seconds that slow nodes added, by name of the run."""
    pairs = [(starts.spans[i], o) for i, o in zip(starts.scheduled, starts.overlaps, strict=True)]
    timed = [(span, o, span.run.makespan or 0.0) for span, o in pairs if span.run.outcome.timed and span.run.makespan]
    if len(timed) < _MIN_RUNS:
        return None
    left = [seconds - node_delays.get(span.run.run, 0.0) for span, _, seconds in timed]
    logs = np.log(np.maximum(np.array(left), 1.0))
    inputs = np.array([span.run.input_total or math.nan for span, _, _ in timed])
    explained = explained_by(inputs, logs)
    earlier, later = (np.array([o[k] for _, o, _ in timed]) for k in (1, 2))
    beside, long = (earlier > 0.0).astype(np.float64), later > 0.0
    begun = np.array([span.begin for span, _, _ in timed])
    logs, hours = _without_seasons(begun, logs if explained is None else logs - explained, beside)
    whole, level = np.array([seconds for _, _, seconds in timed]), _levels(logs)
    # The other run may matter as long as it is there, or to what the run begins with. Those over before the next begins
    # vary less where few runs are long.
    found = [
        _Form(*effect, whole, amount, together)
        for amount, together in ((earlier, earlier + later), (beside, np.maximum(beside, long)))
        for of in (np.full(logs.size, True), ~long)
        if (effect := _effect(logs, level, amount, of, hours)) is not None
    ]
    if not found:
        return None
    form = max(found, key=lambda each: each.t)
    least, most, likely = form.least, form.most, form.middle
    often = mean_with_interval([float(part.mean()) for part in np.array_split(form.together, _PARTS)])
    assert often is not None
    middles = [each.middle for each in found]
    errors = (
        least.scaled(likely / least.likely),
        Interval(least.likely, likely, most.likely),
        Interval(min(middles), likely, max(middles)),
        often.scaled(likely / often.likely),
    )
    usual = float(form.amount[form.amount > 0.0].mean())
    seconds = combined(likely, errors)  # below 0 where all that overlap do so in a row, which may have been chance
    longer = Interval(*(math.expm1(each * usual) for each in form.rate))
    return Slowdown(longer, replace(seconds, low=max(0.0, seconds.low), high=min(seconds.high, float(whole.mean()))))


class _Form(NamedTuple):
    """A form of the effect: Student's ``t``, the ``rate`` by which one other run adds to the logarithm of the run time, the
    time of the runs (s), and the ``amount`` of earlier ones, and of all, that each had beside it."""

    t: float
    rate: tuple[float, float, float]
    whole: Floats
    amount: Floats
    together: Floats

    @property
    def least(self) -> Interval:
        """Seconds that a run loses on average by earlier ones."""
        return self._lost(self.amount)

    @property
    def most(self) -> Interval:
        """The same if later ones cost as much."""
        return self._lost(self.together)

    @property
    def middle(self) -> float:
        """Between both."""
        return (self.least.likely + self.most.likely) / 2.0

    def _lost(self, beside: Floats) -> Interval:
        return Interval(*(float(np.mean(self.whole * -np.expm1(-rate * beside))) for rate in self.rate))


def _effect(
    logs: Floats, level: Floats, beside: Floats, of: Flags, hours: Indices | None
) -> tuple[float, tuple[float, float, float]] | None:
    """What one other run adds to the logarithm of the run time, if significant by the runs ``of``: Student's t, and the
    amount with its 90% interval. ``level``: as of ``_levels``; ``hours``: as of ``_without_seasons``."""
    usual = of & (np.abs(level - array_median(level)) <= _MAX_DEVIATIONS * mad_sigma(level))
    usual[0] = False  # the one before it is not known
    kept = np.flatnonzero(usual)
    if kept.size < _MIN_RUNS:
        return None
    amount = beside[kept] if hours is None else within_groups(hours[kept], beside[kept])
    shift = amount_shift(logs[kept], amount, level[kept])
    y, before, x = (
        residuals(values, level[kept] - level[kept].mean()) for values in (logs[kept], logs[kept - 1], amount)
    )
    beyond = amount_shift(y, x, before)
    clear = student_quantile(1.0 - _SIGNIFICANCE, shift.degrees)
    if shift.information < 1e-9 or shift.t() < clear:
        return None
    alone = kept[beside[kept] == 0.0]
    carries = alone.size >= _MIN_RUNS and amount_shift(logs[alone], logs[alone - 1], level[alone]).t() >= _CARRIES
    if beyond.t() <= (clear if carries else 0.0):
        return None
    quantile = student_quantile(0.95, shift.degrees)
    # A covariate that is known with an error leaves a part of what is due to it.
    if amount_shift((logs - level)[kept], amount).t() < quantile:
        return None
    likely = shift.solve(0.0, 0.0)
    low, high = (shift.solve(t, likely) for t in (quantile, -quantile))
    return (shift.t(), (low, likely, high)) if low > 0.0 and math.isfinite(high) else None


def _without_seasons(begun: Floats, logs: Floats, beside: Floats) -> tuple[Floats, Indices | None]:
    """The logarithms without what hours and weekends explain and overlapping does not, and the hours, if they explain any:
    runs overlap in rows, which fill some hours of a few days. The effect of overlapping is that between runs of the same
    hours (Frisch, Waugh 1933), and where hours were removed, only these tell how well it is known."""
    hours, slowed = hours_by_kind(begun), 0.0 * beside
    within = beside if hours is None else within_groups(hours, beside)
    if within.any():
        slowed = beside * amount_shift(logs, within).solve(0.0, 0.0)
    rest = logs - slowed
    (left,) = without_seasons(begun, [rest])
    return left + slowed, None if left is rest else hours


def _levels(logs: Floats) -> Floats:
    """The median of the runs around each: now and then one takes long for a reason of its own."""
    n = logs.size
    near = [[i + s * k for k in _NEIGHBOURS for s in (-1, 1) if 0 <= i + s * k < n] for i in range(n)]
    return np.array([array_median(logs[places]) for places in near])
