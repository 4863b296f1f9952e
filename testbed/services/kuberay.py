"""KubeRay beside a running control plane: its operator as shipped, and a stand-in for the dashboards of its Ray clusters.

The operator asks the dashboard of a cluster for the status of its Ray job, at the name of a Service. All of these requests
go to a proxy, which answers them itself: no name has to be resolved, no pod has to serve anything.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from testbed.install.build import Progress, ensure
from testbed.install.manifests import kuberay_crds
from testbed.ports import free_port
from testbed.process import Process, http_ok
from testbed.services.cluster import Cluster
from testbed.services.kinds import install_kinds

COMPONENT = "kuberay-operator"
_JOBS = "/api/jobs/"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One Ray job as the dashboard reports it: RUNNING for so many seconds after it was submitted, then this status."""

    seconds: float = 6.0
    end: str = "SUCCEEDED"


@dataclass
class Dashboards:
    """Answers for the dashboards of all Ray clusters. `plans` are the attempts of each RayJob, by its name; the last one
    repeats, and a RayJob without a plan has one that succeeds."""

    plans: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)
    _jobs: dict[str, tuple[Attempt, float]] = field(default_factory=dict)  # by submission id: its plan, and its start
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and content of the answer to one request. A job counts as submitted when it is first asked for."""
        submission = path.removeprefix(_JOBS).split("/")[0] or str(body.get("submission_id"))
        with self._lock:
            if submission not in self._jobs:
                name = submission.rpartition("-")[0]
                before = sum(known.rpartition("-")[0] == name for known in self._jobs)
                plan = self.plans.get(name) or (Attempt(),)
                self._jobs[submission] = (plan[min(before, len(plan) - 1)], time.time())
            attempt, start = self._jobs[submission]
        if method == "POST":
            return 200, {"job_id": submission, "stopped": True}
        over = time.time() >= start + attempt.seconds
        times = {"start_time": int(start * 1000)} | (
            {"end_time": int((start + attempt.seconds) * 1000)} if over else {}
        )
        status = attempt.end if over else "RUNNING"
        return 200, {"submission_id": submission, "status": status, "message": f"Job is {status}.", **times}


@contextmanager
def kuberay(
    cluster: Cluster,
    plans: Mapping[str, Sequence[Attempt]] | None = None,
    *,
    progress: Progress = lambda _: None,
) -> Iterator[Process]:
    """The operator, with its CRDs, until the end of the context. RayCronJobs are enabled."""
    binary = ensure([COMPONENT], progress)[COMPONENT]
    install_kinds(cluster, *kuberay_crds())
    with _proxy(Dashboards(plans or {}).answer) as proxy:
        health, metrics = free_port(), free_port()
        process = Process(
            COMPONENT,
            [
                binary,
                f"--kubeconfig={cluster.kubeconfig()}",
                "--enable-leader-election=false",
                "--feature-gates=RayCronJob=true",
                f"--health-probe-bind-address=127.0.0.1:{health}",
                f"--metrics-addr=127.0.0.1:{metrics}",
                "--zap-log-level=error",
            ],
            log=cluster.directory / f"{COMPONENT}.log",
            cwd=cluster.directory,
            env={"HTTP_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""},
        )
        process.start()
        try:
            process.wait_ready(lambda: http_ok(f"http://127.0.0.1:{health}/readyz"), timeout=120, interval=0.5)
            yield process
        finally:
            process.stop(timeout=5)


@contextmanager
def _proxy(answer: Callable[[str, str, Mapping[str, Any]], tuple[int, dict[str, Any]]]) -> Iterator[str]:
    """An HTTP proxy that answers every request itself; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond({})

        def do_POST(self) -> None:
            self._respond(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"))

        def _respond(self, body: Mapping[str, Any]) -> None:
            status, content = answer(self.command, urlsplit(self.path).path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
