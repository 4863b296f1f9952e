"""What was archived since the last cycle: listed for all namespaces together, read by turns."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from concertmaster.archive import ArchivePage, ArchiveRow, ArchiveTable
from concertmaster.controller.archive.intake import Intake
from concertmaster.controller.archive.turns import Turns
from concertmaster.controller.collection.watermarks import Watermarks
from concertmaster.core.units import DAY

CLOCK_AHEAD = DAY
"""Seconds by which the clock of an archive may be ahead."""
_MAX_LISTED = 20_000  # rows held, of all namespaces


@dataclass(slots=True)
class _Listed:
    """Rows of one namespace that were not read. ``until``: the end of the last row up to which they are all there;
    ``done``: that of the last one that was read. ``seconds`` that listing them took."""

    rows: deque[ArchiveRow] = field(default_factory=deque)
    until: float | None = None
    done: float | None = None
    seconds: float = 0.0


class NewRuns:
    """Continues from the mark of each namespace. Rows beyond the operator's clock are read but move no mark: they must
    not hide what others archive meanwhile."""

    def __init__(self, archive: ArchiveTable, marks: Watermarks, turns: Turns) -> None:
        self._archive = archive
        self._marks = marks
        self._turns = turns
        # Namespaces whose rows took too long to list. In the next cycle they are only listed from their marks on, so that
        # rows that are listed again never keep them from going on.
        self._hurried: frozenset[str] = frozenset()

    def read(self, intake: Intake, untils: Mapping[str, float], again: float, seconds: float) -> None:
        """Namespaces that were read up to ``untils``; rows that ended in the ``again`` seconds before are listed once more.
        Raises ArchiveError and HistoryError."""
        if not untils:
            return
        listed = {name: _Listed() for name in untils}
        begun, earliest = self._turns.clock(), min(intake.wants.values())
        slow: set[str] = set()
        hurried = untils.keys() & self._hurried
        for names, back in ((hurried, 0.0), (untils.keys() - hurried, again)):
            if names:
                since = max(min(untils[name] for name in names) - back, earliest)
                slow |= self._list(intake, {name: listed[name] for name in names}, since, begun + seconds / 2)
        self._hurried = frozenset(slow)
        waiting = [name for name, own in listed.items() if own.rows]

        def read(name: str, over: Callable[[], bool]) -> bool:
            return self._read(intake, listed[name], over)

        if not self._turns.give(waiting, begun + seconds - self._turns.clock(), read):
            intake.more = True
        self._advance(untils, listed)

    def _list(self, intake: Intake, listed: Mapping[str, _Listed], since: float, until: float) -> set[str]:
        """List new rows, of each namespace as long as there is room and time in its share, and remember those for which
        the time was too short."""
        asked, slow = set(listed), set[str]()
        share, most = self._turns.share(until - self._turns.clock(), len(listed)), max(1, _MAX_LISTED // len(listed))
        after: ArchiveRow | None = None
        while asked:
            intake.heartbeat("archive")
            begun = self._turns.clock()
            page = self._archive.page(asked, since, intake.now + CLOCK_AHEAD, after=after, newest_first=False)
            self._put(intake, page, asked, listed, self._turns.clock() - begun)
            if not page.more:
                break
            after, over = page.rows[-1], self._turns.clock() >= until
            late = {name for name in asked if over or (len(listed) > 1 and listed[name].seconds >= share)}
            full = {name for name in asked if len(listed[name].rows) >= most}
            asked -= late | full
            slow |= late
            if (late or full) and after.ended <= intake.now:
                intake.more = True
        return slow

    def _put(
        self, intake: Intake, page: ArchivePage, asked: Collection[str], listed: Mapping[str, _Listed], took: float
    ) -> None:
        numbers = Counter(row.namespace for row in page.rows)
        until = max((row.ended for row in page.rows if row.ended <= intake.now), default=None)
        for row in page.rows:
            if not intake.seen.knows(row):
                listed[row.namespace].rows.append(row)
        for name in asked:
            own = listed[name]
            own.until = own.until if until is None else until
            own.seconds += took * numbers[name] / max(1, len(page.rows))

    def _read(self, intake: Intake, listed: _Listed, over: Callable[[], bool]) -> bool:
        """Read rows of one namespace; whether some are left."""
        first = True
        try:
            while listed.rows and (first or not over()):
                first = False
                intake.take(listed.rows[0], lambda *_: True, again=False)
                row = listed.rows.popleft()
                listed.done = row.ended if row.ended <= intake.now else listed.done
        finally:
            intake.keep()
        return bool(listed.rows)

    def _advance(self, untils: Mapping[str, float], listed: Mapping[str, _Listed]) -> None:
        """Move the marks to what was read. They are written at once, because the past of a new profile is read from there
        on."""
        moved: dict[float, list[str]] = defaultdict(list)
        for name, own in listed.items():
            at = own.done if own.rows else own.until
            if at is not None and untils[name] < at:
                moved[at].append(name)
        for at, names in moved.items():
            self._marks.advance(names, at, facts=True)
