"""What the scorers call: thin layers over the product's own functions, one module per area of the analysis."""

from benchmarks.changes_adapters import detect_changes

__all__ = ["detect_changes"]
