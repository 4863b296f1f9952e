"""The past of workflows, newest first: namespaces by turns, each as far as its workflows are analysed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from concertmaster.archive import ArchiveRow, ArchiveTable
from concertmaster.controller.archive.intake import Intake, Keys
from concertmaster.controller.archive.turns import Turns
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.watermarks import MIN_PAST_SECONDS, Watermarks
from concertmaster.core.model import WorkflowKey


@dataclass(slots=True)
class _Room:
    """How many further runs of a workflow would be kept. ``low``: the moment down to which it was read."""

    low: float
    number: int
    taken: set[str] = field(default_factory=set)  # by uid: rows of one second are listed again after a restart

    @property
    def full(self) -> bool:
        return len(self.taken) >= self.number


class PastRuns:
    """Continues from how far back each workflow was read. A workflow that has as many runs as are kept stays where it is:
    should more be kept one day, it continues from there."""

    def __init__(self, archive: ArchiveTable, history: HistoryProvider, marks: Watermarks, turns: Turns) -> None:
        self._archive = archive
        self._history = history
        self._marks = marks
        self._turns = turns
        self._rooms: dict[WorkflowKey, _Room] = {}
        self._last: dict[str, ArchiveRow] = {}  # read, by namespace: others may have ended in the same second

    def forget(self, namespace: str) -> None:
        """Other workflows are observed there, or other things of them."""
        self._last.pop(namespace, None)
        self._rooms = {key: room for key, room in self._rooms.items() if key.namespace != namespace}

    def read(self, intake: Intake, keys: Sequence[WorkflowKey], seconds: float) -> None:
        """Workflows of namespaces that have a mark. Raises ArchiveError and HistoryError."""
        lows = self._marks.lows(keys, intake.now)
        unread = {key: low for key, low in lows.items() if low > intake.wants[key] + MIN_PAST_SECONDS}
        self._rooms = {key: room for key, room in self._rooms.items() if unread.get(key, room.low + 1.0) <= room.low}
        going: dict[str, dict[WorkflowKey, float]] = defaultdict(dict)
        for key, low in unread.items():
            if key not in self._rooms or not self._rooms[key].full:
                going[key.namespace][key] = low
        self._last = {name: row for name, row in self._last.items() if name in going}

        def read(name: str, over: Callable[[], bool]) -> bool:
            return self._read(intake, name, going[name], over)

        if not self._turns.give(going, seconds, read):
            intake.more = True

    def _read(self, intake: Intake, name: str, lows: dict[WorkflowKey, float], over: Callable[[], bool]) -> bool:
        """Read rows of one namespace; whether some are left."""
        self._make_room(intake, lows)
        if not lows:
            return False
        low, since = max(lows.values()), min(intake.wants[key] for key in lows)
        last = self._last.get(name)
        after = last if last is not None and last.ended == low else None
        page = self._archive.page((name,), since, low, after=after)

        def wanted(candidates: Keys, named: Keys) -> bool:
            """Of a workflow that it was created from are enough where there are enough of any: they are the same runs."""
            if any(key in self._rooms and self._rooms[key].full for key in named):
                return False
            return any(lows.get(key, 0.0) >= row.ended for key in candidates)

        read = 0
        try:
            for row in page.rows:
                if read and over():
                    break
                key = intake.seen.workflow(row) if intake.seen.knows(row) else intake.take(row, wanted)
                read += 1
                if key in lows and key in self._rooms:
                    self._rooms[key].taken.add(row.uid)
                    if self._rooms[key].full:
                        intake.keep()
                        self._lower(name, lows, row.ended)
                        del lows[key]
                        if not lows:
                            break
        finally:
            intake.keep()
            if read:
                self._last[name] = page.rows[read - 1]
                self._lower(name, lows, page.rows[read - 1].ended)
        if read == len(page.rows) and not page.more:
            self._lower(name, lows, since)
        for key in [key for key, own in lows.items() if own <= intake.wants[key] + MIN_PAST_SECONDS]:
            del lows[key]
        return bool(lows)

    def _make_room(self, intake: Intake, lows: dict[WorkflowKey, float]) -> None:
        """For workflows that have none; those that have enough runs are not read."""
        for new in lows.keys() - self._rooms.keys():
            number = intake.most[new] - self._history.store.number_after(new, lows[new])
            self._rooms[new] = _Room(lows[new], number)
            if self._rooms[new].full:
                del lows[new]

    def _lower(self, name: str, lows: dict[WorkflowKey, float], since: float) -> None:
        """Workflows of this namespace were read down to ``since``."""
        low = max(lows.values(), default=since)
        if since < low:
            self._marks.lower(lows, (name,), since, low)
        for key, own in lows.items():
            self._rooms[key].low = own
