"""Archives that engines keep of finished runs, beyond the life of their objects. Only ever read."""

from concertmaster.archive.argo import ArchivedWorkflow, ArchivePage, ArgoArchive
from concertmaster.archive.errors import ArchiveError, StatementFailed
from concertmaster.archive.open import open_archive

__all__ = ["ArchiveError", "ArchivePage", "ArchivedWorkflow", "ArgoArchive", "StatementFailed", "open_archive"]
