"""A certificate that is renewed while it is served: mounted Secrets change, and connections made later have the new one."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger("concertmaster.web")


class Certificate:
    """Raises OSError (as ssl.SSLError too) where chain and key cannot be used."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = (chain, key)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._seen = self._state()
        self.context.load_cert_chain(*self._files)

    async def watch(self, pause: float = 30.0) -> None:
        """Load what changes; until cancelled. A file that cannot be used is logged once, and the certificate before it
        stays in use."""
        while True:
            await asyncio.sleep(pause)
            self.renew()

    def renew(self) -> None:
        """Load the files where they changed."""
        try:
            state = self._state()
            if state == self._seen:
                return
            self._seen = state
            # A chain that does not fit its key would leave the context with half of each: tried apart first.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except OSError as error:
            log.warning("the renewed certificate cannot be used, the one before is served on: %s", error)

    def _state(self) -> tuple[tuple[int, int], ...]:
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (f.stat() for f in self._files))
