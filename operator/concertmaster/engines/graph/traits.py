"""Step graphs that a person declares: nothing of them is ever changed."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind

GRAPH = EngineTraits(
    name="Graph", kinds=(ObjectKind("concertmaster.dev/v1alpha1", "WorkflowProfile", "workflowprofiles"),)
)
