"""A small OpenID Connect issuer on the loopback interface, which signs in the configured ``person`` without
interaction.

Only the code flow and refresh tokens, for one client. The key of its certificate signs the ID tokens.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.local_server import QuietHandler, local_server

CLIENT, SECRET = "concertmaster", "not-a-secret"


@dataclass
class Issuer:
    """``person``: claims of the next sign-in. ``lifetime``: seconds of issued ID tokens. ``refreshes``: whether refresh
    tokens are issued; ``refreshed``: how often one was used."""

    directory: Path
    url: str = ""
    person: Mapping[str, Any] = field(default_factory=dict)
    lifetime: float = 3600.0
    refreshes: bool = True
    refreshed: int = 0
    _codes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def certificate(self) -> Path:
        """The certificate that clients trust."""
        return self.directory / "issuer.crt"

    @property
    def key(self) -> Path:
        """The private key of certificate and tokens."""
        return self.directory / "issuer.key"

    def id_token(self, **claims: Any) -> str:
        """A signed token with the default claims, overridden by these."""
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "kid": "only"}
        usual = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": int(now + self.lifetime), "email_verified": True}
        text = ".".join(_packed(json.dumps(part).encode()) for part in (head, usual | claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signed = subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        return f"{text}.{_packed(signed.stdout)}"

    def discovery(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, Any]:
        """The public key as JSON Web Key Set."""
        command = ["openssl", "rsa", "-in", str(self.key), "-noout", "-modulus"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        modulus = bytes.fromhex(output.strip().partition("=")[2])
        return {
            "keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "only", "n": _packed(modulus), "e": "AQAB"}]
        }

    def authorize(self, query: Mapping[str, str]) -> str:
        """Sign in ``person``; returns the redirect URL with the code."""
        assert query["client_id"] == CLIENT and query["response_type"] == "code"
        code = secrets.token_urlsafe()
        self._codes[code] = dict(self.person) | ({"nonce": query["nonce"]} if "nonce" in query else {})
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """Tokens for a code or a refresh token, each valid once; None for an unknown one."""
        renewing = form["grant_type"] == "refresh_token"
        person = self._codes.pop(form["refresh_token" if renewing else "code"], None)
        if person is None or form.get("client_secret", SECRET) != SECRET:
            return None
        self.refreshed += renewing
        found = {
            "access_token": secrets.token_urlsafe(),
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "id_token": self.id_token(**person),
        }
        if self.refreshes:
            found["refresh_token"] = again = secrets.token_urlsafe()
            self._codes[again] = {name: value for name, value in person.items() if name != "nonce"}
        return found


@contextmanager
def issuer(directory: Path) -> Iterator[Issuer]:
    """Run an issuer; its files are in ``directory``."""
    made = Issuer(directory)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(made.key),
         "-out", str(made.certificate), "-subj", "/CN=issuer", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"],
        check=True, capture_output=True,
    )  # fmt: skip

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, _single(urlsplit(self.path).query)
            if path == "/authorize":
                self.answer(302, headers={"Location": made.authorize(query)})
            else:
                found = {"/.well-known/openid-configuration": made.discovery, "/keys": made.keys}.get(path)
                self._send(found() if found is not None else None)

        def do_POST(self) -> None:
            self._send(made.token(_single(self.content().decode())))

        def _send(self, document: Mapping[str, Any] | None) -> None:
            body = json.dumps(document or {"error": "invalid_grant"}).encode()
            self.answer(200 if document is not None else 400, body, {"Content-Type": "application/json"})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with local_server(Handler, context) as made.url:
        yield made


def _single(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
