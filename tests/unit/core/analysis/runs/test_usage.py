"""Usage per run: what a container used, how long it waited for CPU, and how long its pods were there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.analysis.runs.usage import RunUsage, usage_of
from concertmaster.core.analysis.usage import container_usage
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, WorkflowKey
from tests.support.builders import container, definition, run, step


def usage(**fact: object) -> RunUsage:
    """One run of 100 s of work whose pod waited 20 s for a node and 5 s for its image."""
    spec = step("load")
    record = run(
        definition(spec).graph,
        {"load": 100.0},
        wait=20.0,
        startup=5.0,
        containers=lambda _: (container(cpu_sampled_seconds=None, **fact),),
    )
    (of_run,) = usage_of(record)
    (found,) = container_usage(spec, {of_run.place[1]: [of_run]})
    (one,) = found.runs
    return one


def test_a_request_costs_as_long_as_the_pod_is_on_a_node_and_not_only_while_it_works() -> None:
    assert (usage().seconds, usage().reserved_seconds) == (100.0, 105.0)


@pytest.mark.parametrize(("waited", "share"), [(None, None), (0.0, 0.0), (25.0, 0.25), (170.0, 1.0)])
def test_waiting_for_cpu_is_a_share_of_the_time_and_unknown_is_not_zero(
    waited: float | None, share: float | None
) -> None:
    assert usage(cpu_waiting_seconds=waited).waiting_share == share


AMOUNTS = st.none() | st.floats(0.0, 1e6)
FACTS = st.builds(
    ContainerFact,
    name=st.just("main"),
    reason=st.sampled_from([None, "Error", "OOMKilled"]),
    ambiguous=st.booleans(),
    **dict.fromkeys(
        (
            "memory_limit", "memory_sampled_peak", "memory_kernel_peak", "cpu_seconds", "cpu_peak_cores", "throttled_share",
            "cpu_waiting_seconds", "gpu_used", "gpus_active", "storage_peak",
        ),
        AMOUNTS,
    ),
)  # fmt: skip
EXECUTIONS = st.builds(
    lambda fact, size, begin, seconds: StepExecution(
        "load", created=begin, started=begin, finished=begin + seconds, input_size=size, containers=(fact,)
    ),
    FACTS,
    AMOUNTS,
    st.floats(0.0, 1e6),
    st.floats(1.0, 1e4),
)


@settings(max_examples=40)
@given(
    st.lists(EXECUTIONS, min_size=2, max_size=4).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows)))
)
def test_seconds_of_several_executions_add_up_and_of_all_else_the_largest_counts(
    orders: tuple[list[StepExecution], list[StepExecution]],
) -> None:
    """Of items, which share one request, and of attempts; in any order, and whatever is unknown of some of them."""

    def of(rows: list[StepExecution]) -> RunUsage:
        record = RunRecord(WorkflowKey("n", "Job", "w"), "r", 0.0, 1e7, Outcome.SUCCEEDED, Source.HISTORY, tuple(rows))
        (one,) = usage_of(record)
        return one.usage

    rows, reordered = orders
    found, each = of(rows), [of([row]) for row in rows]
    for name in ("seconds", "reserved_seconds"):
        assert getattr(found, name) == pytest.approx(sum(getattr(one, name) for one in each))
    for name in (
        "memory_peak", "memory_most", "mean_cores", "peak_cores", "throttled_share", "oom_killed", "memory_floor",
        "input_size", "waiting_share", "gpus_used", "gpus_active", "storage_peak",
    ):  # fmt: skip
        known = [value for one in each if (value := getattr(one, name)) is not None]
        assert getattr(found, name) == max(known, default=None), name
        assert getattr(of(reordered), name) == getattr(found, name), name
