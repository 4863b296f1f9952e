"""Whatever is known of a pod arrives as it was sent."""

from __future__ import annotations

from multiprocessing import Pipe

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model import JobFact, PodFact
from concertmaster.core.model.facts import ContainerFact
from concertmaster.prometheus.collect.collection import Collection, SkippedSpan
from concertmaster.prometheus.reader.wire import receive, send

NUMBERS = st.none() | st.floats(allow_nan=False)
WORDS = st.none() | st.text(max_size=12)
CONTAINERS = st.builds(
    ContainerFact, name=st.text(max_size=9), image=WORDS, started=NUMBERS, cpu_seconds=NUMBERS, sidecar=st.booleans()
)
PODS = st.builds(
    PodFact,
    *[st.text(max_size=9)] * 3,
    node=WORDS,
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    finished=NUMBERS,
    node_prices=st.none() | st.tuples(*[st.floats(0, 9)] * 3),
    overhead=st.none() | st.tuples(*[st.floats(0, 9)] * 2),
    containers=st.lists(CONTAINERS, max_size=3).map(tuple),
)
JOBS = st.builds(JobFact, st.text(max_size=9), st.text(max_size=9), succeeded=st.none() | st.booleans())
LOST = SkippedSpan("etl", 0.0, 1.0, "the answer is too large")


@given(st.lists(PODS, max_size=4), st.lists(JOBS, max_size=2))
def test_what_was_read_arrives(pods: list[PodFact], jobs: list[JobFact]) -> None:
    ours, theirs = Pipe()
    sent = Collection(0.0, 9.0, tuple(pods), tuple(jobs), left_out=(LOST,), settled=frozenset({"a"}))
    send(ours, sent)
    assert receive(theirs) == sent


def test_of_a_process_that_is_gone_nothing_is_received() -> None:
    ours, theirs = Pipe()
    theirs.close()
    with pytest.raises(EOFError):
        receive(ours)
    with pytest.raises(OSError, match="Broken pipe"):
        send(ours, LOST)
