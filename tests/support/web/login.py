"""A proxy that signs users in and forwards their token, as oauth2-proxy does with ``--pass-authorization-header``.

Only the login differs: users are selected by name, without an issuer. Sessions are cookies; an Authorization header of
the browser is never forwarded.
"""

from __future__ import annotations

import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.support.web.local_server import local_server

SIGN_IN = "/oauth2/sign_in"
COOKIE = "_oauth2_proxy"
_FORM = (
    f'<!doctype html><title>Sign in</title><form action="{SIGN_IN}"><input name="as"><button>Sign in</button></form>'
)
_KEPT = ("content-type", "content-security-policy", "cache-control", "set-cookie")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:  # type: ignore[override]
        return None


@contextmanager
def login(upstream: str, tokens: Mapping[str, str], trust: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve ``upstream`` to users signed in as one of ``tokens``; yields the URL."""
    sessions: dict[str, str] = {}
    https = [urllib.request.HTTPSHandler(context=trust)] if trust is not None else []
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}), *https)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            given = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
            token = sessions.get(given.value) if given is not None else None
            if path == SIGN_IN:
                who = tokens.get(query.get("as", [""])[0])
                if who is None:
                    return self._answer(200, {"Content-Type": "text/html"}, _FORM.encode())
                session = secrets.token_urlsafe()
                sessions[session] = who
                cookie = f"{COOKIE}={session}; HttpOnly; SameSite=Lax; Path=/"
                return self._answer(302, {"Location": "/", "Set-Cookie": cookie})
            if token is None:
                return self._answer(302, {"Location": SIGN_IN})
            request = urllib.request.Request(upstream + self.path, headers={"Authorization": f"Bearer {token}"})
            try:
                with opener.open(request, timeout=60) as found:
                    code, headers, body = found.status, found.headers, found.read()
            except urllib.error.HTTPError as error:
                with error:
                    code, headers, body = error.code, error.headers, error.read()
            return self._answer(code, {k: v for k, v in headers.items() if k.lower() in _KEPT}, body)

        def _answer(self, code: int, headers: Mapping[str, str], body: bytes = b"") -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with local_server(Handler) as address:
        yield address
