"""A history of two weeks out of one of a few hours: copies of what the operator stored, each so much earlier."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.history import Store
from tests.support.history_stats import stats

_AT_ONCE = 20  # workflows


def deepen(path: Path, span: float, copies: int) -> int:
    """Add to each workflow of the history at ``path`` all its runs again, ``copies`` times, each ``span`` seconds earlier
    than the time before. Returns the number of pods in it then."""
    with Store(str(path)) as store:
        keys = store.keys()
        for first in range(0, len(keys), _AT_ONCE):
            found = {key: store.runs(key) for key in keys[first : first + _AT_ONCE]}
            for copy in range(1, copies + 1):
                store.add(
                    {
                        key: {f"{run.run}-{copy}": list(_earlier(key, run.steps, copy, span)) for run in runs}
                        for key, runs in found.items()
                    }
                )
            if first % 1000 == 0:
                print(f"  {first} of {len(keys)} workflows have their earlier runs", flush=True)
        return stats(store).pods


def forget_analyses(path: Path) -> None:
    """Have the next process that opens the history at ``path`` analyse every workflow anew."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM analyses")
        file.commit()


def _earlier(key: WorkflowKey, steps: tuple[StepExecution, ...], copy: int, span: float) -> Iterator[StepExecution]:
    for e in steps:
        chance = random.Random(f"{key} {e.uid} {copy}")

        def at(moment: float | None) -> float | None:
            return None if moment is None else moment - copy * span

        inside = [replace(c, started=at(c.started), finished=at(c.finished)) for c in e.containers]
        yield replace(
            e,
            uid=str(UUID(int=chance.getrandbits(128))),
            pod=f"{e.pod}-{copy}",
            ready=None,
            created=at(e.created),
            scheduled=at(e.scheduled),
            started=at(e.started),
            finished=at(e.finished),
            containers=tuple(inside),
        )
