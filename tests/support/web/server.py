"""The dashboard on a free port, for the duration of a test."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp.web import Application

from concertmaster.core.times import parse_time
from concertmaster.report.workflows.fleet import FleetView
from concertmaster.web.app import application, serve
from concertmaster.web.auth.secret import Secret, SecretAuthenticator
from concertmaster.web.readers import MemoryReader, Reader

NOW = parse_time("2027-01-31T01:00:00Z")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Page:
    """One response."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard; without a secret every request needs its own token."""

    url: str
    secret: Secret = field(default_factory=lambda: Secret(""))

    @property
    def entrance(self) -> str:
        """The URL that the command prints."""
        return f"{self.url}/?token={self.secret.value}"

    def get(self, path: str, **headers: str) -> Page:
        """Get a page, with the secret unless ``headers`` contain an Authorization header."""
        own = {"Authorization": f"Bearer {self.secret.value}"} if self.secret.value else {}
        sent = own | headers
        request = urllib.request.Request(self.url + path, headers={k: v for k, v in sent.items() if v})
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=240) as answer:
                return Page(answer.status, dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, dict(error.headers), error.read().decode())


@contextmanager
def dashboard(reader: Reader) -> Iterator[Dashboard]:
    """Serve ``reader`` in a thread."""
    secret = Secret()
    with served(application(SecretAuthenticator(reader, secret, "your kubeconfig"))) as url:
        yield Dashboard(url, secret)


@contextmanager
def served(app: Application, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an application in a thread; yields its address."""
    started, ports = threading.Event(), list[int]()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def ready(port: int) -> None:
        ports.append(port)
        started.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve(app, "127.0.0.1", 0, ready, stop.wait, tls=tls))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def memory(*profiles: dict[str, Any], changes: tuple[dict[str, Any], ...] = (), **more: Any) -> MemoryReader:
    """A reader of the given objects."""
    return MemoryReader(FleetView(profiles, changes, NOW), **more)
