"""How much a history holds, for tests and benchmarks: the operator itself does not ask."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.history import Store
from concertmaster.history.sqlite import SqliteEngine

_PAGES = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_RELATIONS = """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'"""
_RUNS = "(SELECT workflow, run FROM executions UNION SELECT workflow, run FROM records) AS runs"


@dataclass(frozen=True)
class HistoryStats:
    """Counts, and ``bytes`` on the disk."""

    workflows: int
    runs: int
    pods: int
    records: int
    bytes: int


def stats(store: Store) -> HistoryStats:
    """Of an open store, by its own session."""
    engine = store._engine
    with engine.reading():

        def one(what: str, table: str) -> int:
            return int(engine.db.execute(f"SELECT {what} FROM {table}").fetchone()[0])

        return HistoryStats(
            workflows=one("count(*)", "workflows"),
            runs=one("count(*)", _RUNS),
            pods=one("coalesce(sum(pods), 0)", "executions"),
            records=one("count(*)", "records"),
            bytes=int(engine.db.execute(_PAGES if isinstance(engine, SqliteEngine) else _RELATIONS).fetchone()[0]),
        )
