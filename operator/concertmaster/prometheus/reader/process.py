"""The operator's side of reader processes: the past of a source, read where it does not take the operator's own time.

Python runs one thread at a time. Of the first reading of ten thousand workflows a third is decoding answers of the
metrics source, while everything that was read waits to be analysed; on another core both continue. What is read is the
same: a reader process runs the same code, and where it ends before its time the operator reads on by itself."""

from __future__ import annotations

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Pipe

from concertmaster.core.units import MIB
from concertmaster.net.cgroup import cores, memory_left
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError, SourceUnreachable
from concertmaster.prometheus.collect.collection import Collection, CollectOptions
from concertmaster.prometheus.reader.wire import PastSpan, QueryStarted, SpanRequest, receive, send

log = logging.getLogger("concertmaster.sources")

_MIN_CONCURRENT_QUERIES = 3  # one for the process, and two here, of which users' queries take one at most
# Bytes that a process takes and the operator grows by meanwhile: beyond the memory limit both are killed.
_PROCESS_BYTES = 400 * MIB
_END = 5.0  # seconds a process has to end once it was killed
_WORK = 60.0  # seconds for its startup, and to process answers between two queries


class Readers:
    """The reader processes of an operator: at most one at a time, since each takes 120 to 200 MiB."""

    def __init__(self, cores: Callable[[], int] = cores, room: Callable[[], float | None] = memory_left) -> None:
        """``cores``: how many there are; ``room``: bytes up to the memory limit, None where there is none. With one core, or
        little room, nothing is read apart."""
        self._cores = cores
        self._room = room
        self._starting = threading.Lock()  # several sources may begin at the same moment
        self._of: dict[str, SourceReader] = {}

    def of(self, client: PrometheusClient) -> SourceReader:
        """The reader of a source."""
        return self._of.setdefault(client.source.name, SourceReader(client, self._free, self._starting))

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return any(reader.running for reader in self._of.values())

    def close(self) -> None:
        """End all."""
        for reader in self._of.values():
            reader.close()

    def _free(self) -> bool:
        if self._cores() < 2 or self.running:
            return False
        room = self._room()
        return room is None or room >= _PROCESS_BYTES


class SourceReader:
    """Reads spans of one source in a process that is started for the first of them."""

    def __init__(self, client: PrometheusClient, free: Callable[[], bool], starting: threading.Lock) -> None:
        """``free``: whether there may be a process, asked while ``starting`` is held until there is."""
        self._client = client
        self._free = free
        self._starting = starting
        self._process: _Process | None = None
        self._turn = threading.Lock()  # spans are begun by the threads that wait for them
        self._failed = False  # one ended before its time: another one would as well

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and not self._process.gone

    def backfill(
        self,
        *,
        namespaces: Sequence[str],
        since: float,
        until: float,
        now: float,
        label_keys: Sequence[str],
        options: CollectOptions,
        apart: bool,
    ) -> Iterator[Collection]:
        """See ``collect.reading.backfill``; ``apart``: where there can be a process, in one. What was asked of it before and
        is still being read is given up."""
        span = PastSpan(tuple(namespaces), since, until, now, tuple(label_keys), options)
        process = self._claimed(apart)
        if process is not None:
            try:
                for chunk in process.chunks(span):
                    yield chunk
                    span = replace(span, until=chunk.since)
            except (EOFError, OSError) as error:
                self._lost(process, hangs=isinstance(error, BlockingIOError))
            else:
                return
        yield from span.read(self._client)

    def close(self) -> None:
        """End the process; the next span starts another one."""
        with self._turn:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _lost(self, process: _Process, *, hangs: bool) -> None:
        """Do without a process that ended or ``hangs``. Raises SourceUnreachable where it was ended here: it was closed, or
        others had something else to ask."""
        status = None if hangs else process.ended()
        with self._turn:
            if process is not self._process:
                where = f"source {self._client.source.name}"
                raise SourceUnreachable("what was asked for is no longer needed", where=where) from None
            self._failed = status != 0  # 0: nobody had asked it for a while, until just now
            self._end()
        ended = f"ended (exit status {status})" if status is not None else "closed its connection"
        self._warn(f"was silent for {process.patience:g} s" if hangs else ended)

    def _warn(self, what: str) -> None:
        name = self._client.source.name
        log.warning("source %s: the process that read the past %s; the operator reads on by itself", name, what)

    def _claimed(self, apart: bool) -> _Process | None:
        """A process that has nothing else to do; None where this one reads."""
        with self._turn:
            if self._process is not None and (self._process.busy or self._process.gone or self._few):
                if self._process.failed:
                    self._failed = True
                    self._warn(f"ended (exit status {self._process.ended()})")
                self._end()
            if self._process is None and apart:
                with self._starting:
                    self._process = self._start()
            if self._process is not None:
                self._process.busy = True
                self._client.lent = self._client.places // 2  # shards may have come or gone
            return self._process

    @property
    def _few(self) -> bool:
        """Whether the source allows too few queries at a time to share them."""
        return self._client.places < _MIN_CONCURRENT_QUERIES

    def _start(self) -> _Process | None:
        """A process; None where the operator does better to read by itself."""
        if self._failed or not self._free() or self._few:
            return None
        try:
            return _Process(self._client)
        except OSError as error:
            log.warning("no process to read the past with (%s); the operator reads by itself", error)
            self._failed = True
            return None


class _Process:
    """One process. While it runs, up to half of the source's queries at a time are its own.

    The connection is closed when nobody holds it any more: a thread may still be receiving, and gets the end of it.
    """

    def __init__(self, client: PrometheusClient) -> None:
        """Raises OSError."""
        self._client = client
        self._connection, theirs = Pipe()
        self.wait_at_most(client.source.longest_seconds + _WORK)
        try:
            self._running = subprocess.Popen(
                [sys.executable, "-m", "concertmaster.prometheus.reader.serve", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # see ``controller.malloc``
            )
        finally:
            theirs.close()
        self.busy = False  # whether a span was queried, and not all of it received

    def wait_at_most(self, seconds: float) -> None:
        """From the next message on it is given up (BlockingIOError) where it sends and accepts nothing for that long."""
        self.patience = seconds
        limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
        with socket.socket(fileno=os.dup(self._connection.fileno())) as ours:
            for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, way, limit)

    def chunks(self, span: PastSpan) -> Iterator[Collection]:
        """The chunks of a span. Raises MetricsError as the source does; EOFError or OSError where the process ended,
        BlockingIOError where it hangs."""
        client = self._client
        send(self._connection, SpanRequest(client.source, span, client.traits, client.lent))
        oldest: Collection | None = None  # chunk of the span, which is used when the process is free for the next one
        while True:
            message = receive(self._connection)
            if isinstance(message, QueryStarted):
                client.requests += 1
                client.beat()
            elif isinstance(message, Collection) and message.since > span.since:
                yield message
            elif isinstance(message, Collection):
                oldest = message
            else:
                self.busy = False
                if oldest is not None:
                    yield oldest
                if isinstance(message, MetricsError):
                    raise message
                return

    @property
    def gone(self) -> bool:
        """Whether it has ended: after a while without a request it does."""
        return self._running.poll() is not None

    @property
    def failed(self) -> bool:
        """Whether it has ended before all of a span was received, and not because nobody asked."""
        return self.busy and self._running.poll() not in (None, 0)

    def ended(self) -> int | None:
        """Its exit status."""
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(_END)
        return self._running.returncode

    def end(self) -> None:
        """Kill it: it holds nothing that is not read again."""
        self._client.lent = 0
        self._running.kill()
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(_END)
