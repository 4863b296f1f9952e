"""Settings of memory sizing: which runs are enough, what a failed attempt costs, how far growth is extrapolated."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.core.units import GIB, HOUR, MIB

GIB_HOUR = GIB * HOUR


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """Settings of memory sizing.

    ``min_runs``: usable peaks required for a recommendation. ``failure_bound``: largest expected share (0 to 1) of failing
    attempts of a step; stricter where runs take longer than ``strict_from`` seconds. ``failure_price``: cost of a failed
    attempt beyond the memory it wastes, byte-seconds; one GiB-hour is under half a cent at list prices.
    ``retry_factor``: increase of the request after an OOM kill. ``floor``: smallest request, bytes.
    ``drift_z``: one-sided significance (1%) at which growth of peaks or inputs is reported and gets room.
    ``horizon``: how long growth is assumed to continue, in multiples of the history; ``driven_horizon``: the same where
    inputs explain it, since such growth is better known.
    """

    min_runs: int = 3
    failure_bound: float = 0.01
    failure_price: float = 1.0 * GIB_HOUR
    retry_factor: float = 2.0
    strict_from: float = HOUR
    floor: float = 16.0 * MIB
    drift_z: float = 2.326
    horizon: float = 1.5
    driven_horizon: float = 2.0
