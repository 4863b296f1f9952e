"""An archive on a database server. The driver is an optional part of the installation and is imported when it is needed."""

from __future__ import annotations

from functools import partial

from concertmaster.archive.argo import ArgoArchive
from concertmaster.archive.errors import NoDriver
from concertmaster.postgresql.server import DatabaseServer
from concertmaster.settings import ArgoArchiveSettings

_STATEMENT_SECONDS = 15
_PATIENCE = 20.0  # seconds after which a server that does not answer at all is given up


def open_archive(settings: ArgoArchiveSettings) -> ArgoArchive:
    """The archive that the settings name; it connects when it is read. Raises ArchiveError without the driver, ValueError
    without an address."""
    if settings.url is None:
        raise ValueError("argoArchive.url is not set")
    try:
        from concertmaster.archive.faults import unreadable
        from concertmaster.postgresql.session import Session
    except ImportError as error:
        raise NoDriver(settings.url, error) from error
    server = DatabaseServer(
        settings.url,
        settings.username_file,
        settings.password_file,
        environment=False,
        settings={
            "default_transaction_read_only": "on",
            "statement_timeout": f"{_STATEMENT_SECONDS}s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "60s",
            "timezone": "UTC",
        },
        prepared=False,  # which index is best depends on the namespaces and the span
    )
    raised = partial(unreadable, place=str(server), table=settings.table)
    session = Session(server, raised, patience=_PATIENCE)
    return ArgoArchive(session, settings.table, settings.cluster_name, settings.instance_id)
