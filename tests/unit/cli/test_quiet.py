"""What a command prints on stderr is its own: never a warning of the HTTP transport."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.local_server import QuietHandler, local_server

# How the transport speaks: InsecureRequestWarning, "Retrying (Retry(total=2 ...", "Connection pool is full ..."
NOISE = ("urllib3", "InsecureRequestWarning", "Unverified HTTPS", "Retrying", "Connection pool", "connectionpool")


class _Lists(QuietHandler):
    """An empty list, after one answer that asks to come back."""

    refused = 0

    def do_GET(self) -> None:
        busy = type(self).refused < 1
        type(self).refused += 1
        body = json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}).encode()
        self.answer(503 if busy else 200, body, {"Content-Type": "application/json"})


@pytest.fixture
def unverified(tmp_path: Path) -> Iterator[str]:
    """A server whose certificate nobody signed."""
    files = ("-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt"))
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=self", "-days", "2")
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with local_server(_Lists, context) as address:
        yield address


def kubeconfig(directory: Path, url: str) -> Path:
    """One cluster whose certificate is not checked."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "demo"}}],
    }
    file = directory / "config"
    file.write_text(yaml.safe_dump(config))
    return file


def called(config: Path, program: tuple[str, ...] = ("-m", "concertmaster")) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *program, "top", "--kubeconfig", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_an_unchecked_certificate_and_a_busy_server_are_no_warnings(unverified: str, tmp_path: Path) -> None:
    _Lists.refused = 0
    result = called(kubeconfig(tmp_path, unverified))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("No recommendations: no WorkflowProfile was found.")


def test_without_the_silence_there_would_be_a_warning(unverified: str, tmp_path: Path) -> None:
    """What the test above rests on."""
    loud = (
        "import sys, concertmaster.cli as c; c.silence_urllib3 = lambda: None; sys.argv[0] = 'concertmaster'; c.main()"
    )
    result = called(kubeconfig(tmp_path, unverified), ("-c", loud))
    assert any(noise in result.stderr for noise in NOISE)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = called(kubeconfig(tmp_path, "https://127.0.0.1:9"))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("check --kubeconfig and --context: kubectl cluster-info must work")
    assert not any(noise in line for noise in NOISE)


OPERATOR = """
import sys
from pathlib import Path
from concertmaster.controller.reporting import json_logging
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import PROFILES
{before}
json_logging.configure_logging()
for _ in range(2):
    list(KubeClient.connect(Path(sys.argv[1])).items(PROFILES.path(None)))
json_logging.logging.getLogger("concertmaster").info("listed")
"""


@pytest.mark.parametrize("quiet", [True, False], ids=["as it is", "without the silence"])
def test_the_log_of_the_operator_has_its_own_lines_only(unverified: str, tmp_path: Path, quiet: bool) -> None:
    _Lists.refused = 0
    program = OPERATOR.format(before="" if quiet else "json_logging.silence_urllib3 = lambda: None")
    words = [sys.executable, "-c", program, str(kubeconfig(tmp_path, unverified))]
    log = subprocess.run(words, capture_output=True, text=True, timeout=240, check=True).stderr
    assert any(noise in log for noise in NOISE) is not quiet, log
    if quiet:
        assert [json.loads(line)["logger"] for line in log.splitlines()] == ["concertmaster"]
