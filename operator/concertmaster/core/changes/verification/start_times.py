"""When a workflow could be started since a change: not while it was suspended, nor before its schedule was written.

An edit alone does not tell: the date of an object's spec is also that of an annotation by its owner, and what suspends a
workflow every night would let its verification begin anew every day. So its state is compared from cycle to cycle, and noted
for the next process; one that finds none begins with the last edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.units import DAY, MINUTE

Span = tuple[float, float]
_UNWATCHED = 15 * MINUTE  # seconds between two cycles from which on an edit, and another back, may have gone unseen
_FORGOTTEN = 2 * DAY  # seconds after which a change that was not examined again is forgotten: a cycle may take one


@dataclass(frozen=True, slots=True)
class StartTimes:
    """What is known ``at`` a moment. ``since``: when the present schedule was written, or may have been; ``gaps``: spans
    after it in which the workflow was suspended, or may have been. ``edition`` is another one after each edit of the objects
    that define and start the workflow; ``unwatched``: spans in which they were edited while no cycle looked, so that runs
    begun then may be of another definition. Times are unix seconds."""

    at: float
    since: float
    schedule: tuple[str | None, str | None]
    edition: tuple[object, ...]
    gaps: tuple[Span, ...] = ()
    unwatched: tuple[Span, ...] = ()

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return asdict(self)

    @classmethod
    def read(cls, found: Any) -> StartTimes | None:
        """From ``document``; None where ``found`` is something else."""
        try:
            at, since = float(found["at"]), float(found["since"])
            gaps, unwatched = (
                tuple((float(a), float(b)) for a, b in rows) for rows in (found["gaps"], found.get("unwatched", ()))
            )
            schedule, zone = found["schedule"]
            return cls(at, since, (schedule, zone), tuple(found["edition"]), gaps, unwatched)
        except (KeyError, TypeError, ValueError):
            return None


def observed(
    before: StartTimes | None, definition: WorkflowDefinition, edition: tuple[object, ...], *, edited: float, now: float
) -> StartTimes:
    """What is known ``now``, with what was known ``before`` (None: nothing); ``edited``: when the objects may have been
    edited last."""
    schedule = definition.schedule, definition.schedule_time_zone
    unwatched: tuple[Span, ...] = before.unwatched if before is not None else ()
    if before is not None and edition != before.edition and now - before.at >= _UNWATCHED:
        # An edit that only removes fields has no date, so that the last one is of before.
        unwatched = (*unwatched, (before.at, edited if before.at < edited < now else now))
    if before is None or before.schedule != schedule or now < before.at:
        idle = ((min(edited, now), now),) if definition.suspended else ()
        return StartTimes(now, edited, schedule, edition, idle, unwatched)
    gaps, begin, end = before.gaps, before.at, before.at
    still = bool(gaps) and gaps[-1][1] >= before.at
    if edition != before.edition:
        begin, end = (begin, max(end, edited)) if still or not definition.suspended else (max(begin, edited), end)
    if definition.suspended:
        end = now
    if end > begin:
        gaps = (*gaps[:-1], (gaps[-1][0], end)) if still else (*gaps, (begin, end))
    return replace(before, at=now, edition=edition, gaps=gaps, unwatched=unwatched)


def still_known(times: Mapping[str, StartTimes], now: float) -> dict[str, StartTimes]:
    """Those of changes that were examined lately."""
    return {uid: seen for uid, seen in times.items() if now - seen.at < _FORGOTTEN}
