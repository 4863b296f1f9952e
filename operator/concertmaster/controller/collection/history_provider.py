"""The history: one open store, reopened when its file turns out to be damaged.

A place that cannot be written any more is no reason to stop recommending: the store is then a copy in memory of what the
file holds, the metrics bring what is new, and every cycle tries the file again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path

from concertmaster.controller.collection import watermarks
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.daily import RUN, DailyPeaks, DailyRow, LongTermFigures
from concertmaster.core.model.scalars import MemoryQuantity
from concertmaster.core.units import DAY
from concertmaster.history import (
    DatabaseAddress,
    HistoryDamaged,
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    HistoryUnavailable,
    RunCache,
    RunsDigest,
    Store,
    open_server,
)

log = logging.getLogger("concertmaster.history")

_PATIENCE = 60.0  # seconds at start
_BETWEEN = 3.0

MAX_ROW_CACHE = MemoryQuantity("1Gi")
_MEANWHILE = (
    "Until it can be written, recommendations are based on a copy in memory and on the metrics, nothing is changed "
    "automatically, and what is read is lost with the process."
)


class HistoryProvider:
    """Holds the open store. A damaged file is set aside by reopening it; the new one is filled from the metrics."""

    def __init__(
        self,
        path: str,
        server: DatabaseAddress | None = None,
        *,
        owns: Callable[[str], bool] = lambda _: True,
        most: MemoryQuantity = MAX_ROW_CACHE,
        patience: float = _PATIENCE,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Open the file ``path``, or the database ``server`` if given. Only data of namespaces for which ``owns`` is true
        is ever deleted, and only theirs are counted. ``most``: maximum size of the runs of one namespace. Raises
        HistoryError when no file exists and none can be created, or when the server has not answered for ``patience``
        seconds: that is a wrong configuration, not a fault."""
        self._unwritable = False  # in this cycle
        self._path = path
        self._server = server
        self.owns = owns
        self._most = most
        self._patience, self._pause = patience, pause
        self._problem = ""
        self._cache = RunCache()
        self._meanwhile = _MEANWHILE  # with what the copy lacks
        self.store = self._open()

    def _open(self) -> Store:
        if self._server is not None:
            return self._connect(self._server)
        try:
            return self._written()
        except (HistoryReadOnly, HistoryFull, HistoryLocked) as error:
            if not Path(self._path).is_file():
                raise
            return self._copy(error)

    def _copy(self, reason: HistoryError) -> Store:
        """What the file holds, in memory, until it can be written again."""
        copy = Store(self._path, copy=True, most=self._most.bytes)
        self._meanwhile = _MEANWHILE if copy.recovered is None else f"{_MEANWHILE} {copy.recovered}"
        self._problem = f"{reason} {self._meanwhile}"
        log.error("%s", self._problem)
        return copy

    def _connect(self, server: DatabaseAddress) -> Store:
        """The server's store, waiting a while for one that starts beside the operator."""
        left = self._patience
        while True:
            try:
                return open_server(server, self._most.bytes)
            except (HistoryUnavailable, HistoryLocked) as error:
                if left <= 0:
                    raise
                log.warning("waiting: %s", error)
            self._pause(_BETWEEN)
            left -= _BETWEEN

    def _written(self) -> Store:
        """The file itself."""
        store = Store(self._path, most=self._most.bytes)
        if store.recovered:
            log.warning("%s", store.recovered)
        return store

    def reopen(self) -> str:
        """Once per cycle: try the file again where only a copy is available. Returns what is wrong with it; empty when
        nothing is."""
        self._unwritable = False
        if self._server is not None:
            return self._checked()
        if self._problem:
            try:
                store = self._written()
            except HistoryError as error:
                self._problem = f"{error} {self._meanwhile}"
            else:
                self.store.close()
                self.store, self._problem = store, ""
                log.warning("history %s can be written again", self._path)
        return self._problem

    def _checked(self) -> str:
        """Whether the server answers. While it does not, statuses stay as they are and nothing is changed."""
        before, self._problem = self._problem, ""
        try:
            self.store.check()
        except HistoryError as error:
            self._problem = str(error)
        if self._problem != before:
            log.warning("%s", self._problem or f"history {self._server} answers again")
        return self._problem

    def renew(self) -> None:
        """Set a damaged file aside and start a new one; in memory where that is not possible now, because a closed store
        would fail every cycle from now on."""
        self.store.close()
        try:
            self.store = self._open()
        except HistoryError as error:
            if self._server is not None:
                raise
            self.store = self._copy(error)

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    @property
    def full(self) -> Mapping[str, str]:
        """By namespace that takes more of the history than it may, a sentence for people."""
        return {
            name: f"the history keeps {self._most} of the runs of namespace {name}: older ones of the workflows that take "
            "most are deleted; lower spec.analysis.maxRuns or spec.analysis.window there, or raise "
            "limits.historyPerNamespace"
            for name in self.store.full
        }

    def runs(
        self, definition: WorkflowDefinition, *, limit: int, since: float, as_of: float, until: float = inf
    ) -> Sequence[RunRecord]:
        """The newest ``limit`` runs that ended from ``since`` to ``until``; facts are complete until ``as_of`` (all unix
        seconds)."""
        with self._renewed():
            return self.store.runs(
                definition.key, limit=limit, since=since, until=until, definition=definition, as_of=as_of
            )

    def runs_with_figures(
        self, definition: WorkflowDefinition, limit: int, since: float, as_of: float
    ) -> tuple[Sequence[RunRecord], RunFigures]:
        """The same for an analysis, with what earlier ones made of the runs that have not changed."""
        key, cache = definition.key, self._cache
        with self._renewed():
            runs = self.store.runs(key, limit=limit, since=since, definition=definition, as_of=as_of, cache=cache)
        return runs, cache.figures(key)

    def runs_digest(
        self, definition: WorkflowDefinition, *, limit: int, since: float, as_of: float, after: float | None = None
    ) -> RunsDigest:
        """A fingerprint of the input of an analysis of the same ``runs``, at a fraction of the cost of reading them. Runs
        that ended ``after`` that moment count as fresh."""
        with self._renewed():
            return self.store.runs_digest(
                definition, limit=limit, since=since, as_of=as_of, after=after, cache=self._cache
            )

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        """Set a file aside that turns out to be damaged as it is read."""
        try:
            yield
        except HistoryDamaged as error:
            log.error("%s", error)
            self.renew()
            raise

    def recorded(self, key: WorkflowKey) -> float:
        """End of the newest run that the daily rows of a workflow count (unix seconds, 0 for none)."""
        return self.store.daily.recorded(key)

    def largest(self, key: WorkflowKey, since: float) -> DailyPeaks:
        """The largest amounts of days since that moment (unix seconds), as far as they are kept."""
        return self.store.daily.largest(key, since=int(since // DAY))

    def days(self, key: WorkflowKey, since: float, *, steps: bool) -> list[DailyRow]:
        """The daily rows of its runs, and of its ``steps``, since that moment (unix seconds), oldest first, without metrics
        and largest amounts."""
        return self.store.daily.rows(key, since=int(since // DAY), step=None if steps else RUN, amounts=False)

    def record(self, key: WorkflowKey, figures: LongTermFigures) -> None:
        """Keep what outlives the runs. A place that cannot be written loses nothing: the next analysis has it again. What a
        slow or stopped process says of a namespace that moved would count runs twice."""
        if self._unwritable or not self.owns(key.namespace):
            return  # each attempt would wait for the lock: the next cycle tries again
        try:
            self.store.daily.record(
                key,
                figures.rows,
                baseline=figures.baseline,
                adoptions=figures.adoptions,
                since=figures.since,
                exceptional_since=figures.exceptional_since,
            )
        except HistoryError as error:
            self._unwritable = type(error) is not HistoryError  # no fault of the place: these rows cannot be stored
            log.warning("daily rows were not written, those of %s among them: %s", key, error)

    def keep_analyses_of(self, uids: Collection[str]) -> None:
        """Delete the analyses of all other profiles."""
        self.store.keep_analyses_of(uids, self.owns)

    def tidy(self, keep: Mapping[WorkflowKey, tuple[int, float]], now: float) -> None:
        """Delete what is no longer analysed: per workflow all but the newest runs (number) of the last seconds (window)."""
        known = self.store.keys()
        for key in known:
            if key not in keep and self.owns(key.namespace):
                watermarks.note_dropped(self.store, key, now)  # first: else it would never be read again
                self.store.forget(key)
        self._cache.settled.keep_only(keep)
        before = 0.0
        if keep:
            longest = max(window for _, window in keep.values())
            # By the newest run as well: a clock that ran ahead must not take months of history.
            newest = self.store.newest()
            before = min(now, newest if newest is not None else now) - longest
            self.store.prune(max_runs={key: n for key, (n, _) in keep.items()}, before=before, owns=self.owns)
            self.store.daily.prune(int((before + longest) // DAY), self.owns)
        watermarks.prune(self.store, keep.keys(), before, self.owns)
