"""Connections whose answers begin within the time limit.

A socket's limit holds for each read: a status line that comes byte by byte, or "100 Continue" without end, is waited for
forever. The cycle with it, until its liveness probe fails, and so for everybody after each restart.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


def _begun(connection: HTTPConnection) -> Any:
    """The answer once its head is there; TimeoutError when that takes longer than ``connection.timeout`` seconds."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with contextlib.suppress(OSError, TypeError):  # closed meanwhile
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # below TLS, which is in use by the reader

    timer = threading.Timer(float(connection.timeout or 0.0), give_up)
    timer.daemon = True
    timer.start()
    try:
        answer = HTTPConnection.getresponse(connection)
    except Exception as error:
        if late.is_set():
            raise TimeoutError("no whole head of an answer in time") from error
        raise
    finally:
        timer.cancel()
    if late.is_set():  # what came until then was taken for the whole head
        answer.close()  # or the socket stays open until the garbage collector finds it
        raise TimeoutError("no whole head of an answer in time")
    return answer


class _Plain(HTTPConnection):
    getresponse = _begun


class _Secure(HTTPSConnection):
    getresponse = _begun


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class PromptAdapter(HTTPAdapter):
    """An adapter with such connections."""

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        """See ``HTTPAdapter``."""
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def proxy_manager_for(self, *arguments: Any, **more: Any) -> Any:
        """See ``HTTPAdapter``."""
        manager = super().proxy_manager_for(*arguments, **more)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager
