"""When workflows could be started since a change of them, kept in the journal as well: a process that restarts every day
would otherwise never see two starts of a schedule, nor the age at which a verification ends."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from concertmaster.controller.changes.verification.compared_change import ComparedChange
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.core.changes.verification.start_times import StartTimes, still_known
from concertmaster.core.model.enums import ChangePhase
from concertmaster.core.units import DAY, HOUR

# Seconds after which the journal has them anew, although nothing was edited. Each note is on the disk before the cycle goes
# on, and thousands of changes may be kept: of theirs, only the beginning of a span in which no cycle looked is read again.
_NOTED_EVERY, _NOTED_EVERY_KEPT = HOUR, DAY


class KeptStartTimes:
    """Those of the changes in progress and of kept ones, by uid."""

    def __init__(self, writer: ChangeWriter) -> None:
        self._writer = writer
        self._times: dict[str, StartTimes] = {}
        self._noted: dict[str, StartTimes] = {}  # in the journal
        self._tidied = 0.0  # when those of changes that ended were forgotten (unix seconds)

    def of(self, compared: ComparedChange) -> StartTimes:
        """When the workflow could be started since the change. Raises HistoryError."""
        context, change = compared.context, compared.change
        if change.uid not in self._times:
            if self._tidied != context.now:  # once a cycle
                self._times, self._noted = still_known(self._times, context.now), still_known(self._noted, context.now)
                self._tidied = context.now
            noted = self._writer.journal.start_times(change.uid)
            if noted is not None:
                self._times[change.uid] = self._noted[change.uid] = noted
        times = self._times[change.uid] = context.start_times(self._times.get(change.uid), change, compared.definition)
        noted = self._noted.get(change.uid)
        every = _NOTED_EVERY_KEPT if change.phase == ChangePhase.COMPLETED else _NOTED_EVERY
        if noted is None or times.at - noted.at >= every or not _alike(times, noted):
            note = partial(self._writer.journal.note_start_times, change.uid, times, context.now)
            if self._writer.noted(note):
                self._noted[change.uid] = times
        return times


def _alike(times: StartTimes, noted: StartTimes) -> bool:
    """Whether they differ at most in how long they have lasted."""
    return len(times.gaps) == len(noted.gaps) and replace(times, at=noted.at, gaps=noted.gaps) == noted
