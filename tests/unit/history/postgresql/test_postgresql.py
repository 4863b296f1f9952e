"""A history on a database server: what it says and does when the server does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pytest

from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.daily import DailyRow, RecommendationOutcome
from concertmaster.history import (
    DatabaseAddress,
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    HistoryUnavailable,
    Store,
    open_server,
)
from concertmaster.history.postgresql import engine
from concertmaster.history.postgresql.schema import MIGRATIONS
from concertmaster.history.postgresql.session import history_session
from testbed.services.postgres import PostgresServer
from tests.support.at_once import failures
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Schema
from tests.support.history_stats import stats
from tests.support.pooler import TransactionPooler

ROWS = {KEY: {"r1": [ran("1"), ran("2", 20.0)]}}


@pytest.fixture
def own() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with closing(PostgresServer().start()) as server:
        yield server


def test_a_connection_that_was_lost_between_two_calls_is_made_again(place: Schema, store: Store) -> None:
    store.add(ROWS)
    _end_sessions(place)
    assert [r.run for r in store.runs(KEY)] == ["r1"]
    _end_sessions(place)
    assert store.add({KEY: {"r2": [ran("3", 100.0)]}}) == {KEY}


def test_a_connection_that_is_lost_in_a_transaction_undoes_all_of_it(place: Schema, store: Store) -> None:
    def ending() -> Iterator[object]:
        _end_sessions(place)
        yield from ()

    with pytest.raises(HistoryUnavailable, match="Nothing was lost"):
        store.add(ROWS, records=ending())  # type: ignore[arg-type]
    assert store.keys() == []
    assert store.add(ROWS) == {KEY}


def test_a_server_that_is_away_is_said_once_and_asked_again_later(own: PostgresServer) -> None:
    now = [0.0]
    session = history_session(_address(own), clock=lambda: now[0])
    session.execute("SELECT 1")
    own.stop()
    with pytest.raises(HistoryUnavailable, match="Check that the server runs"):
        session.execute("SELECT 1")
    own.start()
    with pytest.raises(HistoryUnavailable):
        session.execute("SELECT 1")  # a cycle over many workflows must not wait for each of them
    now[0] += 6.0
    session.execute("SELECT 1")
    session.close()


def test_a_server_that_does_not_answer_is_given_up(own: PostgresServer) -> None:
    session = history_session(_address(own), patience=1.0)
    session.execute("SELECT 1")
    own.freeze(True)
    try:
        with pytest.raises(HistoryUnavailable, match="cannot be reached"):
            session.execute("SELECT 1")
    finally:
        own.freeze(False)
        session.close()


@pytest.mark.parametrize(
    ("code", "kind", "cure"),
    [
        ("53100", HistoryFull, "Enlarge the database's volume"),
        ("25006", HistoryReadOnly, "leads to the primary"),
        ("40P01", HistoryLocked, "another session"),
        ("57014", HistoryUnavailable, "did not answer in time"),
    ],
)
def test_what_the_server_refuses_is_reported_and_undone(
    place: Schema, store: Store, code: str, kind: type[HistoryError], cure: str
) -> None:
    """The server's own answers with these codes: a full disk, a standby, a deadlock, a cancelled statement."""
    place.raw(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
    )
    place.raw("CREATE TRIGGER refusing BEFORE INSERT ON workflows EXECUTE FUNCTION refuse()")
    with pytest.raises(kind, match=cure):
        store.add(ROWS)
    assert store.keys() == []
    place.raw("DROP TRIGGER refusing ON workflows")
    assert store.add(ROWS) == {KEY}


def test_a_workflow_to_which_another_process_adds_is_not_deleted_as_one_without_runs(place: Schema) -> None:
    """A shard that lost its lease may still be tidying while the next one stores runs, which went with the workflow."""
    with place.open() as one, place.open() as other:
        one.daily.record(KEY, [DailyRow(3, "", 1, 1, 0)])
        one.daily.prune(28 + 400, lambda _: False)

        def owns(_: str) -> bool:
            other.add({KEY: {"r1": [ran("1")]}})
            return True

        one.daily.prune(28 + 400, owns)
        assert [run.run for run in one.runs(KEY)] == ["r1"]


def test_a_shard_that_tidies_locks_no_row_before_it_has_claimed_the_namespace(
    place: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that had claimed it waited for the row, and this one for the namespace: the server ended one of them."""
    monkeypatch.setattr("concertmaster.history.postgresql.session._LOCK_SECONDS", 1)
    ended = RecommendationOutcome("timeout.a", "Obsolete", 5.0, 5.0)
    theirs = replace(KEY, namespace="theirs")
    with place.open() as one, place.open() as other:
        for key in (KEY, theirs):
            one.daily.record(key, [], adoptions=[ended])

        def owns(namespace: str) -> bool:
            other.daily.record(theirs, [], adoptions=[ended])
            return namespace == KEY.namespace

        one.daily.prune(28 + 400, owns)
        assert [other.daily.adoptions(key) for key in (KEY, theirs)] == [[], [ended]]


def test_a_database_that_is_read_only_can_be_read(place: Schema, postgres: PostgresServer) -> None:
    with place.open() as store:
        store.add(ROWS)
    standby = replace(place.address, url=f"{postgres.url}?options=-cdefault_transaction_read_only%3Don")
    with pytest.raises(HistoryReadOnly), open_server(standby) as store:
        assert [r.run for r in store.runs(KEY)] == ["r1"]
        store.add({KEY: {"r2": [ran("3", 100.0)]}})


def test_a_connection_to_a_server_that_was_the_primary_is_made_anew(own: PostgresServer) -> None:
    """After a failover a name may lead to the old server for a while; the connection that was made then would stay there."""
    with open_server(_address(own)) as store, psycopg.connect(own.url, password=own.password, autocommit=True) as other:
        other.execute("ALTER ROLE concertmaster SET default_transaction_read_only = on")
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'concertmaster'")
        with pytest.raises(HistoryReadOnly):
            store.add(ROWS)
        other.execute("ALTER ROLE concertmaster RESET default_transaction_read_only")
        store.add(ROWS)
        assert [run.run for run in store.runs(KEY)] == ["r1"]


def test_each_refused_write_does_not_make_a_connection(own: PostgresServer) -> None:
    """Where the name leads to a standby for long, thousands of analyses are to be stored."""
    with open_server(_address(own)) as store, psycopg.connect(own.url, password=own.password, autocommit=True) as other:
        other.execute("ALTER ROLE concertmaster SET default_transaction_read_only = on")
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'concertmaster'")
        seen = list[set[tuple[int]]]()
        for _ in range(4):
            with pytest.raises(HistoryReadOnly):
                store.add(ROWS)
            seen.append(set(other.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'concertmaster'")))
        other.execute("ALTER ROLE concertmaster RESET default_transaction_read_only")
        assert seen[1] & seen[3], "that of the second one is still there"


def test_a_pooler_that_shares_sessions_is_refused_before_it_gets_a_setting(
    place: Schema, postgres: PostgresServer
) -> None:
    """The schema of one operator was searched by another one, and statements of one were those that another had prepared."""
    with closing(TransactionPooler(postgres.url, postgres.password)) as pooler:
        url = postgres.url.replace(str(postgres.port), str(pooler.port))
        with pytest.raises(HistoryError, match="pool_mode = session"):
            open_server(replace(place.address, url=url))
        with psycopg.connect(url) as other:
            found = other.execute(
                "SELECT current_setting('search_path'), current_setting('statement_timeout')"
            ).fetchone()
    assert found == ('"$user", public', "0")


def test_a_server_without_room_for_a_second_connection_is_used(own: PostgresServer) -> None:
    with psycopg.connect(own.url, password=own.password, autocommit=True) as other:
        other.execute("CREATE ROLE single LOGIN PASSWORD 'x' CONNECTION LIMIT 1")
    own.password_file.write_text("x")
    session = history_session(replace(_address(own), url=own.url.replace("concertmaster@", "single@")))
    assert session.execute("SELECT current_user").fetchone() == ("single",)
    session.close()


def test_servers_whose_processes_have_the_same_number_by_chance_are_no_pooler(own: PostgresServer) -> None:
    """As where a name leads to several servers by turns; here each connection takes its own for that of another one."""
    with psycopg.connect(own.url, password=own.password, autocommit=True) as other:
        other.execute("CREATE SCHEMA several")
        other.execute("CREATE FUNCTION several.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 7'")
        other.execute(
            "CREATE FUNCTION several.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql AS "
            "'SELECT backend_start FROM pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()'"
        )
    url = f"{own.url}?options=-c%20search_path%3Dseveral%2Cpg_catalog"
    with closing(history_session(replace(_address(own), url=url))) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_writes_dates_in_another_style_is_used(own: PostgresServer) -> None:
    """No driver reads them: the operator ended with a traceback."""
    with psycopg.connect(own.url, password=own.password, autocommit=True) as other:
        other.execute("ALTER ROLE concertmaster SET datestyle TO German")
    with closing(history_session(_address(own))) as session:
        assert session.execute("SELECT current_date::text = to_char(now(), 'DD.MM.YYYY')").fetchone() == (True,)


def test_a_locked_table_is_not_waited_for_without_end(
    place: Schema, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    monkeypatch.setattr("concertmaster.history.postgresql.session._LOCK_SECONDS", 1)
    with place.open() as store, psycopg.connect(postgres.url, password=postgres.password) as other:
        other.execute(f"LOCK TABLE {place.address.schema}.pods")  # type: ignore[arg-type]
        with pytest.raises(HistoryLocked, match="another session"):
            store.add(ROWS)


def test_no_message_holds_the_password(postgres: PostgresServer, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("s3cret")
    with pytest.raises(HistoryUnavailable, match="refuses the operator's credentials") as caught:
        open_server(DatabaseAddress(postgres.url, "x", str(wrong)))
    assert "s3cret" not in repr(caught.value)
    with pytest.raises(HistoryUnavailable, match=r"passwordFile .* cannot be read"):
        open_server(DatabaseAddress(postgres.url, "x", str(tmp_path / "missing")))
    with pytest.raises(HistoryUnavailable, match="Create the database"):
        open_server(replace(_address(postgres), url=postgres.of("missing")))


def test_shards_that_start_together_migrate_once(place: Schema) -> None:
    assert failures(*[lambda: place.open().close()] * 3) == []
    assert place.raw("SELECT version FROM migrations ORDER BY version") == [(n,) for n in MIGRATIONS]


def test_shards_that_write_at_once_lose_nothing(place: Schema) -> None:
    """Each adds the same pods in another order, as a shard does that takes a namespace over."""
    pods = [ran(str(n), float(n)) for n in range(60)]

    def write(order: int) -> None:
        with place.open() as store:
            for n in range(0, 60, 20):
                store.add({KEY: {"r": pods[n : n + 20][::order]}})
                store.set_watermark("s", "x", 1.0)

    assert failures(lambda: write(1), lambda: write(-1), lambda: write(1)) == []
    with place.open() as store:
        assert (stats(store).pods, stats(store).workflows) == (60, 1)


def test_shards_that_write_pods_of_one_run_at_once_lose_none(place: Schema) -> None:
    """They share a row: each has to see what the other wrote."""

    def write(mine: range) -> None:
        with place.open() as store:
            for n in mine:
                store.add({KEY: {"r": [ran(str(n), float(n))]}})

    assert failures(*(partial(write, range(part, 90, 3)) for part in range(3))) == []
    with place.open() as store:
        assert stats(store).pods == 90
        assert [len(r.steps) for r in store.runs(KEY)] == [90]


@pytest.mark.parametrize("many", [False, True])
def test_shards_that_write_in_other_namespaces_do_not_wait_for_each_other(
    place: Schema, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """But for namespaces of the same group, where one of them writes in very many at once."""
    monkeypatch.setattr("concertmaster.history.postgresql.session._LOCK_SECONDS", 1)
    monkeypatch.setattr(engine, "_GROUPS", 1)
    if many:
        monkeypatch.setattr(engine, "_MAX_NAMES", 0)
    other = {WorkflowKey("team-b", KEY.kind, KEY.name): {"r1": [ran("8")]}}
    with place.open() as one, place.open() as two:
        with one._transaction():
            one._engine.claim([KEY.namespace])
            with pytest.raises(HistoryLocked):
                two.add(ROWS)
            if many:
                with pytest.raises(HistoryLocked):
                    two.add(other)
            else:
                assert two.add(other) == set(other)
        assert two.add(ROWS) == {KEY}


def test_pods_of_very_many_namespaces_are_stored_at_once(store: Store) -> None:
    """A server has some thousands of locks for all."""
    store._engine.claim([])
    for namespaces in (128, 20_000):
        with store._transaction():
            store._engine.claim(f"team-{n}" for n in range(namespaces))
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            held = store._db.execute(query).fetchone()[0]
        assert 128 <= held <= 256


def test_a_newer_schema_is_left_alone(place: Schema) -> None:
    place.open().close()
    place.raw("INSERT INTO migrations (version) VALUES (99)")
    with pytest.raises(HistoryError, match=r"newer version \(schema 99"):
        place.open()


def test_text_that_postgresql_cannot_hold_is_no_reason_to_lose_a_run(store: Store) -> None:
    odd = WorkflowKey("data", "Workflow", "a\0b\ud800")
    store.add({odd: {"r\0": [ran("1")]}})
    (kept,) = store.keys()
    assert [len(r.steps) for r in store.runs(kept)] == [1]


def test_shards_tidy_only_what_is_their_own(store: Store) -> None:
    other = replace(KEY, namespace="theirs")
    store.add({KEY: {"r1": [ran("1")]}, other: {"r1": [ran("2")]}})
    for uid, key in (("a", KEY), ("b", other)):
        store.keep_analysis(uid, key, b"x")
    store.keep_analyses_of(set(), lambda namespace: namespace == KEY.namespace)
    assert (store.analysis("a"), store.analysis("b") is None) == (None, False)
    store.prune(max_runs=0, before=0.0, owns=lambda namespace: namespace == KEY.namespace)
    assert store.runs(KEY) == []
    assert len(store.runs(other)) == 1


def test_the_size_is_that_of_its_own_tables(store: Store) -> None:
    before = stats(store).bytes
    store.add({KEY: {f"r{n}": [ran(str(n))] for n in range(500)}})
    assert 0 < before < stats(store).bytes
    assert engine.PostgresEngine.lasting


def _address(server: PostgresServer) -> DatabaseAddress:
    return DatabaseAddress(server.url, "concertmaster", str(server.password_file))


def _end_sessions(place: Schema) -> None:
    place.raw(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'concertmaster' AND pid <> pg_backend_pid()"
    )
