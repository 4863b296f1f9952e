"""HTTPS of the dashboard in the cluster: a renewed certificate is served without a restart, a broken one is not."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from concertmaster.web.app import application
from concertmaster.web.auth.secret import Secret, SecretAuthenticator
from concertmaster.web.certificate import Certificate
from tests.support.web.server import memory, served


def make(directory: Path, name: str) -> None:
    """A self-signed certificate."""
    files = ("-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt"))
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, *files, *subject], check=True, capture_output=True)


def served_name(url: str) -> str:
    """The name in the certificate that is served."""
    host, _, port = url.removeprefix("http://").partition(":")
    pem = ssl.get_server_certificate((host, int(port)), timeout=30)
    found = subprocess.run(
        ["openssl", "x509", "-noout", "-subject"], input=pem, text=True, check=True, capture_output=True
    )
    return found.stdout.strip()


def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(tmp_path: Path) -> None:
    make(tmp_path, "first")
    certificate = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    app = application(SecretAuthenticator(memory(), Secret(), ""))
    with served(app, tls=certificate.context) as url:
        assert served_name(url).endswith("first")
        make(tmp_path, "second")
        certificate.renew()
        assert served_name(url).endswith("second")
        (tmp_path / "tls.key").write_text("broken")
        certificate.renew()
        assert served_name(url).endswith("second")
        (tmp_path / "tls.key").unlink()
        certificate.renew()
        assert served_name(url).endswith("second")


def test_files_that_cannot_be_used_are_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"tls\.crt"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    (tmp_path / "tls.crt").write_text("x")
    (tmp_path / "tls.key").write_text("x")
    with pytest.raises(OSError, match="PEM"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
