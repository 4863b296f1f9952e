"""``data-quality``: runs whose end nobody saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, RunRecord
from tests.support.builders import container
from tests.support.core.scenario_builder import Pod, argo, scenario, task

_DARK = container(cpu_seconds=0.0, cpu_sampled_seconds=None, memory_sampled_peak=None, samples=0)


@pytest.mark.parametrize(("reason", "found"), [(None, 1), ("Stopped", 0), ("Cancelled", 0), ("TaskRunCancelled", 0)])
def test_ends_of_runs_that_were_stopped_are_not_missing(reason: str | None, found: int) -> None:
    made = scenario(argo(task("a")), 20, lambda _: {"a": 60.0})
    runs = tuple(
        replace(
            run,
            outcome=Outcome.UNKNOWN,
            steps=tuple(replace(e, outcome=Outcome.UNKNOWN, reason=reason) for e in run.steps),
        )
        if i % 4 == 0
        else run
        for i, run in enumerate(made.runs)
    )
    said = [r for r in replace(made, runs=runs).recommended("data-quality") if "without their end" in r.because]
    assert len(said) == found


def _changed(lacking: Callable[[int], bool], before: str | None = None) -> list[str]:
    """What is said of 40 runs of two steps. The ``lacking`` ones have no ``b``, or instead of it a step ``before`` of which
    the definition knows nothing: all of their pods succeeded, and what became of the runs is unknown."""
    made = scenario(argo(task("a"), task("b", "a")), 40, lambda _: {"a": 60.0, "b": 60.0})

    def seen(run: RunRecord) -> RunRecord:
        kept = (replace(e, step=before) if before and e.step == "b" else e for e in run.steps)
        return replace(run, outcome=Outcome.UNKNOWN, steps=tuple(e for e in kept if e.step != "b"))

    runs = tuple(seen(run) if lacking(i) else run for i, run in enumerate(made.runs))
    found = replace(made, runs=runs).recommended("data-quality")
    return [r.because for r in found if "without their end" in r.because]


def test_runs_before_a_step_was_added_or_renamed_lack_no_metrics() -> None:
    assert _changed(lambda i: i < 25) == []
    assert _changed(lambda i: i < 25, before="template:old") == []
    assert _changed(lambda i: i % 2 == 0, before="template:old") == []


def test_runs_that_lack_a_step_now_and_then_do() -> None:
    """Its pods were gone before they were scraped."""
    assert _changed(lambda i: i % 2 == 0)[0].startswith("20 of 40 runs")


@pytest.mark.parametrize(("since", "sizes"), [(24, "sizes rest on the runs"), (38, "these steps get no size")])
def test_says_what_unsampled_runs_mean_for_sizes(since: int, sizes: str) -> None:
    made = scenario(argo(task("a")), 40, lambda i: {"a": Pod(60.0, containers=(_DARK if i < since else container(),))})
    item = made.one("data-quality")
    assert f"a, {40 - since} of 40 executions have memory samples" in item.because
    assert item.otherwise.startswith(sizes)
