"""How far each namespace and workflow of one source was read: forward from a watermark, and back into the past."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.units import WEEK
from concertmaster.history import HistoryError, Store

MIN_PAST_SECONDS = 60.0  # seconds of the past not worth a query
KEPT_EVERY = 600.0  # seconds that a process which starts may have to read again, although nothing ended in them


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The watermarks of ``source`` in the open ``store``, which is another one after a fault. Times are unix seconds.

    ``ahead``: by namespace, the mark that the history has and the moment up to which nothing ended since. A reading
    without facts writes nothing; it only counts while the history has the same mark.

    A source that has no pod information at all may only have lost sight of it: what was read then is not kept, and read
    again once it sees. ``blind``: the namespaces of which it saw nothing; ``doubted``: by shard, how far back it was asked;
    ``sure``: by namespace, up to when that was read again, which is done once.
    """

    store: Callable[[], Store]
    source: str
    ahead: dict[str, tuple[float | None, float]] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    doubted: dict[str, float] = field(default_factory=dict)
    sure: dict[str, float] = field(default_factory=dict)

    def keep_only(self, namespaces: Set[str]) -> None:
        """Forget what is not in the history of namespaces that are not read any more: should they return, they are read from
        their marks there."""
        self._forget(lambda namespace: namespace not in namespaces)

    def begin_anew(self, namespace: str) -> None:
        """Count a namespace as never read, in the history and in what is remembered beside it."""
        marks = self.store().watermarks(self.source)
        self.store().drop_watermarks(self.source, [s for s in marks if namespace_of(s) == namespace])
        self._forget(lambda known: known == namespace)

    def _forget(self, gone: Callable[[str], bool]) -> None:
        self.blind.difference_update([namespace for namespace in self.blind if gone(namespace)])
        for known in (self.ahead, self.doubted, self.sure):
            for shard in [shard for shard in known if gone(namespace_of(shard))]:
                del known[shard]

    def until(self, namespace: str) -> float | None:
        """Up to when a namespace is complete; None when it was never read."""
        kept = self.store().watermark(self.source, namespace)
        known = self.ahead.get(namespace)
        return known[1] if known is not None and known[0] == kept else kept

    def shards(self, keys: Iterable[WorkflowKey]) -> dict[WorkflowKey, str]:
        """Where it stands how far back each workflow was read: without that mark all of its past is read again."""
        dropped = self.store().watermarks("")
        return {key: _past(key, dropped) for key in keys}

    def advance(self, namespaces: Iterable[str], until: float, *, facts: bool, blind: bool = False) -> None:
        """Mark these as complete up to ``until``. The history stores the mark along with new ``facts``, or after ten
        minutes, but never the mark of a ``blind`` source."""
        moved: dict[str, float] = {}
        for namespace in namespaces:
            kept = self.store().watermark(self.source, namespace)
            doubt = blind and until > self.sure.get(namespace, 0.0)
            if doubt:
                self.blind.add(namespace)
            if not doubt and (facts or kept is None or until - kept >= KEPT_EVERY):
                moved[namespace] = until
                self.ahead.pop(namespace, None)
            elif kept is None or until > kept:
                self.ahead[namespace] = kept, until
        self.store().set_watermarks(self.source, moved)

    def sees_again(self, namespaces: Iterable[str], until: float) -> bool:
        """The source sees pods of these: discard what was read while it did not; return whether there was any."""
        seen = self.blind.intersection(namespaces)
        self.blind.difference_update(seen)
        for namespace in seen:
            self.ahead.pop(namespace, None)
            self.sure[namespace] = until
        for shard in [shard for shard in self.doubted if namespace_of(shard) in seen]:
            del self.doubted[shard]
        return bool(seen)

    def read_without(self, keys: Collection[WorkflowKey]) -> None:
        """The namespaces are about to be read for the workflows ``keys`` only. Record up to when they were read for their
        other workflows, whose definitions are unavailable (their kind is denied or missing, say): these lack what comes
        now."""
        marks, dropped = self._known()
        read, namespaces = {_past(key, dropped) for key in keys}, {key.namespace for key in keys}
        lacking = [s for s in marks if s.startswith(_PAST) and s not in read and namespace_of(s) in namespaces]
        untils = {_missed(s): self.until(namespace_of(s)) for s in lacking if _missed(s) not in marks}
        self.store().set_watermarks(self.source, {s: at for s, at in untils.items() if at is not None})
        self.store().drop_watermarks(self.source, [_refilled(s) for s in lacking if _refilled(s) in marks])

    def lows(
        self, keys: Iterable[WorkflowKey], newest: float, started: Mapping[str, float] = MappingProxyType({})
    ) -> dict[WorkflowKey, float]:
        """How far back each workflow was read without a gap: initially as far as its namespace is complete, else not at
        all. ``started``: by namespace, where a first reading that is in progress begins, instead of at ``newest``."""
        marks, dropped = self._known()
        lows: dict[WorkflowKey, float] = {}
        for key in keys:
            past, until = _past(key, dropped), marks.get(key.namespace, started.get(key.namespace, newest))
            known = marks.get(past)
            gap = known is None or _missed(past) in marks
            low = marks.get(_refilled(past), until) if known is None or gap else -known
            lows[key] = min(low, self.doubted.get(past, low))
        return lows

    def lower(
        self,
        lows: dict[WorkflowKey, float],
        namespaces: Collection[str],
        since: float,
        complete_until: float,
        *,
        blind: bool = False,
    ) -> None:
        """A chunk was stored: workflows known down to its newer end are known down to its older end. ``blind``: the chunk
        is empty, and the source sees nothing at present."""
        marks, dropped = self._known()
        spaces = frozenset(namespaces)
        unsure = [s for s in spaces if s in self.blind or complete_until > self.sure.get(s, 0.0)]
        doubtful = frozenset(unsure if blind else ())
        self.advance(doubtful - marks.keys() - self.ahead.keys(), complete_until, facts=False, blind=True)
        self.blind.update(doubtful)
        moved = {space: complete_until for space in spaces - self.blind if space not in marks}
        filled = list[str]()
        for key, low in lows.items():
            if key.namespace not in spaces or not since < low <= complete_until + 1.0:
                continue
            past = _past(key, dropped)
            if key.namespace in doubtful or past in self.doubted:  # all of it is read again: there may be a hole in it
                lows[key] = self.doubted[past] = since
                continue
            if (missed := marks.get(_missed(past))) is not None and since > missed:
                lows[key] = moved[_refilled(past)] = since
                continue
            if missed is not None:  # here begins what was read before
                filled += [_missed(past), _refilled(past)]
            lows[key] = min(since, -marks.get(past, -since))
            moved[past] = -lows[key]
        self.store().set_watermarks(self.source, moved)
        self.store().drop_watermarks(self.source, filled)

    def complete(self, namespaces: Iterable[str]) -> dict[str, float]:
        """Up to when each of these namespaces is complete, without those never read; empty where the history fails."""
        try:
            marks = {namespace: self.until(namespace) for namespace in namespaces}
        except HistoryError:
            return {}
        return {namespace: until for namespace, until in marks.items() if until is not None}

    def _known(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """All watermarks of the source, and when histories were dropped, read at once."""
        return self.store().watermarks(self.source), self.store().watermarks("")


@dataclass(frozen=True, slots=True)
class DurationMarks:
    """The span over which a workflow's duration queries were read. An edited query or a dropped history starts anew."""

    store: Store
    source: str
    definition: WorkflowDefinition

    def span(self) -> tuple[float | None, float | None]:
        """From when on, and up to when, durations are known."""
        past = self.store.watermark(self.source, f"{self._shard}{_PAST_OF}")
        return -past if past is not None else None, self.store.watermark(self.source, self._shard)

    def extend(self, since: float, until: float) -> None:
        """They are known for this span as well, which adjoins what was read before."""
        low, high = self.span()
        ends = until if high is None else max(high, until), since if low is None else min(low, since)
        self.store.set_watermarks(self.source, {self._shard: ends[0], f"{self._shard}{_PAST_OF}": -ends[1]})

    def forget(self) -> None:
        """Nothing is known."""
        self.store.drop_watermarks(self.source, [self._shard, f"{self._shard}{_PAST_OF}"])

    @property
    def _shard(self) -> str:
        key = self.definition.key
        return f"durations:{key}:{self.definition.fingerprint}:{dropped_at(self.store, key):.0f}"


def dropped_at(store: Store, key: WorkflowKey) -> float:
    """When the history of a workflow was last dropped (unix seconds, 0 for never)."""
    return store.watermark("", f"{_DROPPED}{key}") or 0.0


def note_dropped(store: Store, key: WorkflowKey, now: float) -> None:
    """The history of a workflow was dropped: should the workflow return, all of it is read anew."""
    store.set_watermark("", f"{_DROPPED}{key}", now)


def prune(store: Store, live: Collection[WorkflowKey], before: float, owns: Callable[[str], bool]) -> None:
    """Forget watermarks that nothing asks for any more, in the namespaces that ``owns`` is true of.

    Those are of workflows that are not ``live`` and of namespaces without one, of histories that were dropped, of
    duration queries that were not read on since ``before`` (unix seconds): they were edited, and of digests of policies
    that are gone.
    """
    dropped = store.watermarks("")
    keys, places = {str(key): key for key in live}, {key.namespace for key in live}
    for source in filter(None, store.watermark_sources()):
        marks = store.watermarks(source)

        def spent(shard: str, marks: Mapping[str, float] = marks) -> bool:
            kind, _, rest = shard.partition(":")
            key = keys.get(rest.partition(":")[0])
            if not rest:
                return shard not in places
            if key is None:
                return True
            if kind != "durations":
                past = _past(key, dropped)
                return shard not in (past, _missed(past), _refilled(past))
            return marks.get(shard.removesuffix(_PAST_OF), before - 1.0) < before

        store.drop_watermarks(source, [s for s in marks if owns(namespace_of(s)) and spent(s)])
    gone = [s for s, at in dropped.items() if s.startswith(_DROPPED) and at < before and s[len(_DROPPED) :] not in keys]
    digests = [s for s, at in dropped.items() if s.startswith(DIGEST) and at < before - _DIGEST_KEPT]
    store.drop_watermarks("", [*(s for s in gone if owns(namespace_of(s))), *digests])


DIGEST = "digest:"
"""Shard, with a policy's uid, of the moment its digest was sent."""
_DIGEST_KEPT = 4 * WEEK  # that of a policy which is there is moved every week
_DROPPED = "dropped:"
_PAST = "past:"
_PAST_OF = ":past"


def _past(key: WorkflowKey, dropped: Mapping[str, float]) -> str:
    """The shard under which the oldest moment read for a workflow is stored, negated. A workflow whose history was
    dropped starts a new one."""
    return f"{_PAST}{key}:{dropped.get(f'{_DROPPED}{key}', 0.0):.0f}"


def _missed(past: str) -> str:
    """Shard of the moment from which on a workflow was not read although its namespace was."""
    return f"missed:{past.removeprefix(_PAST)}"


def _refilled(past: str) -> str:
    """Shard of the moment down to which such a gap has been filled since."""
    return f"refilled:{past.removeprefix(_PAST)}"


def namespace_of(shard: str) -> str:
    """The namespace of a shard, which is the namespace itself, or begins with a word, a colon and a workflow
    (kind/namespace/name)."""
    parts = shard.partition(":")[2].split("/")
    return parts[1] if len(parts) == 3 else shard
