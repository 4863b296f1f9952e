"""Reading the past of one metrics source, newest first, a bounded part per cycle.

Where a cycle has no time for all of it, the spans of the next one are requested before its analyses begin, and stored
between them as they come. A workflow that has enough runs by then is analysed in the same cycle.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from concertmaster.controller.collection.read_ahead import QueriedSpan, ReadAhead, next_of
from concertmaster.controller.collection.source_state import PodQuery, Reading, SourceState
from concertmaster.controller.collection.watermarks import MIN_PAST_SECONDS
from concertmaster.core.model import WorkflowKey
from concertmaster.core.units import HOUR
from concertmaster.history import Store
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.collect.pace import MAX_FULL_SPEED_WORKFLOWS, BackfillPace, FirstDepth
from concertmaster.prometheus.collect.reading import RECENT_SECONDS, Collection
from concertmaster.prometheus.reader.process import SourceReader

log = logging.getLogger("concertmaster.sources")

_MAX_WORKFLOWS = 500  # workflows: spans of more take too much memory, and too few of them are read ahead
_MAX_SECONDS = 30.0  # of a cycle for the past, after which what was read is analysed first
_MAX_SECONDS_SLOW = 5.0  # the same, where that takes long
_FORGET_AFTER = HOUR  # in which nobody has asked for workflows of a source
LONG = 120.0  # seconds: where reading the past takes more, the newest runs are worth an analysis before it is read


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a reading has come that had no time for more, for what is read ahead and stored between analyses."""

    store: Store
    reading: Reading  # of its own: the other one was reported
    lows: dict[WorkflowKey, float]
    horizon: float


class PastReader:
    """The past of one source. Used by one thread. Times are unix seconds."""

    def __init__(
        self,
        source: SourceState,
        *,
        per_cycle: float,
        stop: threading.Event,
        reader: SourceReader,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``per_cycle``: seconds of the past that are read at once. ``reader`` reads where that takes long. ``clock``:
        monotonic seconds."""
        self._source = source
        self._per_cycle = per_cycle
        self._stop = stop
        self._reader = reader
        self._clock = clock
        self._pace = BackfillPace()
        self._depth = FirstDepth()
        self._ahead: ReadAhead | None = None
        self._progress: _Progress | None = None
        self._since: float | None = None  # when the past that is being read was begun, in monotonic seconds
        self._long = False  # whether that takes long

    def read(self, reading: Reading, horizon: float) -> None:
        """Read on towards ``horizon`` for workflows that were not read that far yet. Raises MetricsError and HistoryError;
        what was stored before stays."""
        request, begun = reading.request, self._clock()
        ahead, self._ahead = self._ahead, None
        previous, self._progress = self._progress, None
        if previous is not None:
            reading.changed |= previous.reading.changed
            reading.unassigned += previous.reading.unassigned
        started = dict.fromkeys(ahead.span.namespaces, ahead.span.until) if ahead is not None else {}
        lows = self._source.marks.lows((d.key for d in request.workflows), self._source.newest(request.now), started)
        lacking = {key: low for key, low in lows.items() if low > horizon + MIN_PAST_SECONDS}
        reading.lack(lows, horizon)  # also where reading on fails
        progress = _Progress(self._source.history.store, reading, lows, horizon)
        self._since = (self._since if self._since is not None else begun) if reading.unread else None
        self._long = self._long and self._since is not None

        def enough() -> bool:
            return self._stop.is_set() or self._late(lacking, lows, begun)

        late = False
        for top, namespaces in self._next(self._parts(progress), ahead):
            asked = ahead if ahead is not None and ahead.span == self._queried(reading, namespaces, top) else None
            if asked is not None and not asked.newest.done() and previous is not None and previous.reading.changed:
                self._ahead, late = asked, True  # there is enough to analyse until it comes
            else:
                late = self._read_back(progress, namespaces, top, asked, enough)
            if late:
                break
        reading.more = reading.lack(lows, horizon) or reading.more
        reading.long = self._since is not None and self._takes_long(lacking, lows, begun)
        if not reading.unread:
            self._reader.close()
        if late:
            self._progress = replace(progress, reading=Reading(request, reading.heartbeat))
            if self._ahead is None:
                self._query_next(self._progress)

    def _read_back(
        self,
        progress: _Progress,
        namespaces: list[str],
        top: float,
        asked: ReadAhead | None,
        enough: Callable[[], bool],
    ) -> bool:
        """Read the past of these namespaces from ``top`` back until something ended in it. ``asked``: what was queried of
        it ahead. Returns whether there is ``enough`` to analyse first."""
        newest = self._source.newest(progress.reading.request.now)
        since, span = top, self._span(progress.reading, namespaces, newest - top)
        while since > progress.horizon + MIN_PAST_SECONDS:
            until = since
            some, since = self._read_span(progress, namespaces, max(progress.horizon, since - span), until, asked)
            asked = None
            if some and until > newest - RECENT_SECONDS:
                self._learn_depth(progress.reading, namespaces, until)
            span *= 2  # of a long time in which nothing ended, all at once
            if enough():
                return True
            if some:
                break
        return False

    def _read_span(
        self, progress: _Progress, namespaces: list[str], since: float, until: float, asked: ReadAhead | None
    ) -> tuple[bool, float]:
        """Whether anything ended in that span, and how far back it was read."""
        reading = progress.reading
        count = len(reading.definitions(namespaces))
        if asked is not None:
            chunks, some = asked.chunks(), asked.some
        else:
            query = self._source.query(reading, namespaces)
            chunks, some = self._chunks(reading.request.now, query, namespaces, count, since, until), False
        position = until
        for chunk in chunks:
            self._store(chunk, namespaces, count, progress)
            some, position = some or bool(chunk.facts), chunk.since
            if self._stop.is_set():
                break
        return some, position

    def store_read_ahead(self, now: float) -> None:
        """Store the answers to queries sent ahead, as far as they have arrived, and send the next ones. A fault of the
        source is left to the next reading. ``now``: of the cycle, which must have read before. Raises HistoryError."""
        ahead, progress = self._ahead, self._progress
        if ahead is None or progress is None:
            return
        if progress.reading.request.now != now:
            if abs(now - progress.reading.request.now) > _FORGET_AFTER:
                self._ahead = self._progress = None
                self._reader.close()
            return
        if not ahead.newest.done() or self._stop.is_set():
            return
        self._ahead = None
        if progress.store is not self._source.history.store:
            return  # what was known to be in it may not be in this one
        try:
            chunk = ahead.newest.result()
        except MetricsError as error:
            log.info("what was queried ahead is queried again: %s", error)
            return
        if chunk is not None:
            namespaces = ahead.span.namespaces
            self._store(chunk, namespaces, len(progress.reading.definitions(namespaces)), progress)
        if chunk is not None and chunk.since > ahead.since:
            self._ahead = ahead.after(chunk)
        else:
            self._query_next(progress)

    def _late(self, lacking: Mapping[WorkflowKey, float], lows: Mapping[WorkflowKey, float], begun: float) -> bool:
        """Whether what was read since ``begun`` is analysed before more is read: soon, where that continues meanwhile."""
        patience = _MAX_SECONDS_SLOW if self._takes_long(lacking, lows, begun) else _MAX_SECONDS
        return self._clock() - begun > patience

    def _takes_long(
        self, lacking: Mapping[WorkflowKey, float], lows: Mapping[WorkflowKey, float], begun: float
    ) -> bool:
        """Whether reading the past takes longer than ``LONG``: it already has, or it will at the pace since ``begun``
        once every workflow that was ``lacking`` something has had its turn. Stays true until everything is read."""
        now = self._clock()
        read = sum(lows[key] < low for key, low in lacking.items())
        spent = now - (self._since if self._since is not None else now)
        self._long = self._long or spent + (now - begun) * (len(lacking) - read) / max(read, 1) > LONG
        return self._long

    def _store(self, chunk: Collection, namespaces: Sequence[str], count: int, progress: _Progress) -> None:
        """One chunk of the past of ``count`` workflows."""
        reading, source = progress.reading, self._source
        self._pace.learn(chunk, count)
        reading.heartbeat("collect")
        recent = chunk.complete_until >= reading.request.now - RECENT_SECONDS
        source.keep(chunk, namespaces, reading, present=recent)
        blind = bool(source.gaps.blind) and not chunk.facts
        source.marks.lower(progress.lows, namespaces, chunk.since, chunk.complete_until, blind=blind)

    def _query_next(self, progress: _Progress) -> None:
        """Query the first span of what comes next."""
        reading, now = progress.reading, progress.reading.request.now
        if self._stop.is_set() or not reading.lack(progress.lows, progress.horizon):
            return
        for top, namespaces in self._parts(progress)[:1]:
            span = self._span(reading, namespaces, self._source.newest(now) - top)
            self._ahead = self._query_ahead(reading, namespaces, max(progress.horizon, top - span), top)

    def _parts(self, progress: _Progress) -> list[tuple[float, list[str]]]:
        """What comes next: namespaces that are queried together, each with the moment down to which they were read."""
        now = progress.reading.request.now
        return progress.reading.behind(lambda names: self._source.oversize.groups(names, now), _MAX_WORKFLOWS)

    def _queried(self, reading: Reading, namespaces: Sequence[str], until: float) -> QueriedSpan:
        return QueriedSpan(tuple(namespaces), until, self._source.query(reading, namespaces))

    def _span(self, reading: Reading, namespaces: Sequence[str], done: float) -> float:
        """Seconds of the past that are read at once for these workflows, of which ``done`` seconds are read already.
        With many workflows the first spans are shorter: the newest runs of all come before the older ones of any."""
        few = len(reading.definitions(namespaces)) <= MAX_FULL_SPEED_WORKFLOWS
        return self._per_cycle if few else min(self._per_cycle, max(self._depth.seconds, done))

    def _learn_depth(self, reading: Reading, namespaces: Sequence[str], until: float) -> None:
        keys = [d.key for d in reading.definitions(namespaces)]
        if len(keys) > MAX_FULL_SPEED_WORKFLOWS:
            self._depth.learn(self._source.history.store.begun(keys).values(), reading.request.min_runs, until)

    def _next(self, parts: Sequence[tuple[float, list[str]]], ahead: ReadAhead | None) -> list[tuple[float, list[str]]]:
        """``parts``, first of them what was queried ahead."""
        begun = ahead.span.namespaces if ahead is not None else ()
        return sorted(parts, key=lambda part: tuple(part[1]) != begun)

    def _query_ahead(self, reading: Reading, namespaces: list[str], since: float, until: float) -> ReadAhead:
        queried, count = self._queried(reading, namespaces, until), len(reading.definitions(namespaces))
        chunks = self._chunks(reading.request.now, queried.query, namespaces, count, since, until)
        return ReadAhead(queried, since, next_of(chunks), chunks)

    def _chunks(
        self, now: float, query: PodQuery, namespaces: list[str], count: int, since: float, until: float
    ) -> Iterator[Collection]:
        """The span in chunks, newest first, of which the source evaluates one while another is used."""
        options = replace(query.options, longest=self._pace.longest(count, query.options.longest))
        return self._reader.backfill(
            namespaces=namespaces,
            since=since,
            until=until,
            now=now,
            label_keys=query.label_keys,
            options=options,
            apart=self._long,
        )
