"""Memory request of a step from the peaks of its runs: one number, or a function of input size where that pays.

The loss is explained in waste.py, the probability of a larger peak in tail.py, growth in trend.py, inputs in by_input.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from concertmaster.core.sizing.by_input import InputModel, fit_by_input
from concertmaster.core.sizing.quantities import round_memory
from concertmaster.core.sizing.tail import Floats, coverage_confidence
from concertmaster.core.sizing.trend import carried_forward, driven_growth, growth_per_run, order_z, record_z
from concertmaster.core.sizing.waste import fit_loss, uncertain_share

GIB_HOUR = 2.0**30 * 3600.0
# Peaks below a byte or above an exbibyte are invalid; clipping keeps quotients and sums of squares finite.
SMALLEST, LARGEST = 1.0, 2.0**60
# Growth is extrapolated to at most this multiple of the largest peak.
LARGEST_RISE = 4.0
# Share of future runs that the request covers with the stated confidence.
COVERED_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """Settings of memory sizing.

    ``min_runs``: usable peaks required for a recommendation. ``failure_bound``: largest expected share (0 to 1) of failing
    attempts of a step; stricter where runs take longer than ``strict_from`` seconds. ``failure_price``: cost of a failed
    attempt beyond the memory it wastes, byte-seconds; one GiB-hour is under half a cent at list prices.
    ``retry_factor``: increase of the request after an OOM kill. ``floor``: smallest request, bytes.
    ``drift_z``: one-sided significance (1%) at which growth is reported, or that of inputs gets room; ``room_z``: at which
    growth of peaks gets room, or longer runs are found to need less (5%).
    ``horizon``: how long growth is assumed to continue, in multiples of the history; ``driven_horizon``: the same where
    inputs explain it, since such growth is better known.
    """

    min_runs: int = 3
    failure_bound: float = 0.01
    failure_price: float = 1.0 * GIB_HOUR
    retry_factor: float = 2.0
    strict_from: float = 3600.0
    floor: float = 16.0 * 2**20
    drift_z: float = 2.326
    room_z: float = 1.645
    horizon: float = 1.5
    driven_horizon: float = 2.0


@dataclass(frozen=True, slots=True)
class MemorySize:
    """A proposed memory request and its basis.

    ``request`` and ``largest_recent_peak`` in bytes, waste in byte-seconds per run of the step; None when unknown.
    ``coverage_confidence``: confidence that the request covers a share of 1 - failure bound of future runs; 1 - p^n when no
    peak lies above it; 0 while peaks grow, since the statement requires exchangeable runs. ``failure_share_bound``: expected
    share of failing attempts at the request, 0 to 1. ``drifting``: peaks grow from run to run, and the request leaves room
    for that. ``model``: request as a function of input size, None when one number is enough.
    """

    request: float | None
    enough: bool
    reason: str
    coverage_confidence: float = 0.0
    largest_recent_peak: float | None = None
    failure_share_bound: float | None = None
    model: InputModel | None = None
    drifting: bool = False

    @property
    def automatic_request(self) -> float | None:
        """The request for automatic changes, in bytes: never below the largest recent peak."""
        if self.request is None or self.largest_recent_peak is None:
            return None
        return max(self.request, self.largest_recent_peak)

    @property
    def quantity(self) -> float | None:
        """The request rounded to the nearest plain quantity, in bytes, but not down across the largest recent peak."""
        if self.request is None or self.largest_recent_peak is None:
            return None
        return round_memory(self.request, at_least=min(self.request, self.largest_recent_peak))


def memory_request(
    peaks: Sequence[float] | Floats,
    durations: Sequence[float] | Floats,
    times: Sequence[float] | Floats | None = None,
    inputs: Sequence[float] | Floats | None = None,
    current_request: float | None = None,
    options: MemoryOptions | None = None,
) -> MemorySize:
    """Memory request from one peak (bytes) and duration (s) per execution, oldest first unless ``times`` (unix s) are given.

    ``inputs``: input size (bytes) per execution, NaN where unknown. Executions without a usable peak (NaN, infinite, below
    a byte) are ignored; an unknown duration counts as the median. ``current_request``: bytes; with few runs the proposal
    stays close to it. Never raises.
    """
    options = options or MemoryOptions()
    rows = _usable(peaks, durations, times, inputs)
    if rows is None:
        return MemorySize(None, False, "peaks, durations, times and inputs differ in length")
    u, t, x = rows
    needed = max(1, options.min_runs)
    if u.size < needed:
        return MemorySize(None, False, f"{u.size} usable memory peaks, {needed} are needed")
    rising = order_z(u)
    drifting = rising > options.drift_z
    driven = 0.0 if x is None else driven_growth(np.log(u), _logarithms(x), options.drift_z)
    growth = driven or (growth_per_run(np.log(u)) if rising > options.room_z else 0.0)
    expected = _expected(u, growth, options.driven_horizon if driven else options.horizon)
    loss = fit_loss(np.zeros(u.size), expected, t, options, is_factor=False)
    level, total = map(float, loss.best(options))
    # Growth that inputs explain has room already, and longer runs that need less memory promise no larger peaks.
    records = 0.0 if driven else record_z(t)
    if records > 0.0 and order_z(u[t.argsort(kind="stable")]) < -options.room_z:
        records = 0.0
    request = _with_authors(max(level, options.floor), current_request, u, options.failure_bound, records)
    above = int((u > request).sum())
    return MemorySize(
        request=request,
        enough=True,
        reason=_reason(u, t, above, float(expected.max() - u.max()), "inputs" if driven else "peaks"),
        coverage_confidence=0.0 if drifting else coverage_confidence(u.size, above, COVERED_SHARE),
        largest_recent_peak=float(u.max()),
        failure_share_bound=float(loss.failing(np.array([request]))[0]),
        model=None if x is None else fit_by_input(x, u, t, total, options.floor, options, current_request),
        drifting=drifting,
    )


def _with_authors(request: float, current: float | None, peaks: Floats, bound: float, records: float) -> float:
    """The request, pulled towards the current one, which was set by people who know the step.

    The request covers the share of that distance, on logarithms, that few runs leave uncertain, or ``records`` of run time
    beyond chance: when many runs start at once, short ones end first, and their peaks look stable although large ones are
    still to come. A current request that no run exceeded is never raised: an extrapolated bound is no better evidence.
    """
    largest = float(peaks.max())
    if current is None or not math.isfinite(current) or current < largest:
        return request
    kept = largest * (current / largest) ** uncertain_share(peaks, bound, records)
    return float(min(current, max(request, kept)))


def _expected(peaks: Floats, growth: float, horizon: float) -> Floats:
    """Peaks if ``growth`` (a factor per run, as a log) continues: growth driven by inputs is proportional."""
    if growth <= 0.0:
        return peaks
    ahead = np.minimum(carried_forward(np.log(peaks), growth, horizon), math.log(LARGEST_RISE * float(peaks.max())))
    return np.maximum(peaks, np.exp(ahead))


def _logarithms(inputs: Floats) -> Floats:
    """Logarithms of positive inputs; NaN for others."""
    return np.log(np.where((inputs > 0.0) & (inputs <= LARGEST), inputs, math.nan))


def _reason(peaks: Floats, durations: Floats, above: int, ahead: float, grows: str) -> str:
    text = f"least expected waste over {peaks.size} runs of {float(durations.mean()):.3g} s"
    if above:
        text += f", {above} of which had a larger peak"
    if ahead > 0.0:
        text += f"; {grows} grow, room for {ahead / 2**20:.3g} MiB more is included"
    return text


def _usable(
    peaks: Sequence[float] | Floats,
    durations: Sequence[float] | Floats,
    times: Sequence[float] | Floats | None,
    inputs: Sequence[float] | Floats | None,
) -> tuple[Floats, Floats, Floats | None] | None:
    """Peaks, durations and inputs in order of time, without unusable rows; None when the lengths differ."""
    u = np.asarray(peaks, dtype=np.float64).ravel()
    t = np.asarray(durations, dtype=np.float64).ravel()
    x = None if inputs is None else np.asarray(inputs, dtype=np.float64).ravel()
    when = None if times is None else np.asarray(times, dtype=np.float64).ravel()
    if any(a is not None and a.size != u.size for a in (t, x, when)):
        return None
    good = (u >= SMALLEST) & (u <= LARGEST)
    order = np.flatnonzero(good)
    if when is not None:
        order = order[np.argsort(when[good], kind="stable")]
    u, t = u[order], t[order]
    known = (t >= 0.0) & (t <= LARGEST)
    if not known.all():
        t = np.where(known, t, float(np.median(t[known])) if known.any() else 1.0)
    return u, t, None if x is None else x[order]
