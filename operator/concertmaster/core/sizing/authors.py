"""How far a memory size from few runs stays near the request that the authors of the workflow set.

They know the step, and no sample of n runs rules out that a share of 1/n of all runs is unlike those observed.
"""

from __future__ import annotations

import math

from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.tail import mean_log_excess

# Share of one run, on top of all runs observed, assumed to be unlike those when the largest values are equal; and how much
# more of it per unit of their mean log excess: twice as much at a tail index of 6.
UNLIKE = 0.2
HEAVIER = 6.0
# The most that evidence of larger runs to come makes of UNLIKE.
MOST_UNLIKE = 0.5
# Tail index of what unlike runs need: but for the authors' request, which is the most, half of them need twice the size.
# Evidence lowers it to 1 / (1 + FLATTER * evidence).
INDEX, FLATTER = 1.0, 2.0


def weight_of_request(values: Floats, bound: float, evidence: float = 0.0) -> float:
    """Weight (0 to 1) of the authors' request that keeps the failure ``bound``; see ``blended``.

    About UNLIKE of a share of 1/n is assumed to be unlike the n ``values`` (> 0), more the heavier their tail. ``evidence``:
    log likelihood ratio (at least 0) that runs still to come are unlike these; MOST_UNLIKE of that share counts at most.
    """
    real = UNLIKE * math.exp(min(evidence, math.log(MOST_UNLIKE / UNLIKE)))
    unlike = real * (1.0 + HEAVIER * mean_log_excess(values)) / values.size
    return max(0.0, 1.0 - bound / unlike)


def blended(size: float, request: float, weight: float, evidence: float = 0.0) -> float:
    """Mean of ``size`` and the larger ``request`` of the authors (bytes, > 0), which has this ``weight`` (0 to 1): the level
    that all but a share of 1 - ``weight`` of unlike runs stay below.

    These need something between the two, by a truncated Pareto distribution, so that the mean is harmonic, or the more
    ``evidence`` there is of larger runs, the closer to geometric. A generous request then counts little more than a close
    one: many are the default of a class of tools, a hundred times what the step has ever used.
    """
    index = INDEX / (1.0 + FLATTER * evidence)
    return float(((1.0 - weight) * size**-index + weight * request**-index) ** (-1.0 / index))
