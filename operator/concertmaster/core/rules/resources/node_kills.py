"""Kills of containers that were far below their limit: then it was rather the node that ran out of memory.

The kernel kills in a pod for either reason, and says OOMKilled for both. Where pods may use more than they request, a node
can run out of memory while each is within its limit, and those are killed first that use most beyond their request
(``oom_score_adj`` of the kubelet). A larger limit changes nothing then, and a request that covers what is used does.
"""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core import text
from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import known, median

_MIN_KILLS = 2
_MIN_SECONDS = 300.0  # that killed runs last: about ten samples, of which the last is shortly before the kill
_MAX_KILLED_SHARE = 0.5  # of the runs: a node rarely runs out of memory, and kills one of its pods
_SAME_TIME = 0.08  # median deviation, as a share of the time until a kill, below which it is at one point of the work
_MAX_SHARE = 0.6  # of the limit, up to which no run was seen to use it: memory that fills it passes what lies between


def far_below_limit(container: ContainerUsage, counted: Sequence[RunUsage]) -> float | None:
    """The most (bytes) that any run is known to have used, by samples and high-water mark, where that is more than is
    requested and all of the ``counted`` runs that were killed were far below their limits, at no one point of their work;
    else None."""
    killed = [r for r in counted if r.oom_killed and r.memory_floor and r.memory_peak is not None]
    request = container.memory_request
    if request is None or not _MIN_KILLS <= len(killed) <= _MAX_KILLED_SHARE * len(counted):
        return None
    lasted = median([r.seconds for r in killed]) or 0.0
    if lasted < _MIN_SECONDS or (median([abs(r.seconds - lasted) for r in killed]) or 0.0) < _SAME_TIME * lasted:
        return None
    most = max(known([peak for r in container.runs for peak in (r.memory_peak, r.memory_most)]), default=0.0)
    return most if request < most < _MAX_SHARE * min(r.memory_floor or 0.0 for r in killed) else None


def enough(most: float, proposed: str) -> str:
    """What a ``proposed`` request is sufficient for, where runs used ``most`` bytes at the most."""
    return (
        f"{proposed} covers what runs use, {text.memory(most)} at most, which ends kills where nodes run out of memory; runs"
        " that need more than the limit within seconds need a larger limit instead"
    )


def reason(most: float) -> str:
    """Why the node is the likelier reason, where runs used ``most`` bytes at the most."""
    return (
        f"no sample and no high-water mark is above {text.memory(most)}, far below the limit at which the container itself"
        " is killed: rather a node ran out of memory, where pods that use most beyond their request are killed first; the"
        " limit stays"
    )
