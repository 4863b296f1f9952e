"""Executions in rows of runs: whatever is written in whatever order, each uid is in one row, and found there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.history import Store
from concertmaster.history.encoding import uids_of
from concertmaster.history.runs import executions
from concertmaster.history.runs.executions import uid_key
from concertmaster.history.space import Space
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import File, Place, Schema
from tests.support.history_stats import stats

OTHER = WorkflowKey("team", "CronJob", "nightly")
UIDS = [*(str(n) for n in range(6)), *(str(UUID(int=n)) for n in range(6))]
ADDED = st.tuples(
    st.sampled_from([KEY, OTHER]),
    st.sampled_from("abc"),
    st.lists(st.tuples(st.sampled_from(UIDS), st.integers(0, 3)), min_size=1, max_size=5),
)
DONE = st.one_of(ADDED, st.tuples(st.sampled_from(["forget"]), st.sampled_from([KEY, OTHER])), st.just(("prune",)))


@pytest.fixture(params=[2, 256])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many executions a row holds."""
    monkeypatch.setattr(executions, "PER_ROW", request.param)
    return int(request.param)


@given(st.lists(DONE, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_uid_is_where_it_was_put_last(make_place: Callable[[], Place], small: int, done: list[tuple]) -> None:  # type: ignore[type-arg]
    place = make_place()
    expected: dict[str, tuple[WorkflowKey, str, int]] = {}
    with place.open() as store:
        for what in done:
            if what[0] == "forget":
                store.forget(what[1])
                expected = {uid: home for uid, home in expected.items() if home[0] != what[1]}
            elif what[0] == "prune":
                store.prune(max_runs=1, before=0.0)
                expected = dict(_newest(expected))
            else:
                key, run, pods = what
                store.add({key: {run: [_pod(uid, node) for uid, node in pods]}})
                for uid, node in pods:
                    expected[uid] = key, run, max(node, 0)
        assert {uid: home[:2] for uid, home in _homes(store).items()} == {u: h[:2] for u, h in expected.items()}
        assert stats(store).pods == len(expected)
    for body, pods in place.raw("SELECT body, pods FROM executions"):
        assert len(uids_of(bytes(body))) == pods <= small
    found = place.raw("SELECT pods.uid, executions.body FROM pods JOIN executions ON executions.place = pods.place")
    assert {bytes(uid) for uid, _ in found} == {uid_key(uid) for uid in expected}
    assert all(bytes(uid) in map(uid_key, uids_of(bytes(body))) for uid, body in found)
    assert place.raw("SELECT count(*) FROM pods") == [(len(expected),)]


def test_a_run_of_very_many_pods_is_not_written_anew_with_each(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = executions.encode_executions
    monkeypatch.setattr(executions, "encode_executions", lambda given: encoded.append(len(given)) or encode(given))
    for start in range(0, 3000, 100):
        store.add({KEY: {"r": [ran(str(n), float(n)) for n in range(start, start + 100)]}})
    (run,) = store.runs(KEY)
    assert len(run.steps) == 3000
    assert max(encoded) == executions.PER_ROW
    assert sum(encoded) < 3 * 3000


def test_executions_long_past_go_though_the_name_of_their_run_is_in_use(store: Store, place: Place) -> None:
    day = 86_400.0
    store.add({KEY: {"r": [ran("old", 1 * day), ran("new", 40 * day)], "s": [ran("other", 39 * day)]}})
    assert store.prune(max_runs=10, before=30 * day + place.stays) == 1
    assert sorted(e.uid or "" for run in store.runs(KEY) for e in run.steps) == ["new", "other"]
    assert store.prune(max_runs=10, before=30 * day + place.stays) == 0
    assert place.raw("SELECT count(*) FROM pods") == [(2,)]


def test_rows_that_cannot_be_read_go_in_time(store: Store, place: Place) -> None:
    """Also of a run whose name is in use, with the entries of their pods."""
    day = 86_400.0
    store.add({KEY: {"r": [ran("old", 1 * day)], "s": [ran("other", 39 * day)]}})
    zero = "x'00'" if isinstance(place, File) else "'\\x00'"
    place.raw(f"UPDATE executions SET body = {zero} WHERE run = 'r'")
    store.add({KEY: {"r": [ran("new", 40 * day)]}})
    for _ in range(3):
        store.prune(max_runs=10, before=30 * day + place.stays)
    assert stats(store).pods == 2
    assert place.raw("SELECT count(*) FROM pods") == [(2,)]


def test_a_uid_in_two_runs_at_once_counts_for_one(store: Store) -> None:
    store._space = Space(10**6)
    for n in range(5):
        store.add({KEY: {f"a{n}": [ran(f"{n}")], f"b{n}": [ran(f"{n}")]}})
        assert store._space._taken[KEY.namespace] == store._space._measured(store._db, KEY.namespace)
    assert (stats(store).pods, stats(store).runs) == (5, 5)


def test_names_that_a_database_holds_otherwise_lose_and_double_nothing(place: Place) -> None:
    """A label of a series may hold anything."""
    odd = "r\0" if isinstance(place, Schema) else "r"
    with place.open() as store:
        for _ in range(3):
            store.add({KEY: {odd: [ran("1"), ran("2", 20.0)]}})
            store.add({KEY: {odd: [ran("3", 30.0)]}})
        assert [sorted(e.uid or "" for e in run.steps) for run in store.runs(KEY)] == [["1", "2", "3"]]
        assert stats(store).pods == 3


def test_an_entry_that_leads_nowhere_is_as_none(store: Store, place: Place) -> None:
    store.add({KEY: {"r": [ran("1"), ran("2", 20.0)]}})
    place.raw("DELETE FROM executions")
    assert store.add({KEY: {"r": [ran("1"), ran("2", 20.0)]}}) == {KEY}
    assert [len(run.steps) for run in store.runs(KEY)] == [2]


@given(st.text(max_size=40) | st.uuids().map(str), st.text(max_size=40) | st.uuids().map(str))
def test_two_uids_are_not_taken_for_one(one: str, other: str) -> None:
    assert (uid_key(one) == uid_key(other)) == (one == other)


@pytest.mark.parametrize(
    "uid", ["", "u1", "00000000-0000-0000-0000-00000000000G", "0000000000-0000-0000-0000-0000000000", "\ud800"]
)
def test_only_uids_of_kubernetes_are_shortened(uid: str) -> None:
    assert uid_key(uid) == uid.encode("utf-8", "surrogatepass")
    assert len(uid_key(str(UUID(int=5)))) == 16


def _pod(uid: str, node: int) -> StepExecution:
    return replace(ran(uid, 100.0 * UIDS.index(uid)), node=f"n{node}")


def _homes(store: Store) -> dict[str, tuple[WorkflowKey, str]]:
    return {
        e.uid or "": (key, run.run.partition("@")[0])
        for key in (KEY, OTHER)
        for run in store.runs(key)
        for e in run.steps
    }


def _newest(expected: dict[str, tuple[WorkflowKey, str, int]]) -> Iterator[tuple[str, tuple[WorkflowKey, str, int]]]:
    """What stays where each workflow keeps its newest run."""
    for key in (KEY, OTHER):
        runs: dict[str, int] = {}
        for uid, (of, run, _) in expected.items():
            if of == key:
                runs[run] = max(runs.get(run, -1), UIDS.index(uid))
        if runs:
            last = min(run for run, end in runs.items() if end == max(runs.values()))
            yield from ((uid, home) for uid, home in expected.items() if home[:2] == (key, last))
