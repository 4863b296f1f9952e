"""One reading of a metrics source: pods that ended or vanished since the watermark, as facts, by a fixed number of queries.

An answer is used whole or not at all. Every failure, warning or truncation raises, so the caller's watermark stays where
it was; a scope with too large an answer is queried again in halves, by namespaces and then by time. The smallest span of
one namespace that is still too large is given up, so that other namespaces need not wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import partial

from concertmaster.core.units import HOUR
from concertmaster.net.background import in_background
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import NoFreeSlot, TimedOut, TooLarge
from concertmaster.prometheus.collect.collection import Collection, CollectOptions, SkippedSpan
from concertmaster.prometheus.collect.shard.shard import QueryShard
from concertmaster.prometheus.collect.windows import latest_moment, window_of
from concertmaster.prometheus.queries import ended
from concertmaster.prometheus.queries.scope import QueryScope

__all__ = ["RECENT_SECONDS", "CollectOptions", "Collection", "SkippedSpan", "backfill", "collect"]

SHORTER_AFTER_TIMEOUT = 3  # times in one reading of the past
MIN_SPAN_AFTER_TIMEOUT = 900.0  # seconds
RECENT_SECONDS = HOUR  # seconds: a span this recent also tells what the source has at present
MAX_SPANS = 40  # asked for in one namespace and reading; what is left then is given up


def collect(
    client: PrometheusClient,
    *,
    namespaces: Sequence[str],
    since: float,
    until: float,
    now: float,
    label_keys: Sequence[str] = (),
    options: CollectOptions | None = None,
) -> Collection:
    """Pods of runs in ``namespaces`` (empty: all) that ended or vanished in (since, until].

    Times are unix seconds. The newest moment asked for lies the source's delay before ``now``. Raises MetricsError; the
    watermark may move to ``complete_until`` and not beyond, which is less than ``until`` when the span was too long or
    too full for one reading, or when pods are held back.
    """
    chosen = options or CollectOptions()
    end = float(int(min(until, now - client.source.delay_seconds, since + chosen.longest)))
    if end <= since:
        return Collection(since=since, complete_until=since, shards=0)
    reading = _Reading(client, tuple(label_keys), chosen, now)
    while True:
        try:
            collection = reading.over(tuple(sorted(set(namespaces))), since, end)
        except TooLarge:
            if end - since <= chosen.shortest:
                raise
            end = float(int(since + max(chosen.shortest, (end - since) / 2)))
        else:
            _check_any(collection)
            return collection


def backfill(
    client: PrometheusClient,
    *,
    namespaces: Sequence[str],
    since: float,
    until: float,
    now: float,
    label_keys: Sequence[str] = (),
    options: CollectOptions | None = None,
    at_once: int = 2,
) -> Iterator[Collection]:
    """The same over a long span, newest first, so that recommendations do not wait for the oldest run.

    Each chunk covers at most ``options.longest`` seconds and is complete when it is yielded; one that is too large is
    halved, and a few times one that the source has no time for. Where nothing ended in the newest chunk, one query tells
    whether there is anything at all. ``at_once`` chunks are queried at a time, so that the source evaluates one while
    another is decoded and used; one at a time once the source had no time. Raises MetricsError between chunks; what was
    yielded stays true, and the caller may continue later with ``until`` set to the ``since`` of the last chunk.
    """
    chosen = options or CollectOptions()
    end = float(int(min(until, now - client.source.delay_seconds)))
    scope = tuple(sorted(set(namespaces)))
    chunks = _Chunks(partial(_Reading, client, tuple(label_keys), chosen, now), scope, since, end, chosen, at_once)
    doubtful = True
    while chunks.end > since:
        collection = chunks.next()
        if collection is None:
            continue
        yield collection
        doubtful = doubtful and chunks.quiet
        if doubtful and chunks.end - since > chunks.most:
            doubtful = False
            if chunks.reading().nothing(scope, since, chunks.end):
                yield Collection(since, chunks.end, shards=0, blind=collection.blind)
                return


class _Chunks:
    """The chunks of a long span, newest first, ``at_once`` of them queried at a time. ``end``: everything later was given
    out; ``quiet``: nothing ended in the newest chunk given out; ``most``: seconds of a chunk."""

    def __init__(
        self,
        reading: Callable[[], _Reading],
        namespaces: tuple[str, ...],
        since: float,
        end: float,
        options: CollectOptions,
        at_once: int,
    ) -> None:
        self.reading, self.end, self.most = reading, end, options.longest
        self._namespaces, self._since, self._shortest, self._at_once = namespaces, since, options.shortest, at_once
        self._recent = reading().now - RECENT_SECONDS
        self.quiet = end < self._recent  # a reading that continues in the past: its first span may be quiet, too
        self._length, self._patience = self.most, SHORTER_AFTER_TIMEOUT
        self._asked: deque[tuple[float, Future[Collection]]] = deque()
        self._position = end  # everything between it and ``end`` is queried

    def next(self) -> Collection | None:
        """The next one, complete; None where it was refused and is queried again in shorter ones. Raises MetricsError."""
        self._ask()
        begin, pending = self._asked.popleft()
        try:
            collection = pending.result()
        except TooLarge:
            if self.end - begin <= self._shortest:
                raise
            self._length = max(self._shortest, (self.end - begin) / 2)
        except TimedOut as error:  # a busy source answers for a shorter span what it cannot for a long one
            if isinstance(error, NoFreeSlot) or not self._patience or self.end - begin <= MIN_SPAN_AFTER_TIMEOUT:
                raise
            self._patience, self._at_once = self._patience - 1, 1
            self._length = self.most = (self.end - begin) / 2
        else:
            _check_any(collection)
            # Pods held back in the past need no waiting: their end, if it was seen at all, lies in a newer chunk.
            collection = replace(collection, complete_until=self.end)
            self.end = begin
            self._length = min(self.most, self._length * 2)
            self.quiet = not (collection.facts or collection.left_out)
            return collection
        self._asked.clear()  # of what follows the refused span; it is queried again when its turn comes
        self._position = self.end
        return None

    def _ask(self) -> None:
        """Query as many as are queried at a time."""
        while len(self._asked) < self._at_once and self._position > self._since:
            begin = max(self._since, float(int(self._position - self._length)))
            quiet = self.quiet and self._position < self._recent
            over = partial(self.reading().over, self._namespaces, begin, self._position, quiet=quiet)
            self._asked.append((begin, in_background(over, name="backfill")))
            self._position = begin


@dataclass(slots=True)
class _Reading:
    """The queries of one call, with what is known about the metrics source."""

    client: PrometheusClient
    label_keys: tuple[str, ...]
    options: CollectOptions
    now: float
    scope: QueryScope = field(init=False)
    queries: int = 0

    def __post_init__(self) -> None:
        scope = QueryScope.in_source(self.client.source)
        more = self.options
        self.scope = replace(scope, run_labels=more.run_labels, named=more.named, each_cpu=self.client.traits.each_cpu)

    def over(
        self, namespaces: tuple[str, ...], since: float, end: float, *, half: bool = False, quiet: bool = False
    ) -> Collection:
        """One span, split by namespaces and then by time when an answer is too large; two halves at a time, so that the
        source evaluates one while the other is decoded. Of a ``quiet`` one it is asked first whether there were pods at
        all. Raises TooLarge where the namespaces are not known either."""
        before = self.queries
        try:
            return replace(self._shard(namespaces, since, end, quiet=quiet), queries=self.queries - before)
        except TooLarge:
            names = namespaces or self._namespaces(replace(self.scope, namespaces=()), since, end)
            if not names:
                raise
        if len(names) == 1:
            collection = self._in_spans(names[0], since, end)
        else:
            middle = len(names) // 2
            left, right = names[:middle], names[middle:]
            if half:
                collection = _joined([self.over(left, since, end, half=True), self.over(right, since, end, half=True)])
            else:
                other = _Reading(self.client, self.label_keys, self.options, self.now)
                beside = in_background(partial(other.over, left, since, end, half=True), name="half")
                try:
                    last = self.over(right, since, end, half=True)
                finally:
                    wait([beside])  # nothing is asked any more for a span that was given up
                collection = _joined([beside.result(), last])
                self.queries += other.queries
        return replace(collection, queries=self.queries - before)

    def _shard(self, namespaces: tuple[str, ...], since: float, end: float, *, quiet: bool = False) -> Collection:
        scope = replace(self.scope, namespaces=namespaces)
        latest = latest_moment(end, self.now)
        shard = QueryShard(self.client, scope, self.label_keys, self.options, since, end, latest)
        quiet = quiet and window_of(since, end, self.options).long and self.nothing(namespaces, since, end)
        try:
            return (shard.without_pods() if quiet else None) or shard.collect()
        finally:
            self.queries += shard.queries

    def _in_spans(self, namespace: str, since: float, end: float) -> Collection:
        """One namespace, a span after the other. The smallest spans that are still too large are given up, each next one
        twice as long until an answer fits again: what is refused for hours costs few queries."""
        shortest = self.options.shortest
        parts: list[Collection] = []
        left_out: list[SkippedSpan] = []
        position, length, growing = since, (end - since) / 2, False
        for remaining in range(MAX_SPANS, 0, -1):
            until = end if remaining == 1 else min(end, float(int(position + max(shortest, length))))
            try:
                parts.append(self._shard((namespace,), position, until))
            except TooLarge as error:
                if remaining > 1 and not growing and until - position > shortest:
                    length = (until - position) / 2
                    continue
                left_out.append(SkippedSpan(namespace, position, until, error.what))
                growing = True
            else:
                growing = False
            length, position = 2 * (until - position), until
            if position >= end:
                break
        waiting = [part.complete_until for part in parts if part.held]  # for pods held back, also in an earlier span
        whole = _joined(parts) if parts else Collection(since, end, shards=0)
        return replace(
            whole, since=since, complete_until=min(waiting, default=end), left_out=tuple(left_out), shards=len(parts)
        )

    def nothing(self, namespaces: tuple[str, ...], since: float, end: float) -> bool:
        """Whether one query shows that these namespaces had no pods of runs in the span."""
        try:
            return not self._namespaces(replace(self.scope, namespaces=namespaces), since, end)
        except (TooLarge, TimedOut):
            return False

    def _namespaces(self, scope: QueryScope, since: float, end: float) -> tuple[str, ...]:
        window = window_of(since, end, self.options)
        self.queries += 1
        answer = self.client.instant(ended.namespaces(scope, window), end, name="namespaces")
        return tuple(sorted(row[0] for row, _ in answer.select(scope.state.name("namespace"))))


def _check_any(collection: Collection) -> None:
    """Raises TooLarge when every namespace was refused: then the limit of the metrics source must change."""
    if not collection.shards and len({span.namespace for span in collection.left_out}) > 1:
        raise TooLarge(
            collection.left_out[0].why,
            where="every namespace, even over the shortest span",
            remedy="Raise the limits of the metrics source or maxElements of the source",
        )


def _joined(parts: Sequence[Collection]) -> Collection:
    """Several shards of one span as one; complete as far as the least complete of them."""
    return Collection(
        since=parts[0].since,
        complete_until=min(part.complete_until for part in parts),
        facts=tuple(fact for part in parts for fact in part.facts),
        jobs=tuple(job for part in parts for job in part.jobs),
        missing=tuple(dict.fromkeys(note for part in parts for note in part.missing)),
        warnings=tuple(dict.fromkeys(note for part in parts for note in part.warnings)),
        held=sum(part.held for part in parts),
        recorded=sum(part.recorded for part in parts),
        shards=sum(part.shards for part in parts),
        settled=frozenset[str]().union(*(part.settled for part in parts)),
        left_out=tuple(span for part in parts for span in part.left_out),
        blind=all(part.blind for part in parts),
    )
