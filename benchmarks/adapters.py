"""Entry points for the scorers: thin layers over the product's functions, one module per area of the analysis."""

import sys
from pathlib import Path

# Scorers load this file by path, possibly without the package installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "operator"))

from benchmarks.accuracy.changes_adapters import degraded, detect_changes, verify_change
from benchmarks.accuracy.replay_adapters import forecast_run, predict_run
from benchmarks.accuracy.sizing_adapters import (
    SizingPolicy,
    SizingPolicyCpu,
    memory_model,
    runtime_model,
    scaleout_model,
)

__all__ = [
    "SizingPolicy",
    "SizingPolicyCpu",
    "degraded",
    "detect_changes",
    "forecast_run",
    "memory_model",
    "predict_run",
    "runtime_model",
    "scaleout_model",
    "verify_change",
]
