"""Simulated executions of steps of batch workflows in 28 families, each named after what determines the peak memory of
its tools: an index, a heap, hash tables, a hidden setting, and so on.

In the stable families, peaks vary by 1% to 5% around a function of the input, and in two of them also of the date. In
the others they vary more, or for reasons that are not recorded.
"""

from benchmarks.nested.tool_families.families import tool_families

__all__ = ["tool_families"]
