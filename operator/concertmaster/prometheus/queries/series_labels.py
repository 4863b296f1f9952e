"""Which labels the series of a source have, whatever is read of them: PromQL text, pure."""

from __future__ import annotations

from concertmaster.prometheus.queries.bulk import WORKING_SET, by_stat
from concertmaster.prometheus.queries.promql import equalities, matcher, selector
from concertmaster.prometheus.queries.scope import LabelScheme
from concertmaster.prometheus.queries.usage import CPU
from concertmaster.settings import MetricsSource

POD_LABELS = ("namespace", "pod", "uid", "created_by_kind")
CONTAINER_LABELS = ("namespace", "pod", "container")
CLUSTER_LABELS = ("cluster", "cluster_name", "k8s_cluster_name", "kubernetes_cluster")
PODS, CONTAINERS, EACH_CPU, ALL_CPUS, CLUSTERS = "pods", "containers", "each_cpu", "all_cpus", "clusters"
WITH = ".with."  # between PODS or CONTAINERS and a label
MOVED, KEPT = ".moved", ".kept"  # behind them


def series_labels(source: MetricsSource, within: str = "") -> str:
    """At the pinned time or ``within`` a range, in ``stat``: how many series pods and containers have at all, and whether
    any has a label that tells what it is of; whether a scrape moved those labels of some or all; whether CPU time is counted
    for each CPU; and the values of labels that commonly tell clusters apart (``clusters``)."""
    where = equalities(source.extra_matchers)

    def series(metric: str, *more: str) -> str:
        found = selector(metric, [*where, *more])
        return f"last_over_time({found}{within})" if within else found

    inside = LabelScheme(source.labels.container_metrics).match("container", "!=", "")
    parts = {
        EACH_CPU: f"group({series(CPU, inside, matcher('cpu', '!~', '|total'))})",
        ALL_CPUS: f"group({series(CPU, inside, matcher('cpu', '=~', '|total'))})",
        CLUSTERS: f"group by ({', '.join(CLUSTER_LABELS)}) ({series('kube_pod_info')})",
    }
    families = (
        (PODS, "kube_pod_info", LabelScheme(source.labels.state_metrics), POD_LABELS),
        (CONTAINERS, WORKING_SET, LabelScheme(source.labels.container_metrics), CONTAINER_LABELS),
    )
    for family, metric, scheme, labels in families:
        parts[family] = f"count({series(metric)})"
        parts[family + MOVED] = f"group({series(metric, matcher('exported_namespace', '!=', ''))})"
        parts[family + KEPT] = f"group({series(metric, matcher('exported_namespace', '=', ''))})"
        for label in labels:
            parts[f"{family}{WITH}{label}"] = f"group({series(metric, scheme.match(label, '!=', ''))})"
    return by_stat(**parts)
