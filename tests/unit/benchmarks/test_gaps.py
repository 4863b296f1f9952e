"""The benchmark of missing data: what its laws take away, and what counts as a difference."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.law import NOW
from benchmarks.advice.plant import Plant
from benchmarks.advice.score import Answer
from benchmarks.advice.truth import runs_of, worth
from benchmarks.gaps import __main__ as command
from benchmarks.gaps import compare, values
from benchmarks.gaps.compare import COMPLETE, Case, Reading, cases
from benchmarks.gaps.law import Law, age, read
from benchmarks.gaps.report import lines, summary
from benchmarks.gaps.sightings import vanished
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution
from concertmaster.core.pipeline import analyze_workflow

LAWS = {law.name: law for law in command.LAWS}
# Read twice is read as once, and this workflow has neither limits nor pods of less than a minute.
_NOTHING_HERE = {"read-twice", "live-3-days", "throttling-absent", "pods-unseen-at-60s"}
_USAGE = ("cpu_seconds", "cpu_sampled_seconds", "memory_sampled_peak", "memory_kernel_peak")


def _kind(name: str, seed: int = 1) -> Plant:
    return planted(seed, next(i for i, kind in enumerate(KINDS) if kind.__name__ == name))


def _seen(law: str, kind: str = "cpu_over") -> tuple[list[RunRecord], list[RunRecord]]:
    runs = runs_of(_kind(kind).flow)[1]
    return runs, LAWS[law].apply(runs, 7)


def _pods(runs: list[RunRecord]) -> list[StepExecution]:
    return [e for run in runs for e in run.steps]


def _containers(runs: list[RunRecord]) -> list[ContainerFact]:
    return [c for e in _pods(runs) for c in e.containers]


@pytest.mark.parametrize("kind", ["cpu_over", "flaky_fan_out", "failure_rate", "starts_late", "runs_replaced", "leak"])
def test_runs_read_in_full_lead_to_the_same_recommendations(kind: str) -> None:
    plant = _kind(kind)
    known, runs = runs_of(plant.flow)
    again = read(known, COMPLETE, runs, 7)
    assert [(r.run, r.end, r.outcome) for r in again] == [(r.run, r.end, r.outcome) for r in runs]
    assert [r.start for r in again] == pytest.approx(
        [r.start for r in runs], abs=2.0
    )  # the first pod comes a little later
    first, second = (
        analyze_workflow(known.definition, rows, plant.policy, profile="p", now=NOW).recommendations
        for rows in (runs, again)
    )
    assert {r.id for r in first} == {r.id for r in second} != set()


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_a_law_takes_away_or_distorts_and_nothing_is_zero_that_is_unknown(law: Law) -> None:
    runs = _runs_with_sizes("failure_rate")
    seen = law.apply(runs, 7)
    assert seen == law.apply(runs, 7)
    assert (seen == runs) is (law.name in _NOTHING_HERE)
    assert len(seen) <= len(runs)
    assert len(_pods(seen)) <= len(_pods(runs))
    for c in _containers(seen):
        assert 0.0 not in [getattr(c, name) for name in _USAGE]
        assert c.samples or [getattr(c, name) for name in _USAGE] == [None] * len(_USAGE)
        assert (c.samples or 0) <= (c.expected_samples or 0)
    for e in _pods(seen):
        assert e.started is None or e.finished is None or e.started <= e.finished
        assert e.finished is not None


def _runs_with_sizes(kind: str) -> list[RunRecord]:
    flow = _kind(kind).flow
    return runs_of(replace(flow, steps=tuple(replace(s, sizes=True) for s in flow.steps)))[1]


def test_a_run_has_the_same_events_whichever_others_are_seen() -> None:
    runs, seen = _seen("usage-30%-lost")
    assert LAWS["usage-30%-lost"].apply(runs[:5], 7) == seen[:5]
    assert LAWS["usage-30%-lost"].apply(runs, 8) != seen


def test_the_share_of_pods_without_samples_is_that_of_the_law() -> None:
    share = {
        law: sum(not c.samples for c in _containers(_seen(law, "tight")[1])) / len(_containers(_seen(law, "tight")[0]))
        for law in ("usage-30%-lost", "usage-80%-lost", "usage-absent")
    }
    assert share == pytest.approx({"usage-30%-lost": 0.3, "usage-80%-lost": 0.8, "usage-absent": 1.0}, abs=0.05)


def test_days_without_runs_or_usage_are_those_of_the_law() -> None:
    assert not [r for r in _seen("runs-3-days-gap")[1] if 4.0 < age(r.end) <= 7.0]
    assert len(_seen("runs-3-days-gap")[1]) < len(_seen("runs-1-day-gap")[1]) < len(_seen("runs-1-day-gap")[0])
    assert max(age(r.end) for r in _seen("runs-last-2-days")[1]) <= 2.0
    assert min(age(r.end) for r in _seen("runs-newest-day")[1]) > 1.0
    expired = _seen("usage-expired")[1]
    assert {bool(e.containers[0].samples) for e in _pods(expired) if age(e.finished) > 4.0} == {False}
    assert {bool(e.containers[0].samples) for e in _pods(expired) if age(e.finished) <= 4.0} == {True}


def test_samples_that_end_early_lower_counters_and_never_raise_a_peak() -> None:
    runs, seen = _seen("usage-cut-short")
    pairs = list(zip(_containers(runs), _containers(seen), strict=True))
    cut = [(a, b) for a, b in pairs if a != b]
    assert 0.4 < len(cut) / len(pairs) < 0.6
    for whole, part in cut:
        assert (part.cpu_seconds or 0.0) < (whole.cpu_seconds or 0.0)
        assert (part.cpu_seconds or 0.0) / (part.cpu_sampled_seconds or 1.0) == pytest.approx(
            (whole.cpu_seconds or 0.0) / (whole.cpu_sampled_seconds or 1.0)
        )
        assert (part.memory_sampled_peak or 0.0) <= (whole.memory_sampled_peak or 0.0)


def test_a_pod_whose_end_was_not_scraped_ends_at_its_last_sample() -> None:
    e = _pods(runs_of(_kind("failure_rate").flow)[1])[0]
    gone = vanished(np.random.default_rng(1), e)
    assert (gone.outcome, gone.reason) == (Outcome.UNKNOWN, "Vanished")
    assert e.started is not None and gone.finished is not None and e.finished is not None
    assert e.started <= gone.finished <= e.finished < gone.finished + 30.0


def test_only_successes_vanish_and_failures_remain() -> None:
    runs, seen = _seen("ends-70%-of-successes", "failure_rate")
    failed = [e.uid for e in _pods(runs) if e.outcome is Outcome.FAILED]
    assert [e.uid for e in _pods(seen) if e.outcome is Outcome.FAILED] == failed != []
    assert 0.65 < sum(e.outcome is Outcome.UNKNOWN for e in _pods(seen)) / (len(_pods(seen)) - len(failed)) < 0.75


def test_what_is_read_twice_is_read_as_once() -> None:
    known, runs = runs_of(_kind("failure_rate").flow)
    assert read(known, LAWS["read-twice"], runs, 7) == read(known, COMPLETE, runs, 7)


@pytest.mark.parametrize("kind", ["failure_rate", "starts_late", "flaky"])  # a CronWorkflow, a CronJob, a Pipeline
def test_objects_know_the_ends_that_metrics_lack(kind: str) -> None:
    known, runs = runs_of(_kind(kind).flow)
    unseen, live = (read(known, LAWS[law], runs, 7) for law in ("ends-all-unseen", "ends-all-unseen-but-live"))
    assert {run.outcome for run in unseen} == {Outcome.UNKNOWN}
    assert [run.outcome for run in live] == [run.outcome for run in runs]
    newest = read(known, LAWS["live-3-days"], runs, 7)
    assert {r.source for r in newest if age(r.end) > 3.0} == {Source.HISTORY}
    assert [(r.run, r.end, r.outcome) for r in newest] == [(r.run, r.end, r.outcome) for r in runs]


def test_the_clock_of_one_node_moves_what_it_stamps() -> None:
    runs, seen = _seen("clock-20s-behind")
    for e, moved in zip(_pods(runs), _pods(seen), strict=True):
        off = -20.0 if e.node == "node-1" else 0.0
        assert (moved.created, moved.scheduled) == (e.created, e.scheduled)
        assert moved.started == (e.started or 0.0) + off
        assert moved.containers[0].finished == (e.containers[0].finished or 0.0) + off


def test_inputs_are_known_of_all_pods_of_a_run_or_of_none() -> None:
    seen = LAWS["inputs-40%-known"].apply(_runs_with_sizes("cpu_over"), 7)
    known = [{e.input_size is not None for e in run.steps} for run in seen]
    assert all(len(of_run) == 1 for of_run in known)
    assert 0.25 < sum(True in of_run for of_run in known) / len(known) < 0.55


def test_laws_have_names_of_their_own_and_hide_known_kinds() -> None:
    assert len(LAWS) == len(command.LAWS)
    kinds = {planted(1, i).kind for i in range(len(KINDS))}
    assert {kind for law in command.LAWS for kind in law.hides} <= kinds
    assert {law.name for law in values.LAWS if law.sized} == {law.name for law in command.LAWS if law.sized}


def _answer(**changes: object) -> Answer:
    made = Answer("kind", "w", True, True, True, True, 10.0, ("a",), ())
    return replace(made, **changes)  # type: ignore[arg-type]


def _reading(
    answer: Answer | None, gain: float = 10.0, gaps: tuple[str, ...] = (), rate: float | None = 30.0
) -> Reading:
    figures: dict[str, float | None] = {
        "runs_per_month": rate,
        "cost_per_run": 2.0,
        "success_rate": 0.9,
        "makespan": 60.0,
    }
    published = frozenset(answer.published if answer else ("a",))
    return Reading(answer, published, {"money": gain} if gain else {}, frozenset(gaps), figures)


def test_what_counts_as_a_difference() -> None:
    complete = _reading(_answer(wrong=("x",)))
    seen = _reading(_answer(interval=False, wrong=("x", "y")), 5.0, ("gone",), 15.0)
    row = Case("law", "kind", "w", 1, complete, seen)
    assert (row.new, row.lost, row.gain_off, row.number_off) == (("y",), False, True, False)
    assert row.gain_ratios == {"money": 0.5}
    assert (row.ratio("runs_per_month"), row.ratio("success_rate"), row.reported) == (0.5, 0.0, True)
    gone = replace(row, seen=_reading(_answer(found=False, step=False, number=None, interval=None), 0.0, rate=None))
    assert (gone.lost, gone.gain_off, gone.number_off, gone.gain_ratios) == (True, None, None, {})
    assert gone.ratio("runs_per_month") is None
    assert gone.becomes_unknown("runs_per_month")
    broken = replace(row, seen=None, error="Traceback")
    assert (broken.new, broken.lost, broken.gain_off, broken.reported) == ((), None, None, False)
    fine = Case("law", "", "h", 1, _reading(None), _reading(None))
    assert (fine.new, fine.lost, fine.gain_off) == ((), None, None)


def test_a_failure_of_the_product_is_a_row_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = _kind("cpu_over")
    usual = compare.analyze_workflow

    def fails(definition: object, runs: list[RunRecord], *rest: object, **more: object) -> object:
        if not runs[0].steps[0].containers[0].samples:
            raise ZeroDivisionError
        return usual(definition, runs, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(compare, "analyze_workflow", fails)
    one, two = cases(plant.flow, [LAWS["usage-absent"], LAWS["whole-seconds"]], plant)
    assert "ZeroDivisionError" in one.error
    assert (two.error, two.lost) == ("", False)


def test_the_truth_is_that_of_the_complete_history() -> None:
    plant = _kind("cpu_over")
    row = cases(plant.flow, [LAWS["runs-1-in-3"]], plant)[0]
    assert row.seen is not None and row.seen.answer is not None and row.complete.answer is not None
    assert row.seen.answer.truth == row.complete.answer.truth == worth(plant).value("money")
    assert row.ratio("runs_per_month") == pytest.approx(1 / 3, rel=0.35)


def test_a_row_for_each_law() -> None:
    law = Law("law", "why", COMPLETE.change, frozenset({"unseen"}))
    complete, gone = _reading(_answer()), _reading(_answer(found=False, step=False), 0.0)
    rows = [
        Case("law", "kind", "w", 1, complete, _reading(_answer(interval=False), 5.0, rate=15.0)),
        Case("law", "unseen", "u", 1, complete, gone),
        Case("law", "", "h", 1, _reading(None), replace(_reading(None), published=frozenset({"a", "timeout.b"}))),
    ]
    result = {"seeds": 1, **summary(rows, [law])}
    found = result["laws"]["law"]
    assert (result["workflows"], result["healthy"], found["found"], found["lost"]) == (3, 1, 1, {})
    assert (found["hidden"], found["gains_off"], found["wrong"]) == (
        {"unseen": 1},
        {"kind": 1},
        {"healthy: timeout": 1},
    )
    assert found["gains_moved"] == {"kind: money": 0.5}
    page = lines(result)
    row = next(line for line in page if line.startswith("| law: why |"))
    assert row.startswith("| law: why | 0 | 0 of 1 (1) | 1 of 1 | 0 of 1 | 1, 1 | 0.50 [0.50 0.50] |")
    assert row.count("|") == next(line for line in page if line.startswith("| what")).count("|")
    assert "- Wrong: healthy: timeout 1" in page


def test_the_command_writes_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tmp_path / "gaps.json"
    options = [
        "--out",
        str(result),
        "--seeds",
        "1",
        "--healthy",
        "1",
        "--only",
        "cpu_over",
        "--laws",
        "whole-seconds",
        "read-twice",
        "--jobs",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["gaps", *options])
    assert command.main() == 0
    written = json.loads(result.read_text())
    assert (written["workflows"], written["healthy"], list(written["laws"])) == (2, 1, ["read-twice", "whole-seconds"])
