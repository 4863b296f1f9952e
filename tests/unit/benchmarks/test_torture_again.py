"""Runs of the torture set that are retried, suspended, or answered by Argo's agent while it is played."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.torture import again, agent
from benchmarks.torture.again import Again
from benchmarks.torture.agent import Agent
from benchmarks.torture.bed import Play, over
from benchmarks.torture.compare import NODE_NAME, leaves_of_pods
from benchmarks.torture.truth import Leaf, Truth, closed_up, idle_between
from benchmarks.torture.truth_others import resumed_run
from benchmarks.torture.workflows.argo_retried import RETRIES
from testbed.process import TestbedError

Object = dict[str, Any]


class Clock:
    """Time that passes only when it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.time", lambda: self.now)
        monkeypatch.setattr("time.monotonic", lambda: self.now)


class Cluster:
    """A cluster with the WorkflowTaskSets and agents' pods it is given, which remembers what is written."""

    kubectl_path = "kubectl"

    def __init__(self, tasks: Object, phase: str = "Running") -> None:
        self.written: list[tuple[str, Object]] = []
        self.sets = [{"metadata": {"name": "called-r0000"}, "spec": {"tasks": tasks}}]
        labels = {"workflows.argoproj.io/workflow": "called-r0000"}
        self.pods = [{"metadata": {"labels": labels}, "status": {"phase": phase}}]

    def get(self, kind: str, *_: str) -> Object:
        return {"items": self.pods if kind == "pods" else self.sets}

    def kubectl(self, *arguments: str) -> str:
        self.written.append((" ".join(arguments[:3]), json.loads(arguments[-1])))
        return ""

    def kubeconfig(self) -> str:
        return "kubeconfig"


def sent(name: str, seconds: int, **sim: str) -> Object:
    notes = {"sim/duration": str(seconds), **{f"sim/{k.replace('_', '-')}": v for k, v in sim.items()}}
    return {"name": name, "metadata": {"annotations": notes}}


def test_a_task_is_answered_once_after_its_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, cluster = Clock(monkeypatch), Cluster({"n-1": sent("ask", 3, result="ready")})
    played = Agent(cluster, "torture")  # type: ignore[arg-type]
    played.look()
    clock.now += 2
    played.look()
    assert cluster.written == []
    clock.now += 2
    played.look()
    played.look()
    answer = {"phase": "Succeeded", "outputs": {"result": "ready"}}
    assert cluster.written == [
        ("patch workflowtasksets.argoproj.io called-r0000", {"status": {"nodes": {"n-1": answer}}})
    ]


def test_the_first_answers_of_a_template_fail_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, cluster = Clock(monkeypatch), Cluster({"n-1": sent("ask", 0, fail_until="1")})
    played = Agent(cluster, "torture")  # type: ignore[arg-type]
    played.look()
    cluster.sets[0]["spec"]["tasks"] = {"n-2": sent("ask", 0, fail_until="1")}
    clock.now += 1
    played.look()
    answers = [next(iter(body["status"]["nodes"].values()))["phase"] for _, body in cluster.written]
    assert answers == ["Failed", "Succeeded"]


def test_nothing_answers_before_the_agents_pod_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    cluster = Cluster({"n-1": sent("ask", 0)}, phase="Pending")
    Agent(cluster, "torture").look()  # type: ignore[arg-type]
    assert cluster.written == []


def test_an_agent_survives_what_a_cluster_refuses() -> None:
    class Refusing(Cluster):
        def get(self, kind: str, *_: str) -> Object:
            raise TestbedError("no such thing")

    with agent.playing(Refusing({}), "torture"):  # type: ignore[arg-type]
        pass


def run(kind: str, name: str, status: Object, ended: bool = False) -> Object:
    labels = {"workflows.argoproj.io/completed": "true"} if ended else {}
    return {"kind": kind, "metadata": {"name": name, "labels": labels}, "status": status}


def test_a_failed_workflow_is_retried_as_often_as_it_says_after_standing_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    called: list[list[str]] = []
    monkeypatch.setattr(Again, "_retry", lambda self, name, parameters: called.append([name, *parameters]))
    name = "again-twice-r0000"
    failed = run("Workflow", name, {"phase": "Failed"}, ended=True)
    work, kept = Again(Cluster({}), "torture", [failed]), []  # type: ignore[arg-type]
    assert len(RETRIES["again-twice"]) == 2
    for left in (2, 1):
        objects = {"Workflow": {name: failed}}
        work.look(objects, over, kept.append)
        assert work.left(name) and len(called) == 2 - left
        clock.now += again.IDLE
        work.look(objects, over, kept.append)
        assert objects == {"Workflow": {}}  # what ended before is not taken for the end
    assert called == [[name], [name, "code=0"]] and kept == [failed, failed]
    assert not work.left(name)


def test_a_job_is_suspended_once_its_pods_run_and_resumed_once_they_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, cluster, name = Clock(monkeypatch), Cluster({}), "jb-paused-r0000"
    work = Again(cluster, "torture", [run("Job", name, {})])  # type: ignore[arg-type]
    condition = {"type": "Suspended", "status": "True"}
    for status in ({}, {"active": 2, "ready": 2}, {"active": 1}, {"conditions": [condition]}):
        for _ in range(2):
            assert work.left(name)
            work.look({"Job": {name: run("Job", name, status)}}, over, lambda _: None)
            clock.now += again.IDLE
    assert [body["spec"]["suspend"] for _, body in cluster.written] == [True, False]
    assert not work.left(name)


def leaf(step: str, begun: float, ended: float) -> Leaf:
    return Leaf(step, None, 0, "Succeeded", begun, ended, pod=f"r.{step}")


def truth(*leaves: Leaf) -> Truth:
    return Truth("w", "r", "Succeeded", {one.key: one for one in leaves})


def test_what_lies_between_the_attempts_at_a_run_is_closed_up() -> None:
    first, last = truth(leaf("a", 0, 10), leaf("b", 10, 15)), truth(leaf("a", 0, 10), leaf("b", 100, 120))
    first.add(Leaf("c", None, 0, "Skipped", 17, 17, ran=False))  # left out when b had failed
    last.idle = idle_between([first, last])
    assert last.idle == [(15, 100)]
    moved = closed_up(last)
    assert (moved.leaves["a", None, 0].begun, moved.leaves["a", None, 0].ended) == (85, 95)
    assert moved.leaves["b", None, 0].begun == 100 and moved.lasted() == 35 and last.lasted() == 120


def test_the_pod_of_a_unit_is_the_last_of_its_name() -> None:
    def pod(uid: str, second: int) -> Object:
        meta = {
            "name": "r-b", "uid": uid, "creationTimestamp": f"2026-11-23T10:00:{second:02d}Z",
            "labels": {"workflows.argoproj.io/workflow": "r"}, "annotations": {NODE_NAME: "r.b"},
        }  # fmt: skip
        return {"metadata": meta, "status": {}}

    play = Play(0.0, pods={"old": pod("old", 0), "new": pod("new", 30)})
    run_of = {"r": truth(leaf("b", 0, 1))}
    assert set(leaves_of_pods(play, run_of)) == {"new", "r-b"}
    until = 1_795_428_000.0 + 10  # 2026-11-23T10:00:10Z
    assert set(leaves_of_pods(play, run_of, until)) == {"old", "r-b"}


def test_the_pods_of_a_job_before_it_was_suspended_are_known_to_metrics_only() -> None:
    def pod(name: str, made: str, *, deleted: str = "", ended: str = "") -> Object:
        meta: Object = {"name": name, "uid": name, "creationTimestamp": f"2026-11-23T10:00:{made}Z"}
        meta["ownerReferences"] = [{"kind": "Job", "name": "jb-paused-r0000"}]
        state: Object = {"running": {}}
        if deleted:
            meta |= {"deletionTimestamp": f"2026-11-23T10:00:{deleted}Z", "deletionGracePeriodSeconds": 1}
        if ended:
            state = {"terminated": {"finishedAt": f"2026-11-23T10:00:{ended}Z"}}
        phase = "Succeeded" if ended else "Running"
        return {"metadata": meta, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}

    pods = [pod("cut", "00", deleted="06"), pod("done", "30", ended="39")]
    over = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-23T10:00:40Z"}
    status = {"conditions": [{"type": "Suspended", "status": "False"}, over], "startTime": "2026-11-23T10:00:29Z"}
    job = {"metadata": {"name": "jb-paused-r0000"}, "spec": {}, "status": status}
    found = resumed_run(job, pods, "jb-paused")
    assert [one.pod for one in found.leaves.values()] == ["done"] and found.idle == []
    assert found.whole is not None and [one.pod for one in found.whole.leaves.values()] == ["cut", "done"]
    start = 1_795_428_000.0
    assert found.whole.idle == [(start + 5, start + 30)]
    assert closed_up(found.whole).lasted() == 14
    seen = resumed_run(job, pods, "jb-paused", {"cut": start + 8.2})  # it was asked to end at 5
    assert seen.whole is not None and seen.whole.idle == [(start + 8.2, start + 30)]
    kept = [pod("kept", "00", ended="04"), *pods]  # had succeeded before, and counts
    found = resumed_run(job, kept, "jb-paused")
    assert [one.pod for one in found.leaves.values()] == ["kept", "done"]
    assert found.whole is not None and found.whole.idle == [(start + 5, start + 30)]
    plain = {**job, "status": {**status, "conditions": [over]}}
    assert resumed_run(plain, pods, "jb-paused").whole is None
    begun = {**job, "status": {**status, "startTime": "2026-11-23T10:00:31Z"}}  # a second after its first pod
    assert resumed_run(begun, pods[1:], "jb-paused").whole is None


def test_a_run_without_pods_lasts_as_long_as_its_engine_says() -> None:
    asked = Truth("w", "r", "Succeeded", {("a", None, 0): Leaf("a", None, 0, "Succeeded", 3, 8)}, own=(0, 10))
    assert asked.lasted() == 10
    with_pod = truth(leaf("a", 3, 8))
    with_pod.own = (0, 10)
    assert with_pod.lasted() == 5
