"""Usage per run: what a container used, how long it waited for CPU, and how long its pods were there."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.runs.usage import RunUsage, usage_of
from concertmaster.core.analysis.usage import container_usage
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
