"""Finished runs on a real API server: read by the running operator, kept when their objects are gone."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, WorkflowKey
from concertmaster.history import Store
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.live_cluster import ARGO, PLACE, install_argo, own_cluster
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    cronjob,
    hourly_runs,
    operator,
    policy,
    profile,
    settings,
    wait_for,
)
from tests.support.cluster.operator_checks import assert_unsoiled, grant_reading
from tests.support.engines.argo_definitions import NESTED
from tests.support.engines.argo_oracle import Controller, stamp
from tests.support.local_server import QuietHandler, local_server


@pytest.fixture
def cluster(make_control_plane: Callable[..., ControlPlane]) -> Cluster:
    """A cluster of the test's own."""
    return own_cluster(make_control_plane)


pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ETL = WorkflowKey(PLACE, "WorkflowTemplate", "etl")
BACKUP = WorkflowKey(PLACE, "CronJob", "backup")


@pytest.fixture
def prometheus(make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """A few runs of some CronJob, so that the source is in order."""
    return make_prometheus(history=hourly_runs(PLACE, "backup", runs=2, days=0.5))


def template() -> list[dict[str, Any]]:
    """The WorkflowTemplate and its profile."""
    meta = {"name": "etl", "namespace": PLACE}
    return [
        {"apiVersion": ARGO, "kind": "WorkflowTemplate", "metadata": meta, "spec": NESTED},
        profile(PLACE, "etl", workflowRef={"apiVersion": ARGO, "kind": "WorkflowTemplate", "name": "etl"}),
    ]


def workflow(name: str, begun: float, *, compressed: bool = False, **status: Any) -> dict[str, Any]:
    """A Workflow as its controller leaves it, with times of its own."""
    control = Controller(NESTED, name)
    control.execute()
    raw = control.workflow(**status)
    raw["metadata"] |= {"namespace": PLACE, "labels": {"workflows.argoproj.io/completed": "true"}}
    del raw["metadata"]["creationTimestamp"]
    for node in raw["status"]["nodes"].values():
        for key in ("startedAt", "finishedAt"):
            if key in node:
                node[key] = stamp(later(node[key], begun))
    for key in ("startedAt", "finishedAt"):
        raw["status"][key] = stamp(later(raw["status"][key], begun))
    if compressed:
        table = json.dumps(raw["status"].pop("nodes")).encode()
        raw["status"]["compressedNodes"] = base64.b64encode(gzip.compress(table)).decode()
    return raw


def later(text: str, begun: float) -> float:
    """A time of the oracle, whose runs begin at 1000, moved."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - 1000.0 + begun


def job(cluster: Cluster, name: str, begun: float) -> None:
    """A finished Job of the CronJob with one pod, made as its controller and a kubelet would."""
    owner = cluster.get("cronjob", "backup", "-n", PLACE)["metadata"]["uid"]
    pod_spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example/etl:1"}]}
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "backup", "uid": owner, "controller": True}
    meta = {"name": name, "namespace": PLACE, "ownerReferences": [reference]}
    apply(
        cluster, {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": {"spec": pod_spec}}}
    )
    uid = cluster.get("job", name, "-n", PLACE)["metadata"]["uid"]
    apply(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-abcde",
                "namespace": PLACE,
                "labels": {"batch.kubernetes.io/controller-uid": uid},
            },
            "spec": {**pod_spec, "nodeName": "node-1"},
        },
    )
    done = {"exitCode": 3, "reason": "Error", "startedAt": stamp(begun + 2), "finishedAt": stamp(begun + 60)}
    container = {"name": "main", "image": "example/etl:1", "imageID": "x", "ready": False, "restartCount": 0}
    status = {
        "phase": "Failed",
        "startTime": stamp(begun),
        "containerStatuses": [{**container, "state": {"terminated": done}}],
    }
    patch_status(cluster, "pod", f"{name}-abcde", status)
    moment = stamp(begun + 61)
    condition = {"status": "True", "reason": "BackoffLimitExceeded", "message": "", "lastTransitionTime": moment}
    conditions = [{**condition, "type": kind} for kind in ("FailureTarget", "Failed")]
    patch_status(cluster, "job", name, {"startTime": stamp(begun), "failed": 1, "conditions": conditions})


def patch_status(cluster: Cluster, kind: str, name: str, status: dict[str, Any]) -> None:
    """Set the status the way a controller does."""
    text = json.dumps({"status": status})
    cluster.kubectl("patch", kind, name, "-n", PLACE, "--subresource=status", "--type=merge", "-p", text)


def live(directory: Path, key: WorkflowKey) -> list[RunRecord]:
    """Runs of a workflow that the history knows from their objects.

    Without fingerprints: until when one was in force is written once an hour, and before that only the operator knows.
    """
    with Store(str(directory / "history.db")) as store:
        return [replace(r, fingerprint=None) for r in store.runs(key) if r.source is Source.LIVE]


def test_finished_runs_are_read_and_kept(cluster: Cluster, prometheus: PrometheusServer, tmp_path: Path) -> None:
    now = time.time()
    config = settings(tmp_path, {"default": prometheus.url})
    apply(cluster, cronjob(PLACE, "backup"), policy(PLACE, discover=DISCOVER_CRONJOBS))
    with operator(cluster, tmp_path, config) as op:
        op.next_cycles(2)
        job(cluster, "backup-29333333", now - 600.0)
        (run,) = wait_for("the Job", lambda: live(tmp_path, BACKUP))
        assert (run.run, run.outcome) == ("backup-29333333", Outcome.FAILED)
        assert [(e.exit_code, e.reason) for e in run.steps] == [(3, "Error")]

        install_argo(cluster)  # an engine that comes later, with runs that ended before its profile was made
        apply(cluster, workflow("etl-aaaaa", now - 900.0), workflow("etl-bbbbb", now - 600.0, compressed=True))
        apply(cluster, *template())
        wait_for("two Workflows", lambda: len(live(tmp_path, ETL)) == 2)
        offloaded = workflow("etl-ccccc", now - 300.0, nodes={}, offloadNodeStatusVersion="fnv:1")
        apply(cluster, offloaded, workflow("etl-ddddd", now - 200.0))
        wait_for("a third one", lambda: len(live(tmp_path, ETL)) == 3)
        reported = wait_for(
            "a word on the other", lambda: [c for c in op.cycles() if "offloadNode" in str(c.get("problems"))]
        )
        assert reported[0]["level"] == "info"

        first = live(tmp_path, ETL)[0]
        assert first.run == "etl-aaaaa"
        assert all(e.after is not None for e in first.steps)
        assert len(live(tmp_path, ETL)[1].steps) == len(first.steps)
        thing = cluster.get("workflow", "etl-aaaaa", "-n", PLACE)
        assert thing["metadata"]["generation"] == 1
        assert_unsoiled(thing)
        assert op.metric('concertmaster_live_runs_total{result="complete"}') == 4
        assert op.metric('concertmaster_live_runs_total{result="end"}') == 1

        before = {key: live(tmp_path, key) for key in (ETL, BACKUP)}
        cluster.kubectl("delete", "workflows", "--all", "-n", PLACE)
        cluster.kubectl("delete", "jobs,pods", "--all", "-n", PLACE, "--grace-period=0", "--force")
        op.next_cycles(2)
        assert {key: live(tmp_path, key) for key in (ETL, BACKUP)} == before
        assert op.stop() < 15.0
        assert not [line for line in op.read() if line["level"] == "error"]
    with operator(cluster, tmp_path, config) as op:
        op.next_cycles(2)
        assert {key: live(tmp_path, key) for key in (ETL, BACKUP)} == before


def test_a_kind_of_runs_that_goes_away_takes_nothing_with_it(
    cluster: Cluster, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    now = time.time()
    install_argo(cluster)
    apply(cluster, *template(), workflow("etl-aaaaa", now - 900.0))
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url})) as op:
        wait_for("the first run", lambda: live(tmp_path, ETL))
        cluster.kubectl("delete", "crd", "workflows.argoproj.io")
        op.next_cycles(3)
        assert op.process.poll() is None
        assert op.get("/healthz")[0] == 200
        install_argo(cluster)
        apply(cluster, workflow("etl-bbbbb", now - 300.0))
        wait_for("the second run", lambda: len(live(tmp_path, ETL)) == 2)
        assert op.stop() < 15.0


def test_without_rights_on_runs_the_metrics_do_and_the_log_says_so(
    cluster: Cluster, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    grant_reading(cluster, PLACE)  # Jobs, but not their pods
    apply(cluster, cronjob(PLACE, "backup"), policy(PLACE, discover=DISCOVER_CRONJOBS))
    for wanted in (True, False):
        config = settings(tmp_path, {"default": prometheus.url}, namespaces=[PLACE], live=wanted)
        with operator(cluster, tmp_path, config, user="viewer@example.com") as op:
            job(cluster, f"backup-2933333{int(wanted)}", time.time() - 600.0)
            op.next_cycles(2)
            said = [p for c in op.cycles() for p in c.get("problems", ()) if "known from the metrics only" in p]
            assert bool(said) is wanted
            assert all(f"list pods in namespace {PLACE}" in p for p in said)
        assert live(tmp_path, BACKUP) == []
        with Store(str(tmp_path / "history.db")) as store:
            assert len(store.runs(BACKUP)) == 2


def test_a_run_in_progress_is_forecast_and_reported_late(
    cluster: Cluster, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """On the real server: status.running, Event, series and the message to a receiver; gone when the run is."""
    now = time.time()
    install_argo(cluster)
    metrics, reported = {"perWorkflow": True}, [{"receiver": "team", "events": ["RunLate"]}]
    apply(cluster, policy(PLACE, objectives={"duration": {"p95": "1h"}}, metrics=metrics, notify=reported), *template())
    apply(cluster, *(workflow(f"etl-{n}", now - 900.0 * (n + 1)) for n in range(6)))
    going = workflow("etl-now", now - 4 * 3600.0)
    going["metadata"].pop("labels")
    last = max((n for n in going["status"]["nodes"].values() if n["type"] == "Pod"), key=lambda n: str(n["startedAt"]))
    for part in (going["status"], last):
        part["phase"] = "Running"
        del part["finishedAt"]
    apply(cluster, going)
    with webhook() as (url, got):
        (tmp_path / "hook").write_text(url)
        receiver = {"name": "team", "format": "JSON", "urlFile": str(tmp_path / "hook")}
        config = settings(tmp_path, {"default": prometheus.url}, receivers=[receiver])
        with operator(cluster, tmp_path, config) as op:

            def running() -> list[dict[str, Any]]:
                status = cluster.get("workflowprofile", "etl", "-n", PLACE).get("status") or {}
                return list(status.get("running") or ())

            (entry,) = wait_for("the forecast", running)
            assert (entry["name"], entry["late"]) == ("etl-now", True)
            assert entry["deadline"] < entry["expectedEnd"] <= entry["latestEnd"]
            (message,) = wait_for("the message", lambda: got)
            assert (message["event"], message["name"], message["about"]) == ("RunLate", "etl", "etl-now")
            place = f'{{namespace="{PLACE}",kind="WorkflowTemplate",workflow="etl"}}'
            assert op.metric(f"concertmaster_workflow_run_late{place}") == 1
            events = cluster.get("events.events.k8s.io", "-n", PLACE)["items"]
            assert [e["regarding"]["name"] for e in events if e["reason"] == "RunLate"] == ["etl"]
            cluster.kubectl("delete", "workflow", "etl-now", "-n", PLACE)
            wait_for("the end of the forecast", lambda: not running())
            assert op.metric(f"concertmaster_workflow_run_late{place}") == 0
            assert len(got) == 1


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver's URL, and the messages it gets."""
    got: list[dict[str, Any]] = []

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.content()))
            self.answer(204)

    with local_server(Handler) as address:
        yield f"{address}/hook", got
