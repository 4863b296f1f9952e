"""Shared by the chart's tests: Helm, the operator run as in the installed Deployment, and the audit log.

No kubelet could pull an image, so the tests do its work: read the Deployment from the API server, get a token for its
ServiceAccount, write ConfigMap and Secrets to the files of the volumes, set the environment and start the container's
arguments. Only the paths are moved below a directory of the test.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from concertmaster.engines import ENGINES
from concertmaster.engines.graph.traits import GRAPH
from testbed.install.build import ensure
from testbed.ports import free_port
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import any_content
from tests.support.cluster.operator_bed import Operator

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "concertmaster"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


_PATIENCE = 400
"""Seconds for one command of Helm: an API server now and then needs minutes to forget a kind, and Helm waits for that."""


class HelmError(AssertionError):
    """Helm failed; the message is its output."""


class _Strict(yaml.SafeLoader):
    """YAML without a key that is written twice, as the API server's strict decoding has it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        assert not twice, f"{twice} written twice, {node.start_mark}"
        return super().construct_mapping(node, deep)


def objects_of(text: str) -> list[Any]:
    """The objects of rendered templates."""
    return [document for document in yaml.load_all(text, _Strict) if document]


class Helm:
    """The real Helm for one cluster, with its own directories."""

    def __init__(self, directory: Path, kubeconfig: Path | None = None) -> None:
        self._binary = ensure(["helm"], lambda _: None)["helm"]
        self._directory = directory
        self._kubeconfig = kubeconfig

    def run(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run Helm; returns its output and exit code."""
        environment = {
            **os.environ,
            **{
                f"HELM_{kind}_HOME": str(self._directory / f"helm-{kind.lower()}")
                for kind in ("CACHE", "CONFIG", "DATA")
            },
            "KUBECONFIG": str(self._kubeconfig or self._directory / "none"),
        }
        return subprocess.run(
            [str(self._binary), *arguments],
            env=environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )

    def __call__(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Output of Helm; raises HelmError if it fails. ``values`` are passed as a file."""
        more = ("--values", "-") if values is not None else ()
        answer = self.run(*arguments, *more, input=json.dumps(values) if values is not None else None)
        if answer.returncode != 0:
            raise HelmError(answer.stderr.strip() or answer.stdout.strip())
        return answer.stdout

    def template(self, values: Mapping[str, Any] | None = None, *, chart: Path = CHART, name: str = "cm") -> list[Any]:
        """All rendered objects."""
        return objects_of(self("template", name, str(chart), "--namespace", "ops", values=values or {}))


def find(objects: list[Any], kind: str, name: str | None = None) -> dict[str, Any]:
    """The only rendered object of that kind (and name)."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return dict(found[0])


@dataclass(frozen=True)
class Call:
    """One request in the API server's audit log."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int
    uri: str


class Audit:
    """The API server's audit log of requests by service accounts."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "audit.log"
        self._policy = directory / "audit-policy.yaml"
        self._policy.write_text(yaml.safe_dump(AUDIT_POLICY))

    def arguments(self) -> list[str]:
        """Flags of the API server."""
        return [f"--audit-policy-file={self._policy}", f"--audit-log-path={self.log}", "--audit-log-mode=blocking"]

    def calls(self, namespace: str, account: str) -> list[Call]:
        """All requests of that service account."""
        user = f"system:serviceaccount:{namespace}:{account}"
        found = []
        for line in self.log.read_text().splitlines():
            entry = json.loads(line)
            if entry["user"]["username"] != user:
                continue
            ref = entry.get("objectRef") or {}
            resource = ref.get("resource", "")
            if ref.get("subresource"):
                resource += f"/{ref['subresource']}"
            found.append(
                Call(
                    entry["verb"],
                    ref.get("apiGroup", ""),
                    resource,
                    ref.get("namespace", ""),
                    ref.get("name", ""),
                    (entry.get("responseStatus") or {}).get("code", 0),
                    entry["requestURI"],
                )
            )
        return found


@dataclass
class Bed:
    """One cluster with Helm and its audit log."""

    plane: ControlPlane
    cluster: Cluster
    helm: Helm
    audit: Audit
    directory: Path

    def namespace(self, name: str) -> str:
        """A new namespace."""
        self.cluster.kubectl("create", "namespace", name)
        return name

    def install(self, release: str, namespace: str, values: Mapping[str, Any], *arguments: str) -> str:
        """``helm install`` of the chart, adopting kinds left by an earlier release; returns Helm's output."""
        fixed = ("--namespace", namespace, "--take-ownership")
        return self.helm("install", release, str(CHART), *fixed, *arguments, values=values)

    def remove(self, release: str, namespace: str) -> None:
        """``helm uninstall``, waiting for the deletion of the objects; a release that does not exist is no error."""
        self.helm.run("uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait")


def source(url: str, **more: Any) -> dict[str, Any]:
    """A metrics source for the chart's values."""
    return {"name": "default", "url": url, "delaySeconds": 5, **more}


def _write_volumes(cluster: Cluster, namespace: str, pod: Mapping[str, Any], root: Path) -> None:
    """Write the files that a kubelet would mount into the container."""
    mounts = {m["name"]: root / m["mountPath"].lstrip("/") for m in pod["containers"][0]["volumeMounts"]}
    for volume in pod["volumes"]:
        target = mounts[volume["name"]]
        target.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume:
            found = cluster.get("configmap", volume["configMap"]["name"], "-n", namespace)
            for key, text in found["data"].items():
                (target / key).write_text(text)
        for part in (volume.get("projected") or {}).get("sources", ()):
            ((kind, wanted),) = part.items()
            found = cluster.get(kind.lower(), wanted["name"], "-n", namespace)
            for item in wanted["items"]:
                text = found["data"][item["key"]]
                content = base64.b64decode(text) if kind == "secret" else text.encode()
                (target / item["path"]).write_bytes(content)


def _environment(container: Mapping[str, Any], pod: str, namespace: str) -> dict[str, str]:
    fields = {"metadata.name": pod, "metadata.namespace": namespace}
    return {
        e["name"]: e["value"] if "value" in e else fields[e["valueFrom"]["fieldRef"]["fieldPath"]]
        for e in container["env"]
    }


@contextmanager
def deployed(
    bed: Bed,
    release: str,
    namespace: str,
    root: Path,
    *,
    pod: str = "concertmaster-0",
    python: Sequence[str] = (sys.executable,),
    environment: Mapping[str, str] | None = None,
    server: str | None = None,
    address: str = "127.0.0.1",
) -> Iterator[Operator]:
    """The operator of an installed release as a process. ``root`` replaces the container's root directory.

    ``python`` and ``environment`` are those of the image; without them the source directory is used. ``server`` is
    another address of the API server, ``address`` the one to listen on.
    """
    cluster = bed.cluster
    deployment = find(
        cluster.get("deployment", "-n", namespace, "-l", f"app.kubernetes.io/instance={release}")["items"], "Deployment"
    )
    spec = deployment["spec"]["template"]["spec"]
    container = spec["containers"][0]
    _write_volumes(cluster, namespace, spec, root)
    file = root / container["args"][-1].lstrip("/")
    port = free_port()
    text = file.read_text()
    for path in ("/etc/concertmaster", "/var/lib/concertmaster"):
        text = text.replace(path, f"{root}{path}")
    config = yaml.safe_load(text)
    config["listen"] = {"address": address, "port": port}
    # A copy next to the original: the volume itself is read-only for the container.
    moved = root / f"{pod}.yaml"
    moved.write_text(yaml.safe_dump(config))
    log = root / f"{pod}-{time.monotonic_ns()}.log"
    kubeconfig = cluster.kubeconfig(service_account=spec["serviceAccountName"], namespace=namespace)
    if server is not None:
        changed = json.loads(kubeconfig.read_text())
        (there,) = changed["clusters"]
        there["cluster"] = {**(there["cluster"] if server.startswith("https:") else {}), "server": server}
        kubeconfig = root / f"{pod}.kubeconfig"
        kubeconfig.write_text(json.dumps(changed))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*python, "-m", "concertmaster", *container["args"][:-1], str(moved)],
            env={
                "PATH": "/usr/bin:/bin",
                **(environment or {"PYTHONPATH": str(ROOT / "operator")}),
                "HOME": str(root),
                "KUBECONFIG": str(kubeconfig),
                **_environment(container, pod, namespace),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=root,
        )
    try:
        yield Operator(process, port, log, moved)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=5)


ENGINE_KINDS = {
    (kind.group, kind.kind): kind
    for engine in ENGINES
    if engine.traits != GRAPH
    for kind in (*engine.traits.kinds, *(k for r in engine.run_kinds for k in (r.object, r.children) if k is not None))
}.values()
OTHER_KINDS = (
    any_content("kueue.x-k8s.io", "v1", "Workload", "workloads"),
    any_content("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    any_content("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    *(
        any_content(kind.group, kind.version, kind.kind, kind.plural, namespaced=kind.namespaced)
        for kind in ENGINE_KINDS
        if "." in kind.group  # those that Kubernetes does not serve itself
    ),
)


def promql_of(text: str, values: Mapping[str, str]) -> str:
    """A dashboard expression with values for Grafana's variables."""
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    assert not re.search(r"\$[a-zA-Z_]", text), f"a variable is left in {text}"
    return text
