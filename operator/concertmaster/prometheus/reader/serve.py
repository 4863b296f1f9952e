"""A reader process: reads spans of the past of one source for the operator that started it, and ends with it.

Started as ``python -m concertmaster.prometheus.reader.serve FD``, by ``process`` alone.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from multiprocessing.connection import Connection

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.collect.reading import backfill
from concertmaster.prometheus.reader.wire import Asked, Opening, Question, Read, receive, send

_IDLE = 600.0  # seconds without a question, after which nobody wants it any more
_YOUNG = 100_000  # objects: a chunk has that many that stay until it is sent, and hardly any circles


def serve(connection: Connection) -> None:
    """Answer questions until nobody asks any more: for each the chunks of its span, then that all was read or why not."""
    turn = threading.Lock()  # queries are sent by several threads

    def tell(message: object) -> None:
        with turn:
            send(connection, message)

    try:
        opening: Opening = receive(connection)
        with PrometheusClient(opening.source) as client:
            client.limit(lambda: opening.places)
            client.beat = lambda: tell(Asked())
            while connection.poll(_IDLE):
                question: Question = receive(connection)
                client.learned_interval = question.interval
                try:
                    for chunk in backfill(
                        client,
                        namespaces=question.namespaces,
                        since=question.since,
                        until=question.until,
                        now=question.now,
                        label_keys=question.label_keys,
                        options=question.options,
                    ):
                        tell(chunk)
                except MetricsError as error:
                    tell(error)
                else:
                    tell(Read())
    except (EOFError, OSError):
        return  # the operator has all it wants, or is gone


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the operator gets it as well, and ends this process
    gc.set_threshold(_YOUNG, 20, 20)
    serve(Connection(int(sys.argv[1])))
