"""A reader process: reads spans of the past of one source for the operator that started it, and ends with it.

Started as ``python -m concertmaster.prometheus.reader.serve FD``, by ``process`` alone.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from concertmaster.net.http_logging import silence_urllib3
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.reader.wire import QueryStarted, SpanRead, SpanRequest, receive, send

_IDLE_SECONDS = 600.0  # seconds without a request, after which the process ends
_GC_THRESHOLD = 100_000  # objects: a chunk has that many that stay until it is sent, and hardly any circles


class _Gone(Exception):
    """Nobody listens any more."""


def serve(connection: Connection) -> None:
    """Answer requests until nobody asks any more: for each the chunks of its span, then that all was read or why not."""
    turn = threading.Lock()  # queries are sent by several threads

    def reply(message: object) -> None:
        with turn:
            try:
                send(connection, message)
            except OSError:
                raise _Gone from None

    def next_request() -> SpanRequest:
        try:
            if connection.poll(_IDLE_SECONDS):
                return receive(connection)  # type: ignore[no-any-return]
        except (EOFError, OSError):
            pass
        raise _Gone

    try:
        request = next_request()
        with PrometheusClient(request.source) as client:
            client.beat = lambda: reply(QueryStarted())
            while True:
                _answer(request, client, reply)
                request = next_request()
    except _Gone:
        return  # the operator has all it wants, or is gone


def _answer(request: SpanRequest, client: PrometheusClient, reply: Callable[[object], None]) -> None:
    client.traits.update(request.traits)
    client.limit(lambda: request.places)
    try:
        for chunk in request.span.read(client):
            reply(chunk)
    except MetricsError as error:
        reply(error)
    else:
        reply(SpanRead())


def main() -> int:
    """The process. A fault of its own is a line in the operator's log, as JSON like all others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the operator gets it as well, and ends this process
    gc.set_threshold(_GC_THRESHOLD, 20, 20)
    silence_urllib3()
    try:
        serve(Connection(int(sys.argv[1])))
    except Exception:  # noqa: BLE001 - the operator reads on by itself, whatever it is
        fault = {"msg": "a reader process ended by a fault of its own", "error": traceback.format_exc()}
        sys.stderr.write(json.dumps({"level": "error", "logger": "concertmaster.reader", **fault}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
