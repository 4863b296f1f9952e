"""Archives that engines keep of finished runs, beyond the life of their objects. Only ever read."""

from concertmaster.archive.argo import ArgoArchive
from concertmaster.archive.errors import ArchiveError, StatementFailed, StatementTimedOut
from concertmaster.archive.open import configured, open_archive, open_results
from concertmaster.archive.rows import ArchivePage, ArchiveRow, ArchiveTable
from concertmaster.archive.tekton import TektonResults

__all__ = [
    "ArchiveError",
    "ArchivePage",
    "ArchiveRow",
    "ArchiveTable",
    "ArgoArchive",
    "StatementFailed",
    "StatementTimedOut",
    "TektonResults",
    "configured",
    "open_archive",
    "open_results",
]
