"""A scripted HTTP server in place of the API server, for network faults that a fake client cannot simulate."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import Configuration

from concertmaster.kube.client import ClientLimits, KubeClient


@dataclass
class Request:
    """One received request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """One scripted response. ``hang``: seconds of delay; ``drop`` closes the connection without a response;
    ``drip``: seconds after each byte of the body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    drop: bool = False
    raw: bytes | None = None
    drip: float = 0.0


class ApiServer:
    """Responds from a script, or from a function of the request; records every request."""

    def __init__(self, script: list[Answer] | Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length) if length else b""
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    parts.path,
                    {k: v[0] for k, v in parse_qs(parts.query).items()},
                    {k.title(): v for k, v in self.headers.items()},
                    json.loads(text) if text else None,
                )
                answer = outer.answer(request)
                if answer.hang:
                    time.sleep(answer.hang)
                if answer.drop:
                    self.close_connection = True
                    self.connection.close()
                    return
                payload = answer.raw if answer.raw is not None else json.dumps(answer.body or {}).encode()
                self.send_response(answer.status)
                for key, value in answer.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                for at in range(len(payload) if answer.drip else 0):
                    self.wfile.write(payload[at : at + 1])
                    time.sleep(answer.drip)
                self.wfile.write(b"" if answer.drip else payload)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gave up is no news
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if callable(self._script):
                return self._script(request)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


# Short pauses, and time limits that a busy machine keeps: a repeated request would be counted.
QUICK = ClientLimits(connect=30.0, read=30.0, deadline=60.0, attempts=3, first_pause=0.01, longest_pause=0.05)


@contextmanager
def serving(
    script: list[Answer] | Callable[[Request], Answer], *, limits: ClientLimits = QUICK, token: str | None = None
) -> Iterator[tuple[ApiServer, KubeClient]]:
    """A scripted server with a client."""
    server = ApiServer(script)
    server.start()
    configuration = Configuration()
    configuration.host = server.url
    if token:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    client = KubeClient(configuration, limits=limits)
    try:
        yield server, client
    finally:
        client.close()
        server.stop()


def failure(status: int, reason: str, message: str = "", **headers: str) -> Answer:
    """A Status object in the form of the API server."""
    return Answer(status, {"kind": "Status", "reason": reason, "message": message or reason, "code": status}, headers)
