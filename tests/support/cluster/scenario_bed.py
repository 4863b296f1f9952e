"""The running operator on scenarios: workflows on the real API server, their runs as series of a real Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.openmetrics import render
from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, CRDS, install_kinds
from testbed.services.prometheus import PrometheusServer
from tests.support.builders import DAY, MI, NOW
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    operator,
    profile,
    settings,
    wait_for,
)
from tests.support.cluster.published import own_address, publish
from tests.support.cluster.scenario_pods import GRID, pods_of
from tests.support.core.scenario_builder import Scenario


def place_of(namespace: str, name: str) -> str:
    """The namespace of a scenario, beside the ``namespace`` of the test."""
    return f"{name}-{namespace.rpartition('-')[2]}"


@contextmanager
def analysed(
    cluster: Cluster,
    namespace: str,
    scenarios: Mapping[str, Scenario],
    make_prometheus: Callable[..., PrometheusServer],
    directory: Path,
    *,
    objects: Mapping[str, list[dict[str, Any]]] | None = None,
    specs: Mapping[str, dict[str, Any]] | None = None,
) -> Iterator[dict[str, dict[str, Any]]]:
    """The profiles by scenario, each of the name of its scenario in a namespace of its own, once the operator has analysed
    them; it keeps running, behind the Service ``concertmaster`` in ``namespace``. ``objects``: what else the namespaces
    hold; ``specs``: further fields of the profiles."""
    install_kinds(cluster, CRDS, ARGO_CRDS)
    shift = float(int(time.time() - 60.0 - NOW))
    places = {name: place_of(namespace, name) for name in scenarios}
    pods = [p for name, s in scenarios.items() for p in pods_of(s, places[name], shift)]
    web = ContainerLife("web", started=time.time() - DAY, cpu_seconds=100.0, memory_peak=50 * MI)
    pods += [PodLife(p, "web-0", f"{p}-web", time.time() - DAY, [web], phase="Running") for p in places.values()]
    grid = Grid(GRID.start + shift, GRID.end + shift, kubelet_offset=GRID.kubelet_offset)
    prometheus = make_prometheus(history=render(pods, grid))
    for name, place in places.items():
        manifest = {**scenarios[name].manifest, "metadata": {"name": "nightly-etl", "namespace": place}}
        ref = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "name": "nightly-etl"}
        cluster.kubectl("create", "namespace", place)
        more = [{**o, "metadata": {**o["metadata"], "namespace": place}} for o in (objects or {}).get(name, [])]
        apply(cluster, manifest, *more, profile(place, name, workflowRef=ref, **(specs or {}).get(name, {})))
    config = settings(directory, {"default": prometheus.url}, namespaces=list(places.values()))
    config["limits"] = {"backfill": "14d", "backfillPerCycle": "14d"}
    config["listen"]["address"] = "0.0.0.0"
    publish(cluster, namespace, own_address(), config["listen"]["port"])

    def stored() -> dict[str, dict[str, Any]]:
        found = {n: json.loads(cluster.kubectl("get", "wfp", n, "-n", p, "-o", "json")) for n, p in places.items()}
        return found if all(condition(p, "Ready").get("reason") == "Analyzed" for p in found.values()) else {}

    try:
        with operator(cluster, directory, config):
            yield wait_for("an analysis of each", stored)
    finally:
        cluster.kubectl("delete", "namespace", *places.values(), "--wait=false")
