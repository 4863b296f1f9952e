"""A port for an aiohttp application on which no client uses up the connections, memory or time of the others.

Connections are counted from the moment they are accepted, before a TLS handshake. One too many takes the place of the one
that has been idle for longest, so that a probe is answered while somebody opens connections without end. One request too
many takes the place of an answer that is not read, of the address that has most under way, so that a scraper is answered
while somebody asks without reading.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestHandler

log = logging.getLogger(__name__)
_MAX_READING_FACTOR = 6  # times the seconds of a request: an answer that is still not read by then is given up
_PAUSE = 1.0  # seconds after a connection could not be accepted
_BACKLOG = 128  # connections the kernel keeps until they are accepted


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of clients. A client may take ``seconds`` to send a request, and an idle connection stays open for as long.
    ``connections``: open at once. ``answers``: in progress at once, including those that a client has not read yet;
    ``probes``: paths that are answered beyond that."""

    connections: int
    answers: int
    probes: Collection[str] = ()
    seconds: float = 10.0


@dataclass(slots=True)
class _Closing:
    """A connection that is closed once its client has read what was written: since when, and how much is unread."""

    since: float
    left: int


_Idle = RequestHandler | asyncio.Task[None]  # a connection, or one whose TLS handshake is under way


class HttpServer:
    """Serves ``app`` between ``start`` and ``stop``. ``max_field_size`` bounds the bytes of a header."""

    def __init__(self, app: web.Application, limits: ServerLimits, *, max_field_size: int = 8190) -> None:
        app.middlewares.insert(0, self._count())
        self._limits = limits
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.5, max_field_size=max_field_size
        )
        self._socket: socket.socket | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._answering: set[RequestHandler] = set()
        self._idle: dict[_Idle, float] = {}  # since when, longest first
        self._closing: dict[asyncio.WriteTransport, _Closing] = {}

    async def start(self, address: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Bind and serve; the bound port, which is a free one for ``port`` 0. OSError when the address is taken."""
        listening = _listening(address, port)
        listening.setblocking(False)
        self._socket = listening
        await self._runner.setup()
        self._tasks = [
            asyncio.create_task(self._accept(listening, tls), name="accept"),
            asyncio.create_task(self._watch(), name="slow clients"),
        ]
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Close the port and all connections. Without a start it does nothing."""
        for task in [*self._tasks, *(idle for idle in self._idle if isinstance(idle, asyncio.Task))]:
            task.cancel()
        if self._socket is not None:
            self._socket.close()
            await self._runner.cleanup()

    @property
    def open_connections(self) -> int:
        """Connections of clients, whatever they do."""
        self._forget_gone()
        return len(self._idle) + len(self._answering) + len(self._closing)

    async def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except OSError as error:  # the client is gone again, or the process has no file descriptor left
                log.warning("a connection could not be accepted: %s", error.strerror or error)
                await asyncio.sleep(_PAUSE)
                continue
            if self._make_room():
                task = loop.create_task(self._connect(client, tls))
                self._idle[task] = loop.time()
                task.add_done_callback(lambda done: self._idle.pop(done, None))
            else:
                client.close()
            await asyncio.sleep(0)  # or a flood of connections would leave no turn to anything else

    async def _connect(self, client: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        assert self._runner.server is not None
        try:
            _, connection = await loop.connect_accepted_socket(self._runner.server, client, ssl=tls)
        except OSError:
            return  # no TLS, or gone
        if connection not in self._answering:
            self._idle[connection] = loop.time()

    def _make_room(self) -> bool:
        """Whether one more connection may be open, if necessary by closing the one that has been idle for longest."""
        if self.open_connections < self._limits.connections:
            return True
        for idle in self._idle:
            if _unread(idle) is None:
                del self._idle[idle]
                _disconnect(idle)
                return True
        return False

    def _count(self) -> Middleware:
        """Count the connections with a complete request in progress, and refuse requests beyond the limit."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.protocol
            self._idle.pop(connection, None)
            full = len(self._answering) + len(self._unread()) >= self._limits.answers
            self._answering.add(connection)
            try:
                if full and request.path not in self._limits.probes and not self._give_up_one_for(connection):
                    return _too_many()
                return await handler(request)
            finally:
                self._answering.discard(connection)
                if connection.connected:
                    self._idle[connection] = asyncio.get_running_loop().time()

        return count

    def _give_up_one_for(self, newcomer: RequestHandler) -> bool:
        """Whether an unread answer was given up to make room: the oldest one of the address with the most in progress, if
        these are more than the newcomer's."""
        unread = self._unread()
        under_way = Counter(map(_address, [*unread, *(c.transport for c in self._answering if c is not newcomer)]))
        stuck = max(unread, key=lambda transport: under_way[_address(transport)], default=None)
        if stuck is None or under_way[_address(stuck)] <= under_way[_address(newcomer.transport)]:
            return False
        self._closing.pop(stuck, None)
        stuck.abort()
        return True

    def _unread(self) -> list[asyncio.WriteTransport]:
        """Connections whose clients have not read the whole of an answer, longest first."""
        return [*self._closing, *(transport for idle in self._idle if (transport := _unread(idle)) is not None)]

    async def _watch(self) -> None:
        """Disconnect clients that have neither sent a whole request nor read any of an answer for so long."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._limits.seconds / 4)
            now = clock()
            self._forget_gone()
            for idle in [i for i, since in self._idle.items() if now - since >= self._limits.seconds]:
                del self._idle[idle]
                if isinstance(idle, RequestHandler) and isinstance(idle.transport, asyncio.WriteTransport):
                    self._closing[idle.transport] = _Closing(now, idle.transport.get_write_buffer_size())
                    idle.force_close()
                else:
                    _disconnect(idle)
            self._give_up(now)

    def _forget_gone(self) -> None:
        for gone in [i for i in self._idle if isinstance(i, RequestHandler) and not i.connected]:
            del self._idle[gone]

    def _give_up(self, now: float) -> None:
        """Closing waits for the client to read: not for one that does not."""
        for transport, closing in list(self._closing.items()):
            left = transport.get_write_buffer_size()
            if (
                left
                and now > closing.since
                and (left >= closing.left or now - closing.since > _MAX_READING_FACTOR * self._limits.seconds)
            ):
                transport.abort()
                left = 0
            closing.left = left
            if not left:
                del self._closing[transport]


def _listening(address: str, port: int) -> socket.socket:
    """``::`` is all addresses of both families, or of the one that the kernel has: a pod is probed on whichever it was
    given. OSError when the address is taken."""
    both = address == "::" and socket.has_dualstack_ipv6()
    if address == "::" and not both:
        address = "0.0.0.0"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)


def _too_many() -> web.Response:
    answer = web.Response(
        status=503, headers={"Retry-After": "1"}, text="Too many requests are under way. Try again shortly.\n"
    )
    answer.force_close()
    return answer


def _unread(idle: _Idle) -> asyncio.WriteTransport | None:
    """The transport, where the client has not read the whole of an answer."""
    transport = idle.transport if isinstance(idle, RequestHandler) else None
    return transport if isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() else None


def _address(transport: asyncio.BaseTransport | None) -> str:
    """The client's address; clients behind one proxy share its address."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""


def _disconnect(idle: _Idle) -> None:
    """End it now, whatever it waits for."""
    if isinstance(idle, asyncio.Task):
        idle.cancel()
        return
    transport = idle.transport
    idle.force_close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
