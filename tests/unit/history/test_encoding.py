"""Rows of the history: lossless and compact."""

from __future__ import annotations

import zlib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, Outcome, Source, StepExecution, WorkflowKey
from concertmaster.history import encoding
from tests.support.builders import run_record
from tests.support.data.encoded_executions import EXECUTIONS, NUMBER, TEXT

KEY = WorkflowKey("n", "WorkflowTemplate", "w")


@given(EXECUTIONS)
def test_executions_come_back_as_they_went_in(execution: StepExecution) -> None:
    assert encoding.decode_execution(encoding.encode_execution(execution)) == execution


@given(st.lists(EXECUTIONS, max_size=3), NUMBER, st.sampled_from(Outcome), TEXT)
def test_records_come_back_as_they_went_in(
    rows: list[StepExecution], end: float | None, outcome: Outcome, mark: str | None
) -> None:
    facts = {"start": 1.5, "end": end, "outcome": outcome, "fingerprint": mark, "extra": {"tokens": 5.0}}
    record = run_record(rows, workflow=KEY, source=Source.LIVE, **facts)  # type: ignore[arg-type]
    for kept in (record, replace(record, input_size=7e9), replace(record, pauses=((1.0, 2.0),), input_size=0.0)):
        assert encoding.decode_record(encoding.encode_record(kept), KEY, "r") == kept


def test_every_field_of_the_vocabulary_is_kept() -> None:
    """A field added to the model must be added to the rows, or history would silently drop it. Models are joined when a
    run is read, as all that users' queries say."""
    kept = set(encoding._EXECUTION) | {"containers", "extra", "model"}
    assert {f.name for f in fields(StepExecution)} == kept
    assert {f.name for f in fields(ContainerFact)} == set(encoding._CONTAINER)


@pytest.mark.parametrize("body", [b"", b"\x63abc", b"\x01garbage"])
def test_rows_of_unknown_format_are_refused(body: bytes) -> None:
    with pytest.raises((ValueError, zlib.error)):
        encoding.decode_execution(body)


def test_unknown_values_take_no_room() -> None:
    assert len(encoding.encode_execution(StepExecution("train", uid="u", outcome=Outcome.SUCCEEDED))) < 40
