"""How Tekton's manifests say what rules need to know, and which of their fields a change may set."""

from __future__ import annotations

import re

from concertmaster.core.model import TASK, EngineTraits, ObjectKind

API = "tekton.dev/v1"
_TASK = r"((steps|sidecars)/\d+|stepTemplate)/computeResources/requests/(?P<resource>cpu|memory)"
# A step takes what it does not say from its Task's stepTemplate; sidecars take nothing.
_INHERITS = (
    re.compile(r"(?P<task>.*)/steps/\d+(?P<field>/computeResources/(requests|limits)/[a-z]+)"),
    r"\g<task>/stepTemplate\g<field>",
)


def _container_name(container: str) -> str | None:
    """The pod's container has a longer name than the step in the manifest, also where that has none."""
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
        ),
        ObjectKind(API, TASK, "tasks", fields=(re.compile(rf"/spec/{_TASK}"),), inherits=_INHERITS),
    ),
    container_name=_container_name,
    caller=re.compile(r"^/spec/(tasks|finally)/\d+(?=/)"),
)
