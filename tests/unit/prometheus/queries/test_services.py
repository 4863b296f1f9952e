"""The queries for what pods outside workflows request, beside the labels that kube-state-metrics gives its series."""

from __future__ import annotations

import re
from itertools import chain

import promql_parser
import pytest

from concertmaster.engines.registry import OWNER_KINDS
from concertmaster.prometheus.queries.scope import PLAIN, LabelScheme
from concertmaster.prometheus.queries.services import SERVICE_KINDS, quota_services, services
from testbed.series.lives import ContainerLife, NodeLife, PodLife
from testbed.series.node import of_nodes
from testbed.series.state import POD_FAMILIES

SELECTOR = re.compile(r"(kube_\w+)\{([^}]*)\}")
SIDECAR = ContainerLife(
    "proxy", started=5.0, cpu_request=0.1, memory_request=1e8, cpu_limit=0.5, init=True, restart_policy="Always"
)
WEB = ContainerLife("web", started=10.0, cpu_request=1.0, cpu_limit=2.0)
POD = PodLife(
    "shop", "web-7d4b9-x2x", "uid-1", 0.0, [WEB, SIDECAR], node="n1",
    owner_kind="ReplicaSet", owner_name="web-7d4b9", scheduled=1.0, started=2.0,
)  # fmt: skip


def exposed() -> dict[str, list[dict[str, str]]]:
    """Labels of the series that kube-state-metrics has of a running pod and its node, by family."""
    node = NodeLife("n1", allocatable={"cpu": 4.0, "memory": 16e9, "pods": 110.0})
    rows = chain(
        (name for family in POD_FAMILIES.values() for name, _ in family(POD)),
        (name for name, _ in of_nodes("kube_node_status_allocatable", [node])),
    )
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        family, _, labels = row.partition("{")
        found.setdefault(family, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return found


def matches(labels: dict[str, str], matchers: str) -> bool:
    """Whether a series with these labels is selected."""
    checks = {"=": str.__eq__, "!=": str.__ne__, "=~": lambda have, want: re.fullmatch(want, have) is not None}
    parts = re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers)
    return all(checks[operator](labels.get(name, ""), value) for name, operator, value in parts)


def test_each_selector_finds_series_of_a_running_service() -> None:
    series = exposed()
    for family, matchers in SELECTOR.findall(services({}, PLAIN)):
        assert any(matches(labels, matchers) for labels in series[family]), family
    requests = "kube_pod_container_resource_requests"
    (text,) = {m for f, m in SELECTOR.findall(services({}, PLAIN)) if f == requests}
    assert [x["node"] for x in series[requests] if matches(x, text)] == [
        "n1"
    ]  # and not the one from before it was bound


def test_no_pod_of_a_run_is_counted() -> None:
    assert not {*SERVICE_KINDS} & {*OWNER_KINDS}
    assert "StatefulSet" not in services({}, PLAIN, ["StatefulSet"])
    (text,) = {m for f, m in SELECTOR.findall(services({}, PLAIN)) if f == "kube_pod_info"}
    assert not any(
        matches({"created_by_kind": kind, "node": "n1"}, text) for kind in (*OWNER_KINDS, "", "<none>", "Pod")
    )


@pytest.mark.parametrize("name", ["uid", "node", "resource", "phase", "created_by_kind", "container"])
def test_labels_have_the_names_of_the_source(name: str) -> None:
    plain, text = services({"cluster": "a"}, PLAIN), services({"cluster": "a"}, LabelScheme({name: "other_name"}))
    assert text.count("other_name") == len(re.findall(rf"\b{name}(?=[,)=!])", plain)) > 0
    assert text.count('cluster="a"') == len(SELECTOR.findall(text))


def test_what_services_take_of_quotas_is_read_of_the_same_pods() -> None:
    series, text = exposed(), quota_services({"cluster": "a"}, PLAIN, OWNER_KINDS)
    promql_parser.parse(text)
    found = SELECTOR.findall(text)
    assert {family for family, _ in found} - series.keys() == {"kube_resourcequota"}
    for family, matchers in found:
        assert 'cluster="a"' in matchers
        plain = matchers.replace('cluster="a"', 'uid!=""')
        assert family == "kube_resourcequota" or any(matches(labels, plain) for labels in series[family]), family
    assert {m for f, m in found if f == "kube_pod_info"} == {
        m for f, m in SELECTOR.findall(quota_services({"cluster": "a"}, PLAIN)) if f == "kube_pod_info"
    }


@pytest.mark.parametrize("name", ["uid", "namespace", "resource", "phase", "created_by_kind", "container"])
def test_labels_of_the_query_on_quotas_have_the_names_of_the_source(name: str) -> None:
    plain, text = quota_services({}, PLAIN), quota_services({}, LabelScheme({name: "other_name"}))
    assert text.count("other_name") == len(re.findall(rf"\b{name}(?=[,)=!])", plain)) > 0
