"""Clients of a port that take more than their share: connections, handshakes, answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from concertmaster.net.http_server import HttpServer, ServerLimits
from tests.support.waiting import until_then

FEW = ServerLimits(connections=8, answers=3, probes=("/healthz",), seconds=30.0)
LARGE = 8 << 20  # bytes, more than two sockets keep


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str) -> None:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await self.writer.drain()

    async def head(self) -> str:
        """Status line and headers of an answer."""
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode()

    async def disconnected(self, within: float = 10.0) -> bool:
        """Whether the server disconnects it within so many seconds."""
        try:
            return await asyncio.wait_for(self.reader.read(), within) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    async def connected(self) -> bool:
        return not await self.disconnected(0.05)


@dataclass
class Place:
    """A server whose /slow answers once ``go`` is set; ``slow``: how often it was asked for."""

    server: HttpServer
    port: int
    go: asyncio.Event
    slow: int = 0
    clients: list[Client] = field(default_factory=list)

    async def client(self, address: str = "127.0.0.1") -> Client:
        opened = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        self.clients.append(Client(*opened))
        return self.clients[-1]

    async def asked(self, path: str, address: str = "127.0.0.1") -> Client:
        client = await self.client(address)
        await client.ask(path)
        return client


@asynccontextmanager
async def place(limits: ServerLimits = FEW, tls: ssl.SSLContext | None = None) -> AsyncIterator[Place]:
    go = asyncio.Event()

    async def quick(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def slow(_: web.Request) -> web.Response:
        found.slow += 1
        await go.wait()
        return web.Response(text="ok")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * LARGE)

    app = web.Application()
    app.add_routes([web.get("/healthz", quick), web.get("/slow", slow), web.get("/large", large)])
    server = HttpServer(app, limits)
    found = Place(server, await server.start("127.0.0.1", 0, tls), go)
    try:
        yield found
    finally:
        for client in found.clients:
            client.writer.close()
        await server.stop()


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 60)

    asyncio.run(bounded())


def test_one_connection_too_many_takes_the_place_of_the_longest_idle_one() -> None:
    async def scenario() -> None:
        async with place() as at:
            used = await at.client()
            others = [await at.client() for _ in range(FEW.connections - 1)]
            await used.ask("/healthz")
            assert " 200 " in await used.head()  # the oldest connection, but not the longest idle one
            probe = await at.asked("/healthz")
            assert " 200 " in await probe.head()
            assert await others[0].disconnected()
            assert await used.connected()
            assert await others[1].connected()
            assert at.server.open_connections == FEW.connections

    play(scenario)


def test_connections_that_were_closed_count_no_more() -> None:
    async def scenario() -> None:
        async with place() as at:
            for client in [await at.client() for _ in range(FEW.connections)]:
                client.writer.close()
            await until_then(lambda: at.server.open_connections == 0)

    play(scenario)


def test_requests_under_way_keep_their_connections_and_one_too_many_is_refused() -> None:
    async def scenario() -> None:
        async with place() as at:
            slow = [await at.asked("/slow") for _ in range(FEW.answers)]
            await until_then(lambda: at.slow == FEW.answers)
            refused = await at.asked("/slow")
            head = await refused.head()
            assert " 503 " in head
            assert "Retry-After: 1" in head
            assert "Too many requests are under way" in (await refused.reader.read()).decode()  # to its end
            for _ in range(2 * FEW.connections):
                await at.client()
            assert " 200 " in await (await at.asked("/healthz")).head()
            at.go.set()
            for client in slow:
                assert " 200 " in await client.head()
            assert " 200 " in await (await at.asked("/slow")).head()

    play(scenario)


def test_answers_that_nobody_reads_are_under_way() -> None:
    async def scenario() -> None:
        async with place() as at:
            for _ in range(FEW.answers):
                client = await at.asked("/large")
                await client.reader.readexactly(1)
            assert " 503 " in await (await at.asked("/large")).head()
            assert " 200 " in await (await at.asked("/healthz")).head()

    play(scenario)


def test_an_answer_that_nobody_reads_makes_room_for_a_client_with_fewer() -> None:
    async def scenario() -> None:
        async with place() as at:
            stuck = [await at.asked("/large", "127.0.0.2") for _ in range(FEW.answers)]
            for client in stuck:
                await client.reader.readexactly(1)
            scraper = await at.asked("/slow")
            at.go.set()
            assert " 200 " in await scraper.head()
            await until_then(
                lambda: at.server.open_connections == len(stuck)
            )  # the scraper's and all but one of theirs

    play(scenario)


def test_answers_under_way_make_no_room_however_many_an_address_has() -> None:
    async def scenario() -> None:
        async with place() as at:
            for _ in range(FEW.answers):
                await at.asked("/slow", "127.0.0.2")
            await until_then(lambda: at.slow == FEW.answers)
            assert " 503 " in await (await at.asked("/slow")).head()

    play(scenario)


def test_with_no_idle_connection_left_a_new_one_is_closed() -> None:
    async def scenario() -> None:
        limits = ServerLimits(connections=3, answers=3, seconds=30.0)
        async with place(limits) as at:
            for _ in range(3):
                await at.asked("/slow")
            await until_then(lambda: at.slow == 3)
            assert await (await at.client()).disconnected()
            assert at.server.open_connections == 3

    play(scenario)


@pytest.fixture
def tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_a_handshake_that_is_never_begun_counts_and_ends(tls: ssl.SSLContext) -> None:
    async def scenario() -> None:
        async with place(ServerLimits(connections=4, answers=3, seconds=2.0), tls) as at:
            clients = [await at.client() for _ in range(8)]
            await until_then(lambda: at.server.open_connections == 4)
            assert await clients[0].disconnected()
            assert await clients[-1].connected()
            await until_then(lambda: at.server.open_connections == 0)
            assert await clients[-1].disconnected()

    play(scenario)


def test_a_taken_port_is_an_error_and_leaves_nothing_open() -> None:
    async def scenario() -> None:
        async with place() as at:
            other = HttpServer(web.Application(), FEW)
            with pytest.raises(OSError, match="in use"):
                await other.start("127.0.0.1", at.port)
            await other.stop()

    play(scenario)


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return socket.has_dualstack_ipv6()


@pytest.mark.parametrize("both", [True, False])
def test_all_addresses_are_those_of_each_family_that_there_is(monkeypatch: pytest.MonkeyPatch, both: bool) -> None:
    """A pod of a cluster with IPv6 alone is probed by it, and a node may have none."""
    if not (both := both and _has_ipv6()):
        monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)

    async def scenario() -> None:
        server = HttpServer(web.Application(), FEW)
        port = await server.start("::", 0)
        for address in ("127.0.0.1", "::1") if both else ("127.0.0.1",):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
        await server.stop()

    play(scenario)
