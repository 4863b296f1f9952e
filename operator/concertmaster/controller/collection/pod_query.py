"""How pods of some namespaces are queried: by which labels, as far as one query can name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines.label_keys import affordable, nameable
from concertmaster.prometheus.collect.reading import CollectOptions


@dataclass(frozen=True, slots=True)
class PodQuery:
    """Keys of the labels that place pods, and how these are found."""

    label_keys: tuple[str, ...]
    options: CollectOptions


def pod_query(definitions: Sequence[WorkflowDefinition], live_pods: Sequence[str]) -> PodQuery:
    """Of the pods of these workflows; ``live_pods``: names of those in the cluster whose labels no source exports."""
    labels = affordable(definitions)
    options = CollectOptions(run_labels=labels.run_keys, nodes=labels.nodes, named=nameable(live_pods))
    return PodQuery(labels.keys, options)
