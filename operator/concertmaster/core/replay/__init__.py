"""Replay: observed runs simulated again, with a change made to them."""

from __future__ import annotations

from concertmaster.core.replay.change import replay
from concertmaster.core.replay.critical import (
    CriticalShare,
    TimeSplit,
    critical_chain,
    critical_share,
    step_drag,
    time_split,
)
from concertmaster.core.replay.executed import executed, prepare
from concertmaster.core.replay.run import Attempt, ExecutedRun, Limit, StepTimes
from concertmaster.core.replay.whatif import WhatIf

__all__ = [
    "Attempt",
    "CriticalShare",
    "ExecutedRun",
    "Limit",
    "StepTimes",
    "TimeSplit",
    "WhatIf",
    "critical_chain",
    "critical_share",
    "executed",
    "prepare",
    "replay",
    "step_drag",
    "time_split",
]
