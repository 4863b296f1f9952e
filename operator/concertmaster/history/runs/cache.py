"""Run records kept in memory between two analyses of a workflow, so that the second puts together only what is new.

Kept are the workflows whose turn comes again soon: one that was read since so many executions of others were read that
keeping all of them would pass the limit is not. In an installation of thousands of workflows that is nearly all of them, and
the cache stays empty instead of holding what is never asked for again. What the digest of a workflow's runs took is
kept until it is read, which follows as a rule, or another one is asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.history.runs.settled import SettledRuns

EXECUTIONS = 2_200
"""Most executions kept, 200 runs of ten steps of one workflow; one takes 5 KiB with all that is worked out of it."""


def digest(bodies: Iterable[bytes]) -> bytes:
    """The fingerprint of the rows of one run."""
    return hashlib.blake2b(b"".join(bodies), digest_size=16).digest()


@dataclass(slots=True)
class KeptRun:
    """The records under one name of a run. ``digest``: of the rows they were put together from; ``as_of``: until when facts
    were complete then, and ``decided``: whether the outcomes were (see ``StoredRun``). ``completed``: the further rows of
    each, and the record with them."""

    digest: bytes
    as_of: float
    records: list[RunRecord]
    decided: bool
    completed: list[tuple[object, RunRecord]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether time alone changes nothing about it."""
        return self.decided and not any(r.outcome is Outcome.RUNNING for r in self.records)


@dataclass(slots=True)
class KeptRuns:
    """The runs of one workflow by name, put together for one ``definition``, and what analyses made of them."""

    definition: WorkflowDefinition
    runs: dict[str, KeptRun] = field(default_factory=dict)
    figures: RunFigures = field(default_factory=RunFigures)

    def same(self, name: str, digest: bytes, as_of: float) -> KeptRun | None:
        """The run as it was put together from the same rows."""
        known = self.runs.get(name)
        return known if known is not None and known.digest == digest and known.as_of <= as_of else None


class RunCache:
    """The cached runs of the workflows read last, and which runs of others are settled. Not thread-safe."""

    def __init__(self, limit: int = EXECUTIONS) -> None:
        self._limit = limit
        self._sizes: dict[WorkflowKey, int] = {}  # executions of the workflows read last, the longest ago first
        self._kept: dict[WorkflowKey, KeptRuns] = {}
        self._next: KeptRuns | None = None
        self.settled = SettledRuns()

    def of(self, definition: WorkflowDefinition) -> KeptRuns | None:
        """Where the runs of a workflow are kept; None where they are not worth it."""
        key = definition.key
        if key not in self._sizes:
            return self._next if self._next is not None and self._next.definition == definition else None
        known = self._kept.get(key)
        if known is None or known.definition != definition:
            known = self._kept[key] = KeptRuns(definition)
        return known

    def before_reading(self, definition: WorkflowDefinition) -> KeptRuns:
        """Where runs of a workflow are kept that are put together before it is read."""
        self._next = None
        kept = self.of(definition)
        if kept is None:
            kept = self._next = KeptRuns(definition)
        return kept

    def figures(self, key: WorkflowKey) -> RunFigures:
        """What earlier analyses made of the runs of a workflow."""
        known = self._kept.get(key)
        return known.figures if known is not None else RunFigures()

    def note(self, key: WorkflowKey, executions: int) -> None:
        """A workflow was read, with so many executions."""
        self._next = None
        self._sizes.pop(key, None)
        self._sizes[key] = executions
        total = sum(self._sizes.values())
        while total > self._limit:
            oldest = next(iter(self._sizes))
            total -= self._sizes.pop(oldest)
            self._kept.pop(oldest, None)
