"""The application: routes, errors and static files."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from concertmaster.net.http_server import HttpServer, ServerLimits
from concertmaster.report.html import environment
from concertmaster.web import pages
from concertmaster.web.api import ROOT, Api
from concertmaster.web.openapi import encoded
from concertmaster.web.pages import READER_NAME, page
from concertmaster.web.readers import NotAllowed, Unavailable
from concertmaster.web.security import Authenticator, guard

log = logging.getLogger("concertmaster.web")
_MAX_HEADER_BYTES = 32_768  # bytes: tokens that list groups are long
PROBES = ("/healthz", "/readyz")
LIMITS = ServerLimits(connections=512, answers=128, probes=PROBES)
STATIC = Path(__file__).resolve().parent / "static"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def application(authenticator: Authenticator, ready: Callable[[], str] | None = None) -> web.Application:
    """The dashboard with the rights that ``authenticator`` grants. ``ready`` adds probes: /healthz, and /readyz, which fails
    while ``ready`` says why."""
    checked = guard(authenticator, PROBES if ready is not None else ())
    app = web.Application(middlewares=[checked, _errors], client_max_size=1)
    app[READER_NAME] = authenticator.whose
    app.router.add_get("/", _beside(pages.fleet))
    app.router.add_get("/workflows/{namespace}/{profile}", _beside(pages.workflow))
    app.router.add_get("/workflows/{namespace}/{profile}/runs", _beside(pages.runs))
    app.router.add_get("/workflows/{namespace}/{profile}/compare", _beside(pages.compare))
    routes = Api().routes()
    for route in routes:
        app.router.add_get(route.path, _beside(route.respond))
    app.router.add_get(f"{ROOT}/openapi.json", _text(encoded(routes), "application/json"))
    app.router.add_get("/static/style.css", _text(str(environment.stylesheet()), "text/css"))
    for file in sorted(STATIC.iterdir()):
        if file.suffix in _KINDS:
            app.router.add_get(f"/static/{file.name}", _text(file.read_text(encoding="utf-8"), _KINDS[file.suffix]))
    if ready is not None:
        app.router.add_get(PROBES[0], _probe(lambda: ""))
        app.router.add_get(PROBES[1], _probe(ready))
    return app


def _probe(problem: Callable[[], str]) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        failure = problem()
        return web.Response(status=503 if failure else 200, text=f"{failure or 'ok'}\n")

    return answer


def _beside(answer: Callable[[web.Request], web.Response]) -> Handler:
    """The handler that answers in a thread: reading from the cluster does not hold up the event loop."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await asyncio.to_thread(answer, request)

    return handler


def _text(body: str, kind: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type=kind, charset="utf-8")

    return answer


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as a page, or as JSON where the API was asked."""
    try:
        return await handler(request)
    except NotAllowed as error:
        return _problem(request, 403, "You may not read this", str(error))
    except Unavailable as error:
        return _problem(request, 503, "The cluster could not be read", str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = error.text or error.reason
        if text == "404: Not Found":  # of no route: the others say what is missing
            text = "There is no page at this address."
        return _problem(request, error.status, error.reason, text)
    except Exception:
        log.exception("%s failed", request.path)
        return _problem(request, 500, "The dashboard failed", "The log has the details; please report it.")


def _problem(request: web.Request, status: int, title: str, text: str) -> web.Response:
    if request.path.startswith(ROOT):
        return web.json_response({"error": text}, status=status)
    return page(request, "error.html", status=status, title=title, text=text)


async def serve(
    app: web.Application,
    address: str,
    port: int,
    ready: Callable[[int], None],
    until: Callable[[], Awaitable[object]],
    *,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until ``until`` returns; ``ready`` gets the bound port. Raises OSError where the port is taken."""
    server = HttpServer(app, LIMITS, max_field_size=_MAX_HEADER_BYTES)
    try:
        ready(await server.start(address, port, tls))
        await until()
    finally:
        await server.stop()


async def interrupted() -> None:
    """Until SIGINT (Ctrl+C) or SIGTERM, also where a shell in the background started this with SIGINT ignored."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
