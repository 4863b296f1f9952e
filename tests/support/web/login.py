"""A proxy that signs users in and forwards their token, as oauth2-proxy does with ``--pass-authorization-header``.

Only the login differs: users are selected by name, without an issuer. Sessions are cookies; an Authorization header of
the browser is never forwarded.
"""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from tests.support.local_server import QuietHandler, local_server

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
def login(upstream: str, tokens: Mapping[str, str]) -> Iterator[str]:
    """Serve ``upstream`` to users signed in as one of ``tokens``; yields the URL."""
    sessions: dict[str, str] = {}
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            given = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
            token = sessions.get(given.value) if given is not None else None
            if path == SIGN_IN:
                who = tokens.get(query.get("as", [""])[0])
                if who is None:
                    return self.answer(200, _FORM.encode(), {"Content-Type": "text/html"})
                session = secrets.token_urlsafe()
                sessions[session] = who
                cookie = f"{COOKIE}={session}; HttpOnly; SameSite=Lax; Path=/"
                return self.answer(302, headers={"Location": "/", "Set-Cookie": cookie})
            if token is None:
                return self.answer(302, headers={"Location": SIGN_IN})
            request = urllib.request.Request(upstream + self.path, headers={"Authorization": f"Bearer {token}"})
            try:
                with opener.open(request, timeout=60) as found:
                    code, headers, body = found.status, found.headers, found.read()
            except urllib.error.HTTPError as error:
                with error:
                    code, headers, body = error.code, error.headers, error.read()
            return self.answer(code, body, {k: v for k, v in headers.items() if k.lower() in _KEPT})

    with local_server(Handler) as address:
        yield address
