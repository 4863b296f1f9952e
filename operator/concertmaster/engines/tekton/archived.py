"""PipelineRuns and their TaskRuns as Tekton Results keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.model import WorkflowKey
from concertmaster.engines.common.archived import archived_object
from concertmaster.engines.common.manifest import Problems, mapping
from concertmaster.engines.tekton.live import task_names

_API = "tekton.dev/v1"
_PIPELINE = "tekton.dev/pipeline"
ORIGIN_LABELS = (_PIPELINE,)
"""Labels of a PipelineRun that name what it is a run of."""


def origins(namespace: str, labels: Mapping[str, str], reference: object = None) -> frozenset[WorkflowKey]:
    """The Pipelines that a PipelineRun with these labels, and this ``spec.pipelineRef``, can be a run of. The label of one
    with a pipeline of its own has the run's name."""
    names = {labels.get(_PIPELINE), reference.get("name") if isinstance(reference, Mapping) else None}
    return frozenset(WorkflowKey(namespace, "Pipeline", name) for name in names if isinstance(name, str) and name)


def names_its_pipeline(labels: Mapping[str, str]) -> bool:
    """Whether the labels are all there is to know of its origin: the controller sets this one on every run."""
    return bool(labels.get(_PIPELINE))


def archived_run(document: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A PipelineRun and its TaskRuns, ``run`` and ``parts`` of the document, as the API server gave them out while they
    existed. Raises ValueError if they are none or would take too much memory."""
    whole = archived_object(document)
    run, parts = (whole.get("run"), whole.get("parts")) if isinstance(whole, dict) else (None, None)
    if not isinstance(run, dict) or not isinstance(parts, list):
        raise ValueError("it is not a PipelineRun")
    found = [{**part, "apiVersion": _API, "kind": "TaskRun"} for part in parts if isinstance(part, dict)]
    return {**run, "apiVersion": _API, "kind": "PipelineRun"}, sorted(found, key=_name)


def lacks_parts(run: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a TaskRun that the run names is not there, or not as it ended."""
    names = task_names(mapping(run.get("status"), "status", Problems()), Problems())
    over = {_name(part) for part in parts if mapping(part.get("status"), "status", Problems()).get("completionTime")}
    return not over >= names.keys()


def _name(obj: Mapping[str, Any]) -> str:
    """In the order of a list of the API server."""
    meta = obj.get("metadata")
    return str(meta.get("name")) if isinstance(meta, Mapping) else ""
