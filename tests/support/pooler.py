"""A pooler in transaction mode: all of its clients have one session of the server by turns, as with PgBouncer."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_SAID = {"server_version": "16.0", "client_encoding": "UTF8", "standard_conforming_strings": "on", "TimeZone": "UTC"}


class TransactionPooler:
    """Serves on ``port`` until ``close``; its clients need no password, as it has its own for ``url``."""

    def __init__(self, url: str, password: str) -> None:
        self._session = psycopg.connect(url, password=password)  # which logs in
        self._server = socket.socket(fileno=os.dup(self._session.pgconn.socket))
        self._server.setblocking(True)
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the session; clients that are left have none."""
        self._listener.close()
        self._server.close()
        self._session.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            _greet(client)
            while (asked := client.recv(65536)) and asked[:1] != b"X":
                with self._turn:
                    self._server.sendall(asked)
                    self._relay(client)

    def _relay(self, client: socket.socket) -> None:
        """Until the server has answered and no transaction is open."""
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ)
            ready.register(self._server, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is client:
                        self._server.sendall(client.recv(65536))
                    else:
                        kind, body = _message(self._server)
                        client.sendall(_framed(kind, body))
                        if (kind, body) == (b"Z", b"I"):
                            return


def _greet(client: socket.socket) -> None:
    while int.from_bytes((startup := _body(client.recv))[:4], "big") in (_SSL_REQUEST, _GSS_REQUEST):
        client.sendall(b"N")
    assert startup
    said = b"".join(_framed(b"S", f"{name}\0{value}\0".encode()) for name, value in _SAID.items())
    client.sendall(_framed(b"R", bytes(4)) + said + _framed(b"K", bytes(8)) + _framed(b"Z", b"I"))


def _message(server: socket.socket) -> tuple[bytes, bytes]:
    return server.recv(1), _body(server.recv)


def _body(read: Callable[[int], bytes]) -> bytes:
    length, body = int.from_bytes(_exactly(read, 4), "big"), b""
    return body if length <= 4 else _exactly(read, length - 4)


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (part := read(size - len(found))):
            raise ConnectionError
        found += part
    return found


def _framed(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body
