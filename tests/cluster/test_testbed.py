"""The test bed itself, with its real processes: it starts, answers, survives restarts and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from testbed import netns
from testbed.pods.simulation import PodModel
from testbed.process import TestbedError, http_get
from testbed.pytest_plugin import MakePrometheus, require_binaries
from testbed.series.openmetrics import ContainerLife, Grid, JobLife, PodLife, render
from testbed.services.cluster import Cluster, KubectlError
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.prometheus import PrometheusServer, scrapes_of
from tests.support.cluster.bed_jobs import job, pods_of, unix
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent


def ended(pod: dict[str, Any]) -> dict[str, Any]:
    """The terminated state of the pod's only container."""
    return dict(pod["status"]["containerStatuses"][0]["state"]["terminated"])


# --- processes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["killed", "interrupted", "its owner gone"])
def test_nothing_is_left_of_a_cluster_that_was(tmp_path: Path, end: str) -> None:
    require_binaries(["etcd", "kube-apiserver", "kubectl", "prometheus", "promtool"])
    state = tmp_path / "state.json"
    owner = subprocess.Popen(["sleep", "600"])
    bed = subprocess.Popen(
        [sys.executable, "-m", "testbed", "up", f"--state={state}", f"--owner={owner.pid}", "--with", "prometheus"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        until(state.exists, seconds=60)
        cluster = Cluster.attach(state)
        prometheus = cluster.endpoints["prometheus"].rpartition(":")[2]
        started = {**processes_with(str(cluster.directory)), **processes_with(f"127.0.0.1:{prometheus}")}
        names = {Path(command.split("\0")[0]).name for command in started.values()}
        assert names >= {"etcd", "kube-apiserver", "prometheus"}
        if end == "interrupted":
            bed.send_signal(signal.SIGINT)
            assert bed.wait(20) == 0
        elif end == "its owner gone":
            owner.kill()
            owner.wait()
            assert bed.wait(20) == 0
    finally:
        for process in (bed, owner):
            process.kill()
            process.wait()
    until(lambda: not any(Path(f"/proc/{number}").exists() for number in started), seconds=10)
    until(lambda: not cluster.directory.exists(), seconds=10)


def processes_with(text: str) -> dict[int, str]:
    """Running processes whose command line contains `text`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_text()
            except OSError:
                continue  # ended meanwhile
            if text in command:
                found[int(entry.name)] = command
    return found


def test_an_orderly_stop_removes_processes_and_files(make_control_plane: Callable[..., ControlPlane]) -> None:
    control_plane = make_control_plane()
    directory = control_plane.directory
    assert processes_with(str(directory))
    control_plane.stop()
    assert not processes_with(str(directory))
    assert not directory.exists()
    with pytest.raises(TestbedError, match="not running"):
        _ = control_plane.cluster


@pytest.mark.parametrize("hard", [False, True], ids=["terminated", "killed"])
def test_a_restarted_api_server_has_its_address_and_data(
    make_control_plane: Callable[..., ControlPlane], hard: bool
) -> None:
    control_plane = make_control_plane()
    cluster = control_plane.cluster
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    server, token_config = cluster.server, cluster.kubeconfig("ana@example.com")
    control_plane.stop_apiserver(hard=hard)
    with pytest.raises(KubectlError, match=r"refused|EOF"):
        cluster.kubectl("get", "configmaps", "--request-timeout=2s")
    control_plane.start_apiserver()
    assert cluster.server == server
    assert cluster.get("configmap", "kept")["data"] == {"a": "1"}
    assert "ana@example.com" in cluster.kubectl("auth", "whoami", kubeconfig=token_config)


def test_a_part_that_cannot_start_is_reported_with_its_log() -> None:
    require_binaries(Options().binaries())
    with pytest.raises(TestbedError, match=r"(?s)kube-apiserver ended with code 1.*unknown flag: --no-such-flag"):
        ControlPlane(Options(apiserver_args=["--no-such-flag"])).start()


# --- isolation ---------------------------------------------------------------------------------------------------


def isolated(*command: str) -> subprocess.CompletedProcess[str]:
    """The command run by `python -m testbed netns`."""
    full = [sys.executable, "-m", "testbed", "netns", "--", *command]
    return subprocess.run(full, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_network_namespace_has_a_working_loopback_and_nothing_else() -> None:
    check = textwrap.dedent(
        """
        import socket, sys
        server = socket.create_server(("127.0.0.1", 8080))
        socket.create_connection(("127.0.0.1", 8080), 2).close()
        print(",".join(name for _, name in socket.if_nameindex()))
        """
    )
    answer = isolated(sys.executable, "-c", check)
    assert (answer.returncode, answer.stdout.strip()) == (0, "lo"), answer.stderr


def test_the_exit_code_of_an_isolated_command_is_passed_on_and_nesting_is_free() -> None:
    inner = f"{sys.executable} -m testbed netns -- sh -c 'exit 7'"
    assert isolated("sh", "-c", inner).returncode == 7
    assert not netns.inside()


# --- the shared cluster ------------------------------------------------------------------------------------------


def test_the_server_says_the_pinned_version(cluster: Cluster) -> None:
    version = json.loads(cluster.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == "v1.35.4"
    assert version["clientVersion"]["gitVersion"] == "v1.35.4"


def test_users_and_service_accounts_have_only_what_they_are_given(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    cluster.kubectl("create", "role", "read", "--verb=list", "--resource=pods", "-n", namespace)
    account = f"{namespace}:reader"
    cluster.kubectl("create", "rolebinding", "read", "--role=read", f"--serviceaccount={account}", "-n", namespace)
    reader = cluster.kubeconfig(service_account="reader", namespace=namespace)
    assert "No resources found" in cluster.run_kubectl("get", "pods", kubeconfig=reader).stderr
    with pytest.raises(KubectlError, match="Forbidden"):
        cluster.kubectl("get", "secrets", kubeconfig=reader)
    with pytest.raises(KubectlError, match="Forbidden"):
        cluster.kubectl("get", "pods", kubeconfig=cluster.kubeconfig("viewer@example.com"))
    with pytest.raises(TestbedError, match="no user 'eve'"):
        cluster.kubeconfig("eve")


def test_a_job_runs_to_completion_with_the_times_its_annotations_say(cluster: Cluster, namespace: str) -> None:
    notes = {"sim/startup": "2", "sim/duration": "3"}
    cluster.apply(job("waves", notes, completions=3, parallelism=2), namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Complete", "job/waves", "-n", namespace, "--timeout=60s")
    pods = pods_of(cluster, namespace, "waves")
    assert len(pods) == 3
    for pod in pods:
        state = ended(pod)
        assert pod["status"]["phase"] == "Succeeded" and pod["spec"]["nodeName"].startswith("node-")
        assert 3 <= unix(state["finishedAt"]) - unix(state["startedAt"]) <= 5
        assert 2 <= unix(state["startedAt"]) - unix(pod["status"]["startTime"]) <= 4
    starts = sorted(unix(ended(pod)["startedAt"]) for pod in pods)
    assert starts[2] - starts[0] >= 3, "the third pod waits for one of the first two"


def test_run_time_follows_the_cpu_limit_and_memory_the_limit(cluster: Cluster, namespace: str) -> None:
    """The closed loop changes rest on: a throttled run takes longer, a peak above the limit is OOM-killed."""
    work = {"sim/duration": "2", "sim/cpu": "2", "sim/memory-peak": "200Mi"}
    full = {"sim/contended": "true", "sim/spare-percent": "20", "sim/serial-percent": "25"}
    full |= {"sim/burst-cpu": "1", "sim/burst-percent": "50"}
    cluster.apply(
        job("ample", work, resources={"limits": {"cpu": "2", "memory": "300Mi"}}),
        job("throttled", work, resources={"limits": {"cpu": "500m", "memory": "300Mi"}}),
        job("small", work, backoffLimit=0, resources={"limits": {"cpu": "2", "memory": "100Mi"}}),
        job("full", {**work, **full}, resources={"requests": {"cpu": "500m"}}),
        job("crowded", {**work, "sim/crowded": "true"}, backoffLimit=0, resources={"requests": {"memory": "100Mi"}}),
        namespace=namespace,
    )
    jobs = [f"job/{name}" for name in ("ample", "throttled", "full")]
    cluster.kubectl("wait", "--for=condition=Complete", *jobs, "-n", namespace, "--timeout=60s")
    cluster.kubectl("wait", "--for=condition=Failed", "job/small", "job/crowded", "-n", namespace, "--timeout=60s")
    seconds = {}
    for name in ("ample", "throttled", "full"):
        (pod,) = pods_of(cluster, namespace, name)
        state = ended(pod)
        seconds[name] = unix(state["finishedAt"]) - unix(state["startedAt"])
        # The stages' formulas and the exporter's have to agree; API times are whole seconds.
        assert seconds[name] == pytest.approx(PodModel.of(pod).seconds, abs=1.6)
    assert seconds["throttled"] >= 3 * seconds["ample"] - 2
    for name in ("small", "crowded"):
        (pod,) = pods_of(cluster, namespace, name)
        assert ended(pod)["exitCode"] == 137 and ended(pod)["reason"] == "OOMKilled"


def test_failures_end_with_the_attempt_the_annotations_say(cluster: Cluster, namespace: str) -> None:
    notes = {"sim/duration": "1", "sim/exit-code": "3", "sim/reason": "BadInput", "sim/fail-until": "1"}
    cluster.apply(
        job("new-pod", notes, backoffLimit=0),
        job("same-pod", notes, restart="OnFailure"),
        namespace=namespace,
    )
    cluster.kubectl("wait", "--for=condition=Failed", "job/new-pod", "-n", namespace, "--timeout=60s")
    cluster.kubectl("wait", "--for=condition=Complete", "job/same-pod", "-n", namespace, "--timeout=60s")
    (pod,) = pods_of(cluster, namespace, "new-pod")
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (3, "BadInput")
    (pod,) = pods_of(cluster, namespace, "same-pod")
    (status,) = pod["status"]["containerStatuses"]
    assert status["restartCount"] == 1 and status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["terminated"]["exitCode"] == 0


def test_a_deleted_pod_is_gone_at_once(cluster: Cluster, namespace: str) -> None:
    cluster.apply(job("long", {"sim/duration": "1000"}), namespace=namespace)
    until(lambda: [pod for pod in pods_of(cluster, namespace, "long") if pod["status"]["phase"] == "Running"])
    cluster.kubectl("delete", "job", "long", "-n", namespace, "--timeout=20s")
    until(lambda: not pods_of(cluster, namespace, "long"), seconds=20)


def test_prometheus_scrapes_state_and_simulated_usage_of_a_job(cluster: Cluster, namespace: str) -> None:
    notes = {"sim/duration": "6", "sim/cpu": "500m", "sim/memory-peak": "100Mi", "sim/network-receive": "1M"}
    cluster.apply(job("seen", notes, resources={"limits": {"cpu": "250m"}}), namespace=namespace)
    (pod,) = until(lambda: pods_of(cluster, namespace, "seen"))
    uid = pod["metadata"]["uid"]
    cluster.kubectl("wait", "--for=condition=Complete", "job/seen", "-n", namespace, "--timeout=90s")

    def query(expression: str) -> list[dict[str, Any]]:
        answer = http_get(f"{cluster.endpoints['prometheus']}/api/v1/query?query={quote(expression)}", timeout=10)
        return list(json.loads(answer)["data"]["result"])

    where = f'{{namespace="{namespace}"}}'
    (done,) = until(lambda: query(f"kube_pod_completion_time{where}"))
    assert done["metric"]["uid"] == uid
    (info,) = query(f"kube_pod_info{where}")
    assert (info["metric"]["created_by_kind"], info["metric"]["created_by_name"]) == ("Job", "seen")
    assert until(lambda: query(f'kube_job_complete{{namespace="{namespace}",condition="true"}} == 1'))
    (cpu,) = query(f'last_over_time(container_cpu_usage_seconds_total{{namespace="{namespace}",container="main"}}[5m])')
    assert cpu["metric"]["image"] == "app:1"
    assert f"pod{uid.replace('-', '_')}.slice/cri-containerd-" in cpu["metric"]["id"]
    # 12 s at a quarter core, of which the last two may have gone unseen; API times are whole seconds.
    assert 2.2 <= float(cpu["value"][1]) <= 3.6
    selector = f'{{namespace="{namespace}",container="main"}}[5m]'
    (peak,) = query(f"max_over_time(container_memory_working_set_bytes{selector})")
    assert 85 * 2**20 <= float(peak["value"][1]) <= 100 * 2**20
    (throttled,) = query(f"last_over_time(container_cpu_cfs_throttled_periods_total{selector})")
    assert float(throttled["value"][1]) > 0
    received = query(f'last_over_time(container_network_receive_bytes_total{{namespace="{namespace}"}}[5m])')
    assert [series["metric"].get("container", "") for series in received] == [""]
    # The two targets are scraped at different moments: the end may be known before the first scrape without the container.
    now = f'container_memory_working_set_bytes{{namespace="{namespace}",container="main"}}'
    assert until(lambda: not query(now)), "the series ends with the container"


def test_a_server_of_the_tests_own_scrapes_the_shared_cluster(
    cluster: Cluster, make_prometheus: MakePrometheus
) -> None:
    server = make_prometheus(scrapes_of(cluster, "1s"))
    assert until(lambda: len(server.query("up == 1")) == 2)
    assert {result["metric"]["job"] for result in server.query("up")} == {"kube-state-metrics", "kubelet"}


# --- history -----------------------------------------------------------------------------------------------------

END = 1_760_000_000.0
START = END - 14 * 86400
UID = "11111111-2222-3333-4444-555555555555"


def life(**changes: Any) -> PodLife:
    """A pod in the middle of the two weeks: created, 5 s later running, 600 s of work, deleted an hour later."""
    created = START + 7 * 86400 + 11
    container = ContainerLife(
        "main",
        "app:2",
        started=created + 5,
        finished=created + 605,
        cpu_seconds=300.0,
        memory_peak=5e8,
        memory_curve=[(0, 1e8), (0.5, 5e8), (1, 2e8)],
        memory_max=7e8,
        cpu_request=0.5,
        cpu_limit=1,
        memory_request=6e8,
        memory_limit=1e9,
        throttled_share=0.25,
        throttled_seconds=12.5,
        terminated_reason="Completed",
    )
    fields: dict[str, Any] = {
        "namespace": "etl",
        "pod": "etl-1-extract",
        "uid": UID,
        "created": created,
        "containers": [container],
        "node": "node-3",
        "owner_kind": "Workflow",
        "owner_name": "etl-1",
        "labels": {"workflows.argoproj.io/workflow": "etl-1"},
        "scheduled": created + 1,
        "started": created + 2,
        "finished": created + 605,
        "deleted": created + 605 + 3600,
    }
    return PodLife(**{**fields, **changes})


def test_loaded_history_answers_with_the_exact_values(make_prometheus: MakePrometheus) -> None:
    pod = life()
    created = int(pod.created)
    jobs = [JobLife("etl", "nightly-1", pod.created, pod.created + 700, owner_kind="CronJob", owner_name="nightly")]
    server = make_prometheus(history=render([pod], Grid(START, END), jobs))

    def value(expression: str, at: float = END) -> float | None:
        return server.value(expression, at)

    two_weeks = '{namespace="etl"}[14d]'
    assert value(f"last_over_time(kube_pod_created{two_weeks})") == created
    assert value(f"last_over_time(kube_pod_status_scheduled_time{two_weeks})") == created + 1
    assert value(f"last_over_time(kube_pod_start_time{two_weeks})") == created + 2
    assert value(f"last_over_time(kube_pod_container_state_started{two_weeks})") == created + 5
    assert value(f"last_over_time(kube_pod_completion_time{two_weeks})") == created + 605
    for moment, phase in ((300, "Running"), (700, "Succeeded")):
        (current,) = server.query("kube_pod_status_phase == 1", created + moment)
        assert (current["metric"]["phase"], current["metric"]["uid"]) == (phase, UID)
    requests = server.query(f"last_over_time(kube_pod_container_resource_requests{two_weeks})", END)
    amounts = {r["metric"]["resource"]: float(r["value"][1]) for r in requests if r["metric"].get("node") == "node-3"}
    assert amounts == {"cpu": 0.5, "memory": 6e8}
    assert value(f"max_over_time(container_memory_max_usage_bytes{two_weeks})") == 7e8
    # 600 s scraped every 30 s: 20 samples; the counter's last one is up to 30 s before the end.
    assert value(f"count_over_time(container_memory_working_set_bytes{two_weeks})") == 20
    last = value(f"last_over_time(container_cpu_usage_seconds_total{two_weeks})")
    assert last is not None and 285 <= last <= 300
    peak = value(f"max_over_time(container_memory_working_set_bytes{two_weeks})")
    assert peak is not None and 4.6e8 < peak <= 5e8
    assert value(f"last_over_time(container_cpu_cfs_periods_total{two_weeks})") == pytest.approx(
        last / 300 * 6000, abs=1
    )
    (labels,) = server.query(f"last_over_time(kube_pod_labels{two_weeks})", END)
    assert labels["metric"]["label_workflows_argoproj_io_workflow"] == "etl-1"
    assert value('last_over_time(kube_job_complete{condition="true"}[14d])') == 1
    assert value(f"last_over_time(kube_cronjob_status_last_schedule_time{two_weeks})") == created
    for job_name in ("kube-state-metrics", "kubelet"):
        assert value(f'min_over_time(up{{job="{job_name}"}}[14d])') == 1


def test_series_of_the_history_exist_only_while_their_object_does(make_prometheus: MakePrometheus) -> None:
    gone = life(deleted=life().created + 620)
    server = make_prometheus(history=render([gone], Grid(START, END)))
    running = gone.created + 300
    assert server.value("kube_pod_info", running) == 1
    assert server.value('container_memory_working_set_bytes{container="main"}', running) is not None
    assert server.value("kube_pod_completion_time", running) is None
    after = gone.created + 620 + 301  # past the five minutes Prometheus bridges
    assert server.query('{namespace="etl"}', after) == []


def test_a_scrape_outage_is_a_gap_with_up_at_zero(make_prometheus: MakePrometheus) -> None:
    pod = life()
    out = (pod.created + 100, pod.created + 500)
    grid = Grid(START, END, outages=[("kubelet", *out)], constant_interval=30)
    server = make_prometheus(history=render([pod], grid))
    assert server.value('up{job="kubelet"}', pod.created + 300) == 0
    assert server.value('up{job="kube-state-metrics"}', pod.created + 300) == 1
    seen = server.value('count_over_time(container_memory_working_set_bytes{namespace="etl"}[14d])', END)
    assert seen is not None and 6 <= seen <= 8


def test_trusted_text_is_loaded_alike(make_prometheus: MakePrometheus) -> None:
    pods, grid = (
        [life(), life(pod="etl-1-load", uid="b-1", annotations={"note": 'a "quoted" \\ word'})],
        Grid(START, END),
    )
    whole = '{__name__=~"kube_pod_.*|container_.*|up"}[15d]'
    checked, trusted = make_prometheus(history=render(pods, grid)), PrometheusServer()
    trusted.load_trusted(render(pods, grid))
    with trusted:
        found = [sorted(map(str, server.query(whole, END))) for server in (checked, trusted)]
    assert found[0] == found[1] != []


def test_trusted_text_that_is_none_is_refused() -> None:
    server = PrometheusServer()
    with pytest.raises(TestbedError, match="no sample: nonsense"):
        server.load_trusted(["nonsense\n"])
    server.close()


def test_text_that_is_no_openmetrics_is_refused_with_promtools_words(make_prometheus: MakePrometheus) -> None:
    with pytest.raises(TestbedError, match=r"(?s)promtool cannot load history.om.*"):
        make_prometheus(history=["this is { not a metric\n"])
