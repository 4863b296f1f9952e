"""Argo's archive as its controller fills it, in a real PostgreSQL server: tables and rows as in persist/sqldb."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from concertmaster.archive import ArgoArchive, open_archive
from concertmaster.settings import ArgoArchiveSettings
from testbed.services.postgres import PostgresServer
from tests.support.archive_tables import ReadTables
from tests.support.engines.argo_definitions import NESTED
from tests.support.engines.argo_oracle import Controller, stamp

MIGRATIONS = Path(__file__).with_name("data") / "argo_archive.sql"


@dataclass
class ArchiveTables(ReadTables):
    """Argo's."""

    tables = ("argo_archived_workflows", "argo_archived_workflows_labels")
    schema: str = field(default_factory=lambda: f"argo_{secrets.token_hex(6)}")

    @classmethod
    def fresh(cls, server: PostgresServer, *, before: str = "later") -> Self:
        """Empty tables, as of the last version of Argo before one."""
        tables, text = cls(server), MIGRATIONS.read_text()
        with tables.connect() as db:
            db.execute(f"CREATE SCHEMA {tables.schema}")  # type: ignore[arg-type]
            db.execute(text.partition(f"-- since {before}")[0])  # type: ignore[arg-type]
        tables.admit()
        return tables

    def columns(self) -> list[tuple[str, ...]]:
        """Tables, columns and their types, and indexes, in a fixed order."""
        with self.connect() as db:
            columns = db.execute(
                "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
                "WHERE table_schema = %s AND table_name LIKE 'argo_archived%%' ORDER BY 1, 2",
                (self.schema,),
            ).fetchall()
            indexes = db.execute(
                "SELECT tablename, indexname, replace(indexdef, schemaname || '.', '') FROM pg_indexes "
                "WHERE schemaname = %s AND tablename LIKE 'argo_archived%%' ORDER BY 1, 2",
                (self.schema,),
            ).fetchall()
        return [*columns, *indexes]

    def settings(self, **other: Any) -> ArgoArchiveSettings:
        """What the operator is configured with."""
        return ArgoArchiveSettings.model_validate(self.configured(**other))

    def open(self, **other: Any) -> ArgoArchive:
        """The archive as the operator reads it."""
        return open_archive(self.settings(**other))

    def put(self, *workflows: Mapping[str, Any], cluster: str = "default", instance: str = "") -> None:
        """Archive objects as ``ArchiveWorkflow`` in persist/sqldb/workflow_archive.go does."""
        with self.connect() as db:
            for given in workflows:
                raw = json.loads(json.dumps(given))
                meta, status = raw["metadata"], raw["status"]
                labels = meta.setdefault("labels", {})
                labels["workflows.argoproj.io/workflow-archiving-status"] = "Persisted"
                text = json.dumps(raw).replace("\\u0000", "ARGO_POSTGRES_NULL_REPLACEMENT")
                db.execute("DELETE FROM argo_archived_workflows WHERE uid = %s", (meta["uid"],))
                db.execute(
                    "INSERT INTO argo_archived_workflows (clustername, instanceid, uid, name, namespace, phase, startedat, "
                    "finishedat, workflow) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (cluster, instance, meta["uid"], meta["name"], meta["namespace"], status["phase"],
                     status["startedAt"], status["finishedAt"], text),
                )  # fmt: skip
                for name, value in labels.items():
                    row = (cluster, meta["uid"], name, value)
                    db.execute("INSERT INTO argo_archived_workflows_labels VALUES (%s, %s, %s, %s)", row)


def workflow(
    name: str = "etl-x7k2z",
    at: float = 1000.0,
    *,
    spec: Mapping[str, Any] = NESTED,
    origin: str = "etl",
    failures: Callable[[str], int] = lambda node: 0,
    **status: Any,
) -> dict[str, Any]:
    """A finished Workflow of the template ``origin``, begun at ``at`` (unix seconds), as the controller leaves it."""
    control = Controller(spec, name, failures=failures, param_items={"work": [{"a": "b c"}, "[x].y", 7]})
    control.execute(at)
    raw = control.workflow(startedAt=stamp(at), **status)
    raw["spec"] = {"workflowTemplateRef": {"name": origin}}
    raw["metadata"] |= {
        "uid": f"uid-{name}-{at:.0f}",
        "creationTimestamp": stamp(at - 1),
        "labels": {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/workflow-template": origin},
    }
    return raw
