"""An archive on a database server. The driver is an optional part of the installation and is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from concertmaster.archive.argo import ArgoArchive
from concertmaster.archive.errors import ARGO, TEKTON, ArchiveNames, NoDriver
from concertmaster.archive.rows import ArchiveTable
from concertmaster.archive.tekton import TektonResults
from concertmaster.postgresql.server import DatabaseServer
from concertmaster.settings import ArgoArchiveSettings, Settings, TektonResultsSettings

if TYPE_CHECKING:  # the driver is optional
    from concertmaster.postgresql.session import Session

_STATEMENT_SECONDS = 15
_PATIENCE = 20.0  # seconds after which a server that does not answer at all is given up


def configured(settings: Settings) -> Mapping[str, Callable[[], ArchiveTable]]:
    """What opens each archive that is configured, by the name of its setting."""
    argo, tekton = settings.argo_archive, settings.tekton_results
    every: dict[str, tuple[str | None, Callable[[], ArchiveTable]]] = {
        ARGO.setting: (argo.url, partial(open_archive, argo)),
        TEKTON.setting: (tekton.url, partial(open_results, tekton)),
    }
    return {name: opening for name, (url, opening) in every.items() if url is not None}


def open_archive(settings: ArgoArchiveSettings) -> ArgoArchive:
    """Argo's archive that the settings name; it connects when it is read. Raises ArchiveError without the driver, ValueError
    without an address."""
    session = _session(settings, settings.table, ARGO)
    return ArgoArchive(session, settings.table, settings.cluster_name, settings.instance_id)


def open_results(settings: TektonResultsSettings) -> TektonResults:
    """The same for Tekton Results."""
    return TektonResults(_session(settings, settings.table, TEKTON), settings.table)


def _session(settings: ArgoArchiveSettings | TektonResultsSettings, table: str, names: ArchiveNames) -> Session:
    if settings.url is None:
        raise ValueError(f"{names.setting}.url is not set")
    try:
        from concertmaster.archive.faults import unreadable
        from concertmaster.postgresql.session import Session
    except ImportError as error:
        raise NoDriver(names, settings.url, error) from error
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
    return Session(server, partial(unreadable, place=str(server), table=table, names=names), patience=_PATIENCE)
