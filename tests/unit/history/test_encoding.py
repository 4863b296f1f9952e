"""Rows of the history: lossless and compact."""

from __future__ import annotations

import zlib
from dataclasses import fields, replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, Outcome, Source, StepExecution, WorkflowKey
from concertmaster.history import encoding
from tests.support.builders import container, run_record
from tests.support.data.encoded_executions import EXECUTIONS, NUMBER, TEXT
from tests.support.data.history_rows import ran

KEY = WorkflowKey("n", "WorkflowTemplate", "w")


@given(st.lists(EXECUTIONS, max_size=6))
def test_executions_come_back_as_they_went_in(executions: list[StepExecution]) -> None:
    body = encoding.encode_executions(executions)
    assert encoding.decode_executions(body) == executions
    assert encoding.uids_of(body) == [e.uid for e in executions]


def test_executions_of_a_run_take_half_of_what_each_takes_alone() -> None:
    run = [ran(str(UUID(int=n * 2**70)), 90.0 * n, f"s{n}", containers=(container(),)) for n in range(10)]
    together, alone = len(encoding.encode_executions(run)), sum(len(encoding.encode_executions([e])) for e in run)
    assert together < 0.5 * alone


def test_a_row_of_a_version_that_knew_fewer_fields_is_read() -> None:
    known = StepExecution("a", uid="u", created=1.0, containers=(ContainerFact("main", cpu_request=1.0),))
    numbers, outer, inner = encoding._inflate(encoding.encode_executions([known]), encoding.COLUMNS)
    shorter = [numbers, outer[: encoding._EXECUTION.index("created") + 1], inner]
    assert encoding.decode_executions(encoding._deflate(shorter, encoding.COLUMNS)) == [known]
    later = [numbers, [*outer, *[None] * 40, ["later"]], inner]
    assert encoding.decode_executions(encoding._deflate(later, encoding.COLUMNS)) == [known]


@given(st.lists(EXECUTIONS, max_size=3), NUMBER, st.sampled_from(Outcome), TEXT)
def test_records_come_back_as_they_went_in(
    rows: list[StepExecution], end: float | None, outcome: Outcome, mark: str | None
) -> None:
    facts = {"start": 1.5, "end": end, "outcome": outcome, "fingerprint": mark, "extra": {"tokens": 5.0}}
    record = run_record(rows, workflow=KEY, source=Source.LIVE, **facts)  # type: ignore[arg-type]
    for kept in (record, replace(record, input_size=7e9), replace(record, pauses=((1.0, 2.0),), fetched="git")):
        assert encoding.decode_record(encoding.encode_record(kept), KEY, "r") == kept


def test_every_field_of_the_vocabulary_is_kept() -> None:
    """A field added to the model must be added to the rows, or history would silently drop it. Models are joined when a
    run is read, as all that users' queries say."""
    kept = set(encoding._EXECUTION) | {"containers", "extra", "model"}
    assert {f.name for f in fields(StepExecution)} == kept
    assert {f.name for f in fields(ContainerFact)} == set(encoding._CONTAINER)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x63abc",
        b"\x01garbage",
        encoding.encode_record(run_record([StepExecution("a", uid="u")], workflow=KEY)),
        encoding._deflate([[1, 1], [["a"], None, [1, 2, 3], None, ["u", "v"]], []], encoding.COLUMNS),
        encoding._deflate([[1], [["a"]], []], encoding.COLUMNS),
    ],
)
def test_rows_of_unknown_format_are_refused(body: bytes) -> None:
    with pytest.raises((ValueError, TypeError, zlib.error)):
        encoding.decode_executions(body)


def test_unknown_values_take_no_room() -> None:
    assert len(encoding.encode_executions([StepExecution("train", uid="u", outcome=Outcome.SUCCEEDED)])) < 40
