"""Bytes read as input sizes: what counts, and where they do not stand in."""

from __future__ import annotations

import pytest

from concertmaster.core.model import ContainerFact, InputSource, Outcome, RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.core.model.enums import InputUnit, MetricRole
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import with_bytes_read
from concertmaster.core.model.policy import Policy

READ = InputSource(bytes_read=True)
ROWS = InputSource(InputUnit.COUNT, step="load", parameter="rows")
ASKED = ExtraMetric("size", "q", role=MetricRole.INPUT_SIZE)


def run(outcome: Outcome = Outcome.SUCCEEDED) -> RunRecord:
    """A run whose step read 5 bytes from disk beside a sidecar and received 3, and one that nothing is known of."""
    beside = (
        ContainerFact("proxy", fs_read_bytes=100, sidecar=True),
        ContainerFact("fetch", fs_read_bytes=50, init=True),
    )
    main = ContainerFact("main", fs_read_bytes=5)
    steps = (
        StepExecution("work", outcome=outcome, containers=(main, *beside), network_receive_bytes=3),
        StepExecution("load", outcome=outcome, input_size=7, containers=(ContainerFact("main"),)),
    )
    return RunRecord(WorkflowKey("n", "CronJob", "etl"), "r", 0, 60, outcome, Source.HISTORY, steps)


def sizes(found: RunRecord) -> dict[str, float | None]:
    return {e.step: e.input_size for e in found.steps}


def test_what_the_work_read_and_its_pod_received_is_the_size() -> None:
    assert sizes(with_bytes_read(run(), [READ], [])) == {"work": 8, "load": None}
    assert sizes(with_bytes_read(run(Outcome.FAILED), [READ], []))["work"] == 8


def test_a_pod_that_still_reads_has_no_size_yet() -> None:
    assert sizes(with_bytes_read(run(Outcome.RUNNING), [READ], []))["work"] is None


@pytest.mark.parametrize(
    ("sources", "metrics", "units"),
    [
        ([READ, ROWS], [], {"work": "bytes read", "load": "items"}),
        ([READ, InputSource(parameter="size")], [], {"work": "bytes", "load": "bytes"}),
        ([READ], [ASKED], {"work": "bytes", "load": "bytes"}),
        ([], [], {"work": "bytes", "load": "bytes"}),
    ],
)
def test_they_stand_in_only_where_nothing_else_says_it(
    sources: list[InputSource], metrics: list[ExtraMetric], units: dict[str, str]
) -> None:
    found = sizes(with_bytes_read(run(), sources, metrics))
    assert found == {"work": 8 if units["work"] == "bytes read" else None, "load": 7}
    policy = Policy(inputs=tuple(sources), extra_metrics=tuple(metrics))
    assert {step: policy.input_unit(step) for step in units} == units


def test_another_step_s_source_says_nothing_of_a_step() -> None:
    only = InputSource(step="load", bytes_read=True)
    assert sizes(with_bytes_read(run(), [only], []))["work"] is None
    assert Policy(inputs=(only,)).input_unit("work") == "bytes"


def test_a_run_of_which_only_one_step_is_sized_has_the_unit_of_that_step() -> None:
    assert Policy(inputs=(InputSource(step="work", bytes_read=True),)).input_unit() == "bytes read"
    assert Policy(inputs=(ROWS,)).input_unit() == "items"
