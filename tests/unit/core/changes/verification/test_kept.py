"""Harm of changes that were kept: rates too small for a verification are seen later, and what is no harm is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.harm import failing
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS, later_harm, next_check, watched_until
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.policy import VerifySettings
from tests.support.builders import MI
from tests.support.core.verification_runs import HOUR, run

LOWERED = LoweredMemory(frozenset({332.0 * MI}))


def runs(bad: Sequence[bool], first: int = 0, *, killed: bool = False) -> tuple[RunRecord, ...]:
    """Hourly runs, those that are ``bad`` failed, or with a container that was ``killed`` and retried."""
    fine, wrong = run(0, 0.0, 600.0), run(0, 0.0, 600.0, outcome=Outcome.FAILED)
    if killed:
        wrong = replace(fine, steps=(replace(fine.steps[0], reason="OOMKilled"),))
    return tuple(
        replace(wrong if b else fine, run=f"r{first + i}", start=(first + i) * HOUR, end=(first + i) * HOUR + 600.0)
        for i, b in enumerate(bad)
    )


def every(period: int, count: int) -> list[bool]:
    return [i % period == period - 1 for i in range(count)]


def share(rate: float, before_rate: float, *, before: int = 336, after: int = MAX_RUNS, cases: int = 150) -> float:
    """The share of changes that are found to do harm within ``after`` runs."""
    rng, found = np.random.default_rng(11), 0
    for _ in range(cases):
        sides = [rng.random(n) < p for n, p in ((before, before_rate), (after, rate))]
        found += later_harm(BeforeAfter(runs(sides[0]), runs(sides[1], before)), (), None) is not None
    return found / cases


def test_failures_that_a_verification_misses_are_seen_in_later_runs() -> None:
    """One failure in twelve runs: within sixteen runs it is one, which is no evidence."""
    before, after = runs(every(112, 336)), every(12, 84)
    assert failing(BeforeAfter(before, runs(after[:30], 336))) is None
    found = later_harm(BeforeAfter(before, runs(after, 336)), (), None)
    assert found == "found after the change was kept: 7 of 84 runs after it failed, 3 of 336 before"


def test_a_rate_of_eight_percent_is_seen_and_one_that_stays_is_not() -> None:
    assert share(0.08, 0.01) >= 0.7
    assert share(0.08, 0.01, after=30) <= 0.35
    assert share(0.01, 0.01) <= 0.02
    assert share(0.05, 0.05) <= 0.02


def test_an_outage_that_comes_later_is_one_event() -> None:
    after = [False] * 30 + [True] * 12 + [False] * 40
    assert later_harm(BeforeAfter(runs([False] * 336), runs(after, 336)), (), None) is None


def test_kills_in_a_row_count_each_where_the_change_lowered_memory() -> None:
    """Inputs that outgrow the new request kill run after run; no outage does that."""
    before, after = runs([False] * 336), runs([False] * 60 + [True] * 8, 336, killed=True)
    found = later_harm(BeforeAfter(before, after), (), LOWERED)
    assert found is not None
    assert "had a container killed for lack of memory, 0 of 336 before" in found
    assert later_harm(BeforeAfter(before, after), (), None) is None


def test_kills_that_retries_recover_count_in_the_steps_of_the_change() -> None:
    sides = BeforeAfter(runs([False] * 336), runs(every(12, 84), 336, killed=True))
    found = later_harm(sides, ("train",), None)
    assert found is not None and "killed for lack of memory, 0 of 336 before" in found
    assert later_harm(sides, ("load",), None) is None


@pytest.mark.parametrize(("killed_before", "seen"), [(False, True), (True, False)])
def test_kills_after_less_memory_are_held_against_what_a_size_accepts(killed_before: bool, seen: bool) -> None:
    """Sixty quiet runs alone leave it open whether one run in fifteen was killed before."""
    before = runs([killed_before] + [False] * 59, killed=True)
    sides = BeforeAfter(before, runs(every(13, 84), 60, killed=True))
    assert later_harm(sides, ("train",), None) is None
    assert (later_harm(sides, ("train",), LOWERED) is not None) is seen


def test_without_runs_before_nothing_is_said() -> None:
    assert later_harm(BeforeAfter((), runs([True] * 9)), (), LOWERED) is None


def test_a_kept_change_is_watched_for_as_long_again_and_looked_at_ever_less_often() -> None:
    settings = VerifySettings()
    age, looks = 1800.0, 0
    while age < watched_until(settings):
        age, looks = next_check(age), looks + 1
    assert watched_until(settings) == 2 * settings.max_age_seconds
    assert looks < 70
