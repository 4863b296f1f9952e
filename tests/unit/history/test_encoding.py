"""Rows of the history: lossless and compact."""

from __future__ import annotations

import zlib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.history import encoding

TEXT = st.none() | st.text(max_size=12)
NUMBER = st.none() | st.floats(allow_nan=False) | st.integers(0, 2**40)
CONTAINERS = st.builds(
    ContainerFact,
    name=st.text(max_size=8),
    image=TEXT,
    init=st.booleans(),
    ambiguous=st.booleans(),
    reason=TEXT,
    started=NUMBER,
    cpu_seconds=NUMBER,
    memory_kernel_peak=NUMBER,
    fs_write_bytes=NUMBER,
)
EXECUTIONS = st.builds(
    StepExecution,
    step=st.text(max_size=8),
    item=TEXT,
    attempt=st.integers(0, 9),
    pod=TEXT,
    uid=st.text(min_size=1, max_size=8),
    created=NUMBER,
    finished=NUMBER,
    ready=NUMBER,
    outcome=st.sampled_from(Outcome),
    reason=TEXT,
    containers=st.lists(CONTAINERS, max_size=3).map(tuple),
    cache_hit=st.sampled_from([None, True, False]),
    after=st.none() | st.lists(st.text(max_size=3), max_size=2).map(tuple),
    exit_code=st.none() | st.integers(0, 255),
    message=TEXT,
    extra=st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False), max_size=2),
)
KEY = WorkflowKey("n", "WorkflowTemplate", "w")


@given(EXECUTIONS)
def test_executions_come_back_as_they_went_in(execution: StepExecution) -> None:
    assert encoding.decode_execution(encoding.encode_execution(execution)) == execution


@given(st.lists(EXECUTIONS, max_size=3), NUMBER, st.sampled_from(Outcome), TEXT)
def test_records_come_back_as_they_went_in(
    rows: list[StepExecution], end: float | None, outcome: Outcome, mark: str | None
) -> None:
    record = RunRecord(KEY, "r", 1.5, end, outcome, Source.LIVE, tuple(rows), mark, {"tokens": 5.0})
    assert encoding.decode_record(encoding.encode_record(record), KEY, "r") == record


def test_every_field_of_the_vocabulary_is_kept() -> None:
    """A field added to the model must be added to the rows, or history would silently drop it."""
    kept = set(encoding._EXECUTION) | {"containers", "extra"}
    assert {f.name for f in fields(StepExecution)} == kept
    assert {f.name for f in fields(ContainerFact)} == set(encoding._CONTAINER)


@pytest.mark.parametrize("body", [b"", b"\x63abc", b"\x01garbage"])
def test_rows_of_unknown_format_are_refused(body: bytes) -> None:
    with pytest.raises((ValueError, zlib.error)):
        encoding.decode_execution(body)


def test_unknown_values_take_no_room() -> None:
    assert len(encoding.encode_execution(StepExecution("train", uid="u", outcome=Outcome.SUCCEEDED))) < 40
