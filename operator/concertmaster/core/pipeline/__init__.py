"""Definition, runs and policy in, recommendations out: shared by the operator and ``concertmaster analyze``.

Pure: the callers read the inputs and write the result.
"""

from concertmaster.core.pipeline.analyze import (
    AnalysisResult,
    EarlierAnalyses,
    Environment,
    analyze_workflow,
    fleet_of,
)

__all__ = [
    "AnalysisResult",
    "EarlierAnalyses",
    "Environment",
    "analyze_workflow",
    "fleet_of",
]
