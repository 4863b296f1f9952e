"""Request headers that carry credentials, read from their files at the moment they are needed.

Projected tokens rotate about once an hour and a mounted Secret changes under a running process. The files are small and
a query is not, so they are simply read for every request; nothing is kept that could end up in a log or a ``repr``.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from concertmaster.prometheus.client.errors import AuthFailed
from concertmaster.settings import MetricsSource

_MAX_BYTES = 65_536  # bytes; a token or a password is far below


def headers(source: MetricsSource) -> dict[str, str]:
    """All headers a source asks for. Raises AuthFailed naming the file that cannot be used, never its content."""
    fields: dict[str, str] = {}
    for name, header in source.headers.items():
        fields[name] = header.value if header.value is not None else secret(header.value_file or "", source.name)
    if source.auth.bearer_token_file is not None:
        fields["Authorization"] = f"Bearer {secret(source.auth.bearer_token_file, source.name)}"
    elif source.auth.basic is not None:
        basic = source.auth.basic
        pair = f"{basic.username}:{secret(basic.password_file, source.name)}"
        fields["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return fields


def secret_headers(source: MetricsSource) -> frozenset[str]:
    """Names of the headers whose values come from files."""
    named = {name for name, header in source.headers.items() if header.value_file is not None}
    if source.auth.bearer_token_file is not None or source.auth.basic is not None:
        named.add("Authorization")
    return frozenset(named)


def secret(path: str, source: str) -> str:
    """The one line of text a credential file holds. Raises AuthFailed."""
    where = f"source {source}"
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise AuthFailed(
            f"the credential file {path} cannot be read ({error.strerror or type(error).__name__})",
            where=where,
            remedy="Mount it, or correct the path in the operator's configuration",
        ) from None
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > _MAX_BYTES or re.search(r"[\x00-\x1f\x7f]", text):
        raise AuthFailed(
            f"the credential file {path} is empty or not one line of text",
            where=where,
            remedy="Write the bare token or password into it, without quotes or header name",
        )
    return text
