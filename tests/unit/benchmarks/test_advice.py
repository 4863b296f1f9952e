"""The planted problems: every rule has one, and the law of schedules does what controllers do."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.advice.__main__ import one_seed
from benchmarks.advice.healthy import healthy
from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.law import HOUR, Flow
from benchmarks.advice.numbers import Number, retried, sized, slower, within
from benchmarks.advice.plant import base
from benchmarks.advice.score import analyse
from benchmarks.advice.truth import runs_of
from concertmaster.core.model import Outcome, Recommendation, RunRecord
from concertmaster.core.model.policy import Policy
from concertmaster.core.rules import RULES


def test_every_rule_answers_a_planted_problem() -> None:
    answered = {rule for index in range(len(KINDS)) for rule in planted(1, index).rules}
    assert {rule.name for rule in RULES} - answered == set()


def half_hourly(engine: str, meets: str | None, **law: float) -> list[RunRecord]:
    """A day of runs of about 45 minutes, due every 30."""
    flow: Flow = base(np.random.default_rng(1), "report", every=HOUR / 2, engine=engine)
    step = replace(flow.steps[0], seconds=2700.0, cv=0.0)
    flow = replace(flow, steps=(step,), noise=0.0, schedule="*/30 * * * *", meets=meets, **law)  # type: ignore[arg-type]
    return runs_of(flow, span=86400.0)[1]


def gaps(runs: list[RunRecord]) -> set[int]:
    """Minutes from the end of a run to the begin of the next."""
    return {round(((b.start or 0.0) - (a.end or 0.0)) / 60) for a, b in pairwise(runs)}


def test_forbid_skips_starts_of_a_cron_workflow_and_delays_those_of_a_cron_job() -> None:
    assert gaps(half_hourly("cron", "Forbid")) == {15}
    assert gaps(half_hourly("cronjob", "Forbid")) == {0}  # each late: as soon as the one before is over


def test_replace_ends_runs_as_the_next_begins() -> None:
    runs = half_hourly("cronjob", "Replace")
    assert {r.outcome for r in runs[:-1]} == {Outcome.UNKNOWN}
    assert gaps(runs) == {0}


def test_runs_that_begin_beside_another_take_longer() -> None:
    alone, beside = half_hourly("cron", "Allow"), half_hourly("cron", "Allow", crowding=1.5)
    assert (alone[0].makespan, len(alone)) == (beside[0].makespan, len(beside))
    assert (beside[1].makespan or 0.0) > 1.4 * (alone[1].makespan or 0.0)


def test_a_hang_waits() -> None:
    flow = base(np.random.default_rng(1), "report")
    used = [
        [c.cpu_seconds for r in runs_of(made)[1] for e in r.steps if e.step == "extract" for c in e.containers]
        for made in (flow, flow.having("extract", hang=1.0, hang_seconds=HOUR))
    ]
    assert used[1] == pytest.approx(used[0])


READ_FROM_WORDS = (
    "objective_passed", "growth", "unsampled", "no_time_limit", "busy_hour", "starts_late", "flaky", "useless_retries",
    "hang", "tight", "narrow", "degraded", "straggler", "slow_node", "pending", "pulling", "cacheable", "tiny_items",
    "io_bound", "late_sidecar", "clash", "network_bound", "runs_stopped",
)  # fmt: skip


@pytest.mark.parametrize("kind", READ_FROM_WORDS)
def test_the_words_of_a_recommendation_are_what_the_bench_reads_its_number_from(kind: str) -> None:
    tally = one_seed(2, 0, {kind}, verbose=False)
    assert [a.kind for a in tally.answers if not a.number] == []
    assert tally.answers


@pytest.mark.parametrize(
    ("number", "right", "wrong"),
    [
        (retried(1, 3), "Set retries of load: 2, with backoff", "Set retries of load: 6, with backoff"),
        (
            retried(0, 2),
            "Reduce retries of load: 6 -> 1; fix the cause",
            "Reduce retries of load: 1 -> 6; fix the cause",
        ),
        (within(r"(\w+) per run", 860.0, 0.1), "14m15s per run, is waiting", "19m15s per run, is waiting"),
        (within(r"(\d+%) are", 0.18, 0.1), "Forbid (18% are stopped)", "Forbid (25% are stopped)"),
        (slower("load", 1.5), "load went from 10m09s to 15m02s", "load went from 10m09s to 12m02s"),
        (within(r"moves (\d+)", 44.0, 0.1), "it moves 44 MiB a second", "it moves much"),
    ],
)
def test_a_wrong_number_is_noticed(number: Number, right: str, wrong: str) -> None:
    said = any_recommendation()
    assert number(replace(said, action="", because=right))
    assert not number(replace(said, action="", because=wrong))
    assert not sized("load", "requests.cpu", 0.0, 99.0)(replace(said, items=()))


def any_recommendation() -> Recommendation:
    """Any recommendation."""
    kind = next(k for k in KINDS if k.__name__ == "cpu_over")
    result, _ = analyse(kind(np.random.default_rng(1), base(np.random.default_rng(1), "any")).flow, Policy())
    return result.recommendations[0]


def test_healthy_workflows_cover_the_ranges_they_are_said_to() -> None:
    flows = [healthy(np.random.default_rng((1, 1000 + i)), f"healthy-{i}") for i in range(200)]
    steps = [s for f in flows for s in f.steps]
    ranges = {
        "cv": ([s.cv for s in steps], 0.03, 0.4),
        "cpu": ([s.cpu / s.cpu_request for s in steps], 0.5, 0.95),
        "memory": ([s.peak * 1.05 / s.memory_request for s in steps], 0.5, 0.95),
    }
    for name, (values, low, high) in ranges.items():
        assert low <= min(values) <= low + 0.02 and high - 0.02 <= max(values) <= high, (name, min(values), max(values))
    assert all(sum(f.engine == engine for f in flows) >= 40 for engine in ("argo", "cron", "tekton", "cronjob"))
    for law in ("daily", "weekly"):
        assert 40 <= sum(getattr(f, law) > 0 for f in flows) <= 100, law
    for law in ("growth", "transient"):
        assert sum(any(getattr(s, law) > 0 for s in f.steps) for f in flows) >= 40, law


def test_what_healthy_workflows_do_is_what_they_are_made_of() -> None:
    """Of the runs, not of the parameters: the durations of a step vary as drawn, and requests are used as drawn."""
    cvs, used = [], []
    for i in range(20):
        flow = healthy(np.random.default_rng((1, 1000 + i)), f"healthy-{i}")
        plain = replace(flow, daily=0.0, weekly=0.0, noise=0.0)
        for step in plain.steps:
            rows = [
                e for r in runs_of(plain)[1] for e in r.steps if e.step == step.name and e.duration and not step.growth
            ]
            if len(rows) >= 30 and step.transient == 0.0:
                seconds = np.array([e.duration for e in rows])
                cvs.append(float(seconds.std() / seconds.mean()) / step.cv)
                peaks = [c.memory_peak / c.memory_request for e in rows for c in e.containers if c.memory_request]
                used.append(float(np.max(peaks)))
    assert len(cvs) >= 20 and 0.9 <= float(np.median(cvs)) <= 1.1, cvs
    assert all(0.4 <= share <= 1.0 for share in used), used
