"""Command lines of the control plane's parts, with the reason for each flag."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.pods import kwok
from testbed.ports import free_port
from testbed.series.lives import CADVISOR_PATH
from testbed.services.cluster import ADMIN, Cluster


@dataclass(frozen=True, slots=True)
class Part:
    """How to start one part, and how to check that it is ready.

    `health` is a URL that returns 2xx once it is; `certificates` is where the part stores its self-signed certificate.
    `endpoint` (name, base URL) is published in `Cluster.endpoints`.
    """

    name: str
    argv: Sequence[str | Path]
    health: str
    certificates: Path | None = None
    endpoint: tuple[str, str] | None = None
    env: dict[str, str] = field(default_factory=dict)


def etcd(binary: Path, directory: Path, url: str, peer_url: str) -> list[str | Path]:
    return [
        binary,
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",  # the data never outlive the processes
        "--log-level=warn",
    ]


def apiserver(
    binary: Path, certificates: Path, etcd_url: str, port: int, token_file: Path, disabled: Sequence[str]
) -> list[str | Path]:
    """The API server generates its certificate before it reads the signing key, so one key serves both purposes."""
    key = certificates / "apiserver.key"
    return [
        binary,
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={token_file}",
        "--authorization-mode=RBAC",
        f"--disable-admission-plugins={','.join(disabled)}",
    ]


def controller_manager(binary: Path, cluster: Cluster) -> Part:
    port = free_port()
    certificates = cluster.directory / "controller-manager-certificates"
    return Part(
        "kube-controller-manager",
        [
            binary,
            f"--kubeconfig={cluster.kubeconfig()}",
            f"--service-account-private-key-file={cluster.ca_file.with_suffix('.key')}",
            f"--root-ca-file={cluster.ca_file}",
            # Fake nodes have no address ranges, and no kubelet that renews their leases.
            "--controllers=*,-node-ipam-controller,-node-lifecycle-controller",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={certificates}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ],
        f"https://127.0.0.1:{port}/healthz",
        certificates,
    )


def scheduler(binary: Path, cluster: Cluster) -> Part:
    port = free_port()
    certificates = cluster.directory / "scheduler-certificates"
    return Part(
        "kube-scheduler",
        [
            binary,
            f"--kubeconfig={cluster.kubeconfig()}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={certificates}",
        ],
        f"https://127.0.0.1:{port}/healthz",
        certificates,
    )


def kubelets(binary: Path, cluster: Cluster, *, engines: bool = False) -> Part:
    """kwok with the project's stages; `engines` adds those for Argo's and Tekton's pods (requires their CRDs)."""
    port = free_port()
    stages = cluster.directory / "stages.yaml"
    kwok.write_stages(stages, kwok.SOURCE, *((kwok.ENGINES_SOURCE,) if engines else ()))
    return Part(
        "kwok",
        [
            binary,
            f"--kubeconfig={cluster.kubeconfig()}",
            f"--config={stages}",
            "--manage-all-nodes",
            "--node-lease-duration-seconds=0",  # a restarted kwok continues at once instead of waiting for a lease
            f"--server-address=127.0.0.1:{port}",
        ],
        f"http://127.0.0.1:{port}/healthz",
    )


def state_metrics(binary: Path, cluster: Cluster, pod_labels: Sequence[str]) -> Part:
    port, telemetry = free_port(), free_port()
    return Part(
        "kube-state-metrics",
        [
            binary,
            f"--kubeconfig={cluster.kubeconfig()}",
            "--host=127.0.0.1",
            f"--port={port}",
            "--telemetry-host=127.0.0.1",
            f"--telemetry-port={telemetry}",
            "--resources=pods,jobs,cronjobs,nodes,namespaces",
            f"--metric-labels-allowlist=pods=[{','.join(pod_labels)}]",
        ],
        f"http://127.0.0.1:{port}/healthz",
        endpoint=("kube-state-metrics", f"http://127.0.0.1:{port}"),
    )


def exporter(cluster: Cluster) -> Part:
    """The cAdvisor series of the simulated kubelets."""
    return _kubelet_part("exporter", cluster, free_port())


def executor(cluster: Cluster) -> Part:
    """A node whose pods are real processes, with the series of their control groups."""
    return _kubelet_part("executor", cluster, free_port(), "--node=real")


def _kubelet_part(name: str, cluster: Cluster, port: int, *arguments: str) -> Part:
    token = cluster.directory / f"{name}-token"
    token.touch(mode=0o600)
    token.write_text(cluster.tokens[ADMIN])
    return Part(
        name,
        [
            sys.executable,
            *("-m", f"testbed.pods.{name}"),
            f"--server={cluster.server}",
            f"--ca-file={cluster.ca_file}",
            f"--token-file={token}",
            f"--port={port}",
            *arguments,
        ],
        f"http://127.0.0.1:{port}/healthz",
        endpoint=("cadvisor", f"http://127.0.0.1:{port}{CADVISOR_PATH}"),
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
