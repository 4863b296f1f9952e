"""Needs that change from day to day: laws do what they say, the product sees runs and days, sizes are judged by the text."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.days import __main__ as command
from benchmarks.days.cases import Case, definition, drawn, records
from benchmarks.days.levels import FAMILIES, Family, Span
from benchmarks.days.report import lines
from benchmarks.days.score import POLICY, judge, known, recommended
from benchmarks.days.summary import VARIANTS, summarize
from benchmarks.graphs.draws import stream
from concertmaster.core.model import Recommendation
from concertmaster.core.model.recommendations import SizeItem
from concertmaster.core.units import DAY, GIB
from tests.support.builders import recommendation

BY_NAME = {family.name: family for family in FAMILIES}
BOUND = "at most 1% of later attempts run out of memory"


def case(later: list[float]) -> Case:
    """Ten hours of 1Gi, then what is needed later, in GiB, one run an hour."""
    peaks = np.array([1.0] * 10 + later) * GIB
    n = peaks.size
    return Case("made", 10 * 3600.0, np.arange(n) * 3600.0, peaks, np.ones(n), np.full(n, 600.0), 10, 8 * GIB, 4.0)


def lowered(text: str, *evidence: str) -> Recommendation:
    """To 2Gi and two cores."""
    sizes = [("requests.memory", "8Gi", "2Gi"), ("requests.cpu", "4", "2")]
    items = tuple(SizeItem("job", "main", f, old, new, "1Gi", "") for f, old, new in sizes)
    return recommendation("right-size", step="job", expected=text, evidence=evidence, items=items)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_levels_are_positive_on_all_days_asked_for(family: Family) -> None:
    for seed, days in enumerate((4, 9, 14)):
        times = np.linspace(0.0, 2 * days + 1.99, 500)
        level = family.draw(stream("test", seed), Span(days, seed))(times)
        assert level.shape == times.shape
        assert 0.0 < level.min() <= level.max() < 100.0


def test_weekends_are_those_of_the_calendar() -> None:
    level = BY_NAME["light weekends"].draw(stream("test"), Span(7, 3))(np.arange(14) + 0.5)
    assert np.flatnonzero(level < 1.0).tolist() == [2, 3, 9, 10]  # the first day is a Thursday


def test_a_case_is_the_same_each_time_and_has_as_much_to_come_as_is_known() -> None:
    one, again = (drawn(BY_NAME["exponential"], 3) for _ in range(2))
    assert one.peaks.tolist() == again.peaks.tolist()
    assert one.peaks.size == 2 * one.known
    made = records(one, definition(one))
    assert len(made) == one.known
    assert all(run.end is not None and run.end <= one.now for run in made)
    assert one.starts[one.known] > one.now


def test_only_the_newest_runs_are_analysed_and_the_others_are_known_by_day() -> None:
    cases = [drawn(BY_NAME["nothing changes"], seed) for seed in range(12)]
    for one in cases:
        of, most = known(one), POLICY.analysis.max_runs
        assert len(of.runs) == min(most, one.known)
        assert bool(of.earlier.peaks.amounts) is (one.known > most)
    assert len({one.known > POLICY.analysis.max_runs for one in cases}) == 2


def test_later_runs_are_compared_with_the_size_and_the_largest_peak() -> None:
    found = judge(case([1.0] * 8 + [1.5, 3.0]), lowered(BOUND))
    assert (found.lowered, found.above, found.peer) == (True, 0.1, 0.2)
    assert (found.promised, found.broken) == (1.0, 0.1)
    assert found.to_largest == found.to_best == pytest.approx(2 / 3)
    assert (found.longer, found.cores) == (0.0, 2.0)


@pytest.mark.parametrize(
    ("text", "evidence", "promised", "broken"),
    [
        (BOUND, (), 1.0, 0.1),
        ("", (), 0.0, 0.0),
        (f"{BOUND} while growing peaks stay below it", (), 0.0, 0.0),
        (f"{BOUND} while growing peaks stay below it", ("at this rate 2Gi lasts until about 1970-01-02",), 1.0, 0.1),
        (f"{BOUND} while growing peaks stay below it", ("at this rate 2Gi lasts until about 1970-01-01",), 0.0, 0.0),
    ],
)
def test_a_promise_holds_as_long_as_the_text_says(
    text: str, evidence: tuple[str, ...], promised: float, broken: float
) -> None:
    found = judge(case([1.0] * 8 + [1.5, 3.0]), lowered(text, *evidence))
    assert (found.promised, found.broken) == (promised, broken)


def test_a_request_that_stays_promises_nothing() -> None:
    found = judge(case([1.0] * 9 + [9.0]), None)
    assert (found.lowered, found.above, found.promised, found.longer) == (False, 0.1, 0.0, None)
    raised = replace(lowered(BOUND), items=(SizeItem("job", "main", "requests.memory", "8Gi", "9Gi", "1Gi", ""),))
    assert not judge(case([1.0] * 10), raised).lowered


def test_constant_needs_are_sized_with_their_headroom() -> None:
    one = case([1.0] * 10)
    many = replace(one, starts=one.starts / 10.0 + DAY, now=1.0 * DAY + 3600.0)
    assert judge(many, recommended(many, known(many))).above == 0.0


def test_the_section_has_a_row_for_each_family_and_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["days", "--seeds", "1", "--only", "linear", "joining", "--jobs", "1", "--dry"])
    assert command.main() == 0
    cases = {name: [command.judged(name, 1)[1]] for name in ("linear", "joining", "leak")}
    result = summarize(cases, 1)
    assert [row["name"] for row in result["families"]] == ["leak", "linear", "joining"]
    assert [row["name"] for row in result["groups"]] == ["steady", "growth", "levels", "all"]
    assert result["groups"][-1]["cases"] == 3
    assert result["nested"]["variants"] == len(VARIANTS)
    table = [line for line in lines(result) if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 9
