"""Reading one metrics source forward, from the watermark of each namespace to now."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from concertmaster.controller.collection.gaps import PODS_AT_START, further_back, saw_nothing
from concertmaster.controller.collection.source_state import Reading, SourceState
from concertmaster.prometheus.collect.reading import Collection, collect

log = logging.getLogger("concertmaster.sources")


@dataclass(frozen=True, slots=True)
class ForwardReader:
    """The present of one source. ``most``: seconds that are read of a namespace at once. Times are unix seconds."""

    source: SourceState
    stop: threading.Event
    most: float

    def read(self, reading: Reading, horizon: float) -> None:
        """Read on; where a namespace begins anew, back to ``horizon`` at most. Namespaces with the same watermark share
        queries. Raises MetricsError and HistoryError; what was stored before stays."""
        history, marks, now = self.source.history, self.source.marks, reading.request.now
        end = self.source.newest(now)
        groups = dict[tuple[float, bool], list[str]]()
        marks.read_without(keys := [d.key for d in reading.request.workflows])
        for namespace in sorted({key.namespace for key in keys}):
            until = marks.until(namespace)
            if until is None or (until > now and not history.owns(namespace)):
                continue  # never read: all of it is the past, read newest first. Or another process has read on meanwhile
            if until > now:
                log.warning("facts of namespace %s are complete up to a future time; reading them again", namespace)
                marks.begin_anew(namespace)  # newest first, as what was never read: the present stays known
                continue
            groups.setdefault(self.source.gaps.start(namespace, until, horizon), []).append(namespace)
        known = [d for d in reading.request.workflows if d.fingerprint]
        history.store.note_definitions(
            {d.key: d.fingerprint for d in known if d.fingerprint},
            now,
            {d.key: d.written for d in known if d.written is not None},
        )
        for (since, again), namespaces in (
            (s, group) for s, all_of in sorted(groups.items()) for group in self.source.oversize.groups(all_of, now)
        ):
            pods = 0
            for collected in self._read(reading, namespaces, since, end):
                facts, pods = bool(collected.facts or collected.jobs), pods + len(collected.facts)
                blind = not facts and saw_nothing(collected)
                if not blind and marks.sees_again(namespaces, collected.complete_until):
                    reading.more = True
                    break
                marks.advance(namespaces, collected.complete_until, facts=facts, blind=blind)
                if collected.complete_until < end and collected.complete_until - since >= self.most:
                    reading.more = True
                    break
            newer = since
            for older in further_back(since, horizon) if again else ():
                if pods < PODS_AT_START:
                    found = self._read(reading, namespaces, older, newer, present=False)
                    pods, newer = pods + sum(len(collected.facts) for collected in found), older

    def _read(
        self,
        reading: Reading,
        namespaces: Sequence[str],
        since: float,
        until: float,
        *,
        present: bool = True,
    ) -> Iterator[Collection]:
        """Read a span in consecutive readings, each stored before it is yielded. Ends early where pods are held back
        until their source is up again."""
        query, settled = self.source.query(reading, namespaces), self.source.settled
        ask = partial(
            collect, self.source.client, now=reading.request.now, label_keys=query.label_keys, namespaces=namespaces
        )
        while since < until and not self.stop.is_set():
            reading.heartbeat("collect")
            options = replace(query.options, settled=settled.known(namespaces, since))
            collected = ask(since=since, until=until, options=options)
            self.source.keep(collected, namespaces, reading, present=present)
            yield collected
            if collected.complete_until <= since:
                return
            since = collected.complete_until
