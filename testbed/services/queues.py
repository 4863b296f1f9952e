"""Kueue beside a running control plane: its controller with its webhooks, as shipped, for the benchmark of queues.

Its certificate is its own: the controller writes it to a Secret, which a kubelet would mount, and puts its authority into
the webhooks. The API server finds them through a Service of type ExternalName, which leads to the loopback interface.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from testbed.install.build import Progress, ensure
from testbed.install.manifests import fetch
from testbed.ports import free_port
from testbed.process import Process, TestbedError, http_ok
from testbed.services.cluster import Cluster

COMPONENT = "kueue-controller"
NAMESPACE = "kueue-system"
_SERVICE, _SECRET = "kueue-webhook-service", "kueue-webhook-server-cert"
# The webhooks of these kinds; those of products that the test bed does not run are left out.
_KINDS = ("clusterqueue", "cohort", "resourceflavor", "workload", "job", "jobset", "pod", "rayjob", "raycluster")
# What the released kustomization converts by a webhook.
_CONVERTED = ("localqueues", "clusterqueues", "cohorts", "workloads", "multikueueclusters")
FRAMEWORKS = ("batch/job", "jobset.x-k8s.io/jobset", "pod")


@contextmanager
def kueue(
    cluster: Cluster, frameworks: Sequence[str] = FRAMEWORKS, *, progress: Progress = lambda _: None
) -> Iterator[Process]:
    """Kueue with these integrations, until the end of the context."""
    binary = ensure([COMPONENT], progress)[COMPONENT]
    port, health = free_port(), free_port()
    _install(cluster, port)
    certificates = cluster.directory / "kueue-certificates"
    certificates.mkdir()
    configuration = cluster.directory / "kueue.yaml"  # JSON is YAML
    configuration.write_text(json.dumps(_configuration(port, health, certificates, frameworks)))
    options = (
        f"--kubeconfig={cluster.kubeconfig()}",
        f"--config={configuration}",
        "--zap-log-level=error",
    )
    process = Process("kueue", [binary, *options], log=cluster.directory / "kueue.log", cwd=cluster.directory)
    process.start()
    try:
        _mount(cluster, certificates)
        process.wait_ready(lambda: http_ok(f"http://127.0.0.1:{health}/readyz"), timeout=120, interval=0.5)
        yield process
    finally:
        process.stop(timeout=5)


def _configuration(port: int, health: int, certificates: Path, frameworks: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "leaderElection": {"leaderElect": False},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(certificates)},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "clientConnection": {"qps": 200, "burst": 400},
        "integrations": {"frameworks": list(frameworks)},
        # Its server listens on a fixed port of all addresses.
        "featureGates": {"VisibilityOnDemand": False},
    }


def _install(cluster: Cluster, port: int) -> None:
    """CRDs, and webhooks of which nothing is called before the controller has put its authority into them."""
    source = fetch(COMPONENT)
    service = {"namespace": NAMESPACE, "name": _SERVICE, "port": port}
    crds = [_read(file)[0] for file in sorted((source / "crd" / "bases").glob("*.yaml"))]
    for crd in crds:
        if crd["spec"]["names"]["plural"] in _CONVERTED:
            webhook = {"clientConfig": {"service": {**service, "path": "/convert"}}, "conversionReviewVersions": ["v1"]}
            crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    cluster.apply(*crds, validate=False)
    cluster.kubectl(
        "wait", "--for=condition=Established", "--timeout=250s", *(f"crd/{c['metadata']['name']}" for c in crds)
    )
    meta = {"name": _SERVICE, "namespace": NAMESPACE}
    to_loopback = {"type": "ExternalName", "externalName": "localhost"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": to_loopback},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET, "namespace": NAMESPACE}},
        *_webhooks(source / "webhook" / "manifests.yaml", port),
        validate=False,
    )


def _webhooks(file: Path, port: int) -> list[dict[str, Any]]:
    """The webhooks of what runs here, with the names that the released kustomization gives them."""
    configurations = _read(file)
    for configuration in configurations:
        configuration["metadata"]["name"] = f"kueue-{configuration['metadata']['name']}"
        own = {f"{letter}{kind}.kb.io" for letter in "mv" for kind in _KINDS}
        configuration["webhooks"] = [w for w in configuration["webhooks"] if w["name"] in own]
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"]["service"] |= {"namespace": NAMESPACE, "name": _SERVICE, "port": port}
    return configurations


def _read(file: Path) -> list[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [found for found in yaml.load_all(file.read_text(), Loader=loader) if found]


def _mount(cluster: Cluster, directory: Path, seconds: float = 120.0) -> None:
    """Write the controller's Secret into its directory, as a kubelet does."""
    deadline = time.monotonic() + seconds
    while not (data := cluster.get("secret", _SECRET, "-n", NAMESPACE).get("data")):
        if time.monotonic() > deadline:
            raise TestbedError(f"Kueue has not written its certificate after {seconds:.0f} s")
        time.sleep(0.3)
    for name, content in sorted(data.items(), reverse=True):  # the certificate, for which the controller waits, last
        (directory / name).write_bytes(base64.b64decode(content))
