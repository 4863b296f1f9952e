"""Connections of an HTTP server whose client never ends its request, or does not read its answer: disconnected, or they
would use up connections and memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestHandler

_LONGEST = 6  # times the seconds of a request: an answer that is still not read by then is given up


@dataclass(slots=True)
class _Closing:
    """A connection that is closed once its client has read what was written: since when, and how much that still is."""

    since: float
    left: int


class SlowClients:
    """``middleware`` belongs in front of all others of the application; ``watch`` runs beside its server."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answering: set[RequestHandler] = set()
        self._waiting: dict[RequestHandler, float] = {}
        self._closing: dict[asyncio.WriteTransport, _Closing] = {}

    @property
    def middleware(self) -> Middleware:
        """Remembers which connections have a whole request under way."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._answering.add(request.protocol)
            try:
                return await handler(request)
            finally:
                self._answering.discard(request.protocol)
                self._waiting.pop(request.protocol, None)

        return count

    async def watch(self, runner: web.AppRunner) -> None:
        """Disconnect whoever has sent no whole request, or read nothing of an answer, for so long; until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._seconds / 4)
            open_ = set(runner.server.connections) if runner.server is not None else set()
            now = clock()
            self._waiting = {c: self._waiting.get(c, now) for c in open_ - self._answering}
            for connection, since in self._waiting.items():
                if now - since >= self._seconds:
                    transport = connection.transport
                    if isinstance(transport, asyncio.WriteTransport):
                        self._closing[transport] = _Closing(now, transport.get_write_buffer_size())
                    connection.force_close()
            self._give_up(now)

    def _give_up(self, now: float) -> None:
        """Closing waits for the client to read: not for one that does not."""
        for transport, closing in list(self._closing.items()):
            left = transport.get_write_buffer_size()
            if (
                left
                and now > closing.since
                and (left >= closing.left or now - closing.since > _LONGEST * self._seconds)
            ):
                transport.abort()
                left = 0
            closing.left = left
            if not left:
                del self._closing[transport]
