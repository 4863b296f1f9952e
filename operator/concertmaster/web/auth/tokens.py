"""Authentication of the pages in the cluster: the API server reviews the bearer token of every request.

There is no session, no cookie and no form, so that another site has nothing to send on a user's behalf. Headers that name a
user are not examined: a proxy that logs people in passes their token on.
"""

from __future__ import annotations

import asyncio
import logging
import re

from aiohttp import web

from concertmaster.kube.errors import KubeError
from concertmaster.kube.reviews import Reviewer
from concertmaster.web.auth.tenants import Tenants
from concertmaster.web.readers import Reader

log = logging.getLogger("concertmaster.web")
MAX_TOKEN_LENGTH = 16_384  # characters
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)  # RFC 6750
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="concertmaster"'}
_RETRY_HEADERS = {"Retry-After": "5"}


class TokenAuthenticator:
    """Whoever has a token that the API server accepts reads what they may read there."""

    whose = "your token"

    def __init__(self, reviewer: Reviewer, tenants: Tenants) -> None:
        self._reviewer = reviewer
        self._tenants = tenants

    async def reader(self, request: web.Request) -> Reader:
        """See ``Authenticator``. 401 without a token that is accepted; 503 where nobody can be asked."""
        given = request.headers.getall("Authorization", [])
        match = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
        if match is None or len(match[1]) > MAX_TOKEN_LENGTH:
            raise web.HTTPUnauthorized(
                headers=_CHALLENGE,
                text="A bearer token of this cluster is needed (header Authorization). In a browser it comes from the "
                "proxy that logs you in.\n",
            )
        try:
            who = await asyncio.to_thread(self._reviewer.identity, match[1])
        except KubeError as error:
            log.warning("a token cannot be reviewed: %s", error)
            raise web.HTTPServiceUnavailable(
                headers=_RETRY_HEADERS, text="The API server could not review your token. Try again shortly.\n"
            ) from None
        if who is None:
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'},
                text="The API server does not accept this token: it is expired, not for this audience, or not from here.\n",
            )
        return self._tenants.reader(who)
