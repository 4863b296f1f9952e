"""Tekton Results' database as its API server and watcher fill it, in a real PostgreSQL server."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg

from concertmaster.archive import TektonResults, open_results
from concertmaster.settings import TektonResultsSettings
from testbed.services.postgres import PostgresServer
from tests.support.archive_tables import ReadTables
from tests.support.engines.argo_oracle import stamp
from tests.support.engines.tekton_objects import RUN, RUNS, pipeline_run
from tests.support.engines.times import unix

TABLES = Path(__file__).with_name("data") / "tekton_results.sql"
_MOMENT = re.compile(r"1970-[0-9T:-]+Z")
_EVENT = "triggers.tekton.dev/triggers-eventid"


@dataclass
class ResultTables(ReadTables):
    """Those of Tekton Results."""

    tables = ("records",)
    schema: str = field(default_factory=lambda: f"results_{secrets.token_hex(6)}")

    @classmethod
    def fresh(cls, server: PostgresServer) -> Self:
        """Empty tables."""
        tables = cls(server)
        with tables.connect() as db:
            db.execute(f"CREATE SCHEMA {tables.schema}")  # type: ignore[arg-type]
            db.execute(TABLES.read_text())  # type: ignore[arg-type]
        tables.admit()
        return tables

    def settings(self, **other: Any) -> TektonResultsSettings:
        """What the operator is configured with."""
        return TektonResultsSettings.model_validate(self.configured(**other))

    def open(self, **other: Any) -> TektonResults:
        """The table as the operator reads it."""
        return open_results(self.settings(**other))

    def put(self, *objects: Mapping[str, Any], written: float | None = None) -> None:
        """Store PipelineRuns and TaskRuns as the watcher does, ``written`` (unix seconds) or when they ended: each in the
        result of its PipelineRun or trigger event, a record of its own that is written anew when the object changed."""
        with self.connect() as db:
            for obj in objects:
                self._put(db, obj, written)

    @staticmethod
    def _put(db: psycopg.Connection[Any], obj: Mapping[str, Any], written: float | None) -> None:
        meta = obj["metadata"]
        place, uid = meta["namespace"], meta["uid"]
        owners = [o["uid"] for o in meta.get("ownerReferences", ()) if o["kind"] == "PipelineRun"]
        name = (meta.get("labels") or {}).get(_EVENT) or next(iter(owners), uid)
        db.execute(
            "INSERT INTO results (parent, id, name) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (place, secrets.token_hex(16), name),
        )
        found = db.execute("SELECT id FROM results WHERE parent = %s AND name = %s", (place, name)).fetchone()
        assert found is not None
        end = obj.get("status", {}).get("completionTime")
        at = written if written is not None else unix(end)
        made = unix(meta.get("creationTimestamp")) or at
        db.execute("DELETE FROM records WHERE parent = %s AND result_id = %s AND name = %s", (place, found[0], uid))
        db.execute(
            "INSERT INTO records (parent, result_id, result_name, id, name, type, data, created_time, updated_time) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s))",
            (
                place,
                found[0],
                name,
                secrets.token_hex(16),
                uid,
                f"{obj['apiVersion']}.{obj['kind']}",
                json.dumps(obj),
                made,
                at,
            ),
        )


def finished(name: str = "build-x7k2z", at: float = 0.0, namespace: str = "ci", **labels: str) -> list[dict[str, Any]]:
    """A PipelineRun of Pipeline build, begun 9 s after ``at`` (unix seconds), ended 67 s later, and its TaskRuns."""
    text = json.dumps([pipeline_run(), *RUNS]).replace(RUN, name).replace('"ci"', f'"{namespace}"')
    for moment in {*_MOMENT.findall(text)}:
        text = text.replace(moment, stamp(at + (unix(moment) or 0.0)))
    run, *parts = json.loads(text)
    uid = f"uid-{namespace}-{name}"
    run["metadata"] |= {"uid": uid, "labels": {"tekton.dev/pipeline": "build", **labels}}
    for part in parts:
        owner = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": name, "uid": uid}
        part["apiVersion"] = "tekton.dev/v1"
        part["metadata"] |= {"uid": f"uid-{namespace}-{part['metadata']['name']}", "ownerReferences": [owner]}
        part["metadata"]["labels"] |= {"tekton.dev/pipeline": "build", **labels}
    return [run, *parts]
