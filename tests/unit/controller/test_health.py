"""The probes fail when the loop or a watch makes no progress, over HTTP as Kubernetes sees it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.controller.health import Health, NotReady, Stale
from concertmaster.controller.loop import CyclePace, Loop, Worker
from concertmaster.controller.main import longest_silence
from concertmaster.controller.reporting.server import LIMITS, Server
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.settings import Settings
from tests.support.clock import Clock
from tests.support.waiting import until, until_then

QUICK = replace(LIMITS, seconds=0.4)


def settings(**source: float) -> Settings:
    return Settings.model_validate({"sources": [{"name": "p", "url": "http://prometheus:9090", **source}]})


def test_a_source_that_may_take_long_to_answer_is_no_silence() -> None:
    """A query may take its deadline and, when its answer stalls then, the timeout of an attempt."""
    assert longest_silence(settings(), 300.0) == settings().interval.seconds + 300.0
    slow = settings(deadlineSeconds=1800, timeoutSeconds=600)
    assert longest_silence(slow, 300.0) > slow.interval.seconds + 2400.0
    assert longest_silence(settings(), 600.0) == settings().interval.seconds + 600.0


def test_silence_is_stale_and_names_the_stage() -> None:
    clock = Clock(0.0)
    health = Health(stall_after=60.0, clock=clock)
    health.heartbeat("collect")
    clock.now = 60.0
    health.check_live()
    clock.now = 61.0
    with pytest.raises(Stale, match="collect"):
        health.check_live()
    health.heartbeat("analyze")
    health.check_live()


def test_a_watch_that_stays_behind_is_stale() -> None:
    health = Health(stall_after=60.0, watch_lag_after=180.0, clock=Clock(0.0))
    health.watch_lag("workflowprofiles", 170.0)
    health.check_live()
    health.watch_lag("workflowprofiles", 181.0)
    with pytest.raises(Stale, match="workflowprofiles"):
        health.check_live()
    health.watch_lag("workflowprofiles", 0.0)
    health.check_live()


def test_ready_between_the_first_cycle_and_the_end() -> None:
    health = Health(stall_after=60.0, clock=Clock(0.0))
    with pytest.raises(NotReady, match="first cycle"):
        health.check_ready()
    health.cycle_done()
    health.check_ready()
    health.cycle_failed("the last cycle failed as a whole (RecursionError)")
    health.check_live()
    with pytest.raises(NotReady, match="RecursionError"):
        health.check_ready()
    health.cycle_done()
    health.check_ready()
    health.stopping()
    with pytest.raises(NotReady, match="stopping"):
        health.check_ready()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_hanging_cycle_fails_the_probe_and_its_end_heals_it() -> None:
    async def scenario() -> None:
        clock = Clock(0.0)
        health = Health(stall_after=60.0, clock=clock)
        server = Server("127.0.0.1", 0, health, Telemetry())
        await server.start()
        hangs, hang, worker = threading.Event(), threading.Event(), Worker("test")

        def cycle() -> bool:
            hangs.set()
            hang.wait(20)
            return False

        loop = Loop(cycle, worker, CyclePace(0.05, settle=0.0, gap=0.0), health)
        task = asyncio.create_task(loop.run())
        try:
            status, text = await asyncio.to_thread(get, server.bound_port, "/healthz")
            assert (status, text) == (200, "ok\n")
            assert await asyncio.to_thread(hangs.wait, 20)
            clock.now = 61.0
            status, text = await asyncio.to_thread(get, server.bound_port, "/healthz")
            assert status == 503
            assert "silent" in text
            assert (await asyncio.to_thread(get, server.bound_port, "/readyz"))[0] == 503
            hang.set()
            await asyncio.to_thread(until, lambda: get(server.bound_port, "/healthz")[0] == 200)
            await asyncio.to_thread(until, lambda: get(server.bound_port, "/readyz")[0] == 200)
            status, text = await asyncio.to_thread(get, server.bound_port, "/metrics")
            assert status == 200
            assert "concertmaster_cycles_total" in text
        finally:
            task.cancel()
            await server.stop()
            assert worker.close(30.0)

    asyncio.run(scenario())


def run_loop(
    cycle: Callable[[], bool], pace: CyclePace, calls: list[float], count: int, *, wake: bool = False
) -> float:
    """Runs the loop until ``calls``, of ``cycle``, are ``count``; it is woken after the first of them if ``wake`` says so.
    Returns when, in seconds of the monotonic clock."""
    woken = 0.0

    async def scenario() -> None:
        nonlocal woken
        worker = Worker("test")
        loop = Loop(cycle, worker, pace, Health(stall_after=60.0))
        task = asyncio.create_task(loop.run())
        if wake:
            await until_then(lambda: calls)
            await asyncio.sleep(0.2)
            woken = time.monotonic()
            loop.wake()
        await until_then(lambda: len(calls) >= count)
        await asyncio.sleep(0.3)
        task.cancel()
        worker.close(5.0)

    asyncio.run(scenario())
    return woken


def test_cycles_come_at_the_interval_and_a_failing_one_does_not_end_the_loop() -> None:
    calls: list[float] = []

    def cycle() -> bool:
        calls.append(time.monotonic())
        raise RuntimeError("broken")

    begun = time.monotonic()
    run_loop(cycle, CyclePace(0.2, settle=0.0, gap=0.0), calls, 3)
    # From before the first, which a busy machine may let wait: the next one is counted from when it was due.
    assert all(called - begun >= 0.19 * number for number, called in enumerate(calls))


def test_a_cycle_that_fails_as_a_whole_is_counted_and_not_ready() -> None:
    """What the alert ConcertmasterCyclesFailing is about."""
    telemetry, health, calls = Telemetry(), Health(stall_after=60.0), list[int]()

    def cycle() -> bool:
        calls.append(1)
        raise RecursionError("one object of somebody")

    async def scenario() -> None:
        worker = Worker("test")
        loop = Loop(cycle, worker, CyclePace(0.05, settle=0.0, gap=0.0), health, failed=telemetry.cycle_failed)
        task = asyncio.create_task(loop.run())
        while len(calls) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        worker.close(5.0)

    health.cycle_done()  # an earlier one went well
    asyncio.run(scenario())
    with pytest.raises(NotReady, match="failed as a whole"):
        health.check_ready()
    text = telemetry.render().decode()
    (count,) = (
        line.split()[1] for line in text.splitlines() if line.startswith('concertmaster_failures_total{stage="cycle"}')
    )
    assert float(count) >= 2


def test_a_change_wakes_the_loop_after_the_burst_has_settled() -> None:
    calls: list[float] = []

    def cycle() -> bool:
        calls.append(time.monotonic())
        return False

    woken = run_loop(cycle, CyclePace(60.0, settle=0.1, gap=0.0), calls, 2, wake=True)
    assert len(calls) == 2
    assert calls[1] - woken >= 0.09


def test_a_cycle_hears_of_a_change_while_it_runs() -> None:
    heard: list[list[bool]] = []

    async def scenario() -> None:
        worker, going, woken = Worker("test"), threading.Event(), threading.Event()

        def cycle() -> bool:
            before = loop.woken()
            going.set()
            assert woken.wait(30.0)
            heard.append([before, loop.woken()])
            return False

        loop = Loop(cycle, worker, CyclePace(60.0, settle=0.0, gap=0.0), Health(stall_after=60.0))
        task = asyncio.create_task(loop.run())
        await asyncio.to_thread(going.wait, 30.0)
        loop.wake()
        woken.set()
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        worker.close(5.0)

    asyncio.run(asyncio.wait_for(scenario(), 60.0))
    assert heard == [[False, True], [False, False]]


@pytest.mark.parametrize("pace", [CyclePace(60.0, settle=0.0, gap=0.05), CyclePace(60.0, settle=60.0, gap=0.0)])
def test_unfinished_work_waits_for_neither_the_interval_nor_a_burst_that_nobody_made(pace: CyclePace) -> None:
    calls: list[float] = []

    def cycle() -> bool:
        calls.append(time.monotonic())
        return len(calls) < 3

    run_loop(cycle, pace, calls, 3)
    assert len(calls) == 3


def test_a_fatal_error_ends_the_loop() -> None:
    class Lost(Exception):
        pass

    def cycle() -> bool:
        raise Lost("the kinds are gone")

    async def scenario() -> None:
        worker = Worker("test")
        try:
            with pytest.raises(Lost):
                await Loop(cycle, worker, CyclePace(60.0), Health(stall_after=60.0), fatal=(Lost,)).run()
        finally:
            worker.close(5.0)

    asyncio.run(scenario())


def test_a_client_that_never_ends_its_request_is_disconnected() -> None:
    async def scenario() -> tuple[bytes, float]:
        server = Server("127.0.0.1", 0, Health(stall_after=60.0), Telemetry(), limits=QUICK)
        await server.start()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.bound_port)
            begun = time.monotonic()
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            await writer.drain()
            said = await asyncio.wait_for(reader.read(), 30)  # to the end of the connection
            writer.close()
            assert (await asyncio.to_thread(get, server.bound_port, "/healthz"))[0] == 200
            return said, time.monotonic() - begun
        finally:
            await server.stop()

    said, seconds = asyncio.run(scenario())
    assert said == b""
    assert 0.3 <= seconds < 30.0


class LargeTelemetry(Telemetry):
    def render(self) -> bytes:
        return b"x" * (16 << 20)


@pytest.mark.parametrize("trickle", [0, 1_000], ids=["reads nothing", "reads a little"])
def test_a_client_that_does_not_read_its_answer_is_disconnected(trickle: int) -> None:
    """Or each would hold an answer of tens of megabytes in memory for as long as it likes."""

    async def scenario() -> float:
        server = Server("127.0.0.1", 0, Health(stall_after=60.0), LargeTelemetry(), limits=QUICK)
        await server.start()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await asyncio.to_thread(client.connect, ("127.0.0.1", server.bound_port))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            begun = time.monotonic()
            await until_then(lambda: server.open_connections)
            # with others, where a process still asks for what listened here before
            while server.open_connections and time.monotonic() - begun < 45.0:
                await asyncio.sleep(0.05)
                if trickle:
                    await asyncio.to_thread(client.recv, trickle)
            return time.monotonic() - begun
        except ConnectionError:
            return time.monotonic() - begun
        finally:
            client.close()
            await server.stop()

    assert asyncio.run(scenario()) < 40.0


def test_a_client_that_takes_its_time_gets_its_whole_answer() -> None:
    async def scenario() -> int:
        server = Server("127.0.0.1", 0, Health(stall_after=60.0), LargeTelemetry(), limits=replace(LIMITS, seconds=1.0))
        await server.start()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.bound_port, limit=4 << 20)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            got = 0
            while got < 16 << 20 and (some := await reader.read(4 << 20)):
                got += len(some)
                await asyncio.sleep(0.1)
            writer.close()
            return got
        finally:
            await server.stop()

    assert asyncio.run(scenario()) == 16 << 20


def test_whoever_opens_connections_without_end_stops_no_probe() -> None:
    async def scenario() -> tuple[int, float]:
        server = Server("127.0.0.1", 0, Health(stall_after=60.0), Telemetry())
        await server.start()
        flood: list[asyncio.StreamWriter] = []
        try:
            for _ in range(2 * LIMITS.connections):
                flood.append((await asyncio.open_connection("127.0.0.1", server.bound_port))[1])
                flood[-1].write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            begun = time.monotonic()
            for path in ("/healthz", "/metrics"):
                assert (await asyncio.to_thread(get, server.bound_port, path))[0] == 200
            return server.open_connections, time.monotonic() - begun
        finally:
            for writer in flood:
                writer.close()
            await server.stop()

    connections, seconds = asyncio.run(scenario())
    assert connections <= LIMITS.connections
    assert seconds < 5.0  # what the chart's probes wait


class SlowTelemetry(Telemetry):
    renders = 0

    def render(self) -> bytes:
        self.renders += 1
        time.sleep(0.3)
        return str(self.renders).encode()


def test_who_asks_while_the_metrics_are_rendered_gets_the_same_text() -> None:
    """Or a few clients would take all the threads, and the time, of everything else."""

    async def scenario() -> list[str]:
        server = Server("127.0.0.1", 0, Health(stall_after=60.0), SlowTelemetry())
        await server.start()
        try:
            asked = [asyncio.to_thread(get, server.bound_port, "/metrics") for _ in range(4)]
            together = await asyncio.gather(*asked)
            later = await asyncio.to_thread(get, server.bound_port, "/metrics")
            return [text for _, text in (*together, later)]
        finally:
            await server.stop()

    assert asyncio.run(scenario()) == ["1"] * 4 + ["2"]
