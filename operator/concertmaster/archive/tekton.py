"""The table in which Tekton Results keeps PipelineRuns and TaskRuns: which runs there are in a span of time, and single
runs with their TaskRuns.

A record holds its whole object and is written anew with each change of it. When a record was last written is a column and
comparable with others; when a run ended stands inside its object, which is only looked into for the rows of an answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from concertmaster.archive.rows import MAX_BYTES, PAGE, ArchivePage, ArchiveRow, Queried

_RUNS = ["tekton.dev/v1.PipelineRun", "tekton.dev/v1beta1.PipelineRun"]
_PARTS = ["tekton.dev/v1.TaskRun", "tekton.dev/v1beta1.TaskRun"]


class TektonResults:
    """One table of records. Every call is one statement, and raises ArchiveError. ``ended`` of a row is when its record was
    last written."""

    def __init__(self, session: Queried, table: str) -> None:
        """``table`` may name its schema; letters, digits and underscores only, as the settings hold it."""
        self._session = session
        self._table = ".".join(f'"{part}"' for part in table.split("."))

    def newest(self, namespaces: Collection[str]) -> float | None:
        """See ``ArchiveTable``."""
        query = (
            f"SELECT extract(epoch FROM max(updated_time))::float8 FROM {self._table} "
            "WHERE parent = ANY(?) AND type = ANY(?)"
        )
        row = self._session.execute(query, (sorted(namespaces), _RUNS)).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def page(
        self,
        namespaces: Collection[str],
        since: float,
        until: float,
        *,
        labels: Collection[str] = (),
        after: ArchiveRow | None = None,
        newest_first: bool = True,
    ) -> ArchivePage:
        """See ``ArchiveTable``."""
        order, sign = ("DESC", "<") if newest_first else ("ASC", ">")
        beyond = f"AND (updated_time, id) {sign} (to_timestamp(?), ?)" if after is not None else ""
        # Ordered and cut before any object is looked into: each of them would be decompressed.
        listed = (
            f"SELECT parent, result_id, id, updated_time, data FROM {self._table} WHERE parent = ANY(?) AND type = ANY(?) "
            f"AND updated_time >= to_timestamp(?) AND updated_time <= to_timestamp(?) {beyond} "
            f"ORDER BY updated_time {order}, id {order} LIMIT ? OFFSET 0"
        )
        query = (
            "SELECT parent, result_id, id, extract(epoch FROM updated_time)::float8, data #>> '{metadata,uid}', "
            "data #>> '{metadata,name}', data #> '{status,completionTime}' IS NOT NULL, (SELECT json_object_agg(key, value) "
            "FROM jsonb_each_text(CASE jsonb_typeof(data #> '{metadata,labels}') WHEN 'object' "
            "THEN data #> '{metadata,labels}' ELSE '{}' END) WHERE key = ANY(?))::text "
            f"FROM ({listed}) AS r ORDER BY updated_time {order}, id {order}"
        )
        position = (after.ended, after.place[1]) if after is not None else ()
        asked = (sorted(labels), sorted(namespaces), _RUNS, since, until, *position, PAGE)
        found = [
            ArchiveRow(
                str(uid), str(parent), str(name), float(at), _labels(values), bool(over), (str(result), str(key))
            )
            for parent, result, key, at, uid, name, over, values in self._session.execute(query, asked).fetchall()
        ]
        return ArchivePage(found, len(found) == PAGE)

    def reference(self, row: ArchiveRow) -> Any:
        """See ``ArchiveTable``; that is ``spec.pipelineRef``."""
        place = "parent = ? AND result_id = ? AND id = ?"
        query = f"SELECT (data #> '{{spec,pipelineRef}}')::text FROM {self._table} WHERE {place}"
        found = self._session.execute(query, (row.namespace, *row.place)).fetchone()
        return None if found is None or found[0] is None else json.loads(found[0])

    def document(self, row: ArchiveRow) -> tuple[str | None, int]:
        """See ``ArchiveTable``: an object of the PipelineRun, ``run``, and its TaskRuns, ``parts``."""
        parts = (
            f"SELECT jsonb_agg(data ORDER BY id) FROM {self._table} WHERE parent = ? AND result_id = ? AND type = ANY(?) "
            "AND data #> '{metadata,ownerReferences}' @> jsonb_build_array(jsonb_build_object('uid', ?::text))"
        )
        query = (
            "SELECT CASE WHEN octet_length(body) <= ? THEN body END, octet_length(body) FROM (SELECT "
            f"jsonb_build_object('run', data, 'parts', coalesce(({parts}), '[]'))::text AS body "
            f"FROM {self._table} WHERE parent = ? AND result_id = ? AND id = ? OFFSET 0) AS r"
        )
        place = (row.namespace, *row.place)
        asked = (MAX_BYTES, row.namespace, row.place[0], _PARTS, row.uid, *place)
        found = self._session.execute(query, asked).fetchone()
        return (None, 0) if found is None else (found[0], int(found[1]))

    def close(self) -> None:
        """See ``ArchiveTable``."""
        self._session.close()


def _labels(values: object) -> dict[str, str]:
    found = json.loads(values) if isinstance(values, str) else {}
    return {str(name): str(value) for name, value in found.items()}
