"""Tekton Results' table in a real PostgreSQL server, read as a user who may read it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from concertmaster.archive import ArchiveError, ArchiveRow, TektonResults, open_results, tekton
from concertmaster.engines.tekton.archived import archived_run
from concertmaster.settings import TektonResultsSettings
from testbed.services.postgres import PostgresServer
from tests.support.tekton_results import ResultTables, finished

EVER = 4e9


@pytest.fixture
def tables(postgres: PostgresServer) -> ResultTables:
    return ResultTables.fresh(postgres)


@pytest.fixture
def results(tables: ResultTables) -> Iterator[TektonResults]:
    found = tables.open()
    yield found
    found.close()


def _rows(results: TektonResults, *namespaces: str, **options: object) -> list[ArchiveRow]:
    """All rows with what their objects say."""
    page = results.page(namespaces or ("ci",), 0.0, EVER, **options)  # type: ignore[arg-type]
    assert not page.more
    return [found for row in page.rows if (found := results.described(row)) is not None]


def _names(results: TektonResults, *namespaces: str, **options: object) -> list[str]:
    return [row.name for row in _rows(results, *namespaces, **options)]


def test_runs_come_newest_first_with_the_labels_of_their_origin(tables: ResultTables, results: TektonResults) -> None:
    tables.put(*finished("a", 1000.0), *finished("b", 90_000.0), *finished("c", 50_000.0), *finished("d", 5.0, "other"))
    rows = _rows(results)
    assert [row.name for row in rows] == ["b", "c", "a"], "and no TaskRuns"
    assert [row.ended for row in rows] == [90_008.0, 50_008.0, 1008.0], "when their records were made"
    assert [row.finished for row in rows] == [90_076.0, 50_076.0, 1076.0]
    assert {row.uid for row in rows} == {"uid-ci-a", "uid-ci-b", "uid-ci-c"}
    assert all(row.over and row.labels == {"tekton.dev/pipeline": "build"} for row in rows)
    assert [row.ended for row in _rows(results, newest_first=False)] == [1076.0, 50_076.0, 90_076.0], "last written"
    assert results.newest(["ci"]) == 90_076.0
    assert results.newest(["none"]) is None
    assert _names(results, "ci", "other") == ["b", "c", "a", "d"]


def test_a_run_in_progress_is_known_as_one_and_moves_on_when_it_is_written_again(
    tables: ResultTables, results: TektonResults
) -> None:
    run, *parts = finished("a", 1000.0)
    going = {**run, "status": {k: v for k, v in run["status"].items() if k != "completionTime"}}
    tables.put(going, written=1020.0)
    assert [(row.over, row.ended) for row in _rows(results, newest_first=False)] == [(False, 1020.0)]
    tables.put(run, *parts, written=1080.0)
    assert [(row.over, row.ended) for row in _rows(results, newest_first=False)] == [(True, 1080.0)]


def test_a_span_has_both_of_its_ends(tables: ResultTables, results: TektonResults) -> None:
    for n in range(4):
        tables.put(*finished(f"w{n}", 100.0 * n), written=2000.0 + n)
    page = results.page(["ci"], 2001.0, 2002.0, newest_first=False)
    assert [row.uid for row in page.rows] == ["uid-ci-w1", "uid-ci-w2"]
    assert [row.uid for row in results.page(["ci"], 108.0, 208.0).rows] == ["uid-ci-w2", "uid-ci-w1"]


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_go_on_where_the_last_one_ended_also_within_one_moment(
    tables: ResultTables, results: TektonResults, newest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tekton, "PAGE", 2)
    for n in range(7):
        tables.put(finished(f"w{n}")[0])
    tables.raw(
        "UPDATE records SET created_time = to_timestamp(2000.123456) + (name > 'uid-ci-w4')::int * '1 s'::interval"
    )
    tables.raw("UPDATE records SET updated_time = created_time")
    seen: list[str] = []
    after = None
    while True:
        page = results.page(["ci"], 0.0, EVER, after=after, newest_first=newest_first)
        seen += [row.uid for row in page.rows]
        if not page.more:
            break
        after = page.rows[-1]
    assert len(seen) == 7
    assert set(seen[:2] if newest_first else seen[-2:]) == {"uid-ci-w5", "uid-ci-w6"}


def test_a_document_is_the_run_with_its_task_runs_and_no_others(tables: ResultTables, results: TektonResults) -> None:
    event = {"triggers.tekton.dev/triggers-eventid": "e1"}  # one result for all runs of a trigger's event
    ours, theirs = finished("a", **event), finished("b", 100.0, **event)
    tables.put(*ours, *theirs)
    row = next(row for row in _rows(results) if row.name == "a")
    text, size = results.document(row)
    assert text is not None
    assert size == len(text.encode())
    run, parts = archived_run(text)
    assert run == ours[0]
    assert parts == sorted(ours[1:], key=lambda part: part["metadata"]["name"])
    assert list(run) == sorted(run), "as the API server orders them"
    assert results.reference(row) == {"name": "build"}


def test_objects_of_the_former_version_are_read(tables: ResultTables, results: TektonResults) -> None:
    tables.put(*({**obj, "apiVersion": "tekton.dev/v1beta1"} for obj in finished("a")))
    (row,) = _rows(results)
    text, _ = results.document(row)
    assert text is not None
    run, parts = archived_run(text)
    assert {obj["apiVersion"] for obj in (run, *parts)} == {"tekton.dev/v1"}
    assert len(parts) == 5


def test_what_is_no_object_costs_only_itself(tables: ResultTables, results: TektonResults) -> None:
    tables.put(*finished("a", 1000.0), *finished("b", 2000.0))
    tables.raw("UPDATE records SET data = '[1, 2]' WHERE name = 'uid-ci-b'")
    odd, good = _rows(results)
    assert (good.name, odd.over, odd.labels) == ("a", False, {})
    assert results.reference(odd) is None


def test_a_document_above_the_limit_stays_on_the_server(
    tables: ResultTables, results: TektonResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.put(*finished("a"))
    (row,) = _rows(results)
    monkeypatch.setattr(tekton, "MAX_BYTES", 100)
    text, size = results.document(row)
    assert text is None
    assert size > 100


def test_a_row_that_was_deleted_meanwhile_has_no_document(tables: ResultTables, results: TektonResults) -> None:
    tables.put(*finished("a"))
    (row,) = _rows(results)
    tables.raw("DELETE FROM results")
    assert results.document(row) == (None, 0)
    assert results.reference(row) is None
    assert results.described(row) is None


def test_task_runs_above_the_limit_stay_on_the_server_and_the_run_does_not(
    tables: ResultTables, results: TektonResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.put(*finished("a"))
    (row,) = _rows(results)
    monkeypatch.setattr(tekton, "_COMPRESSED", 10**6)
    text, _ = results.document(row)
    assert text is not None
    run, parts = archived_run(text)
    assert (run["metadata"]["name"], parts) == ("a", [])


@pytest.mark.parametrize("text", ["soon", "2026-01-01T00:00:00", 7, [1]])
def test_an_end_that_is_no_time_is_one_all_the_same(tables: ResultTables, results: TektonResults, text: object) -> None:
    run = finished("a")[0]
    run["status"]["completionTime"] = text
    tables.put(run, written=100.0)
    assert [(row.over, row.finished) for row in _rows(results)] == [(True, None)]


def test_long_texts_are_cut(tables: ResultTables, results: TektonResults) -> None:
    run = finished("a")[0]
    run["metadata"]["labels"]["tekton.dev/pipeline"] = run["metadata"]["name"] = "x" * 10_000
    tables.put(run)
    (row,) = _rows(results)
    assert (len(row.name), len(row.labels["tekton.dev/pipeline"])) == (254, 64)


def test_objects_are_not_looked_into_for_a_list(tables: ResultTables, results: TektonResults) -> None:
    """One that is damaged, or takes long to decompress, must not hold up the others."""
    tables.put(*finished("a"))
    queries: list[str] = []
    execute = results._session.execute

    def noted(query: str, parameters: tuple[object, ...] = ()) -> object:
        queries.append(query)
        return execute(query, parameters)

    results._session.execute = noted  # type: ignore[method-assign, assignment]
    results.page(["ci"], 0.0, EVER)
    results.newest(["ci"])
    assert len(queries) == 2
    assert not any("data" in query for query in queries)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_missing_right_names_what_to_grant(tables: ResultTables, results: TektonResults) -> None:
    tables.grant("REVOKE", "FROM")
    with pytest.raises(
        ArchiveError, match=r"Tekton Results .*permission denied .*GRANT SELECT ON results_\w+\.records to"
    ):
        results.newest(["ci"])
    tables.grant()
    assert results.newest(["ci"]) is None, "the next cycle reads it"


def test_a_wrong_table_names_the_setting(tables: ResultTables) -> None:
    no_table = r"no table runs as Tekton Results makes it .*Check tektonResults\.table and"
    with closing(tables.open(table="runs")) as missing, pytest.raises(ArchiveError, match=no_table):
        missing.newest(["ci"])
    tables.raw("ALTER TABLE records DROP COLUMN updated_time")
    with closing(tables.open()) as other, pytest.raises(ArchiveError, match=r"tektonResults\.table"):
        other.newest(["ci"])


def test_an_address_is_needed() -> None:
    with pytest.raises(ValueError, match=r"tektonResults\.url is not set"):
        open_results(TektonResultsSettings())


def test_a_document_of_something_else_is_refused() -> None:
    for text in ("[]", "7", '{"run": 1, "parts": []}', '{"run": {}}'):
        with pytest.raises(ValueError, match="not a PipelineRun"):
            archived_run(text)
    assert archived_run('{"run": {"x": 1}, "parts": [7]}')[1] == []
