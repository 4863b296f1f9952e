"""Limits of a shared store: so many queries at a time, and none while it wants none."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError, SourceUnreachable, TimedOut
from concertmaster.prometheus.client.request_limit import RequestLimit
from concertmaster.settings import MetricsSource
from tests.support.data.metrics_store import AtOnce, Store, failure, running, vector

ONE = [({"pod": "a"}, 1)]


@pytest.fixture
def store() -> Iterator[Store]:
    with running() as found:
        yield found


def client(store: Store, **fields: object) -> PrometheusClient:
    return PrometheusClient(
        MetricsSource.model_validate({"name": "main", "url": store.url, **fields}), tools=Tools(sleep=lambda _: None)
    )


def most_at_once(one: PrometheusClient, threads: int, *, of_user: bool, expected: int) -> int:
    """The largest number of queries that were under way together."""
    limit, seen, send = one._transport.limit, AtOnce(expected), one._transport._attempt

    def watched(*arguments: object) -> object:
        seen.call(0.02)
        return send(*arguments)  # type: ignore[arg-type]

    one._transport._attempt = watched  # type: ignore[method-assign, assignment]
    running = [threading.Thread(target=lambda: one.instant("up", 1.0, of_user=of_user)) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert limit._inside == limit._of_users == 0
    return seen.most


@pytest.mark.parametrize(("most", "of_user", "expected"), [(1, False, 1), (3, False, 3), (3, True, 2), (1, True, 1)])
def test_no_more_queries_at_a_time_than_the_source_may_get(
    store: Store, most: int, of_user: bool, expected: int
) -> None:
    store.script = [vector(ONE)]
    one = client(store, maxConcurrentQueries=most)
    assert most_at_once(one, 8, of_user=of_user, expected=expected) == expected


def test_shards_share_the_limit_and_each_has_one_place(store: Store) -> None:
    store.script = [vector(ONE)]
    one = client(store, maxConcurrentQueries=6)
    alive = [3]
    one.shared_by(lambda: alive[0])
    assert most_at_once(one, 6, of_user=False, expected=2) == 2
    alive[0] = 50
    assert most_at_once(one, 6, of_user=False, expected=1) == 1


def test_a_query_that_gets_no_place_says_so_and_is_not_held_against_the_source(store: Store) -> None:
    one = client(store, maxConcurrentQueries=1, timeoutSeconds=0.5, deadlineSeconds=0.5)
    store.script = [vector(ONE)]
    with one._transport.limit.place(0.0, of_user=False):
        for _ in range(5):
            with pytest.raises(TimedOut, match=r"no other query ended .*maxConcurrentQueries"):
                one.instant("up", 1.0)
    assert store.asked == []
    assert one.instant("up", 1.0) is not None


def test_what_the_store_asks_one_query_to_wait_all_of_them_wait(store: Store) -> None:
    store.script = [failure(429, "", "slow down", Retry_After="600")]
    one = client(store)
    with pytest.raises(SourceUnreachable):
        one.instant("up", 1.0)
    asked = len(store.asked)
    with pytest.raises(MetricsError, match=r"asked for no requests for another 300 s \(429\)"):
        one.instant("up", 1.0, of_user=True)
    assert len(store.asked) == asked == 1


def test_after_the_pause_that_the_store_asked_for_there_is_no_other(store: Store) -> None:
    """Each query that it ended at once counted as a failure, for which the source was left alone for minutes more."""
    now = [100.0]
    settings = MetricsSource.model_validate({"name": "main", "url": store.url})
    one = PrometheusClient(settings, tools=Tools(monotonic=lambda: now[0], sleep=lambda _: None))
    store.script = [failure(429, "", "slow down", Retry_After="300"), vector(ONE)]
    for _ in range(15):
        with pytest.raises(SourceUnreachable):
            one.instant("up", 1.0)
        now[0] += 20.0
    now[0] += 1.0
    assert len(one.instant("up", 1.0)) == 1


def test_as_many_connections_are_kept_as_there_are_queries_at_a_time(store: Store) -> None:
    """A TLS handshake for each query costs more than many a query."""
    store.script = [vector(ONE)]
    made, accept = [0], store.server.process_request

    def counted(*arguments: object) -> None:
        made[0] += 1
        accept(*arguments)  # type: ignore[arg-type]

    store.server.process_request = counted  # type: ignore[method-assign, assignment]
    one = client(store, maxConcurrentQueries=8)
    for _ in range(4):
        assert most_at_once(one, 8, of_user=False, expected=8) == 8
    assert made[0] <= 8


def test_the_silence_ends() -> None:
    now = [100.0]
    limit = RequestLimit(lambda: 1, lambda: now[0])
    limit.silence(20.0)
    limit.silence(5.0)
    assert limit.quiet() == 20.0
    now[0] += 21.0
    assert limit.quiet() == 0.0
