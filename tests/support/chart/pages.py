"""The dashboard of an installed release: run as in its Deployment, with requests that use tokens of the cluster."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.chart.bed import ROOT, Bed
from tests.support.cluster.operator_bed import wait_for


@dataclass(frozen=True)
class Pages:
    """A running dashboard."""

    url: str
    trust: ssl.SSLContext

    def get(self, path: str, token: str = "", **headers: str) -> tuple[int, str]:
        """Status and body."""
        sent = ({"Authorization": f"Bearer {token}"} if token else {}) | headers
        request = urllib.request.Request(self.url + path, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self.trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path: str, token: str) -> Any:
        """The JSON body of a response that must be 200."""
        status, text = self.get(path, token)
        assert status == 200, text
        return json.loads(text)


def certificate(bed: Bed, namespace: str, directory: Path) -> Path:
    """A self-signed certificate for the loopback address as the Secret ``web-tls``; returns its file."""
    files = ("-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt"))
    subject = ("-subj", "/CN=dashboard", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, *files, *subject], check=True, capture_output=True)
    pair = (f"--cert={directory / 'tls.crt'}", f"--key={directory / 'tls.key'}")
    bed.cluster.kubectl("create", "secret", "tls", "web-tls", "-n", namespace, *pair)
    return directory / "tls.crt"


@contextmanager
def pages(bed: Bed, namespace: str, directory: Path, *, server: str | None = None) -> Iterator[Pages]:
    """Run the container's command with the ServiceAccount's token; ``server`` is another address of the API server.
    ``directory`` contains the files that would be mounted from its Secret."""
    deployment = bed.cluster.get("deployment", "-n", namespace, "-l", "app.kubernetes.io/component=web")["items"][0]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    account = bed.cluster.kubeconfig(service_account=pod["serviceAccountName"], namespace=namespace)
    if server is not None:
        changed = json.loads(account.read_text())
        changed["clusters"][0]["cluster"] = {"server": server}
        account = directory / "web.kubeconfig"
        account.write_text(json.dumps(changed))
    arguments = [a.replace("/etc/concertmaster/tls", str(directory)) for a in container["args"]]
    arguments = [a for a in arguments if not a.startswith("--port=")]
    more = ("--port=0", "--address=127.0.0.1", f"--kubeconfig={account}")
    log = directory / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "concertmaster", *arguments, *more],
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator")}, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        found = wait_for("the port", lambda: re.search(r"127\.0\.0\.1:(\d+) \((HTTPS?)\)", log.read_text()))
        trust = ssl.create_default_context(cafile=str(directory / "tls.crt")) if found[2] == "HTTPS" else None
        running = Pages(f"{found[2].lower()}://127.0.0.1:{found[1]}", trust or ssl.create_default_context())
        wait_for("the first list", lambda: running.get("/readyz")[0] == 200)
        yield running
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(15)


def reader(bed: Bed, namespace: str, name: str, *places: str, role: str) -> None:
    """A ServiceAccount of ``namespace`` that may read ``places`` by a ClusterRole."""
    bed.cluster.kubectl("create", "serviceaccount", name, "-n", namespace)
    for place in places:
        subject = (f"--clusterrole={role}", f"--serviceaccount={namespace}:{name}")
        bed.cluster.kubectl("create", "rolebinding", f"{namespace}-{name}", "-n", place, *subject)


def token(bed: Bed, namespace: str, name: str, *audiences: str) -> str:
    """A token of a ServiceAccount."""
    wanted = [f"--audience={a}" for a in audiences]
    return bed.cluster.kubectl("create", "token", name, "-n", namespace, "--duration=1h", *wanted).strip()


def resigned(given: str, key: Path, shift: float) -> str:
    """The same token, as the API server would have signed it ``shift`` seconds earlier."""
    head, body, _ = given.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims |= {name: int(claims[name] - shift) for name in ("exp", "iat", "nbf")}
    text = f"{head}.{_packed(json.dumps(claims).encode())}"
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(key)], input=text.encode(), check=True, capture_output=True
    )
    return f"{text}.{_packed(made.stdout)}"


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
