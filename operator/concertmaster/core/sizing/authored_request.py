"""How far a memory size from few runs stays near the request that the authors of the workflow set.

They know the step, and no sample of n runs rules out that a share of 1/n of all runs is unlike those observed.
"""

from __future__ import annotations

import math

from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.tail import mean_log_excess

# Of a share of 1/n of all runs, n of which are known, the part assumed to be unlike those: UNLIKE, 1 at most, where the
# largest values lie far apart, and half of UNLIKE where their mean log excess is HALFWAY. EXPECTED: the mean log excess
# assumed before any run is known.
UNLIKE, HALFWAY, EXPECTED = 1.5, 0.5, 0.15
# The most by which evidence of larger runs to come multiplies that part.
MAX_EVIDENCE = 2.5
# Tail index of what unlike runs need, in bytes plus COMMON: but for the authors' request, which is the most, half of them
# need more than 2 * size + COMMON. Evidence lowers the index to 1 / (1 + FLATTER * evidence).
INDEX, FLATTER = 1.0, 2.0
# Lets small steps grow by a larger factor: ten times a peak of 30 MiB costs little, ten times 30 GiB hardly fits a node.
COMMON = 2.0**29


def weight_of_request(values: Floats, bound: float, evidence: float = 0.0) -> float:
    """Weight (0 to 1) of the authors' request that keeps the failure ``bound``; see ``blended``.

    Some of a share of 1/n is assumed to be unlike the n ``values`` (> 0), more the further their largest lie apart.
    ``evidence``: log likelihood ratio (at least 0) that runs still to come are unlike these.
    """
    apart = mean_log_excess(values, EXPECTED)
    unlike = min(1.0, UNLIKE * apart / (apart + HALFWAY)) * math.exp(min(evidence, math.log(MAX_EVIDENCE)))
    return max(0.0, 1.0 - bound * values.size / unlike)


def blended(size: float, request: float, weight: float, evidence: float = 0.0) -> float:
    """Mean of ``size`` and the larger ``request`` of the authors (bytes, > 0), which has this ``weight`` (0 to 1): the level
    that all but a share of 1 - ``weight`` of unlike runs stay below.

    These need something between the two: in bytes plus COMMON by a truncated Pareto distribution, so that the mean is
    harmonic, or the more ``evidence`` there is of larger runs, the closer to geometric. A generous request then counts
    little more than a close one: many are the default of a class of tools, a hundred times what the step has ever used.
    """
    index = INDEX / (1.0 + FLATTER * evidence)
    mean = (1.0 - weight) * (size + COMMON) ** -index + weight * (request + COMMON) ** -index
    return min(max(float(mean ** (-1.0 / index)) - COMMON, size), request)
