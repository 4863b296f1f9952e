"""The small kubelet when the kernel or the API server refuses: nothing leaks, and what became of a pod is reported."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from testbed.pods import cgroups, executor
from testbed.pods.executor import Api, Node
from testbed.process import TestbedError

USAGE = cgroups.CgroupUsage(1.0, 0, 0, 0.0, 1, 1, 0)


@dataclass
class Server:
    """Lists its pods and takes their states; refuses as many states as it is asked to."""

    pods: list[dict[str, Any]]
    refuse: int = 0
    reported: list[dict[str, Any]] = field(default_factory=list)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None, kind: str = "") -> dict[str, Any]:
        if method == "GET":
            return {"items": self.pods}
        if self.refuse:
            self.refuse -= 1
            raise TestbedError("the server is away")
        self.reported.append((body or {})["status"])
        self.pods[0]["status"] = {**self.pods[0]["status"], **(body or {})["status"]}
        return {}


@pytest.fixture(autouse=True)
def _groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    monkeypatch.setattr(cgroups.Cgroup, "usage", lambda _: USAGE)


def pod(*commands: list[str], **limits: str) -> dict[str, Any]:
    containers: list[dict[str, Any]] = [{"name": f"c{n}", "command": command} for n, command in enumerate(commands)]
    containers[-1]["resources"] = {"limits": limits}
    meta = {"uid": "0123456789", "namespace": "etl", "name": "p"}
    return {"metadata": meta, "status": {"phase": "Pending"}, "spec": {"containers": containers}}


def node(server: Server) -> Node:
    return Node(cast(Api, server), "n1")


def test_a_container_that_cannot_be_started_fails_its_pod_and_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        if begun:
            raise OSError(12, "Cannot allocate memory")
        begun.append(start(*args, **kwargs))
        return begun[0]

    monkeypatch.setattr(executor.subprocess, "Popen", popen)
    monkeypatch.setattr(cgroups.time, "sleep", lambda _: None)
    server = Server([pod(["sleep", "300"], ["sleep", "300"])], refuse=1)
    small = node(server)
    with pytest.raises(TestbedError):
        small.turn()
    assert begun[0].poll() == -9, "also while nobody can be told"
    small.turn()
    (said,) = server.reported
    assert (said["phase"], said["reason"]) == ("Failed", "StartError")
    assert "Cannot allocate memory" in said["message"]
    small.turn()
    assert len(server.reported) == 1


def test_an_end_that_could_not_be_reported_is_reported_in_the_next_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server([pod(["sh", "-c", "exit 3"])])
    small = node(server)
    small.turn()
    for _, found in small._pods.values():
        found[0].process.wait(20)
    for place in tmp_path.iterdir():
        (place / "cgroup.procs").write_text("")  # as the kernel has it once all have ended
    server.refuse = 1
    with pytest.raises(TestbedError):
        small.turn()
    monkeypatch.setattr(cgroups.time, "sleep", lambda _: None)
    small.turn()
    assert [said["phase"] for said in server.reported] == ["Running", "Failed"]
    assert server.reported[-1]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    small.turn()
    assert len(server.reported) == 2
