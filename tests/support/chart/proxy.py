"""Proxies between the operator and the API server that inject faults as a test demands.

``Proxy`` works on requests: the operator sends plain HTTP with its own token, which is forwarded to the API server over
TLS; watches are streamed. ``Pipe`` works on bytes, and can freeze connections.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

from testbed.services.cluster import Cluster


@dataclass(frozen=True)
class Passing:
    """One request being forwarded."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def watch(self) -> bool:
        """Whether it opens a watch."""
        return self.query.get("watch") in ("true", "1")


@dataclass(frozen=True)
class Fault:
    """The fault to inject: a response with ``code``, or with ``silent`` a watch without events.

    ``echo``: the response repeats the received credentials.
    """

    code: int = 0
    echo: bool = False
    retry_after: int | None = None
    silent: bool = False


Rule = Callable[[Passing], Fault | None]
_REASONS = {
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
}


@dataclass
class Proxy:
    """Serves until ``stop``. ``rule`` may be replaced at any time; ``faults`` counts injected faults."""

    cluster: Cluster
    rule: Rule = lambda _: None
    faults: list[Passing] = field(default_factory=list)

    def __post_init__(self) -> None:
        pool = urllib3.PoolManager(ca_certs=str(self.cluster.ca_file), maxsize=32, retries=False)
        outer = self
        self._ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                parts = urlsplit(self.path)
                passing = Passing(self.command, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
                fault = outer.rule(passing)
                if fault is not None:
                    outer.faults.append(passing)
                    self._break(fault)
                    return
                headers = {
                    k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")
                }
                answer = pool.request(
                    self.command,
                    f"{outer.cluster.server}{self.path}",
                    body=body,
                    headers=headers,
                    preload_content=False,
                    timeout=urllib3.Timeout(connect=5, read=600),
                )
                try:
                    self._pass_on(answer)
                except OSError:
                    self.close_connection = True  # the operator disconnected
                finally:
                    answer.release_conn()

            def _pass_on(self, answer: Any) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while part := answer.read1(65536):
                    self._chunk(part)
                self._chunk(b"")

            def _chunk(self, part: bytes) -> None:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.flush()

            def _break(self, fault: Fault) -> None:
                if fault.silent:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.wfile.flush()
                    outer._ended.wait(600)
                    self.close_connection = True
                    return
                reason = _REASONS.get(fault.code, "Unknown")
                status = {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "reason": reason,
                    "code": fault.code,
                }
                echo = f": Authorization {self.headers.get('Authorization')}" if fault.echo else ""
                body = json.dumps({**status, "message": f"{reason} for the test{echo}"}).encode()
                self.send_response(fault.code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if fault.retry_after is not None:
                    self.send_header("Retry-After", str(fault.retry_after))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close all connections."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass
class _Link:
    """One connection through the pipe."""

    frozen: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)  # the operator has closed its end


@dataclass
class Pipe:
    """Forwards TLS unmodified, until ``stop``."""

    cluster: Cluster

    def __post_init__(self) -> None:
        parts = urlsplit(self.cluster.server)
        self._upstream = (parts.hostname, parts.port)
        self._links: list[_Link] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The URL for the operator to reach the API server."""
        return f"https://127.0.0.1:{self._server.getsockname()[1]}"

    def freeze(self) -> list[threading.Event]:
        """Stop forwarding on all present connections without closing them; new ones are not affected.

        The returned events are set when the operator closes the respective connection.
        """
        present = [link for link in self._links if not link.left.is_set()]
        for link in present:
            link.frozen.set()
        return [link.left for link in present]

    def stop(self) -> None:
        """Accept no further connections."""
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far, link = socket.create_connection(self._upstream), _Link()
            self._links.append(link)
            for ends in ((near, far, link, link.left), (far, near, link, None)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, link: _Link, left: threading.Event | None) -> None:
        try:
            while part := source.recv(65536):
                if not link.frozen.is_set():
                    sink.sendall(part)
        except OSError:
            pass
        if left is not None:
            left.set()
        if left is not None or not link.frozen.is_set():
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
