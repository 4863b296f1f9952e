"""A Kubernetes control plane of plain processes: etcd, kube-apiserver, and the optional parts that a test requests.

Starts in about five seconds, listens on 127.0.0.1 only, and removes all its files at the end.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from testbed.install import manifests
from testbed.install.build import Progress, ensure
from testbed.install.components import ARGO_VERSIONS
from testbed.pods import kwok
from testbed.ports import free_port
from testbed.process import Process, TemporaryDirectory, TestbedError, http_ok
from testbed.services import engine_parts, parts
from testbed.services.cluster import ADMIN, Cluster
from testbed.services.parts import Part
from testbed.services.postgres import USER, PostgresServer

# Users of every control plane besides admin. None has any permission until a test binds one.
DEFAULT_USERS: Mapping[str, Sequence[str]] = {
    "ana@example.com": (),
    "ben@example.com": (),
    "viewer@example.com": ("viewers",),
}


ARGO = "CONCERTMASTER_TESTBED_ARGO"


def argo_version() -> str:
    """The component with Argo's controller: `$CONCERTMASTER_TESTBED_ARGO` (v3 or v4), default version 3."""
    named = os.environ.get(ARGO, "v3")
    if named not in ARGO_VERSIONS:
        raise TestbedError(f"{ARGO} is {named!r}; known versions: {', '.join(ARGO_VERSIONS)}")
    return ARGO_VERSIONS[named]


_LONG = "--timeout=250s"  # full schemas block a busy API server for minutes; only failures take that long
ENGINES = "CONCERTMASTER_TESTBED_ENGINES"


def newest_engines() -> bool:
    """Whether `$CONCERTMASTER_TESTBED_ENGINES` is `newest`: Tekton with its webhook, and the newest JobSet."""
    named = os.environ.get(ENGINES, "")
    if named not in ("", "newest"):
        raise TestbedError(f"{ENGINES} is {named!r}; only newest is known")
    return bool(named)


@dataclass(frozen=True, slots=True)
class Options:
    """What runs besides etcd and the API server.

    `exporter` serves simulated cAdvisor series; `nodes` are fake nodes simulated by kwok; `users` maps user names to
    groups; `metric_labels` is kube-state-metrics' allow-list for pod labels, exact keys or a single `*`. `argo` and
    `tekton` are the engines' controllers with their CRDs (`full_crds`: Argo's with all fields in the schema); they need
    the controller manager, the scheduler and kwok, and a network namespace. `argo_settings` are environment variables,
    `argo_controller` is the component to run, which selects the version of Argo, `argo_archive` the server (started) that
    it archives Workflows in. `executor` is a node whose pods are
    real processes in control groups, instead of kwok and the exporter. `jobset` is the JobSet controller with its
    webhooks; it needs the same parts, but no network namespace. `newest` selects its newest version, and Tekton with
    its webhook.
    """

    controller_manager: bool = False
    scheduler: bool = False
    kwok: bool = False
    nodes: int = 2
    kube_state_metrics: bool = False
    exporter: bool = False
    executor: bool = False
    metric_labels: Sequence[str] = ("*",)
    users: Mapping[str, Sequence[str]] = field(default_factory=lambda: DEFAULT_USERS)
    apiserver_args: Sequence[str] = ()
    argo: bool = False
    tekton: bool = False
    jobset: bool = False
    full_crds: bool = False
    argo_settings: Mapping[str, str] = field(default_factory=dict)
    argo_controller: str = field(default_factory=argo_version)
    argo_archive: PostgresServer | None = None
    newest: bool = field(default_factory=newest_engines)

    @classmethod
    def everything(cls) -> Options:
        """Controller manager, scheduler, kwok with two nodes, kube-state-metrics and the exporter."""
        return cls(controller_manager=True, scheduler=True, kwok=True, kube_state_metrics=True, exporter=True)

    @classmethod
    def engines(cls, *, full_crds: bool = False) -> Options:
        """Everything, and the controllers of Argo, Tekton and JobSet."""
        return replace(cls.everything(), argo=True, tekton=True, jobset=True, full_crds=full_crds)

    @property
    def jobset_controller(self) -> str:
        """The component with JobSet's controller."""
        return "jobset-controller-newest" if self.newest else "jobset-controller"

    @property
    def tekton_webhook(self) -> bool:
        """Whether Tekton runs with its webhook."""
        return self.tekton and self.newest

    def binaries(self) -> list[str]:
        """Names of the components that these options need."""
        optional = (
            (self.controller_manager, "kube-controller-manager"),
            (self.scheduler, "kube-scheduler"),
            (self.kwok, "kwok"),
            (self.kube_state_metrics, "kube-state-metrics"),
            (self.argo, self.argo_controller),
            (self.tekton, "tekton-controller"),
            (self.tekton_webhook, "tekton-webhook"),
            (self.jobset, self.jobset_controller),
        )
        return ["etcd", "kube-apiserver", "kubectl", *(name for wanted, name in optional if wanted)]


class ControlPlane:
    """Context manager around the processes; `cluster` is the client's view while it runs.

    Log files are `directory/<part>.log`. All files including data are removed at the end.
    """

    def __init__(self, options: Options | None = None, *, progress: Progress = lambda _: None) -> None:
        self.options = options or Options()
        self._progress = progress
        self._scratch: TemporaryDirectory | None = None
        self._processes: dict[str, Process] = {}
        self._cluster: Cluster | None = None
        # Ports that controllers need in their configuration, hence chosen before the start.
        self._argo_metrics, self._jobset_webhooks, self._tekton_webhook = free_port(), free_port(), free_port()

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
        """Start all parts and wait until they are ready; after any failure those already started are stopped again."""
        if self.options.argo or self.options.tekton:
            engine_parts.require_namespace()
        binaries = ensure(self.options.binaries(), self._progress)
        self._scratch = TemporaryDirectory()
        try:
            self._start_core(binaries, self._scratch.path)
            self._start_parts(binaries)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all parts in reverse order of start and remove all files. Safe to call twice."""
        for process in reversed(list(self._processes.values())):
            process.stop(timeout=5)
        self._processes.clear()
        self._cluster = None
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def stop_apiserver(self, *, hard: bool) -> None:
        """Stop the API server; `hard` kills it. Data remain in etcd."""
        apiserver = self._processes["kube-apiserver"]
        if hard:
            apiserver.kill()
        else:
            apiserver.stop(timeout=5)

    def start_apiserver(self) -> None:
        """Start it again on the same address and wait until it is ready."""
        self._processes["kube-apiserver"].start().wait_ready(self._apiserver_ready, interval=0.05)

    def restart_apiserver(self) -> None:
        """Stop and start the API server: same address, same certificates, same data."""
        self.stop_apiserver(hard=False)
        self.start_apiserver()

    def _apiserver_ready(self) -> bool:
        cluster = self.cluster
        return http_ok(f"{cluster.server}/readyz", ca_file=cluster.ca_file, token=cluster.tokens[ADMIN])

    def _spawn(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Process:
        process = Process(name, argv, log=self.directory / f"{name}.log", cwd=self.directory, env=env)
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
        disabled = ["TaintNodesByCondition"]  # nothing would remove the not-ready taint from a fake node
        if not self.options.controller_manager:
            disabled.append("ServiceAccount")  # nothing would create the `default` accounts that it requires
        etcd_url = f"http://127.0.0.1:{client}"
        self._spawn("etcd", parts.etcd(binaries["etcd"], directory, etcd_url, f"http://127.0.0.1:{peer}"))
        argv = parts.apiserver(binaries["kube-apiserver"], certificates, etcd_url, secure, token_file, disabled)
        apiserver = self._spawn("kube-apiserver", [*argv, *self.options.apiserver_args])
        apiserver.wait_ready(self._apiserver_ready, timeout=90, interval=0.05)

    def _wanted_parts(self, binaries: Mapping[str, Path]) -> Iterator[Part]:
        cluster, options = self.cluster, self.options
        if options.controller_manager:
            yield parts.controller_manager(binaries["kube-controller-manager"], cluster)
        if options.scheduler:
            yield parts.scheduler(binaries["kube-scheduler"], cluster)
        if options.kwok:
            yield parts.kubelets(binaries["kwok"], cluster, engines=options.argo or options.tekton)
        if options.kube_state_metrics:
            yield parts.state_metrics(binaries["kube-state-metrics"], cluster, options.metric_labels)
        if options.exporter:
            yield parts.exporter(cluster)
        if options.executor:
            yield parts.executor(cluster)
        if options.argo:
            binary = binaries[options.argo_controller]
            yield engine_parts.argo_controller(binary, cluster, self._argo_metrics, options.argo_settings)
        if options.tekton:
            yield engine_parts.tekton_controller(binaries["tekton-controller"], cluster)
        if options.tekton_webhook:
            yield engine_parts.tekton_webhook(binaries["tekton-webhook"], cluster, self._tekton_webhook)
        if options.jobset:
            yield engine_parts.jobset_controller(binaries[options.jobset_controller], cluster, self._jobset_webhooks)

    def _install_engines(self) -> None:
        """Install CRDs and configuration of the engines; returns once the API server serves the kinds."""
        cluster, options = self.cluster, self.options
        crds = manifests.argo_crds(full=options.full_crds, component=options.argo_controller) if options.argo else []
        webhook = self._tekton_webhook if options.tekton_webhook else None
        crds += manifests.tekton_crds(webhook) if options.tekton else ()
        crds += manifests.jobset_crds(options.jobset_controller) if options.jobset else ()
        server = options.argo_archive
        archive = (server.port, USER, server.password) if server is not None else None
        configuration = manifests.argo_configuration(self._argo_metrics, archive) if options.argo else []
        configuration += manifests.tekton_configuration(webhook=options.tekton_webhook) if options.tekton else []
        configuration += manifests.tekton_webhooks(webhook) if webhook is not None else []
        if options.jobset:
            url = f"https://127.0.0.1:{self._jobset_webhooks}"
            configuration += manifests.jobset_webhooks(url, cluster.ca_file, options.jobset_controller)
        cluster.apply(*crds, *configuration, validate=False)
        names = [f"crd/{crd['metadata']['name']}" for crd in crds]
        # `kubectl wait` fails for a definition that has no conditions at all yet.
        cluster.kubectl("wait", "--for=jsonpath={.status.conditions}", _LONG, *names)
        cluster.kubectl("wait", "--for=condition=Established", _LONG, *names)

    def _start_parts(self, binaries: Mapping[str, Path]) -> None:
        if self.options.argo or self.options.tekton or self.options.jobset:
            self._install_engines()
        started = list(self._wanted_parts(binaries))
        for part in started:
            self._spawn(part.name, part.argv, part.env)
            if part.endpoint:
                self.cluster.endpoints[part.endpoint[0]] = part.endpoint[1]
        if self.options.kwok:
            nodes = (kwok.node(f"node-{number}") for number in range(self.options.nodes))
            self.cluster.apply(*nodes, validate=False)
        for part in started:
            self._processes[part.name].wait_ready(partial(_answers, part))
        if self.options.tekton_webhook:
            ready = partial(engine_parts.webhook_ready, self.cluster)
            self._processes["tekton-webhook"].wait_ready(ready, timeout=250, interval=1.0)
        if self.options.kwok:
            self._processes["kwok"].wait_ready(self._nodes_ready, timeout=30, interval=0.2)

    def _nodes_ready(self) -> bool:
        nodes = self.cluster.get("nodes")["items"]
        return len(nodes) >= self.options.nodes and all(node["status"].get("phase") == "Running" for node in nodes)


def _answers(part: Part) -> bool:
    """A health check; for https it trusts the part's self-signed certificate, once that exists."""
    if part.certificates is None:
        return http_ok(part.health)
    made = sorted(part.certificates.glob("*.crt"))
    return bool(made) and http_ok(part.health, ca_file=made[0])
