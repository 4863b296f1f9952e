"""Objects that the engines' controllers require in the API server: CRDs and configuration from their Go modules.

The manifests of the pinned version are copied into the cache when the controllers are built, because tests may run
without network access.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from testbed.install.build import cache_dir, module_source, sources
from testbed.install.components import ARGO_V4, BY_NAME
from testbed.locking import locked

ARGO_NAMESPACE = "argo"
TEKTON_NAMESPACE = "tekton-pipelines"
JOBSET_LABEL = "jobset.sigs.k8s.io/jobset-name"

_ARGO_CRDS = ("manifests/base/crds", ("minimal/*.yaml", "full/*.yaml"))
_JOBSET = ("config/components", ("crd/bases/*.yaml", "webhook/manifests.yaml"))
# Component -> (module, directory of its manifests, files to copy). A component built from an archive has no module.
_SOURCES = {
    "argo-workflow-controller": ("github.com/argoproj/argo-workflows/v3", *_ARGO_CRDS),
    ARGO_V4: ("", *_ARGO_CRDS),
    "tekton-controller": ("github.com/tektoncd/pipeline", "config", ("300-crds/*.yaml", "config-*.yaml")),
    "tekton-webhook": ("github.com/tektoncd/pipeline", "config", ("500-webhooks.yaml",)),
    "jobset-controller": ("sigs.k8s.io/jobset", *_JOBSET),
    "jobset-controller-newest": ("sigs.k8s.io/jobset", *_JOBSET),
    "kueue-controller": ("sigs.k8s.io/kueue", *_JOBSET),
    "kuberay-operator": ("github.com/ray-project/kuberay/ray-operator", "config/crd/bases", ("*.yaml",)),
}


def fetch(name: str) -> Path:
    """Directory with the manifests of a controller, copied from its module the first time.

    Raises ValueError for a component without manifests, BuildError if its module is unavailable.
    """
    if name not in _SOURCES:
        raise ValueError(f"{name} has no manifests; only {', '.join(_SOURCES)} have")
    module, below, patterns = _SOURCES[name]
    cache = cache_dir()
    target = cache / "manifests" / f"{name}-{BY_NAME[name].version}"
    with locked(cache / "locks" / f"manifests-{name}", f"manifests of {name}", lambda _: None):
        if not target.exists():
            component = BY_NAME[name]
            source = (sources(component) if component.archive else module_source(component, module)) / below
            partial = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.rmtree(partial, ignore_errors=True)
            for pattern in patterns:
                for file in sorted(source.glob(pattern)):
                    copy = partial / file.relative_to(source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(file.read_bytes())  # without the read-only mode of the module cache
            partial.rename(target)
    return target


def has_manifests(name: str) -> bool:
    """Whether a component needs manifests besides its binary."""
    return name in _SOURCES


def _objects(files: list[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        # The C parser, as the full schemas are several megabytes.
        yield from filter(None, yaml.load_all(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def argo_crds(*, full: bool = False, component: str = "argo-workflow-controller") -> list[dict[str, Any]]:
    """CRDs of Argo Workflows: with `full` including every field in the schema, else accepting any content."""
    directory = fetch(component) / ("full" if full else "minimal")
    return [o for o in _objects(sorted(directory.glob("argoproj*.yaml"))) if o["kind"] == "CustomResourceDefinition"]


def argo_configuration(metrics_port: int, archive: tuple[int, str, str] | None = None) -> list[dict[str, Any]]:
    """Namespace and configuration of the Argo controller; metrics over plain HTTP. ``archive``: port, user and password of
    a PostgreSQL server on the loopback interface in whose database `postgres` finished Workflows are archived."""
    data = {"metricsConfig": f"{{secure: false, port: {metrics_port}}}"}
    objects: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO_NAMESPACE}}]
    if archive is not None:
        port, user, password = archive
        secret = "argo-postgres"
        database = {
            "host": "127.0.0.1",
            "port": port,
            "database": "postgres",
            "tableName": "argo_workflows",
            "userNameSecret": {"name": secret, "key": "username"},
            "passwordSecret": {"name": secret, "key": "password"},
        }
        data["persistence"] = json.dumps({"archive": True, "postgresql": database})
        credentials = {"username": user, "password": password}
        meta = {"name": secret, "namespace": ARGO_NAMESPACE}
        objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": credentials})
    meta = {"name": "workflow-controller-configmap", "namespace": ARGO_NAMESPACE}
    return [*objects, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}]


def tekton_crds(webhook_port: int | None = None) -> list[dict[str, Any]]:
    """CRDs of Tekton Pipelines. Without a webhook only the stored version is served."""
    crds = list(_objects(sorted((fetch("tekton-controller") / "300-crds").glob("*.yaml"))))
    for crd in crds:
        if "conversion" not in crd["spec"]:
            continue
        if webhook_port is None:
            crd["spec"]["conversion"] = {"strategy": "None"}
        else:
            crd["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["port"] = webhook_port
    return crds


def tekton_webhooks(port: int) -> list[dict[str, Any]]:
    """The webhook's Secret and configurations, as shipped, and a Service that routes the API server to the loopback
    interface. The webhook itself writes its rules and certificate."""
    objects = list(_objects([fetch("tekton-webhook") / "500-webhooks.yaml"]))
    for configuration in objects:
        for webhook in configuration.get("webhooks") or ():
            webhook["clientConfig"]["service"]["port"] = port
    meta = {"name": "tekton-pipelines-webhook", "namespace": TEKTON_NAMESPACE}
    spec = {"type": "ExternalName", "externalName": "localhost"}
    return [{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}, *objects]


def tekton_configuration(*, webhook: bool = False) -> list[dict[str, Any]]:
    """Namespace and ConfigMaps of the Tekton controller, and of its webhook, as shipped, with metrics enabled."""
    result: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEKTON_NAMESPACE}}]
    for config in _objects(sorted(fetch("tekton-controller").glob("config-*.yaml"))):
        if config["kind"] != "ConfigMap" or ("webhook" in config["metadata"]["name"] and not webhook):
            continue
        config["data"] = {key: value for key, value in (config.get("data") or {}).items() if key != "_example"}
        if config["metadata"]["name"] == "config-observability":
            config["data"]["metrics-protocol"] = "prometheus"  # only read at startup
        result.append(config)
    return result


def jobset_crds(component: str = "jobset-controller") -> list[dict[str, Any]]:
    """The CRD of JobSets."""
    return list(_objects(sorted((fetch(component) / "crd" / "bases").glob("*.yaml"))))


def kuberay_crds() -> list[dict[str, Any]]:
    """The CRDs of KubeRay."""
    return list(_objects(sorted(fetch("kuberay-operator").glob("*.yaml"))))


def jobset_webhooks(url: str, authority: Path, component: str = "jobset-controller") -> list[dict[str, Any]]:
    """The controller's webhooks with ``url`` instead of a Service; ``authority`` is the CA of its certificate.

    They set the defaults of JobSets. As in the released manifests, the ones for pods only match pods of JobSets.
    """
    configurations = list(_objects([fetch(component) / "webhook" / "manifests.yaml"]))
    for configuration in configurations:
        configuration["metadata"]["name"] = f"jobset-{configuration['metadata']['name']}"
        for webhook in configuration["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            bundle = base64.b64encode(authority.read_bytes()).decode()
            webhook["clientConfig"] = {"url": f"{url}{path}", "caBundle": bundle}
            if path.endswith("-pod"):
                webhook["objectSelector"] = {"matchExpressions": [{"key": JOBSET_LABEL, "operator": "Exists"}]}
    return configurations
