"""Which runs of the last day nothing but a further fact can change, so that the evidence of a workflow does not put them
together again with each pod that comes: with two weeks of runs that was most of its time.

A mark of eight bytes for each such run of all workflows, in one string for each workflow: 100,000 runs a day take 2 MiB.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from concertmaster.core.model import WorkflowDefinition, WorkflowKey

MARK = 8  # bytes of the digest of a run's rows; two of one day that are alike by chance are not to be expected
_WORKFLOWS = 20_000


@dataclass(frozen=True, slots=True)
class _Settled:
    definition: WorkflowDefinition
    as_of: float
    marks: bytes


class SettledRuns:
    """Runs that are over, one to a name, and that did not fail, by workflow; of the workflows asked about last."""

    def __init__(self, most: int = _WORKFLOWS) -> None:
        self._most = most
        self._of: dict[WorkflowKey, _Settled] = {}

    def of(self, definition: WorkflowDefinition, as_of: float) -> frozenset[bytes]:
        """Marks of the runs that are settled at ``as_of`` (unix seconds up to which facts are complete) by what is known of
        the workflow."""
        known = self._of.get(definition.key)
        if known is None or known.as_of > as_of or known.definition != definition:
            return frozenset()
        return frozenset([known.marks[at : at + MARK] for at in range(0, len(known.marks), MARK)])

    def keep(self, definition: WorkflowDefinition, as_of: float, marks: Collection[bytes]) -> None:
        """These were found settled at ``as_of``, and no others."""
        self._of.pop(definition.key, None)
        self._of[definition.key] = _Settled(definition, as_of, b"".join(marks))
        if len(self._of) > self._most:
            del self._of[next(iter(self._of))]
