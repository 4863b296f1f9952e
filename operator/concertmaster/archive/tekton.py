"""The table in which Tekton Results keeps PipelineRuns and TaskRuns: which runs there are in a span of time, and single
runs with their TaskRuns.

A record holds its whole object and is written anew with each change of it, also when it is deleted. Rows are listed by
columns alone: an object that is damaged, or takes long, then costs only itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from concertmaster.archive.rows import MAX_BYTES, PAGE, ArchivePage, ArchiveRow, labels_of, quoted
from concertmaster.engines.tekton.archived import ORIGIN_LABELS

if TYPE_CHECKING:  # the driver is optional
    from concertmaster.postgresql.session import Session

_RUNS = ["tekton.dev/v1.PipelineRun", "tekton.dev/v1beta1.PipelineRun"]
_COMPRESSED = 4  # how many times larger an object is than what is stored of it, at least
_PARTS = ["tekton.dev/v1.TaskRun", "tekton.dev/v1beta1.TaskRun"]


class TektonResults:
    """One table of records. Every call is one statement, and raises ArchiveError. ``ended`` of a row is when its record was
    last written, so that none is missed; from the newest on it is when it was made, which no later write changes."""

    def __init__(self, session: Session, table: str) -> None:
        """``table`` may name its schema; letters, digits and underscores only, as the settings hold it."""
        self._session = session
        self._table = quoted(table)

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
        after: ArchiveRow | None = None,
        newest_first: bool = True,
    ) -> ArchivePage:
        """See ``ArchiveTable``; what only objects say is not in the rows yet."""
        at, order, sign = ("created_time", "DESC", "<") if newest_first else ("updated_time", "ASC", ">")
        beyond = f"AND ({at}, id) {sign} (to_timestamp(?), ?)" if after is not None else ""
        query = (
            f"SELECT parent, result_id, id, name, extract(epoch FROM {at})::float8 FROM {self._table} "
            f"WHERE parent = ANY(?) AND type = ANY(?) AND {at} >= to_timestamp(?) AND {at} <= to_timestamp(?) {beyond} "
            f"ORDER BY {at} {order}, id {order} LIMIT ?"
        )
        position = (after.ended, after.place[1]) if after is not None else ()
        asked = (sorted(namespaces), _RUNS, since, until, *position, PAGE)
        found = [
            ArchiveRow(str(uid), str(parent), str(uid), float(moment), place=(str(result), str(key)))
            for parent, result, key, uid, moment in self._session.execute(query, asked).fetchall()
        ]
        return ArchivePage(found, len(found) == PAGE)

    def described(self, row: ArchiveRow) -> ArchiveRow | None:
        """See ``ArchiveTable``."""
        query = (
            "SELECT left(data #>> '{metadata,uid}', 64), left(data #>> '{metadata,name}', 254), "
            "left(data #>> '{metadata,creationTimestamp}', 64), left(data #>> '{status,completionTime}', 64), "
            "(SELECT json_object_agg(key, left(value, 64)) "
            "FROM jsonb_each_text(CASE jsonb_typeof(data #> '{metadata,labels}') WHEN 'object' "
            "THEN data #> '{metadata,labels}' ELSE '{}' END) WHERE key = ANY(?))::text "
            f"FROM {self._table} WHERE parent = ? AND result_id = ? AND id = ?"
        )
        found = self._session.execute(query, (sorted(ORIGIN_LABELS), row.namespace, *row.place)).fetchone()
        if found is None:
            return None
        uid, name, created, ended, values = found
        return replace(
            row,
            uid=str(uid),
            name=str(name),
            labels=labels_of(values),
            over=ended is not None,
            created=_moment(created),
            finished=_moment(ended),
        )

    def reference(self, row: ArchiveRow) -> Any:
        """See ``ArchiveTable``; that is ``spec.pipelineRef``."""
        place = "parent = ? AND result_id = ? AND id = ?"
        query = f"SELECT (data #> '{{spec,pipelineRef}}')::text FROM {self._table} WHERE {place}"
        found = self._session.execute(query, (row.namespace, *row.place)).fetchone()
        return None if found is None or found[0] is None else json.loads(found[0])

    def document(self, row: ArchiveRow) -> tuple[str | None, int]:
        """See ``ArchiveTable``: an object of the PipelineRun, ``run``, and its TaskRuns, ``parts``. These are left out where
        what is stored of them shows that they are above the limit."""
        parts = (
            f"FROM {self._table} WHERE parent = ? AND result_id = ? AND type = ANY(?) "
            "AND data #> '{metadata,ownerReferences}' @> jsonb_build_array(jsonb_build_object('uid', ?::text))"
        )
        whole = f"SELECT jsonb_agg(data #- '{{metadata,managedFields}}' ORDER BY id) {parts}"
        query = (
            "SELECT CASE WHEN octet_length(body) <= ? THEN body END, octet_length(body) FROM (SELECT jsonb_build_object("
            f"'run', data, 'parts', CASE WHEN (SELECT sum(pg_column_size(data)) {parts}) > ? THEN '[]' "
            f"ELSE coalesce(({whole}), '[]') END)::text AS body "
            f"FROM {self._table} WHERE parent = ? AND result_id = ? AND id = ? OFFSET 0) AS r"
        )
        own = (row.namespace, row.place[0], _PARTS, row.uid)
        asked = (MAX_BYTES, *own, MAX_BYTES // _COMPRESSED, *own, row.namespace, *row.place)
        found = self._session.execute(query, asked).fetchone()
        return (None, 0) if found is None else (found[0], int(found[1]))

    def close(self) -> None:
        """See ``ArchiveTable``."""
        self._session.close()


def _moment(text: str | None) -> float | None:
    """Unix seconds; None for what is no time with a zone."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None
