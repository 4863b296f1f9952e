"""A faulty metrics source: a real HTTP server in the test process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """One received request: parameters of body and URL separately, because a POST must not use the URL."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, str]
    url: Mapping[str, str]

    @property
    def query(self) -> str:
        return self.body.get("query", "")


@dataclass
class Reply:
    """One response. ``cut`` sends only that many bytes of the announced body; ``drip`` pauses that long after each
    byte."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    delay: float = 0.0
    cut: int | None = None
    drip: float = 0.0


def vector(rows: Sequence[tuple[Labels, Any]], **envelope: Any) -> Reply:
    """A successful response to an instant query."""
    result = [{"metric": dict(labels), "value": [1.0, str(value)]} for labels, value in rows]
    return success({"resultType": "vector", "result": result}, **envelope)


def success(data: Any, **envelope: Any) -> Reply:
    return Reply(json.dumps({"status": "success", "data": data, **envelope}).encode())


def failure(status: int, kind: str, text: str, **headers: str) -> Reply:
    body = json.dumps({"status": "error", "errorType": kind, "error": text}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(body, status, {"Content-Type": "application/json", **named})


class AtOnce:
    """How many calls were under way together. They wait for as many as are ``expected``, however slowly these come, and
    then for one more."""

    def __init__(self, expected: int = 1) -> None:
        self.most = 0
        self._expected = expected
        self._now = 0
        self._changed = threading.Condition()

    def call(self, seconds: float) -> None:
        """One that takes so long after that."""
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._expected, timeout=20.0)
        time.sleep(seconds)
        with self._changed:
            self._now -= 1


class Store:
    """Replies from a script: a list whose last entry is repeated, or a function of the request."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Callable[[Asked], Reply] | list[Reply] = [vector([({}, 1)])]
        self._lock = threading.Lock()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536  # sends headers and body in one packet, which avoids waiting for an acknowledgement

            def do_GET(self) -> None:
                self._answer("")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

            def _answer(self, body: str) -> None:
                parts = urlsplit(self.path)
                asked = Asked(self.command, parts.path, dict(self.headers), _flat(body), _flat(parts.query))
                reply = store.next(asked)
                time.sleep(reply.delay)
                try:
                    self._send(reply)
                except OSError:
                    self.close_connection = True  # the client closed the connection, as it should after a timeout

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if reply.drip:
                    for byte in reply.body:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(reply.drip)
                self.wfile.write(b"" if reply.drip else reply.body[: reply.cut])
                if reply.cut is not None:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients that give up reset the connection, which tests expect."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def next(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            if callable(self.script):
                return self.script(asked)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def _flat(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


@contextmanager
def running() -> Iterator[Store]:
    """A running server, stopped at the end."""
    store = Store()
    thread = threading.Thread(target=lambda: store.server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.server.shutdown()
        store.server.server_close()
        thread.join()
