"""A proxy between one operator and the API server: it reports writes as they start, and injects faults."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

from testbed.services.cluster import Cluster

_QUESTIONS = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")


@dataclass(frozen=True, slots=True)
class Passing:
    """One request; ``at`` is its time of arrival (unix seconds)."""

    method: str
    path: str
    query: dict[str, str]
    at: float
    body: bytes = b""

    @property
    def watch(self) -> bool:
        """Whether it opens a watch."""
        return self.query.get("watch") in ("true", "1")

    @property
    def lease(self) -> bool:
        """Whether it is about a Lease."""
        return "/leases" in self.path

    @property
    def write(self) -> bool:
        """Whether it stores something other than a Lease or Event."""
        stores = self.method != "GET" and "dryRun" not in self.query and not self.path.startswith(_QUESTIONS)
        return stores and not self.lease and "/events" not in self.path

    def lists(self, plural: str) -> bool:
        """Whether it lists objects of a kind."""
        return self.method == "GET" and not self.watch and self.path.endswith(f"/{plural}")

    @property
    def target(self) -> bool:
        """Whether it writes a user's object."""
        return self.write and self.path.startswith("/apis/batch/")

    @property
    def change(self) -> bool:
        """Whether it writes a WorkflowChange."""
        return self.write and "/workflowchanges" in self.path


@dataclass(frozen=True, slots=True)
class Fault:
    """``delay`` in seconds, followed by: ``code`` instead of the response; no response (``drop``: the request is not
    forwarded, ``lost``: it is); or with ``silent`` a watch without events."""

    delay: float = 0.0
    code: int = 0
    drop: bool = False
    lost: bool = False
    silent: bool = False


Rule = Callable[[Passing], Fault | None]


@dataclass
class Gate:
    """``rule`` may be replaced at any time; ``seen`` is called with every request before it is forwarded, ``done``
    after its response."""

    cluster: Cluster
    rule: Rule = lambda _: None
    seen: Callable[[Passing], None] = lambda _: None
    done: Callable[[Passing, int], None] = lambda _, __: None
    writes: list[tuple[Passing, int]] = field(default_factory=list)
    broken: int = 0
    muted: bool = False  # no data of watches are forwarded
    url: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def kubeconfig(self, directory: Path, user: str) -> Path:
        """A kubeconfig that connects through the proxy."""
        file = directory / f"gate-{user}-{self.url.rpartition(':')[2]}.yaml"
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                    "users": [{"name": "u", "user": {"token": self.cluster.tokens[user]}}],
                    "contexts": [context],
                    "current-context": "c",
                }
            )
        )
        return file


@contextmanager
def gate(cluster: Cluster) -> Iterator[Gate]:
    """A proxy that listens on the loopback address."""
    found = Gate(cluster)
    pool = urllib3.PoolManager(ca_certs=str(cluster.ca_file), maxsize=32, retries=False)

    class Handler(_Handler):
        outer, upstream = found, pool

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield found
    finally:
        found.ended.set()
        server.shutdown()
        server.server_close()
        pool.clear()


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """Ignore connections of killed processes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    outer: Gate
    upstream: urllib3.PoolManager

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        parts = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        passing = Passing(self.command, parts.path, query, time.time(), body or b"")
        self.outer.seen(passing)
        fault = self.outer.rule(passing)
        if fault is not None:
            self.outer.broken += 1
            self.outer.ended.wait(fault.delay)
            if fault.silent:
                self._silence()
                return
            if fault.drop:
                self._hang_up()
                return
            if fault.code:
                self._refuse(fault.code)
                return
        self._forward(passing, body, lost=fault is not None and fault.lost)

    def _forward(self, passing: Passing, body: bytes | None, *, lost: bool) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")}
        address = f"{self.outer.cluster.server}{self.path}"
        limit = urllib3.Timeout(connect=5, read=600)
        try:
            answer = self.upstream.request(
                self.command, address, body=body, headers=headers, preload_content=False, timeout=limit
            )
        except urllib3.exceptions.HTTPError:
            self._hang_up()
            return
        if passing.write:
            self.outer.writes.append((passing, answer.status))
        try:
            if lost:
                answer.read()
                self._hang_up()
            else:
                self._pass_on(answer, watch=passing.watch)
            answer.release_conn()
        except (OSError, urllib3.exceptions.HTTPError):
            self.close_connection = True  # the operator disconnected
            answer.close()  # the rest of a watch must not become the next response
        self.outer.done(passing, answer.status)

    def _pass_on(self, answer: Any, *, watch: bool) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        if retry := answer.headers.get("Retry-After"):
            self.send_header("Retry-After", retry)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while part := answer.read1(65536):
            while watch and self.outer.muted and not self.outer.ended.wait(0.1):
                pass
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _silence(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        self.outer.ended.wait(600)
        self.close_connection = True

    def _refuse(self, code: int) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "injected"}
        body = json.dumps(status).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def log_message(self, *_: Any) -> None:
        pass
