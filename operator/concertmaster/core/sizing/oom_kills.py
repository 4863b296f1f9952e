"""How many OOM-killed runs a larger size would have killed as well. What they needed is known only to exceed their limit."""

from __future__ import annotations

import math

from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import normal_cdf, normal_quantile

# Index of the Pareto-type tail where no run survived: as of runs that are unlike those observed (see
# ``authored_request.INDEX``), and at the low end. Nothing tells how much is needed then, except that more is.
_INDEX, _HEAVY = 1.0, 0.5
# Times the limit to which a size is raised after kills. Few and plain ones, as the share of runs that are killed changes
# with each run, and a size that followed it would too. Beyond the largest, too little is known of what is needed.
RAISES = (1.5, 2.0, 3.0)


def ended(killed: float, usual: float | None, died: float, size: float) -> Interval:
    """Share (0 to 1) of the killed runs that need at most ``size`` (bytes, at least ``died``).

    ``killed``: share (0 to 1) of the runs that needed more than ``died`` (bytes, > 0); ``usual``: median peak of the others,
    None where there are none. A log-normal distribution through both is likely. At the low end, needs beyond the limit have
    a Pareto-type tail that falls as it did from the median to the limit; at the high end, all need at most ``size``. Without
    others, or with peaks above ``died``, the tail is that of runs unlike those observed.
    """
    further = math.log(size / died) if died > 0.0 else math.inf
    if usual is None or not _spread_known(killed, usual, died):
        return Interval(1.0 - math.exp(-_HEAVY * further), 1.0 - math.exp(-_INDEX * further), 1.0)
    apart = math.log(died / usual)
    median, limit = normal_quantile((1.0 - killed) / 2.0), normal_quantile(1.0 - killed)
    left = normal_cdf(-limit - (limit - median) * further / apart) / killed
    index = math.log((1.0 + killed) / (2.0 * killed)) / apart
    return Interval(1.0 - math.exp(-index * further), 1.0 - left, 1.0)


def raised(killed: float, usual: float | None, died: float, bound: float) -> float:
    """The size (bytes) after kills: the smallest of RAISES times ``died`` that at most the share ``bound`` (0 to 1) of all
    runs will exceed (see ``exceeding``); the largest if none is enough, or all runs were killed, and the smallest where the
    other runs tell nothing.
    """
    sizes = [times * died for times in RAISES]
    if killed < 1.0 and (usual is None or not _spread_known(killed, usual, died)):
        return sizes[0]
    return next((size for size in sizes if exceeding(killed, usual, died, size) <= bound), sizes[-1])


def exceeding(killed: float, usual: float | None, died: float, size: float) -> float:
    """Expected share (0 to 1) of all runs that need more than ``size``: mean of the log-normal distribution and of the low
    end of ``ended``, since nothing tells which of them holds beyond the limit."""
    found = ended(killed, usual, died, size)
    return killed * (1.0 - (found.low + found.likely) / 2.0)


def _spread_known(killed: float, usual: float, died: float) -> bool:
    """Whether the runs that were not killed show how needs spread."""
    return 0.0 < usual < died and 0.0 < killed < 1.0
