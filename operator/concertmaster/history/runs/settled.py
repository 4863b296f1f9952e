"""The runs of the last day that only a further fact can change.

The digest of a workflow's runs does not put them together again with each pod that comes, which took most of its time with
two weeks of runs.

A mark of eight bytes for each such run, in one string for each workflow: 100,000 runs a day take 2 MiB.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass

from concertmaster.core.model import WorkflowDefinition, WorkflowKey

MARK = 8  # bytes of the digest of a run's rows: no two runs of one workflow and day are expected to share them
_WORKFLOWS = 20_000


@dataclass(frozen=True, slots=True)
class _Settled:
    definition: WorkflowDefinition
    as_of: float
    marks: bytes


class SettledRuns:
    """Marks of the runs that are over, alone under their name, and did not fail; kept for the workflows asked about last."""

    def __init__(self, most: int = _WORKFLOWS) -> None:
        self._most = most
        self._known: dict[WorkflowKey, _Settled] = {}

    def of(self, definition: WorkflowDefinition, as_of: float) -> frozenset[bytes]:
        """Marks of the runs that are settled at ``as_of`` (unix seconds up to which facts are complete) by what is known of
        the workflow."""
        known = self._known.get(definition.key)
        if known is None or known.as_of > as_of or known.definition != definition:
            return frozenset()
        return frozenset([known.marks[at : at + MARK] for at in range(0, len(known.marks), MARK)])

    def keep(self, definition: WorkflowDefinition, as_of: float, marks: Collection[bytes]) -> None:
        """These were found settled at ``as_of``, and no others."""
        self._known.pop(definition.key, None)
        if not marks:
            return
        self._known[definition.key] = _Settled(definition, as_of, b"".join(marks))
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def keep_only(self, keys: Container[WorkflowKey]) -> None:
        """Forget all other workflows."""
        self._known = {key: known for key, known in self._known.items() if key in keys}
