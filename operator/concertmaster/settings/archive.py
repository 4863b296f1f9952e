"""Archives of finished runs, as typed models. Credentials stand in files."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from concertmaster.settings import checks
from concertmaster.settings.source import FilePath, Section

TableName = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,55}$")]
ArgoName = Annotated[str, StringConstraints(max_length=64)]


class ArchiveDatabase(Section):
    """A database that is read as a user who may do nothing else."""

    url: str | None = Field(None, max_length=2048)
    username_file: FilePath | None = Field(
        None, description="File holding the user name, where the URL names none; read for each connection."
    )
    password_file: FilePath | None = Field(None, description="File holding the password; read for each connection.")

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str | None) -> str | None:
        return None if url is None else checks.database_url(url, "passwordFile")

    @model_validator(mode="after")
    def _user(self) -> Self:
        if self.url is not None and self.username_file is None:
            parts = urlsplit(self.url)
            if not parts.username and "user" not in {name for name, _ in parse_qsl(parts.query)}:
                raise ValueError("name the user in url or in usernameFile; that of the history is not used here")
        return self

    def files(self) -> list[tuple[str, str]]:
        """The fields that name a file, with the file."""
        files = (("usernameFile", self.username_file), ("passwordFile", self.password_file))
        return [(name, path) for name, path in files if path is not None]


class ArgoArchiveSettings(ArchiveDatabase):
    """Where Argo archives finished Workflows, to read those whose objects are gone."""

    url: str | None = Field(
        None,
        max_length=2048,
        description="PostgreSQL server of Argo's persistence, for example "
        "postgresql://reader@db.example.com:5432/argo?sslmode=verify-full; without it the archive is not read. No password "
        "here: it comes from passwordFile. The user needs SELECT on two tables and nothing else.",
    )
    table: TableName = Field(
        "argo_archived_workflows",
        description="Table of archived Workflows, with its schema where that is not on the user's search path; their labels "
        "are in the table of this name with _labels.",
    )
    cluster_name: ArgoName = Field("default", description="persistence.clusterName of Argo's controller.")
    instance_id: ArgoName = Field("", description="instanceID of Argo's controller.")


class TektonResultsSettings(ArchiveDatabase):
    """Where Tekton Results keeps finished PipelineRuns, to read those whose objects are gone."""

    url: str | None = Field(
        None,
        max_length=2048,
        description="PostgreSQL server of Tekton Results, for example "
        "postgresql://reader@db.example.com:5432/tekton-results?sslmode=verify-full; without it they are not read. No "
        "password here: it comes from passwordFile. The user needs SELECT on one table and nothing else.",
    )
    table: TableName = Field(
        "records", description="Table of the records, with its schema where that is not on the user's search path."
    )
