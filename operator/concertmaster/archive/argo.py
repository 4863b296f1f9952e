"""The tables in which Argo's controller archives Workflows: which there are in a span of time, and single objects.

A row has the whole object with its node table, also where the live object had it packed or elsewhere. ``finishedat`` has
no time zone: it is compared with other rows only, and everything known of a run is taken from its object.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

PAGE = 500
"""Rows of one answer, without their objects."""
MAX_BYTES = 32 << 20
"""Maximum size of one archived object as text; 10,000 nodes take about 10 MB."""


class Answering(Protocol):
    """A cursor after a statement."""

    def fetchone(self) -> Any:
        """The next row."""

    def fetchall(self) -> list[Any]:
        """All rows."""


class Queried(Protocol):
    """What asks a database; statements have ``?`` for parameters."""

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> Answering:
        """Run one statement. Raises ArchiveError."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class ArchivedWorkflow:
    """One archived Workflow without its object. ``ended``: seconds by the clock of its controller, comparable with those
    of others; ``labels``: those of its labels that were asked for."""

    uid: str
    namespace: str
    name: str
    ended: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """Rows in the order they were asked for. ``more``: there may be further ones."""

    rows: Sequence[ArchivedWorkflow]
    more: bool


class ArgoArchive:
    """One table of archived Workflows, of one cluster and instance of the controller. Every call is one statement, and
    raises ArchiveError."""

    def __init__(self, session: Queried, table: str, cluster: str, instance: str) -> None:
        """``table`` may name its schema; letters, digits and underscores only, as the settings hold it."""
        self._session = session
        self._table = ".".join(f'"{part}"' for part in table.split("."))
        self._labels = ".".join(f'"{part}"' for part in f"{table}_labels".split("."))
        self._scope = (cluster, instance)

    def newest(self, namespaces: Collection[str]) -> float | None:
        """When the last of the Workflows archived of these namespaces ended; None when there are none."""
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
        labels: Collection[str] = (),
        after: ArchivedWorkflow | None = None,
        newest_first: bool = True,
    ) -> ArchivePage:
        """Workflows of these namespaces that ended in [``since``, ``until``], with the values of these ``labels``; those
        that follow on ``after`` in the order asked for."""
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
        asked = (sorted(labels), *self._scope, sorted(namespaces), since, until, *position, PAGE)
        found = [
            ArchivedWorkflow(str(uid), str(namespace), str(name), float(ended), _labels(values))
            for uid, namespace, name, ended, values in self._session.execute(query, asked).fetchall()
        ]
        return ArchivePage(found, len(found) == PAGE)

    def reference(self, row: ArchivedWorkflow) -> Any:
        """``spec.workflowTemplateRef`` of a row's object, decoded; None where it has none."""
        query = (
            f"SELECT (workflow #> '{{spec,workflowTemplateRef}}')::text FROM {self._table} "
            "WHERE clustername = ? AND instanceid = ? AND uid = ? AND namespace = ?"
        )
        found = self._session.execute(query, (*self._scope, row.uid, row.namespace)).fetchone()
        return None if found is None or found[0] is None else json.loads(found[0])

    def document(self, row: ArchivedWorkflow) -> tuple[str | None, int]:
        """The object of a row as JSON and its size in bytes; None instead where it is above ``MAX_BYTES``, or was deleted
        meanwhile (0 bytes). The limit holds in the server: nothing larger is sent."""
        query = (
            "SELECT CASE WHEN octet_length(body) <= ? THEN body END, octet_length(body) FROM (SELECT workflow::text AS body "
            f"FROM {self._table} WHERE clustername = ? AND instanceid = ? AND uid = ? AND namespace = ? OFFSET 0) AS w"
        )
        found = self._session.execute(query, (MAX_BYTES, *self._scope, row.uid, row.namespace)).fetchone()
        return (None, 0) if found is None else (found[0], int(found[1]))

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
        self._session.close()


def _labels(values: object) -> dict[str, str]:
    found = json.loads(values) if isinstance(values, str) else {}
    return {str(name): str(value) for name, value in found.items()}
