"""What the labels of a source's series mean for what can be read of it. Pure.

Nothing fails where a scrape drops or renames a label: a query by it finds nothing, which looks like a cluster in which
nothing runs, or like containers that were never measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.missing_series import MIN_EXAMPLES, MissingSeries
from concertmaster.prometheus.queries.series_labels import (
    ALL_CPUS,
    CLUSTER_LABELS,
    CLUSTERS,
    CONTAINER_LABELS,
    CONTAINERS,
    EACH_CPU,
    KEPT,
    MOVED,
    POD_LABELS,
    PODS,
    WITH,
)

_CPU = "container_cpu_usage_seconds_total"
_CONTAINER_SERIES = (_CPU, "container_memory_working_set_bytes", "container_memory_max_usage_bytes")
_KIND = "created_by_kind"


@dataclass(frozen=True, slots=True)
class SeriesLabels:
    """What was found. ``unknown_pods``: why no pod can be identified, None where they can. ``lacking``: other findings, by
    the series that they explain the absence of. ``each_cpu``: some CPU time is counted for each CPU. ``moved``: a
    scrape moved the labels of all pods. ``judged``: whether there were pods to judge by."""

    unknown_pods: MissingSeries | None = None
    lacking: Mapping[str, MissingSeries] | None = None
    clusters: MissingSeries | None = None
    each_cpu: bool = False
    judged: bool = False
    moved: bool = False

    @property
    def findings(self) -> dict[str, MissingSeries]:
        """All of them, by the series they explain."""
        first = {} if self.unknown_pods is None else {"kube_pod_info": self.unknown_pods}
        last = {} if self.clusters is None else {CLUSTERS: self.clusters}
        return {**first, **(self.lacking or {}), **last}


def read_labels(vector: Vector) -> SeriesLabels:
    """The answer to the ``series_labels`` query."""
    stats: dict[str, float] = {}
    values: dict[str, set[str]] = {label: set() for label in CLUSTER_LABELS}
    for (stat, *clusters), value in vector.select("stat", *CLUSTER_LABELS):
        stats[stat] = value
        for label, text in zip(CLUSTER_LABELS, clusters, strict=True):
            if stat == CLUSTERS:
                values[label].add(text)
    pods, containers = _without(stats, PODS, POD_LABELS), _without(stats, CONTAINERS, CONTAINER_LABELS)
    lacking: dict[str, MissingSeries] = {}
    if pods == [_KIND] and stats[PODS] >= MIN_EXAMPLES:
        lacking[_KIND] = _unlabelled("kube_pod_info", pods, "pods of Workflows, TaskRuns and Jobs are not recognized")
        pods = []
    elif pods == [_KIND]:
        pods = []
    if containers:
        found = _unlabelled("container series", containers, "what containers used is unknown")
        lacking |= dict.fromkeys(_CONTAINER_SERIES, found)
    each = EACH_CPU in stats
    if each and ALL_CPUS not in stats:
        lacking[_CPU] = MissingSeries(
            _CPU,
            "it is counted for each CPU, which says nothing of their sum over time: CPU use stays unknown",
            "start that cAdvisor with percpu among --disable_metrics, or scrape the kubelets' /metrics/cadvisor",
            essential=True,
        )
    several = next((label for label in CLUSTER_LABELS if len(values[label]) > 1), None)
    return SeriesLabels(
        _unlabelled("kube_pod_info", pods, "no pod can be identified") if pods else None,
        lacking,
        None if several is None else _clusters(several, len(values[several])),
        each,
        bool(stats.get(PODS)),
        PODS + MOVED in stats and PODS + KEPT not in stats,
    )


def _without(stats: Mapping[str, float], family: str, labels: tuple[str, ...]) -> list[str]:
    """Labels that no series of the family has; none where there are no series, or a scrape moved the labels."""
    if not stats.get(family) or family + MOVED in stats:
        return []
    return [label for label in labels if f"{family}{WITH}{label}" not in stats]


def _unlabelled(series: str, labels: list[str], effect: str) -> MissingSeries:
    of_pods = series == "kube_pod_info"
    scrape, key = ("kube-state-metrics", "stateMetrics") if of_pods else ("the kubelets", "containerMetrics")
    noun, them, have = ("label", "it", "it has") if len(labels) == 1 else ("labels", "them", "they have")
    return MissingSeries(
        f"{noun} {', '.join(labels)} of {series}",
        f"none of the series has {them}: {effect}",
        f"keep {them} in the relabelling of the scrape of {scrape}, or, where {have} another name, set labels.{key} of the"
        " source",
        essential=True,
    )


def _clusters(label: str, count: int) -> MissingSeries:
    return MissingSeries(
        f"label {label} of kube_pod_info",
        f"the metrics source holds {count} clusters: equal namespaces of different clusters are merged",
        f"set extraMatchers: {{{label}: NAME}} for this source",
        essential=True,
    )
