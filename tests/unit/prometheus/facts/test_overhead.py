"""What a RuntimeClass reserves for a pod beside its containers, from the series of kube-state-metrics to an execution."""

from __future__ import annotations

from concertmaster.core.units import MIB
from concertmaster.engines.common.executions import execution
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.assemble import facts
from concertmaster.prometheus.facts.drafts import read_pods
from concertmaster.prometheus.queries.bulk import TIMELINE
from concertmaster.prometheus.queries.scope import PLAIN
from tests.support.builders import NOW

COLUMNS = ("__name__", "namespace", "pod", "uid", "container")
CORES, BYTES = "kube_pod_overhead_cpu_cores", "kube_pod_overhead_memory_bytes"
SERIES = {
    ("kube_pod_info", ""): 1.0,
    ("kube_pod_completion_time", ""): NOW,
    ("kube_pod_container_info", "main"): 1.0,
    (CORES, ""): 0.25,
    (BYTES, ""): 600.0 * MIB,
}


def read(*left_out: str) -> tuple[float, float] | None:
    """The overhead of an execution, by all series of its pod but those left out."""
    rows = {key: value for key, value in SERIES.items() if key[0] not in left_out}
    vector = Vector(COLUMNS, tuple((name, "etl", "a", "u", inside) for name, inside in rows), list(rows.values()))
    (fact,) = facts(read_pods(vector, PLAIN, {"u"}).values(), {})
    return execution(fact, "work").overhead


def test_the_overhead_of_a_pod_is_read_where_its_runtime_class_has_one() -> None:
    assert {CORES, BYTES} <= set(TIMELINE), "asked for"
    assert read() == (0.25, 600.0 * MIB)
    assert read(CORES) == (0.0, 600.0 * MIB)
    assert read(CORES, BYTES) is None
