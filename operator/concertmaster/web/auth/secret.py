"""Authentication of ``concertmaster dashboard``: a secret that only its starter knows.

The dashboard acts with the rights of whoever started it, on a port that every process of the machine can reach, and any
web site open in the same browser can send requests there. So a secret opens it; the Host header must name the loopback, or a
site could rebind its own name to it; and nothing but reading exists.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import NoReturn

from aiohttp import web

from concertmaster.web.readers import Reader

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Secret:
    """What opens the dashboard: given once in the URL, then kept in a cookie that scripts cannot read."""

    value: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = "concertmaster"

    def opens(self, given: str | None) -> bool:
        """Whether it is the secret; compared in constant time."""
        return given is not None and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.value.encode())


@dataclass(frozen=True, slots=True)
class SecretAuthenticator:
    """Whoever has the secret reads what ``own`` gives."""

    own: Reader
    secret: Secret
    whose: str

    async def reader(self, request: web.Request) -> Reader:
        """See ``Authenticator``."""
        host = (request.host or "").rpartition(":")[0] or request.host or ""
        if host not in LOOPBACK and request.host not in LOOPBACK:
            raise web.HTTPMisdirectedRequest(text="The dashboard answers on the loopback address only.\n")
        given = request.query.get("token")
        if given is not None and self.secret.opens(given):
            self._enter(request)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.secret.opens(request.cookies.get(self.secret.cookie)) and not self.secret.opens(bearer):
            raise web.HTTPForbidden(text="Open the address that kubectl concertmaster dashboard printed.\n")
        return self.own

    def _enter(self, request: web.Request) -> NoReturn:
        """Move the secret from the address, which is shown and remembered, into a cookie."""
        rest = request.rel_url.without_query_params("token")
        answer = web.HTTPSeeOther(str(rest))
        answer.set_cookie(self.secret.cookie, self.secret.value, httponly=True, samesite="Strict", path="/")
        raise answer
