"""Tekton's names of the fields that rules read, and the fields that changes may set."""

from __future__ import annotations

import re

from concertmaster.core.model import TASK, EngineTraits, ObjectKind

API = "tekton.dev/v1"
_TASK = r"((steps|sidecars)/\d+|stepTemplate)/computeResources/requests/(?P<resource>cpu|memory)"
# Fields that a step inherits from the stepTemplate of its Task unless it sets them; sidecars inherit none.
_INHERITS = (
    re.compile(r"(?P<task>.*)/steps/\d+(?P<field>/computeResources/(requests|limits)/[a-z]+)"),
    r"\g<task>/stepTemplate\g<field>",
)


def _container_name(container: str) -> str | None:
    """Name of the step in the manifest: the pod's container has a prefix; None for unnamed steps."""
    name = container.removeprefix("sidecar-") if container.startswith("sidecar-") else container.removeprefix("step-")
    return None if name.startswith("unnamed-") else name


TEKTON = EngineTraits(
    name="Tekton",
    kinds=(
        ObjectKind(
            API,
            "Pipeline",
            "pipelines",
            short="pipeline",
            fields=(re.compile(rf"/spec/(tasks|finally)/\d+/taskSpec/{_TASK}"),),
            inherits=_INHERITS,
            respelled=True,
        ),
        ObjectKind(API, TASK, "tasks", fields=(re.compile(rf"/spec/{_TASK}"),), inherits=_INHERITS, respelled=True),
    ),
    sets_resources=("taskRunSpecs of the PipelineRun",),
    container_name=_container_name,
    caller=re.compile(r"^/spec/(tasks|finally)/\d+(?=/)"),
)
