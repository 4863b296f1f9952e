"""Command lines of the workflow engines' controllers, as `testbed.services.parts` has them for those of Kubernetes.

The controllers of Argo and Tekton listen on fixed ports of all addresses: they are only started inside a network
namespace (`testbed.netns`), which prevents conflicts and outside access.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from testbed import netns
from testbed.install.manifests import ARGO_NAMESPACE, TEKTON_NAMESPACE
from testbed.ports import free_port
from testbed.process import TestbedError
from testbed.services.cluster import Cluster
from testbed.services.parts import Part

ARGO_HEALTH_PORT = 6060
# Only names are needed: no container ever runs.
_TEKTON_IMAGES = ("entrypoint", "nop", "sidecarlogresults", "workingdirinit", "shell", "shell-image-win")


def require_namespace() -> None:
    """Raise TestbedError with the command to use, unless this process runs in a network namespace of the test bed."""
    if not netns.inside():
        raise TestbedError(
            "the controllers of Argo and Tekton listen on fixed ports, so they only run in a network namespace. "
            "Start the command through the test bed: python -m testbed netns -- pytest tests/engines"
        )


def argo_controller(binary: Path, cluster: Cluster, metrics_port: int, settings: Mapping[str, str]) -> Part:
    """The Argo workflow controller. It reconciles a workflow at most once a second instead of every ten seconds.

    `settings` are additional environment variables.
    """
    return Part(
        "argo-workflow-controller",
        [
            binary,
            f"--kubeconfig={cluster.kubeconfig()}",
            f"--namespace={ARGO_NAMESPACE}",
            "--executor-image=sim/executor:1",
            "--qps=200",
            "--burst=400",
            "--loglevel=warn",
        ],
        f"http://127.0.0.1:{ARGO_HEALTH_PORT}/healthz",
        endpoint=("argo", f"http://127.0.0.1:{metrics_port}"),
        env={"LEADER_ELECTION_DISABLE": "true", "DEFAULT_REQUEUE_TIME": "1s", **settings},
    )


def tekton_controller(binary: Path, cluster: Cluster) -> Part:
    """The Tekton pipelines controller. With its default client rate twenty runs would delay each other."""
    metrics, probes = free_port(), free_port()
    images = [f"-{name if '-' in name else name + '-image'}=sim/{name}:1" for name in _TEKTON_IMAGES]
    return Part(
        "tekton-controller",
        [
            binary,
            "-disable-ha",
            "-kube-api-qps=200",
            "-kube-api-burst=400",
            "-threads-per-controller=8",
            *images,
        ],
        f"http://127.0.0.1:{metrics}/metrics",
        endpoint=("tekton", f"http://127.0.0.1:{metrics}"),
        env={
            "KUBECONFIG": str(cluster.kubeconfig()),
            "SYSTEM_NAMESPACE": TEKTON_NAMESPACE,
            "METRICS_PROMETHEUS_HOST": "127.0.0.1",
            "METRICS_PROMETHEUS_PORT": str(metrics),
            "PROBES_PORT": str(probes),
        },
    )


def tekton_webhook(binary: Path, cluster: Cluster, port: int) -> Part:
    """Tekton's webhook: defaults, validation and conversion between versions. It has separate ports, because the
    controller uses the default ones."""
    probes = free_port()
    return Part(
        "tekton-webhook",
        [binary, "-disable-ha"],
        f"http://127.0.0.1:{probes}/readiness",
        env={
            "KUBECONFIG": str(cluster.kubeconfig()),
            "SYSTEM_NAMESPACE": TEKTON_NAMESPACE,
            "WEBHOOK_PORT": str(port),
            "PROBES_PORT": str(probes),
            "PROFILING_PORT": str(free_port()),
            "METRICS_PROMETHEUS_HOST": "127.0.0.1",
            "METRICS_PROMETHEUS_PORT": str(free_port()),
            "CONFIG_LEADERELECTION_NAME": "config-leader-election-webhook",
        },
    )


def webhook_ready(cluster: Cluster) -> bool:
    """Whether Tekton's webhook has written its rules and its certificate to all configurations."""
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        for found in cluster.get(kind)["items"]:
            ready = all(w.get("rules") and w["clientConfig"].get("caBundle") for w in found["webhooks"])
            if found["metadata"]["name"].endswith("webhook.pipeline.tekton.dev") and not ready:
                return False
    conversions = [crd["spec"].get("conversion") or {} for crd in cluster.get("crd")["items"]]
    services = [
        (c.get("webhook") or {}).get("clientConfig") or {} for c in conversions if c.get("strategy") == "Webhook"
    ]
    return bool(services) and all(c.get("caBundle") for c in services)


def jobset_controller(binary: Path, cluster: Cluster, webhook_port: int) -> Part:
    """The JobSet controller with its webhooks on the loopback interface.

    Its built-in certificate management requires a Service and a Secret. The API server's self-signed pair is for the
    same address, and that server is the only client of the webhooks.
    """
    certificates = cluster.directory / "jobset-certificates"
    certificates.mkdir()
    shutil.copy(cluster.ca_file, certificates / "tls.crt")
    shutil.copy(cluster.ca_file.with_suffix(".key"), certificates / "tls.key")
    health = free_port()
    configuration = cluster.directory / "jobset-controller.yaml"  # JSON is YAML
    configuration.write_text(
        json.dumps(
            {
                "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
                "kind": "Configuration",
                "leaderElection": {"leaderElect": False},
                "internalCertManagement": {"enable": False},
                "webhook": {"host": "127.0.0.1", "port": webhook_port, "certDir": str(certificates)},
                "metrics": {"bindAddress": "0"},
                "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
            }
        )
    )
    return Part(
        "jobset-controller",
        [binary, f"--kubeconfig={cluster.kubeconfig()}", f"--config={configuration}", "--zap-log-level=error"],
        f"http://127.0.0.1:{health}/readyz",
    )
