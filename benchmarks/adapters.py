"""What the scorers call: thin layers over the product's own functions, one module per area of the analysis."""

from benchmarks.changes_adapters import detect_changes
from benchmarks.sizing_adapters import SizingPolicy, SizingPolicyCpu, memory_model, runtime_model, scaleout_model

__all__ = ["SizingPolicy", "SizingPolicyCpu", "memory_model", "runtime_model", "scaleout_model", "detect_changes"]
