"""Memory peaks as they will be if their growth goes on, from which a request is chosen where runs need more and more."""

from __future__ import annotations

import math
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.trend import carried_forward, driven_growth, growth, unexplained_growth

# Growth is extrapolated to at most this multiple of the largest peak.
MAX_RAISE = 4.0
# How long growth is assumed to continue, in multiples of the history; and where inputs explain it, since such growth is
# better known.
HORIZON, DRIVEN_HORIZON = 1.5, 2.0


class PeaksAhead(NamedTuple):
    """``peaks``: those observed as they will be (bytes), the observed ones themselves where nothing grows. ``drifting``:
    whether peaks grow with time. ``driven``: growth per run that inputs explain, as a log, 0 without any."""

    peaks: Floats
    drifting: bool
    driven: float


def peaks_ahead(
    peaks: Floats, logs: Floats, input_logs: Floats | None, times: Floats | None, order: float
) -> PeaksAhead:
    """Of ``peaks`` (bytes, with their ``logs``) by run, oldest first. ``input_logs``: NaN where unknown. ``times``: unix
    seconds. ``order``: normal quantile of the trend test by order, which counts where peaks do not repeat by week."""
    driven = 0.0 if input_logs is None else driven_growth(logs, input_logs)
    own = growth(logs, times, order)
    horizon = DRIVEN_HORIZON if driven else HORIZON
    return PeaksAhead(_continued(peaks, logs, driven or own.per_run, horizon), own.significant, driven)


def at_equal_input(peaks: Floats, logs: Floats, input_logs: Floats) -> Floats:
    """Peaks if growth that inputs do not explain continues; a request by input would take it for noise."""
    unexplained = unexplained_growth(logs, input_logs)
    if unexplained <= 0.0:
        return peaks
    ahead = carried_forward(np.zeros(peaks.size), unexplained, HORIZON)
    return np.asarray(peaks * np.exp(np.minimum(ahead, math.log(MAX_RAISE))))


def _continued(peaks: Floats, logs: Floats, per_run: float, horizon: float) -> Floats:
    """Peaks if growth by a factor ``per_run`` (as a log) continues: growth driven by inputs is proportional."""
    if per_run <= 0.0:
        return peaks
    ahead = np.minimum(carried_forward(logs, per_run, horizon), math.log(MAX_RAISE * float(peaks.max())))
    return np.maximum(peaks, np.exp(ahead))
