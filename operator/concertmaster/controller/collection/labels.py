"""Which pod labels must be read from the metrics store to place the pods of the given workflows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concertmaster.core.model import Engine, WorkflowDefinition
from concertmaster.engines.jobset.definition import LABELS as JOBSET_LABELS

# Where kube-state-metrics exports them, they name the template of a run outright; otherwise names must do.
_ARGO = (
    "workflows.argoproj.io/workflow-template",
    "workflows.argoproj.io/cluster-workflow-template",
    "workflows.argoproj.io/cron-workflow",
)
_TEKTON = ("tekton.dev/pipeline", "tekton.dev/pipelineRun", "tekton.dev/pipelineTask")
_JOB = ("batch.kubernetes.io/job-completion-index",)
_OF = {Engine.ARGO: _ARGO, Engine.TEKTON: _TEKTON, Engine.JOB: _JOB}


@dataclass(frozen=True, slots=True)
class Labels:
    """``run_keys`` make a pod part of a run, ``keys`` are all that are needed (both sorted)."""

    keys: tuple[str, ...]
    run_keys: tuple[str, ...]


def labels_in_use(definitions: Iterable[WorkflowDefinition]) -> Labels:
    """The label keys the definitions' engines and selectors look at."""
    keys: set[str] = set()
    runs: set[str] = set()
    for definition in definitions:
        keys.update(_OF.get(definition.engine, ()))
        if definition.run_kind == "JobSet" or definition.key.kind == "JobSet":
            keys.update(JOBSET_LABELS)
        if definition.run_label:
            runs.add(definition.run_label)
        keys.update(term.key for term in definition.run_selector)
        for step in definition.graph.steps:
            keys.update(term.key for term in step.selector)
    return Labels(tuple(sorted(keys | runs)), tuple(sorted(runs)))
