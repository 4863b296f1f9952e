"""The tables in which Argo's controller archives Workflows: which there are in a span of time, and single objects.

A row has the whole object with its node table, also where the live object had it packed or elsewhere. ``finishedat`` has
no time zone: it is compared with other rows only, and everything known of a run is taken from its object.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from concertmaster.archive.rows import MAX_BYTES, PAGE, ArchivePage, ArchiveRow, labels_of, quoted
from concertmaster.engines.argo.live import ORIGIN_LABELS

if TYPE_CHECKING:  # the driver is optional
    from concertmaster.postgresql.session import Session


class ArgoArchive:
    """One table of archived Workflows, of one cluster and instance of the controller. Every call is one statement, and
    raises ArchiveError."""

    def __init__(self, session: Session, table: str, cluster: str, instance: str) -> None:
        """``table`` may name its schema; letters, digits and underscores only, as the settings hold it."""
        self._session = session
        self._table = quoted(table)
        self._labels = quoted(f"{table}_labels")
        self._scope = (cluster, instance)

    def newest(self, namespaces: Collection[str]) -> float | None:
        """See ``ArchiveTable``."""
        query = (
            f"SELECT extract(epoch FROM finishedat)::float8 FROM {self._table} WHERE clustername = ? AND instanceid = ? "
            "AND namespace = ANY(?) ORDER BY finishedat DESC LIMIT 1"
        )
        row = self._session.execute(query, (*self._scope, sorted(namespaces))).fetchone()
        return None if row is None else float(row[0])

    def page(
        self,
        namespaces: Collection[str],
        since: float,
        until: float,
        *,
        after: ArchiveRow | None = None,
        newest_first: bool = True,
    ) -> ArchivePage:
        """See ``ArchiveTable``."""
        order, sign = ("DESC", "<") if newest_first else ("ASC", ">")
        beyond = f"AND (finishedat, uid) {sign} (to_timestamp(?) AT TIME ZONE 'UTC', ?)" if after is not None else ""
        query = (
            "SELECT uid, namespace, name, extract(epoch FROM finishedat)::float8, (SELECT json_object_agg(l.name, l.value) "
            f"FROM {self._labels} AS l WHERE l.clustername = w.clustername AND l.uid = w.uid AND l.name = ANY(?))::text "
            f"FROM {self._table} AS w WHERE clustername = ? AND instanceid = ? AND namespace = ANY(?) "
            "AND finishedat >= to_timestamp(?) AT TIME ZONE 'UTC' AND finishedat <= to_timestamp(?) AT TIME ZONE 'UTC' "
            f"{beyond} ORDER BY finishedat {order}, uid {order} LIMIT ?"
        )
        position = (after.ended, after.uid) if after is not None else ()
        asked = (sorted(ORIGIN_LABELS), *self._scope, sorted(namespaces), since, until, *position, PAGE)
        found = [
            ArchiveRow(str(uid), str(namespace), str(name), float(ended), labels_of(values))
            for uid, namespace, name, ended, values in self._session.execute(query, asked).fetchall()
        ]
        return ArchivePage(found, len(found) == PAGE)

    def described(self, row: ArchiveRow) -> ArchiveRow | None:
        """See ``ArchiveTable``: the columns say all of it."""
        return row

    def reference(self, row: ArchiveRow) -> Any:
        """See ``ArchiveTable``; that is ``spec.workflowTemplateRef``."""
        query = (
            f"SELECT (workflow #> '{{spec,workflowTemplateRef}}')::text FROM {self._table} "
            "WHERE clustername = ? AND instanceid = ? AND uid = ? AND namespace = ?"
        )
        found = self._session.execute(query, (*self._scope, row.uid, row.namespace)).fetchone()
        return None if found is None or found[0] is None else json.loads(found[0])

    def document(self, row: ArchiveRow) -> tuple[str | None, int]:
        """See ``ArchiveTable``."""
        query = (
            "SELECT CASE WHEN octet_length(body) <= ? THEN body END, octet_length(body) FROM (SELECT workflow::text AS body "
            f"FROM {self._table} WHERE clustername = ? AND instanceid = ? AND uid = ? AND namespace = ? OFFSET 0) AS w"
        )
        found = self._session.execute(query, (MAX_BYTES, *self._scope, row.uid, row.namespace)).fetchone()
        return (None, 0) if found is None else (found[0], int(found[1]))

    def close(self) -> None:
        """See ``ArchiveTable``."""
        self._session.close()
