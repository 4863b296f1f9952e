"""The last analysis of each profile, so that a process that starts does not analyse what has not changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from concertmaster.core.model import WorkflowKey
from concertmaster.history import rows
from concertmaster.history.database import Database


@dataclass(frozen=True, slots=True)
class KeptAnalysis:
    """The stored analysis of a profile. ``content`` is opaque here. ``stale``: pods or records of the workflow were added
    or corrected since."""

    content: bytes
    stale: bool = False


class Analyses(Database):
    """The table of analyses. One row per profile, by its uid."""

    def keep_analysis(self, uid: str, key: WorkflowKey, content: bytes) -> None:
        """Store ``content`` as the analysis of a profile, made from everything the history holds now. Raises HistoryReadOnly
        where it would be lost with a copy: the caller then keeps what it would ask for here."""
        self._must_last()
        with self._transaction():
            self._db.execute(
                "INSERT INTO analyses VALUES (?, ?, 0, ?) ON CONFLICT (profile) DO UPDATE "
                "SET workflow = excluded.workflow, stale = 0, content = excluded.content",
                (uid, rows.make_id(self._db, key), content),
            )

    def confirm_analysis(self, uid: str) -> None:
        """Record that the stored analysis of a profile still holds with the facts added since."""
        with self._transaction():
            self._db.execute("UPDATE analyses SET stale = 0 WHERE profile = ? AND stale = 1", (uid,))

    def analysis(self, uid: str) -> KeptAnalysis | None:
        """The stored analysis of a profile."""
        with self._engine.reading():
            row = self._db.execute("SELECT content, stale FROM analyses WHERE profile = ?", (uid,)).fetchone()
        return None if row is None else KeptAnalysis(bytes(row[0]), bool(row[1]))

    def keep_analyses_of(self, uids: Collection[str], owns: Callable[[str], bool] = lambda _: True) -> None:
        """Delete the analyses of all other profiles in the namespaces for which ``owns`` is true."""
        with self._transaction():
            known = self._db.execute(
                "SELECT profile, namespace FROM analyses JOIN workflows ON id = workflow"
            ).fetchall()
            gone = [(uid,) for uid, namespace in known if uid not in uids and owns(namespace)]
            self._db.executemany("DELETE FROM analyses WHERE profile = ?", gone)

    def _outdate(self, workflows: Iterable[WorkflowKey]) -> None:
        """Something of these workflows changed; part of the caller's transaction."""
        self._db.executemany(
            "UPDATE analyses SET stale = 1 WHERE workflow = ? AND stale = 0",
            [(rows.known_id(self._db, key),) for key in workflows],
        )
