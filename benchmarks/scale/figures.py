"""What is read of processes under test: their memory, CPU, /metrics and log."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from testbed.process import Process
from testbed.services.cluster import Cluster

_PAUSE = 5.0  # a longer pause between two cycles is the interval, a shorter one is the backfill


def text(url: str) -> str:
    """The body of an answer."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def rss(pid: int) -> dict[str, float]:
    """Current and peak resident memory in MiB, of the process alone."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return {name: int(value) / 1024 for name, value in found.items()}


class Memory:
    """Peak memory of a process with those it has started, looked at every second: what they share counts for each."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.peak = 0.0  # MiB
        threading.Thread(target=self._look, daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            with suppress(OSError):
                children = Path(f"/proc/{self._pid}/task").glob("*/children")
                pids = [self._pid, *(int(child) for of in children for child in of.read_text().split())]
                self.peak = max(self.peak, sum(rss(pid).get("VmRSS", 0.0) for pid in pids))


def cycles(log: Path) -> list[dict[str, Any]]:
    """The operator's log line for each cycle."""
    found = []
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("msg") == "cycle":
            found.append(entry)
    return found


def work(port: int, pid: int) -> dict[str, float]:
    """Work of the operator so far: queries, requests, status writes, CPU seconds with those of processes it has ended."""
    own = text(f"http://127.0.0.1:{port}/metrics")
    return {
        "queries": total(own, "concertmaster_queries_total"),
        "requests": total(own, "concertmaster_kubernetes_requests_total"),
        "writes": total(own, 'concertmaster_status_writes_total{kind="profile",outcome="written"}'),
        "cpu_s": cpu([pid]),
    }


def cpu(pids: Iterable[int]) -> float:
    """CPU seconds of processes, with those of their children that have ended. One that is gone counts with its parent."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, stat[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def others(prometheus: str, cluster: Cluster) -> dict[str, float]:
    """Samples read by the metrics source, and CPU seconds of both servers, that loading the fleet took included."""
    store = text(f"{prometheus}/metrics")
    return {
        "samples": total(store, "prometheus_engine_query_samples_total"),
        "store_cpu_s": total(store, "process_cpu_seconds_total"),
        "api_cpu_s": total(cluster.kubectl("get", "--raw", "/metrics"), "process_cpu_seconds_total"),
    }


def total(exposition: str, name: str) -> float:
    """Sum of all series whose text begins with ``name``."""
    lines = [line for line in exposition.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    lines = lines or [line for line in exposition.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def totals_by(exposition: str, name: str, label: str) -> dict[str, float]:
    """Sums of the series ``name`` by the values of ``label``."""
    found: dict[str, float] = {}
    for line in exposition.splitlines():
        if line.startswith(f"{name}{{") and (value := re.search(rf'[{{,]{label}="([^"]*)"', line)):
            found[value[1]] = found.get(value[1], 0.0) + float(line.rpartition(" ")[2])
    return found


def must_run(operator: Process, limit: float) -> None:
    """End the benchmark when the operator has ended, or after ``limit`` (monotonic seconds)."""
    if not operator.running or time.monotonic() > limit:
        raise SystemExit(f"it takes too long, or ended:\n{operator.tail(30)}")


def wait_for_pause(log: Path, begin: float, limit: float, operator: Process) -> float:
    """Seconds until the end of the first cycle that was followed by a pause: the whole history has been read then."""
    while True:
        must_run(operator, limit)
        spans = [(unix(c["ts"]) - c["seconds"], unix(c["ts"])) for c in cycles(log)]
        rested = [over for (_, over), (start, _) in pairwise(spans) if start - over > _PAUSE]
        if rested:
            return rested[0] - (time.time() - (time.monotonic() - begin))
        time.sleep(0.5)


def unix(stamp: str) -> float:
    """The time of a log line."""
    return datetime.fromisoformat(stamp).timestamp()
