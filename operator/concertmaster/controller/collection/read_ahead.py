"""Spans of the past that were queried ahead: a source evaluates them while something else is done."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace

from concertmaster.controller.collection.source_state import PodQuery
from concertmaster.net.background import in_background
from concertmaster.prometheus.collect.reading import Collection


@dataclass(frozen=True, slots=True)
class QueriedSpan:
    """A span that ends at ``until``, as it is queried."""

    namespaces: tuple[str, ...]
    until: float
    query: PodQuery


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """What was queried ahead: the newest chunk of a span, and those before it."""

    span: QueriedSpan
    since: float  # where it begins
    newest: Future[Collection | None]
    others: Iterator[Collection]
    some: bool = False  # whether anything ended in what was stored of it between analyses

    def chunks(self) -> Iterator[Collection]:
        """The whole span, newest first. Raises MetricsError."""
        newest = self.newest.result()
        if newest is not None:
            yield newest
            yield from self.others

    def after(self, chunk: Collection) -> ReadAhead:
        """What is left once its newest chunk was used."""
        span, some = replace(self.span, until=chunk.since), self.some or bool(chunk.facts)
        return ReadAhead(span, self.since, next_of(self.others), self.others, some)


def next_of(chunks: Iterator[Collection]) -> Future[Collection | None]:
    """The next chunk, evaluated meanwhile; None where there is none left."""
    return in_background(lambda: next(chunks, None), name="backfill-ahead")
