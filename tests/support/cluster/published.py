"""The operator behind a Service, so that the API server's service proxy reaches it."""

from __future__ import annotations

import json
import socket
from typing import Any

import yaml

from testbed.cluster import Cluster
from tests.support.cluster.operator_bed import ROOT, apply


def own_address() -> str:
    """An address of this machine that the API server may proxy to: loopback is refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def publish(cluster: Cluster, namespace: str, address: str, port: int) -> None:
    """The chart's Service with the operator behind it. The API server only proxies to addresses of a pod: one that nobody
    schedules stands in for the operator's."""
    meta = {"name": "concertmaster", "namespace": namespace}
    target = {"kind": "Pod", "name": "concertmaster", "namespace": namespace}
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    apply(
        cluster,
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta,
         "spec": {"schedulerName": "nobody", "containers": [{"name": "operator", "image": "concertmaster"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{**ports[0], "port": 8080}]}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta,
         "subsets": [{"addresses": [{"ip": address, "targetRef": target}], "ports": ports}]},
    )  # fmt: skip
    status = json.dumps({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}})
    cluster.kubectl(
        "patch", "pod", "concertmaster", "-n", namespace, "--subresource=status", "--type=merge", "-p", status
    )


def explainer(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The Role of the chart, as its template says it."""
    text = (ROOT / "charts/concertmaster/templates/rbac-users.yaml").read_text()
    part = text.split("---\n")[-1].replace("{{- end }}", "")
    lines = [line for line in part.splitlines() if "labels:" not in line]
    made = "\n".join(lines).replace("{{ $name }}", "concertmaster").replace("{{ .Release.Namespace }}", namespace)
    role = yaml.safe_load(made)
    assert isinstance(role, dict)
    return role
