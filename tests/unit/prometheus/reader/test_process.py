"""The past is read by a process of its own as it is without one, and whatever becomes of that process it is read."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from multiprocessing import Pipe
from typing import Any

import pytest

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import BadQuery, SourceUnreachable
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, backfill
from concertmaster.prometheus.reader import serve
from concertmaster.prometheus.reader.process import Readers, SourceReader
from concertmaster.settings import MetricsSource
from tests.support.data.metrics_store import Asked, AtOnce, Reply, Store, failure, running, vector

NOW = 1_800_000_000.0
DAY = 86_400.0
MIB = 2.0**20


@pytest.fixture
def store() -> Iterator[Store]:
    with running() as found:
        found.script = lambda _: vector([])
        yield found


@pytest.fixture
def readers() -> Iterator[Readers]:
    found = Readers(lambda: 2, lambda: None)
    yield found
    found.close()


def client(store: Store, name: str = "main", **fields: object) -> PrometheusClient:
    return PrometheusClient(MetricsSource.model_validate({"name": name, "url": store.url, **fields}))


def span(days: float = 1.0, until: float = NOW) -> dict[str, Any]:
    return {
        "namespaces": ["etl"], "since": until - days * DAY, "until": until, "now": NOW + 60,
        "label_keys": ["app"], "options": CollectOptions(longest=6 * 3600.0),
    }  # fmt: skip


def alive(store: Store) -> None:
    """A source that has samples, so that a span in which nothing ended is not the last one asked for."""
    store.script = lambda asked: vector([({"namespace": "etl"}, 1)] if asked.query.startswith("count by") else [])


def process_of(reader: SourceReader) -> int:
    assert reader._process is not None
    return reader._process._running.pid


def ends(chunks: list[Collection]) -> list[tuple[float, float]]:
    return [(c.since - NOW, c.complete_until - NOW) for c in chunks]


def test_it_reads_what_is_read_without_it(store: Store, readers: Readers) -> None:
    alive(store)
    here, there, beats = client(store), client(store), list[int]()
    expected = list(backfill(here, **span()))
    asked = [a.query for a in store.asked]
    there.beat = lambda: beats.append(1)
    reader = readers.of(there)
    assert list(reader.backfill(**span(), apart=True)) == expected
    assert len(expected) == 4
    assert sorted(a.query for a in store.asked[len(asked) :]) == sorted(asked)
    assert there.requests == here.requests == len(beats) > 4
    one = process_of(reader)
    assert ends(list(reader.backfill(**span(until=NOW - DAY), apart=True)))[-1][0] == -2 * DAY
    assert process_of(reader) == one


def test_whoever_has_the_oldest_chunk_may_ask_for_the_next_span(store: Store, readers: Readers) -> None:
    alive(store)
    reader = readers.of(client(store))
    reading = reader.backfill(**span(), apart=True)
    while next(reading).since > NOW - DAY:
        pass
    one = process_of(reader)
    assert list(reader.backfill(**span(until=NOW - DAY), apart=True))
    assert process_of(reader) == one
    assert not list(reading)


def test_without_need_there_is_no_process(store: Store, readers: Readers) -> None:
    assert list(readers.of(client(store)).backfill(**span(), apart=False))
    assert not readers.of(client(store)).running


@pytest.mark.parametrize(("cores", "places", "room"), [(1, 4, None), (2, 2, None), (2, 4, 399 * MIB)])
def test_one_core_two_queries_at_a_time_or_little_memory_is_not_shared(
    store: Store, cores: int, places: int, room: float | None
) -> None:
    """The last place is the cycle's, and beyond the memory limit both processes are killed."""
    reader = Readers(lambda: cores, lambda: room).of(client(store, maxConcurrentQueries=places))
    assert list(reader.backfill(**span(), apart=True))
    assert not reader.running


def test_there_is_one_at_a_time(store: Store, readers: Readers) -> None:
    one, other = readers.of(client(store, "one")), readers.of(client(store, "other"))
    for reader in (one, other):
        assert list(reader.backfill(**span(), apart=True))
    assert one.running
    assert not other.running
    one.close()
    assert list(other.backfill(**span(), apart=True))
    assert other.running


def test_a_fault_of_the_source_is_one_of_the_reading(store: Store, readers: Readers) -> None:
    store.script = lambda _: failure(400, "bad_data", "what is this?")
    there = client(store)
    reader = readers.of(there)
    with pytest.raises(BadQuery) as here:
        list(backfill(client(store), **span()))
    with pytest.raises(BadQuery) as raised:
        list(reader.backfill(**span(), apart=True))
    assert (str(raised.value), vars(raised.value)) == (str(here.value), vars(here.value))
    one = process_of(reader)
    store.script = lambda _: vector([])
    assert list(reader.backfill(**span(), apart=True))
    assert process_of(reader) == one


def test_where_it_is_killed_the_operator_reads_on(
    store: Store, readers: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    alive(store)
    there = client(store)
    reader = readers.of(there)
    reading = reader.backfill(**span(3), apart=True)
    chunks = [next(reading)]
    os.kill(process_of(reader), signal.SIGKILL)
    chunks += reading
    assert (chunks[0].complete_until, chunks[-1].since) == (NOW, NOW - 3 * DAY)
    assert all(later.complete_until == earlier.since for earlier, later in pairwise(chunks))
    assert "source main: the process that read the past ended (exit status -9)" in caplog.text
    assert not reader.running
    assert there.lent == 0
    assert list(reader.backfill(**span(), apart=True))
    assert not reader.running, "another one would be killed as well"


def test_where_it_is_killed_while_nobody_listens_there_is_no_other(
    store: Store, readers: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    """As where its memory is too much for the node each time."""
    alive(store)
    reader = readers.of(client(store))
    reading = reader.backfill(**span(3), apart=True)
    next(reading)
    one = process_of(reader)
    os.kill(one, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT)
    assert list(reader.backfill(**span(), apart=True))
    assert not reader.running
    assert "source main: the process that read the past ended (exit status -9)" in caplog.text


def test_of_several_sources_one_has_a_process(store: Store, readers: Readers) -> None:
    """Also where all begin at the same moment."""
    alive(store)
    sources = [readers.of(client(store, name=f"s{n}")) for n in range(4)]
    together = threading.Barrier(len(sources))

    def read(source: SourceReader) -> bool:
        together.wait(30)
        return bool(list(source.backfill(**span(), apart=True)))

    with ThreadPoolExecutor(len(sources)) as pool:
        assert all(pool.map(read, sources))
    assert sum(source.running for source in sources) == 1


def test_where_it_hangs_the_operator_reads_on(store: Store, readers: Readers, caplog: pytest.LogCaptureFixture) -> None:
    store.script = many
    expected = [len(chunk.facts) for chunk in backfill(client(store), **span())]
    reader = readers.of(client(store, timeoutSeconds=30, deadlineSeconds=90))
    reading = reader.backfill(**span(), apart=True)
    chunks = [next(reading)]
    hung = reader._process
    assert hung is not None
    assert hung.patience == 90 + 30 + 60
    os.kill(process_of(reader), signal.SIGSTOP)
    hung.wait_at_most(1.5)
    chunks += reading
    assert [len(chunk.facts) for chunk in chunks] == expected
    assert (
        "source main: the process that read the past was silent for 1.5 s; the operator reads on by itself"
        in caplog.text
    )
    assert not reader.running
    assert hung.gone


def test_what_is_known_of_the_source_is_not_asked_again(store: Store, readers: Readers) -> None:
    """How often containers are sampled concerns all of the source; the past goes by the present."""
    alive(store)
    there = client(store)
    there.traits.sampled_interval, there.traits.sampled_at = 30.0, NOW
    assert list(readers.of(there).backfill(**span(), apart=True))
    assert store.asked
    assert not [a.query for a in store.asked if "300 / max" in a.query]


def many(asked: Asked) -> Reply:
    """Pods of a span, more than fit into the buffer of a socket."""
    pods = [{"namespace": "etl", "pod": f"p{n}", "uid": f"u{n}", "created_by_kind": "Job"} for n in range(3000)]
    if asked.query.startswith("count by"):
        return vector([({"namespace": "etl"}, 1)])
    if '"records"' in asked.query:
        return vector([({"stat": stat, "job": "ksm", "instance": "k:1"}, 1) for stat in ("up", "seen")])
    if asked.query.startswith("group by"):
        return vector([(pod, 1) for pod in pods])
    if "kube_pod_completion_time" in asked.query:
        ended = [({"__name__": "kube_pod_completion_time", **pod}, NOW - 3600) for pod in pods]
        phases = [({"__name__": "kube_pod_status_phase", "phase": "Failed", **pod}, 1) for pod in pods]
        return vector([*ended, *phases, *[({"__name__": "kube_pod_info", **pod}, 1) for pod in pods]])
    return vector([])


def test_of_a_chunk_that_was_cut_off_nothing_is_used(store: Store, readers: Readers) -> None:
    store.script = many
    expected = [len(chunk.facts) for chunk in backfill(client(store), **span())]
    assert expected[0] == 3000
    reader = readers.of(client(store))
    reading = reader.backfill(**span(), apart=True)
    chunks = [next(reading)]
    time.sleep(1.0)  # it has begun to send the next one
    os.kill(process_of(reader), signal.SIGKILL)
    chunks += reading
    assert [len(chunk.facts) for chunk in chunks] == expected


def test_where_it_cannot_be_started_the_operator_reads(
    store: Store, readers: Readers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    there = client(store)
    assert list(readers.of(there).backfill(**span(), apart=True))
    assert "no process to read the past with" in caplog.text
    assert there.lent == 0


def test_where_it_does_not_come_up_the_operator_reads(
    store: Store, readers: Readers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert list(readers.of(client(store)).backfill(**span(), apart=True))
    assert "ended (exit status 1)" in caplog.text


def test_what_is_no_longer_wanted_is_given_up(store: Store, readers: Readers) -> None:
    alive(store)
    there = client(store)
    reader = readers.of(there)
    unwanted = reader.backfill(**span(3), apart=True)
    first = [next(unwanted)]
    assert list(reader.backfill(**span(), apart=True))
    with pytest.raises(SourceUnreachable, match="source main: what was asked for is no longer needed"):
        while True:
            first.append(next(unwanted))
    assert reader.running, "the other one was not ended by that"


def test_both_together_send_no_more_queries_than_the_source_may_get(store: Store, readers: Readers) -> None:
    there = client(store, maxConcurrentQueries=5)
    reader = readers.of(there)
    assert list(reader.backfill(**span(), apart=True))
    assert there.lent == 2
    assert there._transport.limit.most() == 3
    shards = [2]
    there.shared_by(lambda: shards[0])
    assert there._transport.limit.most() <= 1  # the least that there is
    assert list(reader.backfill(**span(), apart=True))
    assert (reader.running, there.lent) == (False, 0), "two of five are too few to share"
    shards[0] = 1
    assert list(reader.backfill(**span(), apart=True))
    assert reader.running
    reader.close()
    assert there._transport.limit.most() == 5


def test_it_sends_no_more_at_a_time_than_its_share(store: Store, readers: Readers) -> None:
    seen = AtOnce()

    def slow(_: Asked) -> Reply:
        seen.call(0.05)
        return vector([])

    store.next = slow  # type: ignore[method-assign]
    assert list(readers.of(client(store, maxConcurrentQueries=3)).backfill(**span(3), apart=True))
    assert seen.most == 1


def test_it_ends_when_its_operator_is_gone(store: Store, readers: Readers) -> None:
    reader = readers.of(client(store))
    assert list(reader.backfill(**span(), apart=True))
    process = reader._process
    assert process is not None
    process._connection.close()
    assert process._running.wait(30) == 0


def test_it_ends_when_nobody_has_a_question(store: Store, readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_IDLE_SECONDS", 0.05)
    ours, theirs = Pipe()
    serve.serve(theirs)
    ours.close()  # so late that it was no reason to return
    reader = readers.of(client(store))
    assert list(reader.backfill(**span(), apart=True))
    one = process_of(reader)
    os.kill(one, signal.SIGTERM)  # as if it had ended by itself, while it had nothing to do
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT)
    assert list(reader.backfill(**span(), apart=True))
    assert reader.running
    assert process_of(reader) != one
