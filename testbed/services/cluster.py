"""Client access to a test-bed cluster: address, credentials and kubectl.

Separate from the processes (`testbed.services.controlplane`), because test workers use a cluster that another process runs.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.process import TestbedError

ADMIN = "admin"


class KubectlError(TestbedError):
    """kubectl failed; `stderr` is its error output."""

    def __init__(self, arguments: tuple[str, ...], stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} failed: {stderr.strip()}")
        self.stderr = stderr


@dataclass(slots=True)
class Cluster:
    """A running API server.

    `tokens` maps user names to bearer tokens, `endpoints` maps part names (`prometheus`, `kube-state-metrics`,
    `cadvisor`) to base URLs; `directory` is for generated kubeconfig files.
    """

    directory: Path
    server: str
    ca_file: Path
    tokens: dict[str, str]
    kubectl_path: Path
    endpoints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def attach(cls, state: Path) -> Cluster:
        """The cluster whose `save` wrote `state`; raises TestbedError if there is none."""
        try:
            data = json.loads(state.read_text())
            return cls(
                directory=Path(data["directory"]),
                server=data["server"],
                ca_file=Path(data["ca_file"]),
                tokens=data["tokens"],
                kubectl_path=Path(data["kubectl_path"]),
                endpoints=data["endpoints"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TestbedError(f"{state} does not describe a running test bed: {error}") from error

    def save(self, state: Path) -> None:
        """Write the file that `attach` reads, atomically: a reader never sees a partial file."""
        data = {
            "directory": str(self.directory),
            "server": self.server,
            "ca_file": str(self.ca_file),
            "tokens": self.tokens,
            "kubectl_path": str(self.kubectl_path),
            "endpoints": self.endpoints,
        }
        partial = state.with_name(f".{state.name}.partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(data, indent=2))
        partial.rename(state)

    def kubeconfig(self, user: str = ADMIN, *, service_account: str | None = None, namespace: str = "default") -> Path:
        """A kubeconfig file for a known user, or for a ServiceAccount of `namespace` (its token is valid for a day).

        `namespace` is the default namespace of the context. Raises TestbedError for an unknown user.
        """
        name = f"{namespace}-sa-{service_account}" if service_account else f"{namespace}-{user}"
        path = self.directory / f"kubeconfig-{name.replace('/', '_').replace(':', '_')}"
        if path.exists() and not service_account:
            return path
        if service_account:
            token = self.kubectl("create", "token", service_account, "-n", namespace, "--duration=24h").strip()
        elif user in self.tokens:
            token = self.tokens[user]
        else:
            raise TestbedError(f"the test bed has no user {user!r}; it knows {', '.join(self.tokens)}")
        path.touch(mode=0o600)
        path.write_text(json.dumps(render_kubeconfig(self.server, self.ca_file, token, name, namespace), indent=2))
        return path

    def run_kubectl(
        self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return its output and exit code; for calls that are expected to fail."""
        config = kubeconfig or self.kubeconfig()
        # A discovery cache per cluster: the default one is keyed by address and outlives the cluster.
        fixed = [f"--kubeconfig={config}", f"--cache-dir={self.directory / 'kubectl-cache'}"]
        return subprocess.run(
            [str(self.kubectl_path), *fixed, *arguments],
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def kubectl(
        self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None, timeout: float = 300
    ) -> str:
        """Output of `kubectl *arguments`, as admin unless a kubeconfig is given; raises KubectlError if it fails."""
        until = time.monotonic() + timeout
        answer = self.run_kubectl(*arguments, input=input, kubeconfig=kubeconfig, timeout=timeout)
        while answer.returncode != 0 and _passing(arguments, answer.stderr) and time.monotonic() < until:
            time.sleep(0.2)
            answer = self.run_kubectl(*arguments, input=input, kubeconfig=kubeconfig, timeout=timeout)
        if answer.returncode != 0:
            raise KubectlError(arguments, answer.stderr)
        return answer.stdout

    def get(self, *arguments: str) -> Any:
        """`kubectl get ... -o json`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *documents: Mapping[str, Any], namespace: str | None = None, validate: bool = True) -> str:
        """Create or update objects given as dictionaries. ``validate``: reject fields that no schema contains; kubectl
        then reads all schemas first, which takes half a minute on a busy server with the full CRDs of an engine."""
        scope = ("-n", namespace) if namespace else ()
        scope = scope if validate else (*scope, "--validate=false")
        listing = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        return self.kubectl("apply", "--server-side", *scope, "-f", "-", input=json.dumps(listing))


def _passing(arguments: tuple[str, ...], stderr: str) -> bool:
    """Whether an error is transient: ``kubectl wait`` fails for an object too new to have conditions, and a busy API
    server times out on a large schema that it returns at the next attempt."""
    if arguments[0] == "apply" and "--server-side" in arguments:
        return any(sign in stderr for sign in ("request did not complete within requested timeout", "Client.Timeout"))
    return "conditions accessor error" in stderr


def render_kubeconfig(server: str, ca_file: Path, token: str, name: str, namespace: str) -> dict[str, Any]:
    """A kubeconfig with one context; the certificate authority is embedded, so that the file can be moved."""
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "testbed", "user": name, "namespace": namespace}}],
        "current-context": name,
    }
