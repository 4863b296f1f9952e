"""Values of extra metrics in the history: what users' queries said of each run, kept when the metrics have forgotten it.

They go with their runs. Those of a metric that one profile does not have stay until then: another profile of the workflow,
which is analysed at another time, may have it, and a query that was edited may be restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import ByRun
from concertmaster.history.sql import Connection

AMOUNT = 48  # bytes of a row beside its texts
MAX_OTHERS = 40  # metrics of which values stay beside those of the last profile; it and its policy may have 20 each
_OF_WORKFLOW = "SELECT metric, run, step, value FROM amounts WHERE workflow = ?"


def keep(db: Connection, number: int, values: Mapping[ExtraMetric, ByRun]) -> int:
    """Store the values of all metrics of a profile of a workflow, and delete those of all other metrics where these are too
    many; a value read later replaces an earlier one. Returns the bytes of new rows."""
    known = {(m, run, step): value for m, run, step, value in db.execute(_OF_WORKFLOW, (number,))}
    others = {m for m, _, _ in known} - {m.identity for m in values}
    for gone in others if len(others) > MAX_OTHERS else ():
        db.execute("DELETE FROM amounts WHERE workflow = ? AND metric = ?", (number, gone))
    fresh = [
        (number, run, metric.identity, step, value)
        for metric, of_runs in values.items()
        for run, of_run in of_runs.items()
        for step, value in of_run.items()
        if known.get((metric.identity, run, step)) != value
    ]
    db.executemany(
        "INSERT INTO amounts VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (workflow, run, metric, step) DO UPDATE SET value = excluded.value",
        fresh,
    )
    new = [(run, metric, step) for _, run, metric, step, _ in fresh if (metric, run, step) not in known]
    return sum([AMOUNT + sum(map(len, texts)) for texts in new])


def keep_only(db: Connection, number: int, runs: set[str]) -> None:
    """Forget all runs but these."""
    names = {run for (run,) in db.execute("SELECT DISTINCT run FROM amounts WHERE workflow = ?", (number,))}
    for gone in names - runs:
        db.execute("DELETE FROM amounts WHERE workflow = ? AND run = ?", (number, gone))


def read(db: Connection, number: int, metrics: Iterable[ExtraMetric]) -> dict[ExtraMetric, ByRun]:
    """The values of those of ``metrics`` that have any."""
    query = "SELECT run, step, value FROM amounts WHERE workflow = ? AND metric = ?"
    values: dict[ExtraMetric, ByRun] = {}
    for metric in metrics:
        for run, step, value in db.execute(query, (number, metric.identity)):
            values.setdefault(metric, {}).setdefault(run, {})[step] = value
    return values
