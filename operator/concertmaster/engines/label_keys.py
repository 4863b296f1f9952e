"""Pod labels that must be read from the metrics source to assign pods to workflows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines.registry import ENGINES, by_traits


@dataclass(frozen=True, slots=True)
class NeededLabels:
    """Label keys, both tuples sorted: ``run_keys`` make a pod part of a run, ``keys`` are all that are needed.
    ``nodes``: whether prices also need the labels of nodes."""

    keys: tuple[str, ...]
    run_keys: tuple[str, ...]
    nodes: bool = False


def labels_in_use(definitions: Iterable[WorkflowDefinition], *, undeclared: bool = False) -> NeededLabels:
    """Label keys that the definitions' engines and selectors read. With ``undeclared`` those of all engines, so that
    workflows without a declaration can be inferred."""
    keys = {key for engine in ENGINES for key in engine.pod_labels} if undeclared else set[str]()
    runs = {key for engine in ENGINES for key in engine.run_labels} if undeclared else set[str]()
    nodes = False
    for definition in definitions:
        nodes = nodes or definition.priced_by_node
        engine = by_traits(definition.engine)
        keys.update(engine.pod_labels if engine is not None else ())
        if definition.pod_labels is not None:
            keys.update(definition.pod_labels.keys)
        if definition.run_label:
            runs.add(definition.run_label)
        keys.update(term.key for term in definition.run_selector)
        for step in definition.graph.steps:
            keys.update(term.key for term in step.selector)
    return NeededLabels(tuple(sorted(keys | runs)), tuple(sorted(runs)), nodes)
