"""Memory request of a step from the peaks of its runs: one number, or a function of input size where that pays.

The loss is explained in waste.py, the probability of a larger peak in tail.py, what few runs leave to the authors in
authored_request.py, growth in trend.py and expected_peaks.py, inputs in by_input.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.authored_request import blended, weight_of_request
from concertmaster.core.sizing.by_input import InputModel, ModelFits, best_by_input, fits_by_input
from concertmaster.core.sizing.executions import MAX_VALUE, usable
from concertmaster.core.sizing.expected_peaks import at_equal_input, peaks_ahead
from concertmaster.core.sizing.trend import order_z, orders_z, records_z
from concertmaster.core.sizing.waste import FAILURE_BOUND, BestMargin, bests, fit_losses
from concertmaster.core.units import MIB

# One-sided significance (5%) at which longer runs are found to need less.
LESS_Z = 1.645
# Share of future runs that the request covers with the stated confidence.
COVERED_SHARE = 0.95
# Usable peaks required for a recommendation.
MIN_RUNS = 3
# Smallest request, bytes.
FLOOR = 16.0 * MIB


@dataclass(frozen=True, slots=True)
class MemorySize:
    """A proposed memory request and its basis.

    ``request``, which is never below it, and ``largest_recent_peak`` in bytes. ``coverage_confidence``: confidence that the
    request covers COVERED_SHARE of future runs, 1 - share^n as no peak lies above it (order statistics, distribution-free:
    Wilks 1941); 0 while peaks grow, since the statement requires exchangeable runs. ``drifting``: peaks grow from run to
    run, and the request leaves room for that. ``model``: request as a function of input size, None when one number is
    enough.
    """

    request: float
    coverage_confidence: float
    largest_recent_peak: float
    model: InputModel | None
    drifting: bool


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What the memory request of a step is worked out from; see ``memory_request``."""

    peaks: Sequence[float] | Floats
    durations: Sequence[float] | Floats
    times: Sequence[float] | Floats | None = None
    inputs: Sequence[float] | Floats | None = None
    current_request: float | None = None


@dataclass(frozen=True, slots=True)
class _Usable:
    """One of the steps with its usable rows, and the peaks to expect if they keep growing. ``logs`` of peaks, and
    ``input_logs`` of positive inputs, NaN for others."""

    peaks: Floats
    durations: Floats
    inputs: Floats | None
    logs: Floats
    input_logs: Floats | None
    current: float | None
    drifting: bool
    driven: float
    expected: Floats


def memory_request(
    peaks: Sequence[float] | Floats,
    durations: Sequence[float] | Floats,
    times: Sequence[float] | Floats | None = None,
    inputs: Sequence[float] | Floats | None = None,
    current_request: float | None = None,
    bound: float = FAILURE_BOUND,
) -> MemorySize | None:
    """Memory request from one peak (bytes) and duration (s) per execution, oldest first unless ``times`` (unix s) are given;
    None where too few of them are usable.

    ``inputs``: input size (bytes) per execution, NaN where unknown. Executions without a usable peak (NaN, infinite, below
    a byte) are ignored; an unknown duration counts as the median. ``current_request``: bytes; with few runs the proposal
    stays close to it. ``bound``: largest expected share (0 to 1) of failing attempts. Never raises.
    """
    return memory_requests([MemoryUse(peaks, durations, times, inputs, current_request)], bound)[0]


def memory_requests(uses: Sequence[MemoryUse], bound: float = FAILURE_BOUND) -> list[MemorySize | None]:
    """``memory_request`` of each. Those of equally many runs are worked out over arrays of all of them at once."""
    found: list[MemorySize | None] = [None] * len(uses)
    ready: dict[int, tuple[Floats, Floats, Floats | None, Floats | None]] = {}
    alike: dict[int, list[int]] = {}
    for at, use in enumerate(uses):
        rows = usable(use.peaks, use.durations, use.times, use.inputs)
        if rows is not None and rows[0].size >= MIN_RUNS:
            ready[at] = rows
            alike.setdefault(rows[0].size, []).append(at)
    for members in alike.values():
        rising = orders_z(np.array([ready[at][0] for at in members])).tolist()
        group = [_expected(*ready[at], uses[at].current_request, z) for at, z in zip(members, rising, strict=True)]
        for at, size in zip(members, _sizes(group, bound), strict=True):
            found[at] = size
    return found


def _expected(
    u: Floats,
    t: Floats,
    x: Floats | None,
    when: Floats | None,
    current: float | None,
    rising: float,
) -> _Usable:
    logs, input_logs = np.log(u), None if x is None else _logarithms(x)
    ahead = peaks_ahead(u, logs, input_logs, when, rising)
    return _Usable(u, t, x, logs, input_logs, current, ahead.drifting, ahead.driven, ahead.peaks)


def _sizes(group: Sequence[_Usable], bound: float) -> list[MemorySize]:
    """The requests of steps with equally many runs."""
    durations = np.array([use.durations for use in group])
    losses = fit_losses(np.array([use.expected for use in group]), durations, bound)
    models = _models(group, bound)
    of_models = [loss for fits in models if fits is not None for loss in fits.losses]
    found = iter(bests([*losses, *of_models]))
    single = list(islice(found, len(group)))
    judged = [None if fits is None else (fits, list(islice(found, len(fits.losses)))) for fits in models]
    found_for = zip(group, single, judged, _evidence(group, durations), strict=True)
    return [_size(*of_use, bound) for of_use in found_for]


def _models(group: Sequence[_Usable], bound: float) -> list[ModelFits | None]:
    """The requests by input of each that are compared with a single one."""
    steps = {
        at: (use.inputs, at_equal_input(use.peaks, use.logs, use.input_logs), use.durations)
        for at, use in enumerate(group)
        if use.inputs is not None and use.input_logs is not None
    }
    found = dict(zip(steps, fits_by_input(list(steps.values()), bound), strict=True))
    return [found.get(at) for at in range(len(group))]


def _evidence(group: Sequence[_Usable], durations: Floats) -> list[float]:
    """Evidence in each step's records of run time that longer runs, of larger peaks, are still to come: log likelihood ratio
    of a shift by one standard deviation (see ``records_z``), at least 0. When many runs start at once, short ones end first,
    and their peaks look stable.

    0 where growth of inputs has room already, or where longer runs need less memory; and where there is no request of the
    authors to stay close to.
    """
    found = [0.0] * len(group)
    if all(use.current is None for use in group):
        return found
    ratios = (records_z(durations) - 0.5).tolist()
    for at, (use, ratio) in enumerate(zip(group, ratios, strict=True)):
        if ratio > 0.0 and not use.driven and order_z(use.peaks[use.durations.argsort(kind="stable")]) >= -LESS_Z:
            found[at] = ratio
    return found


def _size(
    use: _Usable,
    best: BestMargin,
    judged: tuple[ModelFits, list[BestMargin]] | None,
    evidence: float,
    bound: float,
) -> MemorySize:
    """``judged``: the models of inputs with the best margin of each."""
    u, t = use.peaks, use.durations
    largest = float(np.maximum.reduce(u))
    request = _with_authors(max(best.margin, FLOOR, largest), use.current, u, largest, bound, evidence)
    model = None
    if judged is not None:
        # Of peaks as they will be, one request wastes less than it does of those there were, which requests by input save.
        single = max(best.loss, float(np.maximum(request - u, 0.0) @ t) / u.size)
        model = best_by_input(*judged, single, FLOOR, bound, use.current)
    return MemorySize(
        request=request,
        coverage_confidence=0.0 if use.drifting else 1.0 - COVERED_SHARE**u.size,
        largest_recent_peak=largest,
        model=model,
        drifting=use.drifting,
    )


def _with_authors(
    request: float, current: float | None, peaks: Floats, largest: float, bound: float, evidence: float
) -> float:
    """The request, at least the current one blended with the largest peak. A current request that no run exceeded is never
    raised: an extrapolated bound is no better evidence."""
    if current is None or not math.isfinite(current) or current < largest:
        return request
    kept = blended(largest, current, weight_of_request(peaks, bound, evidence), evidence)
    return min(current, max(request, kept))


def _logarithms(inputs: Floats) -> Floats:
    """Logarithms of positive inputs; NaN for others."""
    return np.log(np.where((inputs > 0.0) & (inputs <= MAX_VALUE), inputs, math.nan))
