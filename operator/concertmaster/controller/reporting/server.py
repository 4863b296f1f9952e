"""The operator's HTTP server on one port: /healthz, /readyz, /metrics, and the analysis of a profile.

kopf's own liveness endpoint is not used: it repeats a raising probe for a minute before it answers, serves results up
to ten seconds old, and knows one path only. This server shares the event loop with the watches, so a blocked event loop
fails the probe as well.

Everything here only reads. Details of a profile are for whoever knows its uid (see ``details``): wrong uids, missing ones
and unknown profiles get the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from concertmaster.controller.health import Health, NotReady, Stale
from concertmaster.controller.reporting.details import Details
from concertmaster.controller.reporting.telemetry import CONTENT_TYPE, Telemetry
from concertmaster.history import HistoryError
from concertmaster.net.http_server import HttpServer, ServerLimits

# Answers with series of thousands of workflows have megabytes each; whoever asks besides Prometheus asks again.
LIMITS = ServerLimits(connections=256, answers=16, probes=("/healthz", "/readyz"))


class Server:
    """Serves until ``stop``. ``port`` 0 takes a free one; ``bound_port`` is the actual one."""

    def __init__(
        self,
        address: str,
        port: int,
        health: Health,
        telemetry: Telemetry,
        details: Details | None = None,
        *,
        limits: ServerLimits = LIMITS,
    ) -> None:
        self._address = address
        self._health = health
        self._telemetry = telemetry
        self._details = details or Details()
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/namespaces/{namespace}/workflowprofiles/{name}", self._profile),
                web.get("/api/v1/namespaces/{namespace}/workflowprofiles/{name}/days", self._days),
                web.get("/api/v1/namespaces/{namespace}/workflowprofiles/{name}/runs", self._runs),
            ]
        )
        self._http = HttpServer(app, limits)
        self._rendering: asyncio.Future[bytes] | None = None
        self._reading = asyncio.Lock()
        self.bound_port = port

    @property
    def open_connections(self) -> int:
        """Connections of clients, whatever they do."""
        return self._http.open_connections

    async def start(self) -> None:
        """Bind and serve; OSError when the address is taken."""
        self.bound_port = await self._http.start(self._address, self.bound_port)

    async def stop(self) -> None:
        """Close the port."""
        await self._http.stop()

    async def _healthz(self, _: web.Request) -> web.Response:
        try:
            self._health.check_live()
        except Stale as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        try:
            self._health.check_ready()
        except (NotReady, Stale) as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        # With series of 5,000 workflows tens of megabytes: whoever asks meanwhile gets the same text, or a few who ask
        # would fill the pool of threads, through which the lease is renewed as well.
        if self._rendering is None or self._rendering.done():
            self._rendering = asyncio.ensure_future(asyncio.to_thread(self._telemetry.render))
        body = await asyncio.shield(self._rendering)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _profile(self, request: web.Request) -> web.Response:
        """The last analysis of a profile in full; errors in the form of the Kubernetes API, which clients can read."""
        return await self._read(request, self._details.get)

    async def _days(self, request: web.Request) -> web.Response:
        """The daily rows of a profile's workflow, or with ``step`` of that step."""
        return await self._read(request, self._details.days, "step")

    async def _runs(self, request: web.Request) -> web.Response:
        """The runs of a profile's workflow, or with ``run`` that run in full."""
        return await self._read(request, self._details.runs, "run")

    async def _read(self, request: web.Request, read: Callable[..., bytes | None], *parts: str) -> web.Response:
        """The result of ``read`` on the history, one call at a time: rebuilding thousands of pods takes seconds, and a
        client that asks often must neither fill the thread pool nor block the cycle."""
        place, query = request.match_info, request.query
        who = (place["namespace"], place["name"], query.get("uid", ""), *(query.get(part, "") for part in parts))
        try:
            async with self._reading:
                body = await asyncio.to_thread(read, *who)
        except HistoryError:
            return web.json_response(_UNREADABLE, status=503, headers=_SAFE)
        return self._answer(place["namespace"], body)

    def _answer(self, namespace: str, body: bytes | None) -> web.Response:
        """The document; without one, the name of the shard that has the namespace, which the client asks instead."""
        if body is not None:
            return web.Response(body=body, content_type="application/json", headers=_SAFE)
        if (shard := self._details.elsewhere(namespace)) is not None:
            return web.json_response({"shard": shard}, headers=_SAFE)
        return web.json_response(_UNKNOWN, status=404, headers=_SAFE)


_SAFE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_UNKNOWN = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "code": 404,
    "reason": "NotFound",
    "message": "no analysis of such a profile is kept",
}
_UNREADABLE = _UNKNOWN | {
    "code": 503,
    "reason": "ServiceUnavailable",
    "message": "the history cannot be read at present; the operator's log has the reason",
}
