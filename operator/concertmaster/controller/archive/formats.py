"""What is particular to the archive of each engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core.model import WorkflowKey
from concertmaster.engines.argo import live as argo
from concertmaster.engines.tekton import archived as tekton


@dataclass(frozen=True, slots=True)
class ArchiveFormat:
    """``source`` is the archive among the marks of metrics sources, none of which can have this name. ``origins`` are the
    workflows that a run was created from, by its namespace, labels and reference, which is only asked for where the labels
    do not ``name_all``. ``objects`` decodes a document: the run, and the objects that belong to it; ValueError for another
    one. ``lacks``: whether some of these may be archived later than the run."""

    source: str
    run_kind: str
    origins: Callable[[str, Mapping[str, str], object], frozenset[WorkflowKey]]
    name_all: Callable[[Mapping[str, str]], bool]
    objects: Callable[[str], tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]
    lacks: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], bool] = lambda _, __: False

    @property
    def inputs(self) -> str:
        """Among those marks: by workflow, fingerprints of where the sizes of its inputs were read from."""
        return f"{self.source} inputs"


ARGO = ArchiveFormat(
    "argo archive",
    "Workflow",
    argo.origins,
    argo.names_its_template,
    lambda document: (argo.archived_workflow(document), ()),
)
TEKTON = ArchiveFormat(
    "tekton results",
    "PipelineRun",
    tekton.origins,
    tekton.names_its_pipeline,
    tekton.archived_run,
    tekton.lacks_parts,
)
