"""Connections of an HTTP server that never end their request: disconnected, or they would use up the connections."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestHandler


class SlowClients:
    """``middleware`` belongs in front of all others of the application; ``watch`` runs beside its server."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answering: set[RequestHandler] = set()
        self._waiting: dict[RequestHandler, float] = {}

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
        """Disconnect whoever has sent no whole request for so long; until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._seconds / 4)
            open_ = set(runner.server.connections) if runner.server is not None else set()
            now = clock()
            self._waiting = {c: self._waiting.get(c, now) for c in open_ - self._answering}
            for connection, since in self._waiting.items():
                if now - since >= self._seconds:
                    connection.force_close()
