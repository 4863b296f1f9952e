"""Reading the past of one metrics source, newest first, a bounded part per cycle.

Where a cycle has no time for all of it, the first spans of what the next one reads are asked for before its analyses begin:
the source evaluates them meanwhile, instead of resting. What a span contains does not depend on when it is asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

from concertmaster.controller.collection.gaps import Gaps
from concertmaster.controller.collection.oversize import Oversize
from concertmaster.controller.collection.watermarks import SLACK, OpenStore, Reading, Watermarks
from concertmaster.net.background import in_background
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.pace import FEW, FirstDepth, Pace
from concertmaster.prometheus.collect.reading import PRESENT, Collection, CollectOptions, backfill

_TOGETHER = 500  # workflows: of more, spans of the past are too much memory, and too little of them is asked for ahead
_AT_ONCE = 30.0  # seconds of a cycle for the past, after which what was read is analyzed first
LONG = 120.0  # seconds of reading the past after which the newest runs are worth an analysis before


@dataclass(frozen=True, slots=True)
class Asking:
    """How pods of some namespaces are asked for: labels that place them, and how they are found."""

    label_keys: tuple[str, ...]
    options: CollectOptions


class Keep(Protocol):
    """Stores what was read."""

    def __call__(
        self, collected: Collection, namespaces: Sequence[str], reading: Reading, gaps: Gaps, *, present: bool
    ) -> None:
        """``present``: it describes the present state of the metrics source."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A span that ends at ``until``, as it is asked for."""

    namespaces: tuple[str, ...]
    until: float
    asking: Asking


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What was asked for ahead: the newest chunk of a span, and those before it."""

    span: _Span
    newest: Future[Collection | None]
    others: Iterator[Collection]

    def chunks(self) -> Iterator[Collection]:
        newest = self.newest.result()
        if newest is not None:
            yield newest
            yield from self.others


class PastReader:
    """The past of one source. Used by one thread. Times are unix seconds."""

    def __init__(
        self,
        client: PrometheusClient,
        asking: Callable[[Reading, Sequence[str]], Asking],
        keep: Keep,
        history: OpenStore,
        *,
        per_cycle: float,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``history`` is where ``keep`` stores it. ``per_cycle``: seconds of the past that are read at once. ``clock``:
        monotonic seconds."""
        self._client = client
        self._asking = asking
        self._keep = keep
        self._per_cycle = per_cycle
        self._stop = stop
        self._clock = clock
        self._history = history
        self._pace = Pace()
        self._depth = FirstDepth()
        self._ahead: _Ahead | None = None
        self._since: float | None = None  # when the past that is being read was begun, in monotonic seconds

    def read(self, reading: Reading, gaps: Gaps, marks: Watermarks, oversize: Oversize, want: float) -> None:
        """Read on towards ``want`` for workflows that were not read that far yet. Raises MetricsError and HistoryError;
        what was stored before stays."""
        demand, begun = reading.demand, self._clock()
        ahead, self._ahead = self._ahead, None
        newest = float(int(demand.now - self._client.source.delay_seconds))
        started = dict.fromkeys(ahead.span.namespaces, ahead.span.until) if ahead is not None else {}
        lows = marks.lows((d.key for d in demand.workflows), newest, started)
        reading.lack(lows, want)  # also where reading on fails

        def read(namespaces: list[str], since: float, until: float) -> bool:
            """Whether anything ended in that span."""
            asking, count, some = self._asking(reading, namespaces), len(reading.definitions(namespaces)), False
            span = _Span(tuple(namespaces), until, asking)
            if ahead is not None and ahead.span == span:
                chunks = ahead.chunks()
            else:
                chunks = self._chunks(demand.now, asking, namespaces, count, since, until)
            for chunk in chunks:
                self._pace.learn(chunk, count)
                reading.heartbeat("collect")
                self._keep(chunk, namespaces, reading, gaps, present=chunk.complete_until >= demand.now - PRESENT)
                blind = bool(gaps.blind) and not chunk.facts
                marks.lower(lows, namespaces, chunk.since, chunk.complete_until, blind=blind)
                some = some or bool(chunk.facts)
                if self._stop.is_set():
                    break
            return some

        def together(names: Iterable[str]) -> Iterable[list[str]]:
            return oversize.groups(names, demand.now)

        self._since = (self._since if self._since is not None else begun) if reading.unread else None
        late = False
        for top, namespaces in self._next(reading.behind(together, _TOGETHER), ahead):
            since, span, some = top, self._span(reading, namespaces, newest - top), False
            while not (some or late) and since > want + SLACK:
                until, since = since, max(want, since - span)
                some = read(namespaces, since, until)
                if some and until > newest - PRESENT:
                    self._learn_depth(reading, namespaces, until)
                span *= 2  # of a long time in which nothing ended, all at once
                late = self._stop.is_set() or self._clock() - begun > _AT_ONCE
            if late:
                break
        reading.more = reading.lack(lows, want) or reading.more
        reading.long = self._since is not None and self._clock() - self._since > LONG
        if late and not self._stop.is_set():
            for top, namespaces in reading.behind(together, _TOGETHER)[:1]:
                span = self._span(reading, namespaces, newest - top)
                self._ahead = self._ask_ahead(reading, namespaces, max(want, top - span), top)

    def _span(self, reading: Reading, namespaces: Sequence[str], known: float) -> float:
        """Seconds of the past of these that are read at once, of which so many are ``known``. Of many workflows that is
        less at first: the newest runs of all come before the older ones of any."""
        few = len(reading.definitions(namespaces)) <= FEW
        return self._per_cycle if few else min(self._per_cycle, max(self._depth.seconds, known))

    def _learn_depth(self, reading: Reading, namespaces: Sequence[str], until: float) -> None:
        keys = [d.key for d in reading.definitions(namespaces)]
        if len(keys) > FEW:
            self._depth.learn(self._history.store.begun(keys).values(), reading.demand.min_runs, until)

    def _next(self, parts: Sequence[tuple[float, list[str]]], ahead: _Ahead | None) -> list[tuple[float, list[str]]]:
        """``parts``, first of them what was asked for ahead."""
        begun = ahead.span.namespaces if ahead is not None else ()
        return sorted(parts, key=lambda part: tuple(part[1]) != begun)

    def _ask_ahead(self, reading: Reading, namespaces: list[str], since: float, until: float) -> _Ahead:
        asking, count = self._asking(reading, namespaces), len(reading.definitions(namespaces))
        chunks = self._chunks(reading.demand.now, asking, namespaces, count, since, until)
        newest = in_background(lambda: next(chunks, None), name="backfill-ahead")
        return _Ahead(_Span(tuple(namespaces), until, asking), newest, chunks)

    def _chunks(
        self, now: float, asking: Asking, namespaces: list[str], count: int, since: float, until: float
    ) -> Iterator[Collection]:
        """The span in chunks, newest first, of which the source evaluates one while another is used."""
        options = replace(asking.options, longest=self._pace.longest(count, asking.options.longest))
        return backfill(
            self._client,
            namespaces=namespaces,
            since=since,
            until=until,
            now=now,
            label_keys=asking.label_keys,
            options=options,
        )
