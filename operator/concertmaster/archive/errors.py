"""Why an archive could not be read, each with what to do."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.postgresql.server import place_of


@dataclass(frozen=True, slots=True)
class ArchiveNames:
    """How messages speak of an archive. ``also``: what else to check where its table is missing; ``labels``: whether it has
    a table of labels."""

    title: str
    setting: str
    maker: str
    also: str = ""
    labels: bool = False


ARGO = ArchiveNames(
    "the workflow archive",
    "argoArchive",
    "Argo",
    ", and that persistence.archive is set in Argo's controller",
    labels=True,
)
TEKTON = ArchiveNames("the database of Tekton Results", "tektonResults", "Tekton Results")


class ArchiveError(Exception):
    """The archive could not be read. The message says what, where and what to do."""


class StatementFailed(ArchiveError):
    """One statement failed although the archive can be read: usually because of the row it asked for."""


class StatementTimedOut(StatementFailed):
    """It took too long: because of its row, or because the server is busy."""


class NoDriver(ArchiveError):
    """The PostgreSQL driver is not installed."""

    def __init__(self, names: ArchiveNames, url: str, reason: object) -> None:
        super().__init__(
            f"{names.title} {place_of(url)} needs the PostgreSQL driver: pip install 'concertmaster[postgresql]' "
            f"({reason})"
        )
