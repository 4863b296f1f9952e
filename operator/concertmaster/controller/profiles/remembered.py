"""What the last analysis of a profile rested on and said, and whether it still stands."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.api.conditions import ConditionUpdate
from concertmaster.controller.interfaces import Candidate
from concertmaster.controller.registry import Entry, StatusView
from concertmaster.history import Evidence


@dataclass(slots=True)
class Remembered:
    """The last analysis of one profile. ``revision``: how often new or corrected pods of its workflow had come until
    then; most of them change nothing that is over (see ``evidence``)."""

    inputs: int
    revision: int
    evidence: Evidence
    ready: ConditionUpdate
    objectives: ConditionUpdate
    at: float
    lasts: float  # seconds until it is made anew although nothing is known to have changed
    query_problem: str = ""
    candidates: tuple[Candidate, ...] = ()
    body: str | None = None  # what the server holds of it; None until it was written
    status: StatusView | None = None  # the same, for when somebody empties it

    def stands(self, entry: Entry, inputs: int, now: float) -> bool:
        """Whether it would be made again only for other runs: same inputs, not too old, and the server holds it."""
        return (
            self.inputs == inputs
            and self.body is not None
            and self.body == entry.status.body
            and now - self.at < self.lasts
        )

    def undisturbed(self, revision: int, as_of: float) -> bool:
        """Whether no pod has come since, and no run that was going on may count as over by now."""
        due = self.evidence.due
        return self.revision == revision and (due is None or as_of < due)
