"""What a browser may do with the pages, and the authentication of every request before anything is read for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from concertmaster.web.readers import Reader

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MAX_QUERY_LENGTH = 4096  # characters
_READER = web.RequestKey("concertmaster.reader", Reader)


class Authenticator(Protocol):
    """Whose rights a request has."""

    @property
    def whose(self) -> str:
        """Whose rights decide what is shown, for the foot of each page; empty where nobody's do."""

    async def reader(self, request: web.Request) -> Reader:
        """What the sender of a request may read. Raises HTTPException where that is nothing."""


def guard(authenticator: Authenticator, probes: Collection[str]) -> Middleware:
    """The middleware that checks every request but those of ``probes``, and sets the headers of every answer."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if len(request.query_string) > MAX_QUERY_LENGTH:
                raise web.HTTPBadRequest(text="The query is too long.\n")
            if request.path not in probes:
                request[_READER] = await authenticator.reader(request)
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    return checked


def reader_of(request: web.Request) -> Reader:
    """What the sender of a request may read, as was decided when it came. A probe has none."""
    return request[_READER]
