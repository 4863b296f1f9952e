"""Steps as real processes: real CPU limits, real memory, real out-of-memory kills, in control groups of the kernel.

Nothing is simulated but the kubelet (testbed/pods/executor.py): what Prometheus scrapes is what the control groups say, and
the operator's recommendations rest on it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.model.amounts import quantity
from testbed.pods import cgroups
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.prometheus import PrometheusServer, scrapes_of
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

MI = 2**20
RUNS = 7
SPACE = "real"
# Seven runs of seconds, all at once, are seven runs a day: worth no recommendation unless a policy wants to hear of it.
LOW = {"moneyPerMonth": "0.0001", "runMinutesPerMonth": "0.001", "runPercent": "0.1"}
# Fills so many MiB in three seconds, works so many CPU seconds, and lasts at least six seconds.
WORK = """
import sys, time
begin, wanted, work, held = time.monotonic(), int(sys.argv[1]), float(sys.argv[2]), []
for _ in range(30):
    held.append(b"x" * (wanted * 2**20 // 30))
    time.sleep(0.1)
while time.process_time() < work:
    pass
time.sleep(max(0.0, begin + 6.0 - time.monotonic()))
"""


def test_what_a_container_started_ends_with_it_and_small_limits_are_taken() -> None:
    """The kernel takes no quota below 1 ms, and ending a process ends none of its children."""
    if cgroups.unusable() is not None:
        pytest.skip("no control groups for cpu and memory can be made here")
    group = cgroups.Cgroup(cgroups.group_name("left"), cpu=0.005, memory=64 * MI)
    text = subprocess.run(
        group.command(["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    child = Path("/proc", text.stdout.strip())
    assert child.exists()
    group.remove()
    wait_for("the end of the child", lambda: not child.exists() or "State:\tZ" in (child / "status").read_text())
    assert not [p for p in group._places.values() if p.exists()]


def cron_job(name: str, mebibytes: int, cpu_seconds: float, **resources: dict[str, str]) -> dict[str, Any]:
    """A CronJob that starts nothing by itself; its one container is a real process."""
    command = [sys.executable, "-I", "-S", "-c", WORK, str(mebibytes), str(cpu_seconds)]
    container = {"name": "main", "image": "process", "command": command, "resources": resources}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "successfulJobsHistoryLimit": 100,
            "failedJobsHistoryLimit": 100,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    }


def ended(cluster: Cluster, wanted: int) -> bool:
    jobs = cluster.get("jobs", "-n", SPACE)["items"]
    return sum(bool((j["status"].get("succeeded") or 0) + (j["status"].get("failed") or 0)) for j in jobs) == wanted


def recommended(cluster: Cluster, name: str) -> dict[str, Any]:
    """The recommendations of a workflow by the name of their rule."""
    found = cluster.get("wfp", "-n", SPACE)["items"]
    mine = next((p for p in found if p["spec"]["workflowRef"]["name"] == name), {})
    items = (mine.get("status") or {}).get("recommendations") or ()
    return {item["id"].split(".")[0]: item for item in items}


def test_real_limits_real_kills_and_recommendations_from_real_usage(
    make_control_plane: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    if cgroups.unusable() is not None:
        pytest.skip("no control groups for cpu and memory can be made here")
    options = Options(controller_manager=True, scheduler=True, kube_state_metrics=True, executor=True)
    cluster = make_control_plane(options).cluster
    install_crds(cluster)
    cluster.kubectl("create", "namespace", SPACE)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", SPACE, "--timeout=240s")
    names = ("roomy", "throttled", "killed")
    apply(
        cluster,
        cron_job("roomy", 90, 0.3, requests={"cpu": "300m", "memory": "1Gi"}),
        cron_job(
            "throttled", 20, 0.9, requests={"cpu": "100m", "memory": "64Mi"}, limits={"cpu": "100m", "memory": "256Mi"}
        ),
        cron_job("killed", 120, 0.2, requests={"cpu": "100m", "memory": "48Mi"}, limits={"memory": "64Mi"}),
        policy(SPACE, discover=DISCOVER_CRONJOBS, analysis={"window": "1h", "materiality": LOW}),
    )
    with PrometheusServer(scrapes_of(cluster, "1s")) as prometheus:
        for number in range(RUNS):
            for name in names:
                cluster.kubectl("create", "job", f"{name}-{29_000_000 + number}", f"--from=cronjob/{name}", "-n", SPACE)
            time.sleep(1.5)
        wait_for("the runs to end", lambda: ended(cluster, RUNS * len(names)), pause=1.0)
        time.sleep(3)  # the last ends are scraped
        killed_and_throttled(cluster, prometheus)
        config = settings(tmp_path, {"default": prometheus.url}, namespaces=[SPACE])
        config["sources"][0] |= {"delaySeconds": 0, "scrapeInterval": "1s"}
        config["limits"] = {"backfill": "1h"}
        with operator(cluster, tmp_path, config):
            wait_for("recommendations for all", lambda: all(recommended(cluster, name) for name in names), pause=1.0)
            found = {name: recommended(cluster, name) for name in names}

    peak = 90 * MI  # and the interpreter
    (row,) = (i for i in found["roomy"]["right-size"]["items"] if "requests.memory" in i)
    proposed = quantity(re.search(r"-> (\S+)", row)[1])  # type: ignore[index]
    print({name: {rule: item["action"] for rule, item in items.items()} for name, items in found.items()})
    # Runs that are alike leave little room for others after some of them; on a busy machine, where later runs take longer
    # and fewer have ended, the size stays nearer to the request.
    assert peak < proposed <= 768 * MI, "what the process really held, with headroom"
    limit = found["throttled"]["cpu-request"]
    assert "CPU limit" in limit["action"] and "throttled" in limit["because"]
    raised = found["killed"]["memory-request"]
    assert raised["action"].startswith("Raise memory request") and "OOM-killed" in raised["because"]


def killed_and_throttled(cluster: Cluster, prometheus: PrometheusServer) -> None:
    """What the kernel did, before anybody gives recommendations on it."""
    pods = cluster.get("pods", "-n", SPACE)["items"]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for pod in pods:
        (status,) = pod["status"]["containerStatuses"]
        by_name.setdefault(pod["metadata"]["name"].split("-")[0], []).append(status["state"]["terminated"])
    assert {s["reason"] for s in by_name["killed"]} == {"OOMKilled"} and len(by_name["killed"]) == RUNS
    assert {s["exitCode"] for s in by_name["killed"]} == {137}
    assert {s["reason"] for s in (*by_name["roomy"], *by_name["throttled"])} == {"Completed"}
    held = prometheus.value(
        f'sum(max_over_time(container_cpu_cfs_throttled_seconds_total{{namespace="{SPACE}"}}[10m])) / {RUNS}'
    )
    assert held is not None and held > 2.0, "0.9 s of CPU at a tenth of a core take 9 s"
