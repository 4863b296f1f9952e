"""Argo's tables on a real server: what is listed, in which order, within which bounds, and what faults are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from concertmaster.archive import ArchiveError, ArgoArchive, StatementFailed, argo, open_archive
from concertmaster.archive.errors import ARGO
from concertmaster.archive.faults import unreadable
from concertmaster.engines.argo.live import archived_workflow
from concertmaster.postgresql.faults import DatabaseFault, FaultKind
from concertmaster.settings import ArgoArchiveSettings
from testbed.services.postgres import PostgresServer
from tests.support.argo_archive import ArchiveTables, workflow
from tests.support.engines.argo_oracle import stamp
from tests.support.pooler import TransactionPooler

EVER = 4e9


@pytest.fixture
def tables(postgres: PostgresServer) -> ArchiveTables:
    return ArchiveTables.fresh(postgres)


@pytest.fixture
def archive(tables: ArchiveTables) -> Iterator[ArgoArchive]:
    found = tables.open()
    yield found
    found.close()


def _names(archive: ArgoArchive, *namespaces: str, **options: object) -> list[str]:
    page = archive.page(namespaces or ("data",), 0.0, EVER, **options)  # type: ignore[arg-type]
    return [row.name for row in page.rows]


def test_rows_come_newest_first_with_the_labels_of_their_origin(tables: ArchiveTables, archive: ArgoArchive) -> None:
    tables.put(workflow("a", 1000.0), workflow("b", 90_000.0), workflow("c", 50_000.0, finishedAt=stamp(50_100.0)))
    page = archive.page(["data", "other"], 0.0, EVER)
    assert [row.name for row in page.rows] == ["b", "c", "a"]
    assert page.rows[1].ended == 50_100.0
    assert page.rows[1].labels == {"workflows.argoproj.io/workflow-template": "etl"}
    assert not page.more
    assert _names(archive, newest_first=False) == ["a", "c", "b"]
    assert archive.newest(["data"]) == page.rows[0].ended
    assert archive.newest(["other"]) is None


def test_a_span_has_both_of_its_ends(tables: ArchiveTables, archive: ArgoArchive) -> None:
    tables.put(*(workflow(f"w{n}", finishedAt=stamp(2000.0 + n)) for n in range(4)))
    page = archive.page(["data"], 2001.0, 2002.0)
    assert [row.name for row in page.rows] == ["w2", "w1"]


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_go_on_where_the_last_one_ended_also_within_one_second(
    tables: ArchiveTables, archive: ArgoArchive, newest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argo, "PAGE", 2)
    ends = [2000.0, 2000.0, 2000.0, 2000.0, 2001.0]
    tables.put(*(workflow(f"w{n}", finishedAt=stamp(end)) for n, end in enumerate(ends)))
    found: list[str] = []
    after = None
    while True:
        page = archive.page(["data"], 0.0, EVER, after=after, newest_first=newest_first)
        found += [row.name for row in page.rows]
        if not page.more:
            break
        after = page.rows[-1]
    expected = ["w0", "w1", "w2", "w3", "w4"]
    assert found == (expected[::-1] if newest_first else expected)


def test_only_rows_of_the_cluster_the_instance_and_the_namespaces_are_seen(tables: ArchiveTables) -> None:
    elsewhere = workflow("elsewhere")
    elsewhere["metadata"]["namespace"] = "secret"
    tables.put(workflow("here"), elsewhere)
    tables.put(workflow("theirs"), cluster="prod-2")
    tables.put(workflow("canary"), instance="canary")
    with closing(tables.open()) as here, closing(tables.open(instanceId="canary")) as canary:
        assert _names(here) == ["here"]
        assert _names(canary) == ["canary"]
        (row,) = here.page(["data"], 0.0, EVER).rows
        assert canary.document(row) == (None, 0)
    with closing(tables.open(clusterName="prod-2")) as second:
        assert _names(second) == ["theirs"]


@pytest.mark.parametrize("before", ["3.6", "later"])
def test_a_document_is_the_object_as_the_controller_left_it(postgres: PostgresServer, before: str) -> None:
    raw = workflow("etl-1", message="ends with \0 and \u00e9\u4e2d\U0001f600")
    tables = ArchiveTables.fresh(postgres, before=before)
    tables.put(raw)
    with closing(tables.open()) as archive:
        (row,) = archive.page(["data"], 0.0, EVER).rows
        document, size = archive.document(row)
    assert document is not None
    assert size == len(document.encode())
    found = archived_workflow(document)
    raw["metadata"]["labels"]["workflows.argoproj.io/workflow-archiving-status"] = "Persisted"
    assert found == raw
    assert list(found["status"]["nodes"]) == sorted(raw["status"]["nodes"]), "the order of the API server"


@pytest.mark.parametrize("before", ["3.6", "later"])
def test_the_template_of_a_row_is_read_alone(postgres: PostgresServer, before: str) -> None:
    tables = ArchiveTables.fresh(postgres, before=before)
    adhoc = workflow("adhoc", 5000.0)
    adhoc["spec"] = {"entrypoint": "main"}
    tables.put(workflow("etl-1"), adhoc)
    with closing(tables.open()) as archive:
        rows = archive.page(["data"], 0.0, EVER).rows
        assert [archive.reference(row) for row in rows] == [None, {"name": "etl"}]
        tables.raw("DELETE FROM argo_archived_workflows")
        assert archive.reference(rows[1]) is None


def test_a_document_above_the_limit_stays_on_the_server(
    tables: ArchiveTables, archive: ArgoArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.put(workflow())
    (row,) = archive.page(["data"], 0.0, EVER).rows
    size = archive.document(row)[1]
    monkeypatch.setattr(argo, "MAX_BYTES", size - 1)
    assert archive.document(row) == (None, size)


def test_a_row_that_was_deleted_meanwhile_has_no_document(tables: ArchiveTables, archive: ArgoArchive) -> None:
    tables.put(workflow())
    (row,) = archive.page(["data"], 0.0, EVER).rows
    tables.raw("DELETE FROM argo_archived_workflows")
    assert archive.document(row) == (None, 0)


def test_nothing_can_be_written(tables: ArchiveTables) -> None:
    """Not even with the rights of Argo's own user."""
    owned = tables.open(url=tables.server.url)
    with closing(owned) as archive, pytest.raises(ArchiveError, match="read-only"):
        archive._session.execute(f"DELETE FROM {tables.schema}.argo_archived_workflows")


def test_listing_uses_the_index_of_the_ends(tables: ArchiveTables) -> None:
    """Argo's own index for deleting old rows: a page of a large archive is not a scan of it."""
    with tables.connect() as db:
        db.execute(
            "INSERT INTO argo_archived_workflows SELECT 'u' || n, 'w' || n, 'Succeeded', 'data', '{}', now(), "
            "timestamp '2026-01-01' + n * interval '1 minute', 'default', '' FROM generate_series(1, 20000) AS n"
        )
        db.execute("ANALYZE argo_archived_workflows")
    with closing(tables.open(url=tables.server.url)) as archive:
        asked: list[tuple[str, tuple[object, ...]]] = []
        session = archive._session
        execute = session.execute
        session.execute = lambda q, p=(): (asked.append((q, tuple(p))), execute(q, p))[1]  # type: ignore[method-assign]
        page = archive.page(["data"], 0.0, EVER)
        archive.page(["data"], 0.0, EVER, after=page.rows[-1])
        archive.newest(["data"])
        assert page.more
        for query, parameters in asked:
            plan = "\n".join(row[0] for row in execute(f"EXPLAIN {query}", parameters).fetchall())
            assert "argo_archived_workflows_i2" in plan, plan


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_missing_right_names_what_to_grant(tables: ArchiveTables, archive: ArgoArchive) -> None:
    tables.grant("REVOKE", "FROM")
    with pytest.raises(
        ArchiveError, match=r"cannot be read: permission denied .*GRANT SELECT ON argo_\w+\.argo_archived_workflows, "
    ):
        archive.newest(["data"])
    tables.grant()
    assert archive.newest(["data"]) is None, "the next cycle reads it"


def test_a_wrong_table_names_the_setting(tables: ArchiveTables) -> None:
    no_table = r"has no table workflows .*argoArchive\.table"
    with closing(tables.open(table="workflows")) as missing, pytest.raises(ArchiveError, match=no_table):
        missing.newest(["data"])
    tables.raw("ALTER TABLE argo_archived_workflows DROP COLUMN finishedat")
    with closing(tables.open()) as other, pytest.raises(ArchiveError, match=r"argoArchive\.table"):
        other.newest(["data"])


def test_wrong_credentials_are_named_and_in_no_message(tables: ArchiveTables, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("s3cret")
    with pytest.raises(ArchiveError, match=r"refuses the operator's credentials .*argoArchive\.usernameFile") as caught:
        tables.open(passwordFile=str(wrong)).newest(["data"])
    assert "s3cret" not in repr(caught.value)
    with pytest.raises(ArchiveError, match="missing cannot be read"):
        tables.open(passwordFile=str(tmp_path / "missing")).newest(["data"])
    with pytest.raises(ArchiveError, match=r"Correct argoArchive\.url"):
        tables.open(url=tables.settings().url.replace("/postgres", "/nowhere")).newest(["data"])  # type: ignore[union-attr]


def test_user_and_password_of_the_history_are_not_used(
    tables: ArchiveTables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGUSER", "concertmaster")
    monkeypatch.setenv("PGPASSWORD", tables.server.password)
    with pytest.raises(ArchiveError, match="credentials"):
        tables.open(passwordFile=None).newest(["data"])
    user = tmp_path / "username"
    user.write_text(f"{tables.reader}\n")
    plain = tables.server.url.replace("concertmaster@", "")
    with closing(tables.open(url=plain, usernameFile=str(user))) as archive:
        assert archive.newest(["data"]) is None


@pytest.mark.parametrize(
    ("kind", "of_one"),
    [
        (FaultKind.OTHER, True),
        (FaultKind.TIMED_OUT, True),
        (FaultKind.FULL, True),
        (FaultKind.LOCKED, False),
        (FaultKind.UNREACHABLE, False),
        (FaultKind.CREDENTIALS, False),
        (FaultKind.FORBIDDEN, False),
        (FaultKind.NO_TABLE, False),
        (FaultKind.NO_CONNECTION, False),
    ],
)
def test_faults_of_one_statement_are_told_from_those_of_the_archive(kind: FaultKind, of_one: bool) -> None:
    error = unreadable(DatabaseFault(kind, "why", "XX001"), "postgresql://db/argo", "t", ARGO)
    assert isinstance(error, StatementFailed) == of_one


def test_sessions_that_others_get_are_not_made_read_only(postgres: PostgresServer) -> None:
    """The engine's own writes would fail."""
    tables = ArchiveTables.fresh(postgres)
    with closing(TransactionPooler(postgres.url, postgres.password)) as pooler:
        url = postgres.url.replace(str(postgres.port), str(pooler.port))
        with (
            closing(tables.open(url=url)) as archive,
            pytest.raises(ArchiveError, match=r"Point argoArchive\.url at"),
        ):
            archive.newest(["data"])
        with psycopg.connect(url) as other:
            assert other.execute("SHOW default_transaction_read_only").fetchone() == ("off",)


def test_a_row_that_the_server_cannot_read_is_a_fault_of_its_own(postgres: PostgresServer) -> None:
    tables = ArchiveTables.fresh(postgres, before="3.6")
    tables.put(workflow("bad"), workflow("good", 5000.0))
    # As text this is JSON, and no value of it can be taken out: PostgreSQL has no NUL.
    tables.raw('UPDATE argo_archived_workflows SET workflow = \'{"spec": {"a": "\\u0000"}}\' WHERE name = \'bad\'')
    with closing(tables.open()) as archive:
        good, bad = archive.page(["data"], 0.0, EVER).rows
        with pytest.raises(StatementFailed, match="22P05"):
            archive.reference(bad)
        assert archive.document(bad)[0] is not None
        assert archive.reference(good) == {"name": "etl"}


def test_a_password_file_of_the_process_is_not_used(
    tables: ArchiveTables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{tables.server.password}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    with pytest.raises(ArchiveError, match="credentials"):
        tables.open(passwordFile=None).newest(["data"])


def test_statements_are_planned_for_their_parameters(archive: ArgoArchive) -> None:
    """One plan for all would read the whole index of ends for a namespace without rows."""
    for _ in range(8):
        archive.newest(["data"])
    assert archive._session.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


def test_a_server_that_is_away_is_named_and_read_again_when_it_is_back() -> None:
    server = PostgresServer().start()
    try:
        tables = ArchiveTables.fresh(server)
        tables.put(workflow())
        with closing(tables.open()) as archive:
            newest = archive.newest(["data"])
            server.stop()
            with pytest.raises(ArchiveError, match=r"cannot be reached .*network policies"):
                archive.newest(["data"])
            server.start()
            archive._session._failed_at = float("-inf")  # type: ignore[attr-defined] # seconds later
            assert archive.newest(["data"]) == newest
    finally:
        server.close()


def test_without_an_address_there_is_nothing_to_open() -> None:
    with pytest.raises(ValueError, match="not set"):
        open_archive(ArgoArchiveSettings())
