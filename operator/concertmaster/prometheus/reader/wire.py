"""What the operator and a reader process send each other: pickled, over a socket that only these two have.

Facts are most of it. Python pickles a frozen dataclass with slots field by field, by functions written in Python; as the
class and its values, both ways together take 9 instead of 25 us a pod.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any

from concertmaster.core.model import PodFact
from concertmaster.core.model.facts import ContainerFact
from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.settings import MetricsSource


@dataclass(frozen=True, slots=True)
class Opening:
    """The first message to a reader process: which source it reads."""

    source: MetricsSource


@dataclass(frozen=True, slots=True)
class Question:
    """A span to read; see ``collect.reading.backfill``. ``learned``: by the operator's client; ``places``: how many queries
    may be under way at a time."""

    namespaces: tuple[str, ...]
    since: float
    until: float
    now: float
    label_keys: tuple[str, ...]
    options: CollectOptions
    learned: tuple[float | None, float | None, float, float | None]
    places: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A query is about to be sent."""


@dataclass(frozen=True, slots=True)
class AllRead:
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
