"""Three shards on a real API server: who writes where is read from the server's audit log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.shards.assignment import CLUSTER, owner
from concertmaster.controller.shards.election import LEASE_SECONDS
from concertmaster.core.times import parse_time
from testbed.pytest_plugin import MakePrometheus
from testbed.services import audit
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.postgres import PostgresServer
from tests.support.cluster.operator_bed import (
    ROOT,
    Operator,
    apply,
    cronjob,
    history,
    install_crds,
    operator,
    runs_of_cronjob,
    settings,
    wait_for,
)
from tests.support.cluster.pages import dashboard
from tests.support.cluster.published import own_address, publish

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

OPS = "ops"
SHARDS = [f"concertmaster-{n}" for n in range(3)]
SPACES = [f"team-{n}" for n in range(6)]
TAKEN_OVER = 30.0  # seconds from the end of a shard until the others look after its namespaces, at most
POLICY = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "ClusterOptimizationPolicy",
    "metadata": {"name": "all"},
    "spec": {
        "discover": [{"apiVersion": "batch/v1", "kind": "CronJob"}],
        "analysis": {"window": "2d"},
        "apply": {"mode": "Approve", "maxRisk": "Medium", "bounds": {"maxStepPercent": 1000}},
    },
}


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    with closing(PostgresServer().start()) as server:
        yield server


def writers(log: Path) -> dict[str, list[str]]:
    """By namespace the shards that wrote there, one after the other."""
    return {place: audit.writers(calls) for place, calls in audit.writes(log).items()}


def test_a_lost_shard_is_followed_by_one_writer_and_nothing_is_proposed_twice(
    make_control_plane: Callable[[Options], ControlPlane],
    make_prometheus: MakePrometheus,
    database: PostgresServer,
    tmp_path: Path,
) -> None:
    options, log = audit.audited(SHARDS, tmp_path)
    cluster = make_control_plane(options).cluster
    install_crds(cluster)
    end = time.time()
    lives = [runs_of_cronjob(space, name, 12, end) for space in SPACES for name in ("etl", "late")]
    prometheus = make_prometheus(
        history=history([p for pods, _ in lives for p in pods], [j for _, jobs in lives for j in jobs], end)
    )
    for space in (OPS, *SPACES):
        cluster.kubectl("create", "namespace", space)
    apply(cluster, *(cronjob(space, "etl") for space in SPACES), POLICY)

    with ExitStack() as stack:
        shards = {s: _start(stack, cluster, tmp_path, prometheus.url, database, s) for s in SHARDS}
        wait_for("a proposal for each workflow", lambda: len(_changes(cluster)) == len(SPACES), pause=1.0)
        wait_for("the sums of all shards", lambda: _totals(cluster) == _sums(cluster, len(SPACES)), pause=1.0)
        owners = {place: owner(place, SHARDS) for place in (CLUSTER, *SPACES)}
        assert writers(log) == {place: [who] for place, who in owners.items()}
        _details_come_from_the_shard_that_has_them(cluster, shards, owners)

        lost = Counter(who for place, who in owners.items() if place).most_common(1)[0][0]
        assert lost is not None
        theirs = [s for s in SPACES if owners[s] == lost]
        os.kill(shards[lost].process.pid, signal.SIGKILL)
        killed = time.time()
        apply(cluster, *(cronjob(space, "late") for space in theirs))
        wait_for("the proposals of its namespaces", lambda: len(_changes(cluster)) == 6 + len(theirs), pause=0.5)
        left = [s for s in SHARDS if s != lost]
        lease = cluster.get("lease", lost, "-n", OPS)
        renewed = parse_time(lease["spec"]["renewTime"])
        noticed = {s: wait_for(f"{s} to notice", partial(_noticed, shards[s], lost, killed)) for s in left}
        taken = {s: [call for call in audit.writes(log)[s] if call.user == owner(s, left)] for s in theirs}
        print("seconds until it was found lost:", {s: round(at - killed, 1) for s, at in noticed.items()})
        print("seconds until the first write of the heir:", {s: round(c[0].at - killed) for s, c in taken.items()})
        # By the Leases alone it is 21 s at most: what is left of 30 is for threads that wait for a busy machine.
        assert all(renewed + LEASE_SECONDS <= at and at - killed < TAKEN_OVER for at in noticed.values())
        # A write comes after a reading of the definitions, and after an analysis: the machine decides how long that takes.
        assert all(renewed + LEASE_SECONDS <= calls[0].at and calls[0].at - killed < 60.0 for calls in taken.values())
        wait_for("the sums of those left", lambda: _totals(cluster) == _sums(cluster, 6 + len(theirs)), pause=1.0)

        _start(stack, cluster, tmp_path, prometheus.url, database, lost)
        # Something to write in each namespace, so that it shows who does.
        wait_for("its return", lambda: _touch(cluster, theirs, log, lost), pause=2.0)
        wait_for("the sums again", lambda: _totals(cluster) == _sums(cluster, 6 + len(theirs)), pause=1.0)

    found = writers(log)
    for place, who in owners.items():
        heir = owner(place, left)
        assert found[place] in ([[who]] if who != lost else [[who, heir, who], [who, heir]]), place
    per_workflow = Counter((c["metadata"]["namespace"], c["spec"]["profileRef"]["name"]) for c in _changes(cluster))
    assert set(per_workflow.values()) == {1}
    errors = [line for op in shards.values() for line in op.read() if line["level"] == "error"]
    assert errors == []


def _start(
    stack: ExitStack, cluster: Cluster, directory: Path, url: str, database: PostgresServer, shard: str
) -> Operator:
    kept = {"url": database.url, "passwordFile": str(database.password_file)}
    config = settings(directory, {"default": url}, history=kept)
    config["listen"]["address"] = "0.0.0.0"
    environment = {
        "CONCERTMASTER_LEASE": "concertmaster",
        "CONCERTMASTER_SHARDED": "true",
        "POD_NAMESPACE": OPS,
        "POD_NAME": shard,
    }
    return stack.enter_context(operator(cluster, directory, config, user=shard, environment=environment))


def _noticed(shard: Operator, lost: str, killed: float) -> float | None:
    """When ``shard`` found ``lost`` gone: it looks after its share of the namespaces from then on."""
    alive = [line for line in shard.read() if line["msg"].startswith("shards alive: ")]
    return next((at for line in alive if (at := parse_time(line["ts"])) >= killed and lost not in line["msg"]), None)


def _details_come_from_the_shard_that_has_them(
    cluster: Cluster, shards: dict[str, Operator], owners: dict[str, str | None]
) -> None:
    """The release's Service leads to one shard, which names the one that has a namespace: graphs, runs and what-if of all
    workflows are on the pages, and ``explain`` has their evidence."""
    asked = SHARDS[0]
    assert any(owners[s] == asked for s in SPACES) and any(owners[s] != asked for s in SPACES)
    for name in ("concertmaster", *SHARDS):
        publish(cluster, OPS, own_address(), shards.get(name, shards[asked]).port, name)
    with dashboard(cluster.kubeconfig("admin"), OPS) as get:
        for space in SPACES:
            status, text = get(f"/workflows/{space}/cronjob-etl")
            assert status == 200
            assert "Gantt chart of 1 pods" in text, (space, owners[space])
            found = json.loads(get(f"/api/v1/workflows/{space}/cronjob-etl/what-if?scale.job=0.5")[1])
            assert found["runsUsed"] > 0 and "shorter per run" in found["text"], (space, owners[space])
    other = next(s for s in SPACES if owners[s] != asked)
    explained = subprocess.run(
        [sys.executable, "-m", "concertmaster", "explain", "cronjob-etl", "-n", other, "--operator", f"{OPS}/concertmaster",
         "--kubeconfig", str(cluster.kubeconfig("admin"))],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )  # fmt: skip
    assert explained.returncode == 0 and "Evidence" in explained.stdout, explained.stdout + explained.stderr


def _changes(cluster: Cluster) -> list[dict[str, Any]]:
    return list(cluster.get("wfc", "-A")["items"])


def _totals(cluster: Cluster) -> tuple[int, int, int]:
    """What the cluster policy's status says: profiles, recommendations, workflows that have some."""
    status = cluster.get("copol", "all").get("status") or {}
    totals = status.get("totals") or {}
    return status.get("matchedProfiles", 0), totals.get("recommendations", 0), totals.get("workflows", 0)


def _sums(cluster: Cluster, profiles: int) -> tuple[int, int, int]:
    """The same from the profiles themselves."""
    statuses = [p.get("status") or {} for p in cluster.get("wfp", "-A")["items"]]
    active = [
        sum(r.get("state", "Active") == "Active" for r in (*s.get("recommendations", ()), *s.get("remaining", ())))
        for s in statuses
    ]
    return profiles, sum(active), sum(bool(n) for n in active)


def _touch(cluster: Cluster, spaces: list[str], log: Path, shard: str) -> bool:
    """Label the targets anew, which their profiles follow; whether ``shard`` wrote in all of ``spaces`` last."""
    for space in spaces:
        cluster.kubectl("label", "cronjob", "etl", "-n", space, f"touched=at-{time.time_ns()}", "--overwrite")
    return all(found[-1] == shard for place, found in writers(log).items() if place in spaces)
