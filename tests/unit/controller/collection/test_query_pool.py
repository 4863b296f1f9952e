"""Users' queries beside the cycle: how long it waits, and who gets a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait

import pytest

from concertmaster.controller.collection import query_pool
from concertmaster.controller.collection.query_pool import (
    MAX_TOTAL_WAIT,
    SLOW_THREADS,
    THREADS,
    NotYet,
    QueryAuthor,
    QueryPool,
)
from concertmaster.core.model import WorkflowKey
from tests.support.waiting import until


def author(namespace: str, name: str = "etl") -> QueryAuthor:
    return QueryAuthor(WorkflowKey(namespace, "CronJob", name), "query")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    found = threading.Event()
    yield found
    found.set()


def ask(pool: QueryPool, who: QueryAuthor, call: Callable[[], object] = lambda: 1) -> object:
    try:
        return pool.ask(who, call)
    except NotYet:
        return None


def settle(pool: QueryPool, count: int) -> set[WorkflowKey]:
    found: set[WorkflowKey] = set()

    def answered() -> bool:
        found.update(pool.arrived())
        return len(found) >= count

    until(answered, "an answer")
    return found


def be_slow(pool: QueryPool, who: QueryAuthor) -> None:
    """A query that takes longer than it is waited for, and whose answer is then taken."""
    over = threading.Event()
    assert ask(pool, who, lambda: over.wait(20)) is None
    over.set()
    settle(pool, 1)
    ask(pool, who)


def test_a_quick_answer_comes_at_once_and_a_fault_is_raised_where_it_is_taken() -> None:
    pool = QueryPool(10)
    assert ask(pool, author("a")) == 1

    def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        pool.ask(author("a"), broken)


def test_a_cycle_waits_for_slow_namespaces_a_bounded_time(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(query_pool, "wait", lambda answers, seconds: waited.append(seconds))
    pool = QueryPool(10, patience=2.0, clock=lambda: sum(waited))
    for name in ("one", "two"):  # one thread for each namespace: the second query finds none
        assert ask(pool, author("slow", name), lambda: gate.wait(20)) is None
    assert waited == [2.0]
    for namespace in ("second", "third", "fourth"):
        assert ask(pool, author(namespace), lambda: gate.wait(20)) is None
    assert waited == [2.0, 2.0, 1.0, 0.0]
    assert sum(waited) == MAX_TOTAL_WAIT


def test_nobody_waits_for_a_namespace_whose_last_query_was_slow(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = QueryPool(10, patience=0.5)
    be_slow(pool, author("slow"))
    pool.begin()
    waited: list[float] = []
    monkeypatch.setattr(query_pool, "wait", lambda answers, seconds: waited.append(seconds))
    assert ask(pool, author("slow"), lambda: gate.wait(20)) is None
    assert sum(waited) == 0.0


def test_a_slow_query_is_waited_for_in_one_cycle_only(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(query_pool, "wait", lambda answers, seconds: waited.append(seconds))
    pool = QueryPool(10, patience=0.5, clock=lambda: sum(waited))
    assert ask(pool, author("slow"), lambda: gate.wait(20)) is None
    assert waited == [0.5]
    pool.begin()
    assert ask(pool, author("slow")) is None
    assert sum(waited) == 0.5


def test_slow_namespaces_leave_threads_to_the_others(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = QueryPool(10, patience=0.05)
    slow = [f"slow-{n}" for n in range(THREADS + 2)]
    for name in slow:
        be_slow(pool, author(name))
    for name in slow:
        ask(pool, author(name), lambda: gate.wait(20))
    assert sum(pool.waits(author(name)) for name in slow) == SLOW_THREADS
    monkeypatch.setattr(query_pool, "wait", lambda answers, _: wait(answers, 20))  # a busy machine may take its time
    assert ask(pool, author("quick")) == 1


def test_who_got_no_thread_is_worth_another_look(gate: threading.Event) -> None:
    pool = QueryPool(10, patience=0.05)
    ask(pool, author("a", "first"), lambda: gate.wait(20))
    ask(pool, author("a", "second"))
    assert pool.arrived() == set()
    ask(pool, author("a", "second"))
    gate.set()
    assert settle(pool, 2) == {author("a", "first").workflow, author("a", "second").workflow}
    assert ask(pool, author("a", "second")) == 1


def test_answers_nobody_takes_are_forgotten() -> None:
    now = [0.0]
    pool = QueryPool(10, patience=0.0, clock=lambda: now[0])
    ask(pool, author("a"), lambda: time.sleep(0.1))
    settle(pool, 1)
    now[0] = 4_000.0
    pool.begin()
    assert not pool.waits(author("a"))


def test_rests_of_queries_that_were_edited_are_forgotten() -> None:
    """Whoever edits a failing query every minute must not fill the operator's memory with its texts."""
    pool, workflow = QueryPool(10), WorkflowKey("a", "CronJob", "etl")
    for minute in range(3_000):
        pool.failed(QueryAuthor(workflow, f"query {minute}"), "refused", 60.0 * minute)
    assert len(pool._rests) <= 500
    assert pool.rest(QueryAuthor(workflow, "query 2999"), 60.0 * 3_000) == "refused"


def test_a_backoff_does_not_outlast_a_clock_that_was_set_back() -> None:
    pool, who = QueryPool(10), author("a")
    pool.failed(who, "too slow", 1e9 + 86_400.0)
    assert pool.rest(who, 1e9 + 86_400.0 + 60.0) == "too slow"
    assert pool.rest(who, 1e9) == ""
