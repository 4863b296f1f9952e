"""Arbitrary step executions for round trips through the history."""

from __future__ import annotations

from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, Outcome, StepExecution

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
    serving=NUMBER,
    outcome=st.sampled_from(Outcome),
    reason=TEXT,
    containers=st.lists(CONTAINERS, max_size=3).map(tuple),
    cache_hit=st.sampled_from([None, True, False]),
    overhead=st.none() | st.tuples(st.floats(0, 9), st.floats(0, 9)),
    after=st.none() | st.lists(st.text(max_size=3), max_size=2).map(tuple),
    exit_code=st.none() | st.integers(0, 255),
    message=TEXT,
    extra=st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False), max_size=2),
)
