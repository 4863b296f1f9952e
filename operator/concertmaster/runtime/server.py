"""The operator's HTTP side: /healthz, /readyz and /metrics on one port.

kopf's own liveness endpoint is not used: it repeats a raising probe for a minute before it answers, serves results up
to ten seconds old, and knows one path only. This server shares the event loop with the watches, so a blocked event loop
fails the probe as well.
"""

from __future__ import annotations

from aiohttp import web

from concertmaster.runtime.health import Health, NotReady, Stale
from concertmaster.runtime.telemetry import CONTENT_TYPE, Telemetry


class Server:
    """Serves until ``stop``. ``port`` 0 takes a free one; ``bound_port`` tells which."""

    def __init__(self, address: str, port: int, health: Health, telemetry: Telemetry) -> None:
        self._address = address
        self._port = port
        self._health = health
        self._telemetry = telemetry
        self._runner: web.AppRunner | None = None
        self.bound_port = port

    async def start(self) -> None:
        """Bind and serve; OSError when the address is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, self._address, self._port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.bound_port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

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
        return web.Response(body=self._telemetry.render(), headers={"Content-Type": CONTENT_TYPE})
