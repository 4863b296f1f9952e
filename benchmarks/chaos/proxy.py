"""A faulty metrics source: a proxy for a real Prometheus that replaces the responses selected by a fault."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of a fault in place of the metrics source. ``cut`` announces more bytes than it sends."""

    status: int = 200
    body: bytes = b""
    cut: bool = False


Fault = Callable[[str], Answer | None]
"""From the query to the answer; None to pass it on (perhaps after a pause)."""


def rows(found: Sequence[tuple[dict[str, str], str]], **envelope: Any) -> Answer:
    """A vector result."""
    result = [{"metric": labels, "value": [time.time(), value]} for labels, value in found]
    data = {"resultType": "vector", "result": result}
    return Answer(body=json.dumps({"status": "success", "data": data, **envelope}).encode())


def error(status: int, kind: str, text: str) -> Answer:
    """An error response of the metrics source."""
    return Answer(status, json.dumps({"status": "error", "errorType": kind, "error": text}).encode())


@dataclass
class Proxy:
    """``fault`` may be replaced at any time; ``change`` may modify the text of every successful response."""

    port: int = 0
    fault: Fault = field(default=lambda _: None)
    change: Callable[[bytes], bytes] = field(default=lambda body: body)
    asked: int = 0

    @property
    def url(self) -> str:
        """The URL for the operator."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """A proxy in front of the metrics source at ``target``."""
    found, address = Proxy(), urlsplit(target).netloc

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(b"")

        def do_POST(self) -> None:
            self._pass(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _pass(self, body: bytes) -> None:
            found.asked += 1
            query = parse_qs(body.decode()).get("query", [""])[0]
            answer = found.fault(query) if query else None
            if answer is None:
                upstream = http.client.HTTPConnection(address, timeout=60)
                kind = {"Content-Type": self.headers.get("Content-Type", "")} if body else {}
                upstream.request(self.command, self.path, body or None, kind)
                real = upstream.getresponse()
                answer = Answer(real.status, found.change(real.read()))
                upstream.close()
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body) + 100 * answer.cut))
                self.end_headers()
                self.wfile.write(answer.body)
            except OSError:
                pass  # the operator disconnected

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
