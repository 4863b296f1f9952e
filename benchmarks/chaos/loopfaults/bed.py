"""CronJobs that request four times their usage, policies that allow the operator to change them, and a user who
decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from benchmarks.chaos.loopfaults import audit
from benchmarks.chaos.loopfaults.gate import Gate
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES, target_resource
from testbed.process import TemporaryDirectory
from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.openmetrics import render
from testbed.series.runs import runs_of_cronjob
from testbed.services.cluster import Cluster
from testbed.services.controlplane import DEFAULT_USERS, ControlPlane, Options
from testbed.services.kinds import CRDS, install_kinds
from testbed.services.operator import OperatorProcess, operator_settings
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[3]
DAY, HOUR = 86400.0, 3600.0
RUNS, SECONDS = 16, 240.0
ASKED = {"cpu": "1", "memory": "2Gi"}
CONTAINER = "/spec/jobTemplate/spec/template/spec/containers/0"
OPERATORS = ("operator-a", "operator-b")
Name = tuple[str, str]  # namespace and name


def names(count: int, spaces: int) -> list[Name]:
    """``count`` CronJobs in ``spaces`` namespaces."""
    return [(f"work-{n % spaces}", f"w{n:03}") for n in range(count)]


def past(wanted: Sequence[Name], end: float, pace: Mapping[int, float], ahead: float = 0.0) -> list[str]:
    """OpenMetrics of runs that use a quarter of their requests: hourly, or for the CronJob numbers in ``pace`` at that
    interval in seconds. A server pod in each namespace continues for ``ahead`` seconds, because stale metrics prevent
    changes."""
    pods, jobs = [_server(space, end - DAY) for space in sorted({space for space, _ in wanted})], []
    for number, (namespace, name) in enumerate(wanted):
        every = pace.get(number, HOUR)
        lasts = min(SECONDS, 0.4 * every)
        newest = end - 900.0 - SECONDS - 7.0 * (number % 60)
        if number in pace:
            newest = (end - lasts - 90.0) // every * every
        made = runs_of_cronjob(namespace, name, RUNS, newest + 900.0 + lasts, every=every, seconds=lasts, kept=240.0)
        pods += made[0]
        jobs += made[1]
    return list(render(pods, Grid(end - DAY, end + ahead), jobs))


def _server(namespace: str, begun: float) -> PodLife:
    main = ContainerLife("main", started=begun, memory_peak=1e8)
    return PodLife(
        namespace,
        "server-1-a",
        str(uuid5(NAMESPACE_DNS, namespace)),
        begun,
        [main],
        owner_kind="ReplicaSet",
        owner_name="server-1",
        started=begun,
        phase="Running",
    )


def cron_job(name: Name, schedule: str = "0 0 1 1 *") -> dict[str, Any]:
    """A CronJob whose runs ``past`` simulates; by default its next run is far in the future."""
    container = {"name": "main", "image": "example/etl:1", "resources": {"requests": dict(ASKED)}}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name[1], "namespace": name[0]},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


@dataclass
class Place:
    """The cluster, its audit log, and the user's own client."""

    cluster: Cluster
    prometheus: PrometheusServer
    directory: Path
    wanted: list[Name]
    client: KubeClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = KubeClient.connect(self.cluster.kubeconfig())

    @property
    def log(self) -> Path:
        """The audit log."""
        return self.directory / "audit.log"

    def path(self, name: Name) -> str:
        """The API path of a CronJob."""
        resource = target_resource("batch/v1", "CronJob")
        assert resource is not None
        return resource.path(*name)

    def make(self, name: Name, schedule: str = "0 0 1 1 *") -> None:
        """Create a CronJob; its policy discovers it."""
        self.client.create(self.path((name[0], "")).rstrip("/"), cron_job(name, schedule))

    def requests(self, name: Name) -> dict[str, str]:
        """Current requests of its container."""
        spec = self.client.get(self.path(name))["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        return dict(spec["containers"][0]["resources"]["requests"])

    def changes(self) -> list[WorkflowChangeView]:
        """All current changes."""
        return [WorkflowChangeView(raw) for raw in self.client.items(CHANGES.path(None))]

    def govern(self, space: str, **more: Any) -> None:
        """Create the policy of a namespace; ``more`` overrides parts of ``apply``."""
        terms = {"mode": "Auto", "maxRisk": "Medium", "maxInFlight": 10, **more.pop("apply", {})}
        nothing = {"runMinutesPerMonth": "0", "runPercent": "0", "costPercent": "0", "moneyPerMonth": "0"}
        spec = {
            "discover": [{"apiVersion": "batch/v1", "kind": "CronJob"}],
            "analysis": {"window": "1d", "materiality": nothing},
            "apply": terms,
            **more,
        }
        meta = {"name": "team", "namespace": space}
        policy = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "OptimizationPolicy"}
        self.cluster.apply({**policy, "metadata": meta, "spec": spec})

    def decide(self, change: WorkflowChangeView, decision: str) -> None:
        """Decide as a user does with ``kubectl concertmaster approve``."""
        operations = [
            {"op": "add", "path": "/spec/decision", "value": decision},
            {"op": "add", "path": "/spec/decidedBy", "value": "admin"},
        ]
        self.client.patch(change.ref.path, operations, kind="json")

    def unsettled(self) -> list[WorkflowChangeView]:
        """Changes in a transitional phase, which further cycles will complete."""
        return [
            c
            for c in self.changes()
            if c.phase == "Applied" or (c.phase == "Verifying" and (c.state.restoring or c.decision == "Reject"))
        ]


@contextmanager
def place(
    count: int,
    spaces: int,
    progress: Callable[[str], None] = print,
    pace: Mapping[int, float] | None = None,
    ahead: float = 0.0,
) -> Iterator[Place]:
    """All components except operators and CronJobs; ``pace`` and ``ahead`` as in ``past``."""
    end = time.time() - 30.0
    users = {**DEFAULT_USERS, **dict.fromkeys(OPERATORS, ("system:masters",))}
    with TemporaryDirectory("concertmaster-chaos-") as directory:
        options = Options(users=users, apiserver_args=audit.arguments(directory))
        with ControlPlane(options, progress=progress) as plane:
            wanted = names(count, spaces)
            prometheus = PrometheusServer(progress=progress)
            prometheus.load_openmetrics(past(wanted, end, pace or {}, ahead))
            with prometheus:
                cluster = plane.cluster
                install_kinds(cluster, CRDS)
                found = Place(cluster, prometheus, directory, wanted)
                for space in [*sorted({space for space, _ in wanted}), "ops"]:
                    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
                yield found


@dataclass
class Instance:
    """One operator behind its proxy; it can be started repeatedly."""

    place: Place
    gate: Gate
    user: str
    process: OperatorProcess
    begun: float = 0.0

    def start(self, **environment: str) -> Instance:
        """Start the operator with these environment variables in place of earlier ones."""
        self.process.env = {k: v for k, v in self.process.env.items() if k != "CHAOS_DISK"} | environment
        self.process.start()
        self.begun = time.monotonic()
        return self

    def kill(self) -> None:
        """Kill the operator with SIGKILL."""
        self.process.kill()

    def cycles(self) -> int:
        """Number of cycles in the log, over all starts."""
        log = self.process.log
        return log.read_text(errors="replace").count('"msg": "cycle"') if log.is_file() else 0

    def ready(self) -> bool:
        """Whether its liveness probe passes."""
        return self.process.live(timeout=5)


def instance(
    where: Place, gate: Gate, user: str, *, lease: float | None = None, interval: float | None = None
) -> Instance:  # fmt: skip
    """An operator as ``user``; with a ``lease`` duration in seconds it uses leader election. ``interval`` may be
    shorter than the settings allow."""
    settings = operator_settings(
        where.directory / "history.db", where.prometheus.url, interval="10s",
        limits={"backfill": "1d", "changesPerMinute": 600, "statusWritesPerSecond": 200},
    )  # fmt: skip
    environment = {"POD_NAME": user, "POD_NAMESPACE": "ops"}
    if lease is not None:
        environment |= {"CONCERTMASTER_LEASE": "concertmaster", "CHAOS_LEASE": str(lease)}
    if interval is not None:
        environment |= {"CHAOS_INTERVAL": str(interval)}
    process = OperatorProcess(
        where.directory, settings, gate.kubeconfig(where.directory, user), name=user, environment=environment,
        module=("benchmarks.chaos.loopfaults.launch",),
    )  # fmt: skip
    return Instance(where, gate, user, process)


def until(check: Callable[[], Any], seconds: float, pause: float = 0.2) -> bool:
    """Whether ``check`` became true within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(pause)
    return bool(check())
