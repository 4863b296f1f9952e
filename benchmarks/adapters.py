"""What the scorers call: thin layers over the product's own functions, one module per area of the analysis."""

from benchmarks.changes_adapters import detect_changes, verify_change
from benchmarks.replay_adapters import forecast_run, predict_run
from benchmarks.sizing_adapters import SizingPolicy, SizingPolicyCpu, memory_model, runtime_model, scaleout_model

__all__ = [
    "predict_run",
    "forecast_run",
    "SizingPolicy",
    "SizingPolicyCpu",
    "memory_model",
    "runtime_model",
    "scaleout_model",
    "detect_changes",
    "verify_change",
]
