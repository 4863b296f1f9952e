"""A database server for the history, as a typed model. Its password stands in a file or in the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from concertmaster.core.model.scalars import MemoryQuantity
from concertmaster.settings import checks
from concertmaster.settings.source import FilePath, Section

SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


class HistorySettings(Section):
    """Where the history is kept, when not in the file of historyPath."""

    url: str | None = Field(
        None,
        max_length=2048,
        description="PostgreSQL server, for example postgresql://db.example.com:5432/concertmaster?sslmode=verify-full; "
        "without it the history is the file of historyPath. User and password come from PGUSER and PGPASSWORD or from "
        "passwordFile, never from here. Needs a direct connection or a pooler that keeps sessions.",
    )
    schema_name: SchemaName = Field(
        "concertmaster",
        alias="schema",
        description="Schema of the tables, created when missing; operators of two clusters must not share one.",
    )
    password_file: FilePath | None = Field(None, description="File holding the password; read for each connection.")

    cache_size: MemoryQuantity = Field(
        MemoryQuantity("1Gi"),
        description="Size up to which copies of the server's runs are kept in a file, beside where historyPath is, so that "
        'the server sends only what changed; "0": none.',
    )

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str | None) -> str | None:
        if url is None:
            return None
        return checks.database_url(url, "the environment variable PGPASSWORD or passwordFile")
