"""Tables of the history in PostgreSQL, and their migrations.

The tables are those of the SQLite file, so that the store speaks one SQL to both. Text is compared byte by byte (COLLATE
"C"), as SQLite does. Daily rows and runs are partitioned by time, see ``daily_partitions`` and ``run_partitions``. What a
policy's ``maxRuns`` leaves out is deleted row by row, for which autovacuum comes early.
"""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.history.errors import check_version
from concertmaster.history.postgresql.run_partitions import AUTOVACUUM
from concertmaster.history.sql import Connection, Transaction

ANOTHER_SCHEMA = "name another schema in history.schema"
_LOCK = 0x434D4831  # "CMH1": shards that start together migrate one after the other

# Statements by the version of the schema that they lead to; what was released is never changed. Version 7 is the first.
MIGRATIONS: dict[int, Sequence[str]] = {
    7: (
        """CREATE TABLE workflows (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, namespace TEXT COLLATE "C" NOT NULL,
            kind TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, UNIQUE (namespace, kind, name))""",
        # By weeks, see ``run_partitions``.
        "CREATE SEQUENCE places",
        """CREATE TABLE executions (
            place BIGINT DEFAULT nextval('places') PRIMARY KEY,
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, run TEXT COLLATE "C" NOT NULL,
            begun DOUBLE PRECISION, ended DOUBLE PRECISION, pods BIGINT NOT NULL,
            body BYTEA NOT NULL) PARTITION BY RANGE (place)""",
        "ALTER TABLE executions ALTER COLUMN body SET STORAGE EXTERNAL",  # is compressed
        "CREATE INDEX executions_by_run ON executions (workflow, run, ended)",
        "CREATE INDEX executions_by_end ON executions (ended)",
        "CREATE TABLE pods (uid BYTEA NOT NULL, place BIGINT NOT NULL) PARTITION BY RANGE (place)",
        """CREATE TABLE needed_runs (
            namespace TEXT COLLATE "C" PRIMARY KEY, since DOUBLE PRECISION NOT NULL)""",
        f"""CREATE TABLE records (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, run TEXT COLLATE "C" NOT NULL,
            ended DOUBLE PRECISION, body BYTEA NOT NULL, PRIMARY KEY (workflow, run)) WITH {AUTOVACUUM}""",
        """CREATE TABLE watermarks (
            source TEXT COLLATE "C" NOT NULL, shard TEXT COLLATE "C" NOT NULL, until DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (source, shard))""",
        """CREATE TABLE fingerprints (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            fingerprint TEXT COLLATE "C" NOT NULL, first_seen DOUBLE PRECISION NOT NULL,
            last_seen DOUBLE PRECISION NOT NULL, PRIMARY KEY (workflow, first_seen))""",
        """CREATE TABLE journal (
            key TEXT COLLATE "C" PRIMARY KEY, body TEXT NOT NULL, at DOUBLE PRECISION NOT NULL)""",
        f"""CREATE TABLE amounts (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, run TEXT COLLATE "C" NOT NULL,
            metric TEXT COLLATE "C" NOT NULL, step TEXT COLLATE "C" NOT NULL, value DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (workflow, run, metric, step)) WITH {AUTOVACUUM}""",
        """CREATE TABLE step_names (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, step BIGINT NOT NULL,
            name TEXT COLLATE "C" NOT NULL, PRIMARY KEY (workflow, step))""",
        # By weeks, see ``daily_partitions``.
        """CREATE TABLE daily (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, step BIGINT NOT NULL,
            day BIGINT NOT NULL, count BIGINT NOT NULL, succeeded BIGINT NOT NULL, failed BIGINT NOT NULL,
            timed BIGINT NOT NULL, seconds BIGINT, p50 BIGINT, p95 BIGINT, cost BIGINT, wasted BIGINT, queue BIGINT,
            score BIGINT, until DOUBLE PRECISION NOT NULL, PRIMARY KEY (workflow, step, day)) PARTITION BY RANGE (day)""",
        """CREATE TABLE daily_metrics (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE, step BIGINT NOT NULL,
            day BIGINT NOT NULL, metric TEXT COLLATE "C" NOT NULL, amount DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (workflow, step, day, metric)) PARTITION BY RANGE (day)""",
        """CREATE TABLE baselines (
            workflow BIGINT PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE, at DOUBLE PRECISION NOT NULL,
            runs BIGINT NOT NULL, p50 DOUBLE PRECISION, p95 DOUBLE PRECISION, success DOUBLE PRECISION,
            cost DOUBLE PRECISION, score BIGINT)""",
        """CREATE TABLE adoptions (
            workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            recommendation TEXT COLLATE "C" NOT NULL, state TEXT NOT NULL, first DOUBLE PRECISION NOT NULL,
            since DOUBLE PRECISION NOT NULL, money DOUBLE PRECISION, minutes DOUBLE PRECISION,
            failures DOUBLE PRECISION, by TEXT, verdict TEXT, measured DOUBLE PRECISION,
            PRIMARY KEY (workflow, recommendation))""",
        """CREATE TABLE analyses (
            profile TEXT COLLATE "C" PRIMARY KEY, workflow BIGINT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
            stale BIGINT NOT NULL, content BYTEA NOT NULL)""",
        "CREATE INDEX analyses_by_workflow ON analyses (workflow)",
    ),
}


def migrate(db: Connection, transaction: Transaction, schema: str, place: str) -> None:
    """Bring the schema up to this version; shards that start together take turns. Raises HistoryError for one of another
    version."""
    with transaction():
        db.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        have = _version(db, schema)
        check_version(place, have, MIGRATIONS, ANOTHER_SCHEMA)
        for version, statements in MIGRATIONS.items():
            if version > have:
                for statement in statements:
                    db.execute(statement)
                db.execute("INSERT INTO migrations (version) VALUES (?)", (version,))


def _version(db: Connection, schema: str) -> int:
    """The version of the schema, which is made where there is none: 0."""
    # "IF NOT EXISTS" alone asks for the right to create schemas where one exists already
    if db.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (schema,)).fetchone() is None:
        db.execute(f'CREATE SCHEMA "{schema}"')
    if not _counted(db, schema):
        db.execute("CREATE TABLE migrations (version BIGINT PRIMARY KEY, applied TIMESTAMPTZ NOT NULL DEFAULT now())")
    return present_version(db, schema)


def present_version(db: Connection, schema: str) -> int:
    """The version of the schema, 0 where there is none."""
    if not _counted(db, schema):
        return 0
    return int(db.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0])


def rights(db: Connection, schema: str) -> tuple[bool, bool]:
    """Whether the server takes writes, and whether this user may create tables in the schema, or the schema itself."""
    query = (
        "SELECT NOT pg_is_in_recovery(), CASE WHEN EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ?) "
        "THEN has_schema_privilege(?, 'CREATE') ELSE has_database_privilege(current_database(), 'CREATE') END"
    )
    writes, creates = db.execute(query, (schema, schema)).fetchone()
    return bool(writes), bool(creates)


def _counted(db: Connection, schema: str) -> bool:
    return db.execute("SELECT to_regclass(?)", (f'"{schema}".migrations',)).fetchone()[0] is not None
