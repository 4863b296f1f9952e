"""A Kubernetes control plane from bare processes: etcd and kube-apiserver, and what a test asks for on top.

Starts in about five seconds, listens on 127.0.0.1 only, and leaves nothing behind.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from testbed import kwok
from testbed.build import Progress, ensure
from testbed.cluster import ADMIN, Cluster
from testbed.process import Process, TemporaryDirectory, TestbedError, free_port, http_ok

# Users every control plane knows besides admin. None has any right until a test binds one.
DEFAULT_USERS: Mapping[str, Sequence[str]] = {
    "ana@example.com": (),
    "ben@example.com": (),
    "viewer@example.com": ("viewers",),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What runs besides etcd and the API server.

    `nodes` are fake nodes played by kwok (so `kwok` needs at least one); `users` maps user names to groups;
    `metric_labels` is kube-state-metrics' allow-list for pod labels, exact keys or a single `*`.
    """

    controller_manager: bool = False
    scheduler: bool = False
    kwok: bool = False
    nodes: int = 2
    kube_state_metrics: bool = False
    metric_labels: Sequence[str] = ("*",)
    users: Mapping[str, Sequence[str]] = field(default_factory=lambda: DEFAULT_USERS)
    apiserver_args: Sequence[str] = ()

    @classmethod
    def everything(cls) -> Options:
        """Controller manager, scheduler, kwok with two nodes and kube-state-metrics."""
        return cls(controller_manager=True, scheduler=True, kwok=True, kube_state_metrics=True)

    def binaries(self) -> list[str]:
        """Names of the components these options need."""
        optional = (
            (self.controller_manager, "kube-controller-manager"),
            (self.scheduler, "kube-scheduler"),
            (self.kwok, "kwok"),
            (self.kube_state_metrics, "kube-state-metrics"),
        )
        return ["etcd", "kube-apiserver", "kubectl", *(name for wanted, name in optional if wanted)]


class ControlPlane:
    """Context manager around the processes; `cluster` is the client's side while it runs.

    Log files lie in `directory/<part>.log`. Everything, data included, is removed at the end.
    """

    def __init__(self, options: Options | None = None, *, progress: Progress = lambda _: None) -> None:
        self.options = options or Options()
        self._progress = progress
        self._scratch: TemporaryDirectory | None = None
        self._processes: dict[str, Process] = {}
        self._cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            raise TestbedError("the control plane is not running; use it as a context manager or call start()")
        return self._cluster

    @property
    def directory(self) -> Path:
        return self.cluster.directory

    def process(self, name: str) -> Process:
        """The child process of a part, by its component name."""
        return self._processes[name]

    def __enter__(self) -> ControlPlane:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> ControlPlane:
        """Start everything and wait until it answers; on any failure what was started is stopped again."""
        binaries = ensure(self.options.binaries(), self._progress)
        self._scratch = TemporaryDirectory()
        try:
            self._start_core(binaries, self._scratch.path)
            self._start_parts(binaries, self._scratch.path)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop in reverse order of start and remove all files. Safe to call twice."""
        for process in reversed(list(self._processes.values())):
            process.stop(timeout=5)
        self._processes.clear()
        self._cluster = None
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def stop_apiserver(self, *, hard: bool = False) -> None:
        """Take the API server away; `hard` kills it. Data stay in etcd."""
        apiserver = self._processes["kube-apiserver"]
        if hard:
            apiserver.kill()
        else:
            apiserver.stop(timeout=5)

    def start_apiserver(self) -> None:
        """Bring it back on the same address and wait until it is ready."""
        self._processes["kube-apiserver"].start().wait_ready(self._apiserver_ready, interval=0.05)

    def restart_apiserver(self, *, hard: bool = False) -> None:
        """Stop and start the API server: same address, same certificates, same data."""
        self.stop_apiserver(hard=hard)
        self.start_apiserver()

    def _apiserver_ready(self) -> bool:
        cluster = self.cluster
        return http_ok(f"{cluster.server}/readyz", ca_file=cluster.ca_file, token=cluster.tokens[ADMIN])

    def _spawn(self, name: str, argv: Sequence[str | Path], directory: Path) -> Process:
        process = Process(name, argv, log=directory / f"{name}.log", cwd=directory)
        self._processes[name] = process
        return process.start()

    def _start_core(self, binaries: Mapping[str, Path], directory: Path) -> None:
        client, peer, secure = (free_port() for _ in range(3))
        certificates = directory / "certificates"
        users = {ADMIN: ("system:masters",), **self.options.users}
        tokens = {user: secrets.token_hex(16) for user in users}
        token_file = directory / "tokens.csv"
        token_file.touch(mode=0o600)
        token_file.write_text(
            "".join(f'{tokens[user]},{user},{user},"{",".join(groups)}"\n' for user, groups in users.items())
        )
        self._cluster = Cluster(
            directory=directory,
            server=f"https://127.0.0.1:{secure}",
            ca_file=certificates / "apiserver.crt",
            tokens=tokens,
            kubectl_path=binaries["kubectl"],
        )
        etcd_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self._spawn(
            "etcd",
            [
                binaries["etcd"],
                f"--data-dir={directory / 'etcd'}",
                f"--listen-client-urls={etcd_url}",
                f"--advertise-client-urls={etcd_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
                "--unsafe-no-fsync",  # the data never outlive the processes
                "--log-level=warn",
            ],
            directory,
        )
        # The API server makes its own certificate before it reads the signing key, so that one key serves both.
        key = certificates / "apiserver.key"
        disabled = ["TaintNodesByCondition"]  # nobody would take the not-ready taint off a fake node
        if not self.options.controller_manager:
            disabled.append("ServiceAccount")  # nobody would create the `default` accounts it insists on
        apiserver = self._spawn(
            "kube-apiserver",
            [
                binaries["kube-apiserver"],
                f"--etcd-servers={etcd_url}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={secure}",
                f"--cert-dir={certificates}",
                "--endpoint-reconciler-type=none",
                "--service-cluster-ip-range=10.0.0.0/24",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--token-auth-file={token_file}",
                "--authorization-mode=RBAC",
                f"--disable-admission-plugins={','.join(disabled)}",
                *self.options.apiserver_args,
            ],
            directory,
        )
        apiserver.wait_ready(self._apiserver_ready, timeout=90, interval=0.05)

    def _start_parts(self, binaries: Mapping[str, Path], directory: Path) -> None:
        cluster = self.cluster
        config = f"--kubeconfig={cluster.kubeconfig()}"
        ready: list[tuple[Process, str]] = []
        if self.options.controller_manager:
            port = free_port()
            manager = self._spawn(
                "kube-controller-manager",
                [
                    binaries["kube-controller-manager"],
                    config,
                    f"--service-account-private-key-file={directory / 'certificates' / 'apiserver.key'}",
                    f"--root-ca-file={cluster.ca_file}",
                    # Fake nodes have no address ranges, and no kubelet renews their leases.
                    "--controllers=*,-node-ipam-controller,-node-lifecycle-controller",
                    "--use-service-account-credentials=false",
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={port}",
                    f"--cert-dir={directory / 'controller-manager-certificates'}",
                    "--kube-api-qps=200",
                    "--kube-api-burst=400",
                ],
                directory,
            )
            ready.append((manager, f"https://127.0.0.1:{port}/healthz"))
        if self.options.scheduler:
            port = free_port()
            scheduler = self._spawn(
                "kube-scheduler",
                [
                    binaries["kube-scheduler"],
                    config,
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={port}",
                    f"--cert-dir={directory / 'scheduler-certificates'}",
                ],
                directory,
            )
            ready.append((scheduler, f"https://127.0.0.1:{port}/healthz"))
        if self.options.kwok:
            kwok.write_stages(directory / "stages.yaml")
            port = free_port()
            player = self._spawn(
                "kwok",
                [
                    binaries["kwok"],
                    config,
                    f"--config={directory / 'stages.yaml'}",
                    "--manage-all-nodes",
                    "--node-lease-duration-seconds=0",  # a restarted kwok goes on at once instead of waiting for a lease
                    f"--server-address=127.0.0.1:{port}",
                ],
                directory,
            )
            ready.append((player, f"http://127.0.0.1:{port}/healthz"))
            cluster.apply(*(kwok.node(f"node-{number}") for number in range(self.options.nodes)))
        if self.options.kube_state_metrics:
            port, telemetry = free_port(), free_port()
            metrics = self._spawn(
                "kube-state-metrics",
                [
                    binaries["kube-state-metrics"],
                    config,
                    "--host=127.0.0.1",
                    f"--port={port}",
                    "--telemetry-host=127.0.0.1",
                    f"--telemetry-port={telemetry}",
                    "--resources=pods,jobs,cronjobs,nodes,namespaces",
                    f"--metric-labels-allowlist=pods=[{','.join(self.options.metric_labels)}]",
                ],
                directory,
            )
            cluster.endpoints["kube-state-metrics"] = f"http://127.0.0.1:{port}"
            ready.append((metrics, f"http://127.0.0.1:{port}/healthz"))
        for process, url in ready:
            authority = directory / f"{process.name.removeprefix('kube-')}-certificates"
            process.wait_ready(lambda u=url, a=authority: _answers(u, a))  # type: ignore[misc]
        if self.options.kwok:
            self._wait_nodes()

    def _wait_nodes(self) -> None:
        cluster = self.cluster

        def all_ready() -> bool:
            nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
            return len(nodes) >= self.options.nodes and all(node["status"].get("phase") == "Running" for node in nodes)

        self._processes["kwok"].wait_ready(all_ready, timeout=30, interval=0.2)


def _answers(url: str, certificates: Path) -> bool:
    """A health check; an https one trusts the certificate the part made for itself, once it has made it."""
    if url.startswith("http:"):
        return http_ok(url)
    made = sorted(certificates.glob("*.crt"))
    return bool(made) and http_ok(url, ca_file=made[0])
