"""Step graphs declared by users: no field may be changed."""

from __future__ import annotations

from concertmaster.core.model import EngineTraits, ObjectKind

GRAPH = EngineTraits(
    name="Graph", kinds=(ObjectKind("concertmaster.dev/v1alpha1", "WorkflowProfile", "workflowprofiles"),)
)
