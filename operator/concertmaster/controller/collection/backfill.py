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
class _Known:
    """What a reading that had no time for more left behind, for what is stored between analyses."""

    store: Store
    reading: Reading  # of its own: the other one was reported
    lows: dict[WorkflowKey, float]
    want: float


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
        self._known: _Known | None = None
        self._since: float | None = None  # when the past that is being read was begun, in monotonic seconds
        self._long = False  # whether that takes long

    def read(self, reading: Reading, want: float) -> None:
        """Read on towards ``want`` for workflows that were not read that far yet. Raises MetricsError and HistoryError;
        what was stored before stays."""
        demand, begun = reading.demand, self._clock()
        ahead, self._ahead = self._ahead, None
        known, self._known = self._known, None
        if known is not None:
            reading.changed |= known.reading.changed
            reading.unassigned += known.reading.unassigned
        started = dict.fromkeys(ahead.span.namespaces, ahead.span.until) if ahead is not None else {}
        lows = self._source.marks.lows((d.key for d in demand.workflows), self._source.newest(demand.now), started)
        lacking = {key: low for key, low in lows.items() if low > want + MIN_PAST_SECONDS}
        reading.lack(lows, want)  # also where reading on fails
        use = _Known(self._source.history.store, reading, lows, want)
        self._since = (self._since if self._since is not None else begun) if reading.unread else None
        self._long = self._long and self._since is not None

        def enough() -> bool:
            return self._stop.is_set() or self._late(lacking, lows, begun)

        late = False
        for top, namespaces in self._next(self._parts(use), ahead):
            asked = ahead if ahead is not None and ahead.span == self._queried(reading, namespaces, top) else None
            if asked is not None and not asked.newest.done() and known is not None and known.reading.changed:
                self._ahead, late = asked, True  # there is enough to analyse until it comes
            else:
                late = self._read_back(use, namespaces, top, asked, enough)
            if late:
                break
        reading.more = reading.lack(lows, want) or reading.more
        reading.long = self._since is not None and self._takes_long(lacking, lows, begun)
        if not reading.unread:
            self._reader.close()
        if late:
            self._known = replace(use, reading=Reading(demand, reading.heartbeat))
            if self._ahead is None:
                self._ask_on(self._known)

    def _read_back(
        self, use: _Known, namespaces: list[str], top: float, asked: ReadAhead | None, enough: Callable[[], bool]
    ) -> bool:
        """Read the past of these namespaces from ``top`` back until something ended in it. ``asked``: what was queried of
        it ahead. Returns whether there is ``enough`` to analyse first."""
        newest = self._source.newest(use.reading.demand.now)
        since, span = top, self._span(use.reading, namespaces, newest - top)
        while since > use.want + MIN_PAST_SECONDS:
            until = since
            some, since = self._read_span(use, namespaces, max(use.want, since - span), until, asked)
            asked = None
            if some and until > newest - RECENT_SECONDS:
                self._learn_depth(use.reading, namespaces, until)
            span *= 2  # of a long time in which nothing ended, all at once
            if enough():
                return True
            if some:
                break
        return False

    def _read_span(
        self, use: _Known, namespaces: list[str], since: float, until: float, asked: ReadAhead | None
    ) -> tuple[bool, float]:
        """Whether anything ended in that span, and how far back it was read."""
        reading = use.reading
        count = len(reading.definitions(namespaces))
        if asked is not None:
            chunks, some = asked.chunks(), asked.some
        else:
            asking = self._source.query(reading, namespaces)
            chunks, some = self._chunks(reading.demand.now, asking, namespaces, count, since, until), False
        position = until
        for chunk in chunks:
            self._store(chunk, namespaces, count, use)
            some, position = some or bool(chunk.facts), chunk.since
            if self._stop.is_set():
                break
        return some, position

    def go_on(self, now: float) -> None:
        """Store the answers to queries sent ahead, as far as they have arrived, and send the next ones. A fault of the
        source is left to the next reading. ``now``: of the cycle, which must have read before. Raises HistoryError."""
        ahead, known = self._ahead, self._known
        if ahead is None or known is None:
            return
        if known.reading.demand.now != now:
            if abs(now - known.reading.demand.now) > _FORGET_AFTER:
                self._ahead = self._known = None
                self._reader.close()
            return
        if not ahead.newest.done() or self._stop.is_set():
            return
        self._ahead = None
        if known.store is not self._source.history.store:
            return  # what was known to be in it may not be in this one
        try:
            chunk = ahead.newest.result()
        except MetricsError as error:
            log.info("what was asked for ahead is asked for again: %s", error)
            return
        if chunk is not None:
            namespaces = ahead.span.namespaces
            self._store(chunk, namespaces, len(known.reading.definitions(namespaces)), known)
        if chunk is not None and chunk.since > ahead.since:
            self._ahead = ahead.after(chunk)
        else:
            self._ask_on(known)

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

    def _store(self, chunk: Collection, namespaces: Sequence[str], count: int, known: _Known) -> None:
        """One chunk of the past of ``count`` workflows."""
        reading, source = known.reading, self._source
        self._pace.learn(chunk, count)
        reading.heartbeat("collect")
        recent = chunk.complete_until >= reading.demand.now - RECENT_SECONDS
        source.keep(chunk, namespaces, reading, present=recent)
        blind = bool(source.gaps.blind) and not chunk.facts
        source.marks.lower(known.lows, namespaces, chunk.since, chunk.complete_until, blind=blind)

    def _ask_on(self, known: _Known) -> None:
        """Ask for the first span of what comes next."""
        reading, now = known.reading, known.reading.demand.now
        if self._stop.is_set() or not reading.lack(known.lows, known.want):
            return
        for top, namespaces in self._parts(known)[:1]:
            span = self._span(reading, namespaces, self._source.newest(now) - top)
            self._ahead = self._ask_ahead(reading, namespaces, max(known.want, top - span), top)

    def _parts(self, known: _Known) -> list[tuple[float, list[str]]]:
        """What comes next: namespaces that are queried together, each with the moment down to which they were read."""
        now = known.reading.demand.now
        return known.reading.behind(lambda names: self._source.oversize.groups(names, now), _MAX_WORKFLOWS)

    def _queried(self, reading: Reading, namespaces: Sequence[str], until: float) -> QueriedSpan:
        return QueriedSpan(tuple(namespaces), until, self._source.query(reading, namespaces))

    def _span(self, reading: Reading, namespaces: Sequence[str], known: float) -> float:
        """Seconds of the past that are read at once for these workflows, of which ``known`` seconds are read already.
        With many workflows the first spans are shorter: the newest runs of all come before the older ones of any."""
        few = len(reading.definitions(namespaces)) <= MAX_FULL_SPEED_WORKFLOWS
        return self._per_cycle if few else min(self._per_cycle, max(self._depth.seconds, known))

    def _learn_depth(self, reading: Reading, namespaces: Sequence[str], until: float) -> None:
        keys = [d.key for d in reading.definitions(namespaces)]
        if len(keys) > MAX_FULL_SPEED_WORKFLOWS:
            self._depth.learn(self._source.history.store.begun(keys).values(), reading.demand.min_runs, until)

    def _next(self, parts: Sequence[tuple[float, list[str]]], ahead: ReadAhead | None) -> list[tuple[float, list[str]]]:
        """``parts``, first of them what was queried ahead."""
        begun = ahead.span.namespaces if ahead is not None else ()
        return sorted(parts, key=lambda part: tuple(part[1]) != begun)

    def _ask_ahead(self, reading: Reading, namespaces: list[str], since: float, until: float) -> ReadAhead:
        queried, count = self._queried(reading, namespaces, until), len(reading.definitions(namespaces))
        chunks = self._chunks(reading.demand.now, queried.asking, namespaces, count, since, until)
        return ReadAhead(queried, since, next_of(chunks), chunks)

    def _chunks(
        self, now: float, asking: PodQuery, namespaces: list[str], count: int, since: float, until: float
    ) -> Iterator[Collection]:
        """The span in chunks, newest first, of which the source evaluates one while another is used."""
        options = replace(asking.options, longest=self._pace.longest(count, asking.options.longest))
        return self._reader.backfill(
            namespaces=namespaces,
            since=since,
            until=until,
            now=now,
            label_keys=asking.label_keys,
            options=options,
            apart=self._long,
        )
