"""Tables of an engine's archive in a schema of their own, and a user who may read them and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg

from testbed.services.postgres import PostgresServer


@dataclass
class ReadTables:
    """``tables``: those that the operator reads, the first of which its settings name."""

    server: PostgresServer
    schema: str
    tables: ClassVar[tuple[str, ...]] = ()

    def admit(self) -> None:
        """Make the reader."""
        self.raw(f"CREATE ROLE {self.reader} LOGIN PASSWORD '{self.server.password}'")
        self.raw(f"GRANT USAGE ON SCHEMA {self.schema} TO {self.reader}")
        self.grant()

    @property
    def reader(self) -> str:
        """The user of the operator."""
        return f"reader_{self.schema}"

    def connect(self) -> psycopg.Connection[Any]:
        """As the engine."""
        options = f"-c search_path={self.schema} -c timezone=UTC"
        return psycopg.connect(self.server.url, password=self.server.password, options=options)

    def raw(self, statement: str) -> None:
        """One statement as the engine."""
        with self.connect() as db:
            db.execute(statement)  # type: ignore[arg-type]

    def grant(self, verb: str = "GRANT", way: str = "TO") -> None:
        """Let the reader read, or no longer."""
        for table in self.tables:
            self.raw(f"{verb} SELECT ON {table} {way} {self.reader}")

    def configured(self, **other: Any) -> dict[str, Any]:
        """The settings that any archive has."""
        url = self.server.url.replace("concertmaster@", f"{self.reader}@")
        table = f"{self.schema}.{self.tables[0]}"
        return {"url": url, "passwordFile": str(self.server.password_file), "table": table, **other}
