"""The application: routes, errors and static files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from concertmaster.report.html import environment
from concertmaster.web.api import ROOT, Api
from concertmaster.web.openapi import encoded
from concertmaster.web.pages import Pages, page
from concertmaster.web.readers import NotAllowed, Reader, Unavailable
from concertmaster.web.security import Secret, guard

log = logging.getLogger("concertmaster.web")
STATIC = Path(__file__).resolve().parent / "static"


def application(reader: Reader, secret: Secret | None) -> web.Application:
    """The dashboard over ``reader``; ``secret`` opens it (None: whoever is in front of it has checked)."""
    app = web.Application(middlewares=[guard(secret), _errors], client_max_size=1)
    pages, api = Pages(reader), Api(reader)
    app.router.add_get("/", pages.fleet)
    app.router.add_get("/workflows/{namespace}/{profile}", pages.workflow)
    app.router.add_get("/workflows/{namespace}/{profile}/compare", pages.compare)
    routes = api.routes()
    for route in routes:
        app.router.add_get(route.path, api.handler(route))  # type: ignore[arg-type]
    app.router.add_get(f"{ROOT}/openapi.json", _text(encoded(routes), "application/json"))
    app.router.add_get("/static/style.css", _text(str(environment.stylesheet()), "text/css"))
    for name, kind in (("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        app.router.add_get(f"/static/{name}", _text((STATIC / name).read_text(encoding="utf-8"), kind))
    return app


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
        return _problem(request, error.status, error.reason, error.text or error.reason)
    except Exception:
        log.exception("%s failed", request.path)
        return _problem(request, 500, "The dashboard failed", "The log has the details; please report it.")


def _problem(request: web.Request, status: int, title: str, text: str) -> web.Response:
    if request.path.startswith(ROOT):
        return web.json_response({"error": text}, status=status)
    return page("error.html", status=status, title=title, text=text)


async def serve(
    app: web.Application, address: str, port: int, ready: Callable[[int], None], until: Callable[[], Awaitable[object]]
) -> None:
    """Serve until ``until`` returns; ``ready`` gets the bound port. Raises OSError where the port is taken."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        ready(int(runner.addresses[0][1]))
        await until()
    finally:
        await runner.cleanup()


async def forever() -> None:
    """Until the task is cancelled."""
    await asyncio.Event().wait()
