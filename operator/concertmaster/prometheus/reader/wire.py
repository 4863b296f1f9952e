"""What the operator and a reader process send each other: pickled, over a socket that only these two have.

Facts are most of it. Python pickles a frozen dataclass with slots field by field, by functions written in Python; as the
class and its values, both ways together take 9 instead of 25 us a pod.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any

from concertmaster.core.model import PodFact
from concertmaster.core.model.facts import ContainerFact
from concertmaster.prometheus.client import PrometheusClient, SourceTraits
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, backfill
from concertmaster.settings import MetricsSource


@dataclass(frozen=True, slots=True)
class PastSpan:
    """A span to read: the arguments of ``collect.reading.backfill``."""

    namespaces: tuple[str, ...]
    since: float
    until: float
    now: float
    label_keys: tuple[str, ...]
    options: CollectOptions

    def read(self, client: PrometheusClient) -> Iterator[Collection]:
        """Its chunks, newest first. Raises MetricsError."""
        return backfill(
            client,
            namespaces=self.namespaces,
            since=self.since,
            until=self.until,
            now=self.now,
            label_keys=self.label_keys,
            options=self.options,
        )


@dataclass(frozen=True, slots=True)
class SpanRequest:
    """All that a reader process is sent: a span of a source, the ``traits`` that the operator's client knows of it, and how
    many queries may be under way at a time (``places``)."""

    source: MetricsSource
    span: PastSpan
    traits: SourceTraits
    places: int


@dataclass(frozen=True, slots=True)
class QueryStarted:
    """A query is about to be sent."""


@dataclass(frozen=True, slots=True)
class SpanRead:
    """All of the span was read. The other answers are Collection and MetricsError."""


def send(connection: Connection, message: object) -> None:
    """Raises OSError where nobody listens any more."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _TABLE
    pickler.dump(message)
    connection.send_bytes(buffer.getbuffer())


def receive(connection: Connection) -> Any:
    """The next message. Raises EOFError or OSError when there will be none."""
    return pickle.loads(connection.recv_bytes())


def _as_call(cls: type) -> Callable[[Any], tuple[type, tuple[Any, ...]]]:
    values = attrgetter(*(f.name for f in fields(cls)))
    return lambda record: (cls, values(record))


_TABLE: dict[type, Callable[[Any], Any]] = {cls: _as_call(cls) for cls in (PodFact, ContainerFact)}
