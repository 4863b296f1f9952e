"""Who may talk to the dashboard, and what a browser may do with its pages.

The dashboard acts with the rights of whoever started it, on a port that every process of the machine can reach, and any web
site open in the same browser can send requests there. So a secret that only its starter knows opens it; the Host header must
name the loopback, or a site could rebind its own name to it; and nothing but reading exists.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MOST_QUERY = 4096  # characters


@dataclass(frozen=True, slots=True)
class Secret:
    """What opens the dashboard: given once in the URL, then kept in a cookie that scripts cannot read."""

    value: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = "concertmaster"

    def opens(self, given: str | None) -> bool:
        """Whether it is the secret; compared in constant time."""
        return given is not None and hmac.compare_digest(given.encode(), self.value.encode())


def guard(secret: Secret | None) -> Middleware:
    """The middleware that checks every request and sets the headers of every answer."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check(request, secret)
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    return checked


def _check(request: web.Request, secret: Secret | None) -> None:
    host = (request.host or "").rpartition(":")[0] or request.host or ""
    if secret is None:
        return
    if host not in LOOPBACK and request.host not in LOOPBACK:
        raise web.HTTPMisdirectedRequest(text="The dashboard answers on the loopback address only.\n")
    if len(request.query_string) > _MOST_QUERY:
        raise web.HTTPBadRequest(text="The query is too long.\n")
    given = request.query.get("token")
    if given is not None and secret.opens(given):
        _enter(request, secret)
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not secret.opens(request.cookies.get(secret.cookie)) and not secret.opens(bearer):
        raise web.HTTPForbidden(text="Open the address that kubectl concertmaster dashboard printed.\n")


def _enter(request: web.Request, secret: Secret) -> NoReturn:
    """Move the secret from the address, which is shown and remembered, into a cookie."""
    rest = request.rel_url.without_query_params("token")
    answer = web.HTTPSeeOther(str(rest))
    answer.set_cookie(secret.cookie, secret.value, httponly=True, samesite="Strict", path="/")
    raise answer
