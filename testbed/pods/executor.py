"""A minimal kubelet: runs the pods of one node as real processes in control groups with the pods' limits.

`python -m testbed.pods.executor` registers its node, starts the command of each container of the pods bound to it, and
writes the result into the pod's status: exit code, times, and OOMKilled if the kernel killed it for memory.
/metrics/cadvisor serves the usage of the control groups under cAdvisor's names. There are no images, volumes, probes or
networks, and containers are never restarted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testbed.pods.cgroups import Cgroup, group_name, sweep
from testbed.pods.exporter import page, serve_page
from testbed.pods.simulation import parse_quantity
from testbed.process import TestbedError
from testbed.series.naming import container_cgroup, container_id, series

_PAUSE = 0.2
_MERGE = "application/strategic-merge-patch+json"
Object = dict[str, Any]


class Api:
    """The few API requests that a kubelet needs."""

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        self._server = server
        self._token = token
        handler = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca_file)))
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler).open

    def send(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """The object in the response. Raises TestbedError if the server rejects the request, FileNotFoundError for
        404."""
        request = urllib.request.Request(
            self._server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": kind},
        )
        try:
            with self._open(request, timeout=10) as answer:
                response: Object = json.loads(answer.read())
                return response
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from error
            raise TestbedError(f"{method} {path} failed: {error.read().decode()[:500]}") from error
        except OSError as error:
            raise TestbedError(f"{method} {path} failed: {error}") from error


@dataclass
class Running:
    """The process of one container and its group."""

    name: str
    process: subprocess.Popen[bytes]
    group: Cgroup
    limited: bool
    memory_limit: float
    started: float = field(default_factory=time.time)

    def end(self) -> None:
        """Kill the process and its children, and remove the group."""
        self.process.kill()
        self.group.remove()
        self.process.wait()


def _start_process(uid: str, container: Object) -> Running:
    """Start a container's process in its group. Raises OSError if the kernel rejects it; nothing is left behind
    then."""
    limits = container.get("resources", {}).get("limits", {})
    cpu, memory = (parse_quantity(limits[k]) if k in limits else None for k in ("cpu", "memory"))
    group = Cgroup(group_name(uid[:8], container["name"]), cpu, memory)
    try:
        process = subprocess.Popen(
            group.command([*container.get("command", []), *container.get("args", [])]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except OSError:
        group.remove()
        raise
    return Running(container["name"], process, group, cpu is not None, memory or 0.0)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Node:
    """The pods of one node."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name
        self._pods: dict[str, tuple[Object, list[Running]]] = {}
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    def register(self) -> None:
        """Create the Node with condition Ready."""
        self._api.send("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": self._name}})
        room = {"cpu": str(os.cpu_count() or 1), "memory": "4Gi", "pods": "20"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        self._api.send("PATCH", f"/api/v1/nodes/{self._name}/status", {"status": status}, _MERGE)

    def turn(self) -> None:
        """Reconcile all pods of the node once."""
        listed = self._api.send("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self._name}")["items"]
        present = {pod["metadata"]["uid"] for pod in listed}
        for pod in listed:
            uid = pod["metadata"]["uid"]
            if pod["metadata"].get("deletionTimestamp"):
                self._stop(uid)
                with contextlib.suppress(FileNotFoundError):
                    self._api.send("DELETE", f"{_path(pod)}?gracePeriodSeconds=0")
            elif uid in self._pods:
                self._follow(uid)
            elif uid not in self._ended and pod["status"].get("phase") == "Pending":
                self._start(pod)
        for uid in [u for u in self._pods if u not in present]:
            self._stop(uid)

    def close(self) -> None:
        """Stop all pods."""
        for uid in list(self._pods):
            self._stop(uid)

    def exposition(self) -> str:
        """The cAdvisor page for the running control groups."""
        with self._lock:
            return page(sample for pod, rows in self._pods.values() for r in rows for sample in _samples(pod, r))

    def _start(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        started: list[Running] = []
        try:
            for container in pod["spec"]["containers"]:
                begun = _start_process(uid, container)
                started.append(begun)
        except OSError as error:  # if one container cannot be started, none of the pod's keeps running
            for running in started:
                running.end()
            self._set_status(pod, "Failed", [], {"reason": "StartError", "message": str(error)})
            self._ended.add(uid)
            return
        with self._lock:
            self._pods[uid] = pod, started
        self._set_status(pod, "Running", [self._status(r, None, uid) for r in started])

    def _follow(self, uid: str) -> None:
        pod, containers = self._pods[uid]
        codes = [r.process.poll() for r in containers]
        if any(code is None for code in codes):
            return
        kills = [r.group.usage().oom_kills for r in containers]
        status = [self._status(r, kill, uid) for r, kill in zip(containers, kills, strict=True)]
        self._set_status(pod, "Failed" if any(codes) else "Succeeded", status)
        self._forget(uid)  # only after the update: an unreported status is retried in the next iteration

    def _stop(self, uid: str) -> None:
        self._forget(uid)

    def _forget(self, uid: str) -> None:
        with self._lock:
            _, containers = self._pods.pop(uid, ({}, []))
        self._ended.add(uid)
        for running in containers:
            running.end()

    def _status(self, running: Running, kills: int | None, uid: str) -> Object:
        """The containerStatus; ``kills`` is None while the container runs."""
        begun = datetime.fromtimestamp(running.started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state: Object = {"running": {"startedAt": begun}}
        if kills is not None:
            code = running.process.returncode
            code = 128 - code if code < 0 else code  # killed by a signal: the exit code that shells use
            reason = "OOMKilled" if kills and code else "Error" if code else "Completed"
            state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": begun, "finishedAt": _now()}}
        return {
            "name": running.name,
            "image": "process",
            "imageID": "",
            "containerID": f"process://{container_id(uid, running.name)}",
            "ready": kills is None,
            "restartCount": 0,
            "state": state,
        }

    def _set_status(self, pod: Object, phase: str, containers: list[Object], why: Object | None = None) -> None:
        status: Object = {"phase": phase, "containerStatuses": containers, **(why or {})}
        if phase == "Running":
            conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
            status |= {"startTime": _now(), "conditions": [{"type": c, "status": "True"} for c in conditions]}
        with contextlib.suppress(FileNotFoundError):
            self._api.send("PATCH", f"{_path(pod)}/status", {"status": status}, _MERGE)


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _samples(pod: Object, running: Running) -> Iterator[tuple[str, str, float]]:
    """(metric, series, value) of one container."""
    used, meta = running.group.usage(), pod["metadata"]
    labels = {
        "namespace": meta["namespace"],
        "pod": meta["name"],
        "container": running.name,
        "image": "process",
        "id": container_cgroup(meta["uid"], running.name, 0),
        "name": container_id(meta["uid"], running.name, 0),
    }
    values: dict[str, float] = {
        "container_cpu_usage_seconds_total": used.cpu_seconds,
        "container_memory_working_set_bytes": used.working_set,
        "container_memory_max_usage_bytes": used.peak,
        "container_oom_events_total": used.oom_kills,
        "container_spec_memory_limit_bytes": running.memory_limit,
        "container_start_time_seconds": running.started,
    }
    if running.limited:
        values |= {
            "container_cpu_cfs_periods_total": used.periods,
            "container_cpu_cfs_throttled_periods_total": used.throttled_periods,
            "container_cpu_cfs_throttled_seconds_total": used.throttled_seconds,
        }
    for metric, value in values.items():
        yield metric, series(metric, **labels), value


def main() -> None:
    """`python -m testbed.pods.executor --server URL --ca-file FILE --token-file FILE --node NAME --port N`."""
    parser = argparse.ArgumentParser(prog="python -m testbed.pods.executor", description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, help="API server, https://host:port")
    parser.add_argument("--ca-file", required=True, type=Path)
    parser.add_argument("--token-file", required=True, type=Path, help="file with a bearer token of an administrator")
    parser.add_argument("--node", required=True, help="name of the node to be")
    parser.add_argument("--port", required=True, type=int, help="port on 127.0.0.1 of /metrics/cadvisor")
    arguments = parser.parse_args()
    node = Node(Api(arguments.server, arguments.ca_file, arguments.token_file.read_text().strip()), arguments.node)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    sweep()
    node.register()
    server = serve_page(("127.0.0.1", arguments.port), node.exposition)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        while not stop.wait(_PAUSE):
            try:
                node.turn()
            except TestbedError as error:
                print(error, flush=True)
    finally:
        node.close()


if __name__ == "__main__":
    main()
