"""A promise holds what later runs will measure: noise, drift, and a cost that missing requests do not shrink."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.changes.verification.prediction_error import LATER_RUNS, effect_error, reserved_per_month
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from tests.support.builders import DAY, NOW, container, daily, definition, step
from tests.support.core.verification_runs import series

ONE = definition(step("load"))
RUNS = daily(ONE.graph, 11, lambda _: {"load": 3600.0})


def without_requests(run: RunRecord) -> RunRecord:
    bare = container(cpu_request=None, memory_request=None)
    return replace(run, steps=tuple(replace(e, containers=(bare,)) for e in run.steps))


def test_the_cost_a_saving_is_a_share_of_does_not_shrink_where_metrics_lack_requests() -> None:
    whole = reserved_per_month(analyze(ONE, RUNS, now=NOW))
    bare, others = [without_requests(r) for r in RUNS[:3]], RUNS[3:]
    holes = analyze(ONE, [*bare, *others], now=NOW)
    assert whole is not None and whole > 0
    assert reserved_per_month(holes) == pytest.approx(whole)
    assert holes.cost.per_month == pytest.approx(whole)
    marked = [replace(r, fingerprint="old" if r in bare else "new") for r in (*bare, *others)]
    changed = analyze(replace(ONE, fingerprint="new"), marked, now=NOW)  # another template may have had no requests
    assert reserved_per_month(changed) == pytest.approx(whole)
    assert changed.cost.per_month is not None and changed.cost.per_month < 0.95 * whole


def test_what_pods_keep_for_an_init_container_is_a_part_of_the_cost() -> None:
    """A right-sizing of it saves more than what the others request, and must not be a share above one."""
    first = container(name="fetch", init=True, cpu_request=None, memory_request=4096.0 * 2**20)
    runs = [replace(r, steps=tuple(replace(e, containers=(*e.containers, first)) for e in r.steps)) for r in RUNS]
    found = analyze(ONE, runs, now=NOW)
    assert reserved_per_month(found) == pytest.approx(found.cost.per_month)
    plain = reserved_per_month(analyze(ONE, RUNS, now=NOW))
    assert plain is not None and (reserved_per_month(found) or 0.0) > 1.2 * plain


def test_a_step_of_some_runs_is_reserved_for_in_those_only() -> None:
    two = definition(step("load"), step("report", ["load"], 1))
    often = daily(two.graph, 12, lambda _: {"load": 60.0, "report": 60.0})
    skipped = StepExecution(step="report", outcome=Outcome.SKIPPED)  # live objects tell what was left out
    always = reserved_per_month(analyze(two, often, now=NOW))
    assert always is not None
    for left_out in ((), (skipped,), (replace(skipped, outcome=Outcome.CACHED),)):
        seldom = [r if i % 3 == 0 else replace(r, steps=(r.steps[0], *left_out)) for i, r in enumerate(often)]
        assert reserved_per_month(analyze(two, seldom, now=NOW)) == pytest.approx(always * (1 + 1 / 3) / 2)


def test_without_a_rate_of_runs_or_requests_there_is_no_cost() -> None:
    assert reserved_per_month(analyze(ONE, RUNS[:1], now=NOW)) is None
    assert reserved_per_month(analyze(ONE, [without_requests(r) for r in RUNS], now=NOW)) is not None  # declared ones
    assert reserved_per_month(analyze(ONE, [], now=NOW)) is None


@pytest.mark.parametrize(("runs", "noise", "growth"), [(11, 0.05, 0.0015), (30, 0.1, 0.0), (30, 0.02, 0.003)])
def test_later_runs_differ_by_no_more_than_the_error_says(runs: int, noise: float, growth: float) -> None:
    """90% intervals hold 85 to 99% of 300 simulated ones."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(300):
        lengths = 600.0 * np.exp(growth * np.arange(runs + LATER_RUNS) + noise * rng.standard_normal(runs + LATER_RUNS))
        error = effect_error(series(list(lengths[:runs]), NOW - 100 * DAY))
        shift = float(np.log(lengths[runs:]).mean() - np.log(lengths[:runs]).mean())
        held += abs(shift) <= 1.645 * error
    assert 0.85 * 300 <= held <= 0.99 * 300


def test_more_noise_and_fewer_runs_are_more_error_and_reported_sizes_less() -> None:
    rng = np.random.default_rng(3)
    steady, wild = (list(600.0 * np.exp(s * rng.standard_normal(30))) for s in (0.03, 0.2))
    quiet = effect_error(series(steady, NOW))
    assert effect_error(series(wild, NOW)) > 3 * quiet
    assert effect_error(series(steady[:10], NOW)) > quiet
    assert effect_error(series(steady, NOW, size=1000.0)) < quiet
    assert effect_error(series(steady[:2], NOW)) == 0.0
