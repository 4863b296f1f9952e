"""Serves container series as the kubelet's /metrics/cadvisor would, for pods simulated by kwok.

Runs as a separate process (`python -m testbed.pods.exporter`). At each scrape it lists the running pods and computes their
usage so far from their annotations (`testbed.pods.simulation`); as with a real kubelet, a container's series end with the
container. Results based on these series are labelled simulated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from testbed.pods.simulation import PodModel, Usage
from testbed.process import TestbedError, http_get
from testbed.series.lives import CADVISOR_PATH
from testbed.series.naming import container_cgroup, container_id, pod_cgroup, series

# Sample name -> (type, extra labels, value or None where the series does not exist).
CONTAINER_FAMILIES: dict[str, tuple[str, dict[str, str], Callable[[Usage], float | None]]] = {
    "container_cpu_cfs_periods_total": ("counter", {}, lambda u: round(u.periods) if u.limited else None),
    "container_cpu_cfs_throttled_periods_total": (
        "counter",
        {},
        lambda u: round(u.throttled_periods) if u.limited else None,
    ),
    "container_cpu_cfs_throttled_seconds_total": (
        "counter",
        {},
        lambda u: round(u.throttled_seconds, 3) if u.limited else None,
    ),
    "container_cpu_usage_seconds_total": ("counter", {"cpu": "total"}, lambda u: round(u.cpu_seconds, 3)),
    "container_fs_reads_bytes_total": ("counter", {"device": "/dev/vda"}, lambda u: round(u.fs_read_bytes)),
    "container_fs_writes_bytes_total": ("counter", {"device": "/dev/vda"}, lambda u: round(u.fs_write_bytes)),
    "container_memory_max_usage_bytes": ("gauge", {}, lambda u: round(u.working_set)),
    "container_memory_working_set_bytes": ("gauge", {}, lambda u: round(u.working_set)),
    "container_oom_events_total": ("counter", {}, lambda u: 0),
    "container_pressure_cpu_waiting_seconds_total": ("counter", {}, lambda u: round(u.waiting_seconds, 3)),
    "container_pressure_io_waiting_seconds_total": ("counter", {}, lambda u: 0),
}


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


def _running(pod: dict[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    """Statuses of the running containers, each with its start in unix seconds."""
    for status in pod["status"].get("containerStatuses") or []:
        started = status.get("state", {}).get("running", {}).get("startedAt")
        if started:
            yield status, _unix(started)


def _pod_samples(pod: dict[str, Any], now: float) -> Iterator[tuple[str, str, float]]:
    """(metric, series, value) of one pod: its containers, then the pod-level series (container="")."""
    metadata = pod["metadata"]
    owner = {"namespace": metadata["namespace"], "pod": metadata["name"]}
    uid = metadata["uid"]
    model = PodModel.of(pod)
    total_cpu = total_memory = 0.0
    oldest = now
    for status, started in _running(pod):
        usage = model.usage(status["name"], now - started)
        total_cpu += usage.cpu_seconds
        total_memory += usage.working_set
        oldest = min(oldest, started)
        restarts = int(status.get("restartCount", 0))
        labels = {
            **owner,
            "container": status["name"],
            "image": status["image"],
            "id": container_cgroup(uid, status["name"], restarts),
            "name": container_id(uid, status["name"], restarts),
        }
        for metric, (_, extra, value_of) in CONTAINER_FAMILIES.items():
            value = value_of(usage)
            if value is not None:
                yield metric, series(metric, **labels, **extra), value
        yield "container_start_time_seconds", series("container_start_time_seconds", **labels), started
        limit = model.memory_limit if status["name"] == model.main else None
        metric = "container_spec_memory_limit_bytes"
        yield metric, series(metric, **labels), limit or 0
    if oldest < now:
        cgroup = {**owner, "id": pod_cgroup(uid)}
        metric = "container_cpu_usage_seconds_total"
        yield metric, series(metric, **cgroup, cpu="total"), round(total_cpu, 3)
        metric = "container_memory_working_set_bytes"
        yield metric, series(metric, **cgroup), round(total_memory)
        sandbox = {**owner, "id": f"{pod_cgroup(uid)}/cri-containerd-{container_id(uid, '')}.scope"}
        sandbox |= {"name": container_id(uid, ""), "image": "pause:3.10", "interface": "eth0"}
        done = model.done(now - oldest)
        for metric, total in (
            ("container_network_receive_bytes_total", model.network_receive),
            ("container_network_transmit_bytes_total", model.network_transmit),
        ):
            yield metric, series(metric, **sandbox), round(total * done)


def page(samples: Iterable[tuple[str, str, float]], stamp: str = "") -> str:
    """The metrics page for (metric, series, value) samples, grouped by family; `stamp` is appended to each line."""
    families: dict[str, list[str]] = {}
    for metric, name, value in samples:
        families.setdefault(metric, []).append(f"{name} {value:.15g}{stamp}\n")
    text = []
    for metric, lines in sorted(families.items()):
        text.append(f"# TYPE {metric} {'counter' if metric.endswith('_total') else 'gauge'}\n")
        text += lines
    return "".join(text)


def exposition(pods: Sequence[dict[str, Any]], now: float, *, timestamps: bool = False) -> str:
    """The page for these Pod objects at `now` (unix seconds); `timestamps` adds explicit timestamps as a real kubelet
    does."""
    stamp = f" {int(now * 1000)}" if timestamps else ""
    return page((sample for pod in pods for sample in _pod_samples(pod, now)), stamp)


class _Handler(BaseHTTPRequestHandler):
    """Serves the metrics page and /healthz; 503 while the API server is unavailable, so that the scrape fails."""

    protocol_version = "HTTP/1.1"
    page: Callable[[], str]

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, "ok\n")
        elif self.path == CADVISOR_PATH:
            try:
                self._answer(200, type(self).page())
            except TestbedError as error:
                self._answer(503, f"{error}\n")
        else:
            self._answer(404, f"only {CADVISOR_PATH} and /healthz are served\n")

    def _answer(self, code: int, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log scrapes."""


def serve_page(address: tuple[str, int], page: Callable[[], str]) -> ThreadingHTTPServer:
    """A server bound to `address` that calls `page` at each scrape."""
    server = ThreadingHTTPServer(address, type("Handler", (_Handler,), {"page": staticmethod(page)}))
    server.daemon_threads = True
    return server


def serve(
    address: tuple[str, int], pods: Callable[[], Sequence[dict[str, Any]]], *, timestamps: bool = False
) -> ThreadingHTTPServer:
    """A server bound to `address` that calls `pods` for the running Pod objects at each scrape."""
    return serve_page(address, lambda: exposition(pods(), time.time(), timestamps=timestamps))


def main() -> None:
    """`python -m testbed.pods.exporter --server URL --ca-file FILE --token-file FILE --port N [--timestamps]`."""
    parser = argparse.ArgumentParser(prog="python -m testbed.pods.exporter", description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, help="API server, https://host:port")
    parser.add_argument("--ca-file", required=True, type=Path)
    parser.add_argument("--token-file", required=True, type=Path, help="file with a bearer token that may list pods")
    parser.add_argument("--port", required=True, type=int, help="port on 127.0.0.1")
    parser.add_argument("--timestamps", action="store_true", help="send explicit timestamps")
    arguments = parser.parse_args()
    token = arguments.token_file.read_text().strip()

    def running_pods() -> Sequence[dict[str, Any]]:
        # resourceVersion=0: from the API server's cache; a real kubelet needs no request to etcd either.
        url = f"{arguments.server}/api/v1/pods?fieldSelector=status.phase%3DRunning&resourceVersion=0"
        page = http_get(url, ca_file=arguments.ca_file, token=token, timeout=10)
        items: list[dict[str, Any]] = json.loads(page)["items"]
        return items

    serve(("127.0.0.1", arguments.port), running_pods, timestamps=arguments.timestamps).serve_forever()


if __name__ == "__main__":
    main()
