"""The part of Argo's agent: the image in its pod never runs here, so that its reports on ``http`` and plugin tasks are
written in its place, to the WorkflowTaskSet. The controller itself then records the nodes."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.torture.workflows.parts import Object
from testbed.process import TestbedError
from testbed.services.cluster import Cluster

_TASK_SETS = "workflowtasksets.argoproj.io"
_AGENTS = "workflows.argoproj.io/component=agent"
_RUN = "workflows.argoproj.io/workflow"


class Agent:
    """Answers the tasks of Workflows whose agent's pod is running, each after the duration in its template."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._since: dict[tuple[str, str], float] = {}  # by run and node
        self._answers: Counter[tuple[str, str]] = Counter()  # by run and template
        self._done: set[tuple[str, str]] = set()

    def look(self) -> None:
        """Take up new tasks, and answer those whose time has come."""
        sets = self._cluster.get(_TASK_SETS, "-n", self._namespace)["items"]
        if not any((s["spec"].get("tasks") or {}) for s in sets):
            return
        pods = self._cluster.get("pods", "-n", self._namespace, "-l", _AGENTS)["items"]
        alive = {p["metadata"]["labels"][_RUN] for p in pods if p["status"].get("phase") == "Running"}
        for one in sets:
            run = one["metadata"]["name"]
            if run in alive:
                self._answer(run, one["spec"].get("tasks") or {})

    def _answer(self, run: str, tasks: dict[str, Object]) -> None:
        for node, template in tasks.items():
            key, which, notes = (run, node), (run, template["name"]), template["metadata"]["annotations"]
            due = self._since.setdefault(key, time.time()) + float(notes["sim/duration"])
            if key in self._done or time.time() < due:
                continue
            if self._answers[which] < int(notes.get("sim/fail-until", "0")):
                answer: Object = {"phase": "Failed", "message": "received non-2xx response code: 503"}
            else:
                answer = {"phase": "Succeeded", "outputs": {"result": notes.get("sim/result", "{}")}}
            patch = json.dumps({"status": {"nodes": {node: answer}}})
            place = (_TASK_SETS, run, "-n", self._namespace)
            self._cluster.kubectl("patch", *place, "--subresource=status", "--type=merge", "-p", patch)
            self._answers[which] += 1
            self._done.add(key)


@contextmanager
def playing(cluster: Cluster, namespace: str) -> Iterator[None]:
    """An agent at work until the end of the block."""
    agent, over = Agent(cluster, namespace), threading.Event()

    def play() -> None:
        while not over.wait(1.0):
            try:
                agent.look()
            except TestbedError:
                continue  # a Workflow that has just ended, or was deleted

    worker = threading.Thread(target=play, daemon=True)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join(60.0)
