"""The ledger: promises drawn towards what was measured, rights lost after three Worse of five."""

from __future__ import annotations

import pytest

from concertmaster.core.changes.ledger import Ledger, LedgerEntry, corrected, withdrawn
from concertmaster.core.model import Interval
from concertmaster.core.model.enums import Verdict
from tests.support.core.change_samples import faster


def line(finished: float, verdict: Verdict = Verdict.IMPROVED, **more: object) -> LedgerEntry:
    found = {"workflow": "a", "rule": "r", "promised": -0.2, "measured": -0.2, **more}
    return LedgerEntry(verdict=verdict, finished=finished, **found)  # type: ignore[arg-type]


def correction(lines: list[LedgerEntry], rule: str, workflow: str) -> float:
    return Ledger(lines).factor(rule, workflow)


def test_without_experience_promises_stay() -> None:
    assert correction([], "r", "a") == 1.0
    assert correction([line(1.0, rule="other", measured=0.0)], "r", "a") == 1.0


def test_broken_promises_shrink_the_next_ones_step_by_step() -> None:
    half = [line(float(i), measured=-0.1) for i in range(20)]
    factors = [correction(half[:n], "r", "a") for n in (0, 1, 4, 20)]
    assert factors == sorted(factors, reverse=True)
    assert factors[1] > 0.75  # one case is not much
    assert factors[3] == pytest.approx(0.5, abs=0.05)


def test_other_workflows_experience_counts_less_than_the_own() -> None:
    others = [line(float(i), workflow="b", measured=0.0) for i in range(8)]
    own = [line(float(i), measured=-0.2) for i in range(8)]
    assert correction(others, "r", "b") < correction(others, "r", "a") < 1.0
    assert correction(others + own, "r", "b") < correction(others + own, "r", "a")


@pytest.mark.parametrize(("promised", "measured"), [(None, -0.2), (-0.2, None), (-0.001, 0.5), (0.1, -0.2)])
def test_what_cannot_be_compared_is_left_out(promised: float | None, measured: float | None) -> None:
    assert correction([line(1.0, promised=promised, measured=measured)], "r", "a") == 1.0


def test_the_correction_is_bounded() -> None:
    lucky = [line(float(i), promised=-0.01, measured=-0.9) for i in range(50)]
    awful = [line(float(i), measured=5.0) for i in range(50)]
    assert correction(lucky, "r", "a") == 1.5
    assert correction(awful, "r", "a") == 0.0


def test_three_worse_of_the_last_five_take_the_right_and_good_ones_bring_it_back() -> None:
    good, bad = Verdict.IMPROVED, Verdict.WORSE
    assert withdrawn([line(1.0, bad), line(2.0, bad)], "r", "a") is None
    three = [line(1.0, bad), line(2.0, good), line(3.0, bad), line(4.0, bad)]
    assert "3 of the last 4 changes of rule r" in (withdrawn(three, "r", "a") or "")
    assert withdrawn(three, "r", "b") is None
    assert withdrawn(three, "other", "a") is None
    healed = [*three, line(5.0, good), line(6.0, good), line(7.0, good)]
    assert withdrawn(healed, "r", "a") is None


def test_corrected_recommendations_promises_less() -> None:
    item = corrected(faster(gain_seconds=Interval(10.0, 20.0, 30.0)), 0.5)
    assert item.gain_share == Interval(0.05, 0.1, 0.15)
    assert item.gain_seconds == Interval(5.0, 10.0, 15.0)
    assert item.saving_per_month is None


@pytest.mark.parametrize("verdict", [Verdict.SAME, Verdict.IMPROVED])
def test_who_promised_no_number_neither_kept_nor_broke_it(verdict: Verdict) -> None:
    assert line(1.0, verdict, promised=None, measured=0.0).held is None
    assert line(1.0, Verdict.WORSE, promised=None, measured=0.3).held is False
