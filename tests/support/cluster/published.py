"""The operator behind a Service, reachable through the API server's service proxy."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from testbed.services.cluster import Cluster
from tests.support.chart.bed import Helm, find
from tests.support.cluster.operator_bed import apply


def own_address() -> str:
    """An address of this machine that the API server may proxy to: it rejects loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # no packet is sent
        return str(probe.getsockname()[0])


def publish(cluster: Cluster, namespace: str, address: str, port: int, name: str = "concertmaster") -> None:
    """The chart's Service with the operator as endpoint. The API server only proxies to addresses of pods, so an
    unscheduled pod represents the operator's."""
    meta = {"name": name, "namespace": namespace}
    target = {"kind": "Pod", "name": name, "namespace": namespace}
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
    cluster.kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", status)


def explainer(directory: Path, namespace: str) -> dict[str, Any]:
    """The Role for ``explain``, rendered by Helm from the chart's defaults for ``namespace``; Helm keeps its files in
    ``directory``."""
    role = find(Helm(directory).template(name="concertmaster"), "Role", "concertmaster-explain")
    return {**role, "metadata": {**role["metadata"], "namespace": namespace}}
