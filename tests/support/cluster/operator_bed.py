"""Shared by the operator's cluster tests: history of a CronJob's runs, the operator as a process, waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from concertmaster.core.times import weekend
from testbed.ports import free_port
from testbed.series.lives import Grid, JobLife, PodLife
from testbed.series.openmetrics import render
from testbed.series.runs import runs_of_cronjob as runs_of_cronjob
from testbed.services.cluster import Cluster
from testbed.services.kinds import CRDS, install_kinds
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]

MAIN = """
import sys
from pathlib import Path
from concertmaster.controller.prerequisites import WaitPolicy
from concertmaster.controller.main import RunOptions, run
from concertmaster.settings import load
sys.exit(run(load(sys.argv[1]), RunOptions(kubeconfig=Path(sys.argv[2]), patience=WaitPolicy(float(sys.argv[3]), 0.5))))
"""


# Seconds until a waiting test fails. Only failures take that long; on a machine with ten times its capacity of work, an
# operator's first cycle took more than a minute, which failed correct tests.
PATIENCE = 240.0


def wait_for(what: str, check: Callable[[], Any], seconds: float = PATIENCE, pause: float = 0.3) -> Any:
    """The first true result of ``check``; fails with ``what`` after ``seconds``."""
    return until(check, what, seconds, pause)


def install_crds(cluster: Cluster) -> None:
    """Apply the project's CustomResourceDefinitions and wait until they are served."""
    install_kinds(cluster, CRDS)


def history(pods: list[PodLife], jobs: list[JobLife], end: float, *, days: float = 2.0) -> list[str]:
    """OpenMetrics text of these lifetimes up to ``end`` (unix seconds)."""
    return list(render(pods, Grid(end - days * 86400.0, end), jobs))


def hourly_runs(namespace: str, *names: str, runs: int = 30, days: float = 2.0) -> list[str]:
    """OpenMetrics text of hourly ``runs`` of these CronJobs up to now."""
    end = time.time() - 30.0
    pods, jobs = zip(*(runs_of_cronjob(namespace, name, runs, end) for name in names), strict=True)
    return history(list(chain.from_iterable(pods)), list(chain.from_iterable(jobs)), end, days=days)


def on_like_days(end: float, seconds: float) -> float:
    """``end``, or the last moment before it (unix seconds) from which ``seconds``, at most two days, lie wholly on working
    days or wholly on a weekend: runs of the one are not compared with runs of the other."""
    while end > 0.0 and len({weekend(end - seconds), weekend(end - seconds / 2.0), weekend(end)}) > 1:
        end -= 600.0
    return end


def wait_for_like_days(seconds: float) -> None:
    """Sleep until midnight where the next ``seconds``, less than a day, lie both on a working day and on a weekend: for
    tests whose runs before and after a change really run meanwhile."""
    end = time.time() + seconds
    if on_like_days(end, seconds) < end:
        time.sleep(seconds - end % 86400.0 + 1.0)


def with_series(
    text: list[str], name: str, labels: Mapping[str, str], start: float, end: float, value: float
) -> list[str]:
    """OpenMetrics text with one more gauge, sampled every minute from ``start`` to ``end`` (unix seconds)."""
    shown = ",".join(f'{k}="{v}"' for k, v in labels.items())
    samples = [f"{name}{{{shown}}} {value} {start + 60.0 * i:.0f}\n" for i in range(int((end - start) // 60.0) + 1)]
    body = "".join(text).removesuffix("# EOF\n")
    family = "" if f"# TYPE {name} " in body else f"# TYPE {name} gauge\n"
    return [body, family, *samples, "# EOF\n"]


def cronjob(namespace: str, name: str, **labels: str) -> dict[str, Any]:
    """A CronJob object for the runs of ``runs_of_cronjob``."""
    container = {
        "name": "main",
        "image": "example/etl:1",
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
    }
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"schedule": "0 * * * *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


def policy(namespace: str, name: str = "team", **spec: Any) -> dict[str, Any]:
    """An OptimizationPolicy."""
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "OptimizationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def profile(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """A WorkflowProfile."""
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


DISCOVER_CRONJOBS = [{"apiVersion": "batch/v1", "kind": "CronJob"}]


def apply(cluster: Cluster, *objects: Mapping[str, Any]) -> None:
    """kubectl apply, as a user would."""
    cluster.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(o) for o in objects))


def condition(obj: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The condition of that type; empty if missing."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((dict(c) for c in found if c["type"] == kind), {})


def get_object(cluster: Cluster, kind: str, namespace: str, name: str) -> dict[str, Any]:
    """An object; empty if there is none."""
    answer = cluster.run_kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
    parsed: dict[str, Any] = json.loads(answer.stdout) if answer.stdout.strip() else {}
    return parsed


def analysed(cluster: Cluster, namespace: str, name: str = "cronjob-etl") -> dict[str, Any]:
    """A profile once its analysis is complete; empty until then."""
    profile_ = get_object(cluster, "wfp", namespace, name)
    return profile_ if condition(profile_, "Ready").get("reason") == "Analyzed" else {}


def active(cluster: Cluster, namespace: str, name: str = "cronjob-etl") -> dict[str, dict[str, Any]]:
    """The active recommendations of a profile, by id."""
    listed = (get_object(cluster, "wfp", namespace, name).get("status") or {}).get("recommendations", ())
    return {r["id"]: r for r in listed if r["state"] == "Active"}


@dataclass
class Operator:
    """A running operator process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    config: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> list[dict[str, Any]]:
        """All log lines so far; fails for a line that is not JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.strip()]

    def cycles(self) -> list[dict[str, Any]]:
        """The log lines of finished cycles."""
        return [line for line in self.read() if line["msg"] == "cycle"]

    def get(self, path: str) -> tuple[int, str]:
        """HTTP status and body from the operator's own endpoint; status 0 if nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The value of one sample of /metrics; 0 if missing."""
        _, text = self.get("/metrics")
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)

    def api_writes(self) -> float:
        """Number of requests that change or could change the cluster, including access reviews."""
        _, text = self.get("/metrics")
        verbs = ("POST", "PATCH", "PUT", "DELETE")
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("concertmaster_kubernetes_requests_total{") and any(f'verb="{v}"' in line for v in verbs)
        )

    def rss(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024.0 for line in status.splitlines() if line.startswith("VmRSS"))

    def next_cycles(self, count: int, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """Wait for ``count`` further cycles and return them."""
        before = len(self.cycles())
        wait_for(f"{count} more cycles", lambda: len(self.cycles()) >= before + count, seconds)
        return self.cycles()[before:]

    def stop(self) -> float:
        """Send SIGTERM; returns the seconds until the process ended."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        return time.monotonic() - begun


def settings(directory: Path, sources: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """A configuration with a free port, the shortest interval, and history in ``directory``."""
    return {
        "interval": "10s",
        "historyPath": str(directory / "history.db"),
        "listen": {"address": "127.0.0.1", "port": free_port()},
        "limits": {"backfill": "2d"},
        "sources": [{"name": name, "url": url, "delaySeconds": 5} for name, url in sources.items()],
        **more,
    }


@contextmanager
def operator(
    cluster: Cluster,
    directory: Path,
    config: Mapping[str, Any],
    *,
    user: str = "admin",
    patience: float = 20.0,
    environment: Mapping[str, str] | None = None,
    first: str = "",
) -> Iterator[Operator]:
    """The operator as a separate process, killed at the end if it is still running. ``first``: Python that runs before it
    is imported."""
    file = directory / f"config-{config['listen']['port']}.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    log = directory / f"operator-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", first + MAIN, str(file), str(cluster.kubeconfig(user)), str(patience)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Operator(process, config["listen"]["port"], log, file)
    except BaseException as error:
        error.add_note(f"the operator's last words:\n{log.read_text()[-6000:]}")
        raise
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=10)
