"""Healthy workflows in a real API server and a real Prometheus, and an operator in a control group with the chart's
limits."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.scale.fleet_workflows import AHEAD, DAY, NAMESPACE, lives, template
from concertmaster.engines import ENGINES
from testbed.pods.cgroups import Cgroup, CgroupUsage, group_name, unusable
from testbed.process import TemporaryDirectory
from testbed.series.lives import Grid
from testbed.series.openmetrics import render
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import CRDS, any_content, install_kinds
from testbed.services.operator import OperatorProcess, operator_settings
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 512 * 2**20  # bytes: resources.limits.memory of the chart
HEALTHY, STEPS, RUNS, DAYS = 50, 4, 8, 2
INTERVAL = 10.0


def kinds() -> Iterator[dict[str, Any]]:
    """CustomResourceDefinitions of every kind that the engines read, accepting any content: the worst that an API
    server may store."""
    listed = {
        (kind.group, kind.kind): kind
        for engine in ENGINES
        for kind in (
            *engine.traits.kinds,
            *(k for run in engine.run_kinds for k in (run.object, run.children) if k is not None),
        )
        if kind.group not in ("", "batch", "concertmaster.dev")
    }
    for kind in listed.values():
        yield any_content(kind.group, kind.version, kind.kind, kind.plural, namespaced=kind.namespaced)


@dataclass
class Bed:
    """A cluster with ``HEALTHY`` workflows in namespace ``fleet`` and their history in a metrics source."""

    cluster: Cluster
    prometheus: PrometheusServer
    directory: Path
    end: float
    connections: threading.local = field(default_factory=threading.local)

    def create(self, path: str, body: Mapping[str, Any], status: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Send an object unmodified, and its status by itself; returns the status code and the beginning of the response
        of what failed, or of the creation. Thread-safe."""
        code, text = self._send("POST", path, body)
        if status is None or code != 201:
            return code, text
        patched, text = self._send("PATCH", f"{path}/{body['metadata']['name']}/status", {"status": status})
        return (code, "") if patched == 200 else (patched, text)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, str]:
        if not hasattr(self.connections, "mine"):
            context = ssl.create_default_context(cafile=str(self.cluster.ca_file))
            address = self.cluster.server.removeprefix("https://")
            self.connections.mine = http.client.HTTPSConnection(address, timeout=60, context=context)
        connection: http.client.HTTPSConnection = self.connections.mine
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {self.cluster.tokens['admin']}", "Content-Type": kind}
        try:
            connection.request(method, path, json.dumps(body, ensure_ascii=False).encode(), headers)
            answer = connection.getresponse()
            text = answer.read()[:300].decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request reconnects
            return 0, str(error)
        return answer.status, text if answer.status >= 300 else ""

    def namespace(self, name: str) -> None:
        """Create a namespace selected by the cluster policy."""
        meta = {"name": name, "labels": {"chaos": "yes"}}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})

    def profiles(self, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The current profiles of a namespace."""
        return list(self.cluster.get("wfp", "-n", namespace)["items"])

    def with_recommendations(self) -> int:
        """Number of healthy workflows with a score."""
        return sum(bool((item.get("status") or {}).get("score")) for item in self.profiles())


@contextmanager
def started(*, discover: Sequence[Mapping[str, str]]) -> Iterator[Bed]:
    """The cluster and the metrics source, without an operator."""
    end = time.time() + AHEAD
    with TemporaryDirectory("concertmaster-chaos-") as directory, ControlPlane(progress=print) as plane:
        prometheus = PrometheusServer(progress=print)
        past = list(lives(HEALTHY, STEPS, RUNS, end, DAYS))
        prometheus.load_openmetrics(render(past, Grid(end - DAYS * DAY, end)))
        with prometheus:
            cluster = plane.cluster
            install_kinds(cluster, CRDS, *kinds())
            found = Bed(cluster, prometheus, directory, end)
            found.namespace(NAMESPACE)
            cluster.apply(*(template(f"w{n:03}", STEPS) for n in range(HEALTHY)))
            cluster.apply(
                {
                    "apiVersion": "concertmaster.dev/v1alpha1",
                    "kind": "ClusterOptimizationPolicy",
                    "metadata": {"name": "baseline"},
                    "spec": {"discover": list(discover), "namespaceSelector": {"matchLabels": {"chaos": "yes"}}},
                }
            )
            yield found


@dataclass
class Operator:
    """A running operator in its control group."""

    process: OperatorProcess
    group: Cgroup | None
    began: float

    def cycles(self) -> list[dict[str, Any]]:
        """The log lines of finished cycles."""
        return [line for line in self.lines() if line.get("msg") == "cycle"]

    def lines(self) -> list[dict[str, Any]]:
        """All log lines that are JSON."""
        found = []
        for line in self.process.log.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [line for line in found if isinstance(line, dict)]

    def memory(self) -> dict[str, float]:
        """MiB: current and peak resident size, and the peak of the group including page cache (None without a
        group)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
        usage = self.usage()
        return {
            "rss_mib": round(int(found["VmRSS"]) / 1024),
            "peak_rss_mib": round(int(found["VmHWM"]) / 1024),
            **({"group_peak_mib": round(usage.peak / 2**20)} if usage is not None else {}),
        }

    def usage(self) -> CgroupUsage | None:
        """Usage of the control group."""
        return self.group.usage() if self.group is not None else None

    def alive(self) -> bool:
        """Whether the original process is still running and its liveness probe passes."""
        return self.process.running and self.process.live(timeout=10)

    def wait_cycles(self, count: int, seconds: float) -> list[dict[str, Any]]:
        """Wait for ``count`` further cycles; returns fewer after ``seconds`` or when the process has ended."""
        had, until = len(self.cycles()), time.monotonic() + seconds
        while len(self.cycles()) < had + count and time.monotonic() < until and self.process.running:
            time.sleep(0.5)
        return self.cycles()[had : had + count]


@contextmanager
def operator(
    bed: Bed, sources: Sequence[Mapping[str, Any]] | None = None, *, name: str = "operator",
    environment: Mapping[str, str] | None = None, days: float = DAYS,
) -> Iterator[Operator]:  # fmt: skip
    """The operator as a separate process that reads ``days`` of the past; without control groups its memory is measured
    but not limited.
    ``environment`` selects faults of ``loopfaults.launch``."""
    settings = operator_settings(
        bed.directory / f"{name}.db", bed.prometheus.url, interval=f"{INTERVAL:.0f}s", limits={"backfill": f"{days:g}d"}
    )
    if sources:
        settings["sources"] = list(sources)
    group = Cgroup(group_name(name), memory=LIMIT) if unusable() is None else None
    process = OperatorProcess(
        bed.directory, settings, bed.cluster.kubeconfig(), name=name, environment=environment,
        module=("benchmarks.chaos.loopfaults.launch",) if environment else ("concertmaster", "run", "--config"),
        within=group.command if group else list,
    )  # fmt: skip
    try:
        process.start_live()
        yield Operator(process, group, time.monotonic())
    finally:
        process.stop()
        if group is not None:
            group.remove()
