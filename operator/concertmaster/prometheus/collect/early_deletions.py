"""Pods of runs that were deleted before their end was scraped, as after a ``podGC`` without a delay."""

from __future__ import annotations

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.queries.bulk import POD, by_stat
from concertmaster.prometheus.queries.promql import among, equalities, selector
from concertmaster.prometheus.queries.scope import LabelScheme


def ends_missed(client: PrometheusClient, now: float, within: str) -> tuple[int, int]:
    """Of how many pods of runs that were deleted in the range ``within`` before ``now`` (unix seconds) no sample shows the
    end; and how many were deleted. One query. Raises MetricsError."""
    source = client.source
    scheme, where = LabelScheme(source.labels.state_metrics), equalities(source.extra_matchers)
    pod = scheme.names(POD)
    runs = selector("kube_pod_info", [*where, *among(scheme.name("created_by_kind"), source.owner_kinds)])
    terminal = selector("kube_pod_status_phase", [*where, scheme.match("phase", "=~", "Failed|Succeeded")])
    # Without kube-state-metrics at that moment, all pods would be deleted ones.
    scraped = f"on () group({selector('kube_pod_info', where)})"
    deleted = f"group by ({pod}) (last_over_time({runs}{within})) unless on ({pod}) {runs} and {scraped}"
    ended = f"max_over_time({terminal}{within}) == 1"
    counts = by_stat(deleted=f"count({deleted})", missed=f"count(({deleted}) unless on ({pod}) ({ended}))")
    answer = client.instant(counts, now, name="pod ends", whole=False)
    found = {stat: int(value) for (stat,), value in answer.select("stat")}
    return found.get("missed", 0), found.get("deleted", 0)
