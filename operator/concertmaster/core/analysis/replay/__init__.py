"""Replay: observed runs simulated again, with a change made to them."""

from __future__ import annotations

from concertmaster.core.analysis.replay.alike import ExecutedRuns
from concertmaster.core.analysis.replay.change import replay
from concertmaster.core.analysis.replay.critical import (
    CriticalShare,
    TimeSplit,
    chain_splits,
    critical_share,
    podless_before,
    step_drag,
    time_split,
    total_split,
)
from concertmaster.core.analysis.replay.executed import executed, prepare
from concertmaster.core.analysis.replay.parallelism import EnoughParallelism, enough_parallelism
from concertmaster.core.analysis.replay.run import Attempt, ExecutedRun, Limit
from concertmaster.core.analysis.replay.whatif import WhatIf

__all__ = [
    "Attempt",
    "CriticalShare",
    "EnoughParallelism",
    "ExecutedRun",
    "ExecutedRuns",
    "Limit",
    "TimeSplit",
    "WhatIf",
    "chain_splits",
    "critical_share",
    "enough_parallelism",
    "executed",
    "podless_before",
    "prepare",
    "replay",
    "step_drag",
    "time_split",
    "total_split",
]
