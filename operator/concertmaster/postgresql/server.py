"""Where a database is and how a session begins. Needs no driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """One database. ``url`` holds no password. ``user_file`` and ``password_file`` are read for each connection; without
    them libpq takes PGUSER and PGPASSWORD where the ``environment`` is about this server. ``settings``: parameters of the
    session by name. ``prepared``: statements that are repeated are planned once, whatever their parameters."""

    url: str
    user_file: str | None = None
    password_file: str | None = None
    environment: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    prepared: bool = True

    def __str__(self) -> str:
        """Without user and parameters."""
        return place_of(self.url)


def place_of(url: str) -> str:
    """The server and database of ``url`` without user and parameters, for messages."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
