"""OOM kills that only daily amounts still know: how many count, and since when they have ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.steps.earlier_kills import NO_KILLS, EarlierKills, earlier_kills, superseded
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model import DailyPeaks
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.units import DAY, GIB, HOUR, MIB

TODAY = 20_013
NOW = TODAY * DAY + 20 * HOUR
FIRST = NOW - 16 * HOUR  # of the runs analysed, one an hour


def used(time: float, limit: float | None, killed: bool = False, image: str = "a") -> RunUsage:
    fields = dict.fromkeys(RunUsage._fields)
    fields |= {"time": time, "seconds": 60.0, "reserved_seconds": 60.0, "oom_killed": killed, "image": image}
    fields |= {"memory_peak": 300 * MIB, "memory_limit": limit, "memory_floor": limit if killed else None}
    return RunUsage(**fields)  # type: ignore[arg-type]


def usage(limit: float | None, *killed: int, had: float | None = None) -> ContainerUsage:
    """The newest 17 runs; those ``killed``, by number, at the limit they ``had``."""
    had = limit if had is None else had
    runs = tuple(used(FIRST + i * HOUR, had if i in killed else limit, i in killed) for i in range(17))
    return ContainerUsage("main", None, None, None, limit, limit, None, 17, 0, 0, 1.0, runs)


def peaks(*killed: int, at: float = 2.0, times: int = 1, lost: int = 1, **more: dict[int, float]) -> DailyPeaks:
    """Of 14 days, today included; those ``killed``, by number."""
    amounts: dict[tuple[str, str], dict[int, float]] = {
        ("load", "memory/main"): {TODAY - 13 + i: 300.0 * MIB for i in range(14)},
        ("load", "killed/main"): {TODAY - 13 + i: float(times) for i in killed},
        ("load", "killed-for-good/main"): {TODAY - 13 + i: float(lost) for i in killed},
        ("load", "killed-at/main"): {TODAY - 13 + i: at * GIB for i in killed},
    }
    return DailyPeaks(amounts | {("load", f"{name.replace('_', '-')}/main"): days for name, days in more.items()})


def found(container: ContainerUsage, known: DailyPeaks) -> EarlierKills:
    return earlier_kills(container, ["load"], known, since=NOW - 14 * DAY, first=FIRST, now=NOW)


def test_kills_of_every_night_count_with_about_as_many_runs_as_their_days_had() -> None:
    earlier = found(usage(2 * GIB), peaks(*range(14)))
    assert (earlier.runs, earlier.lost, earlier.days, earlier.known) == (14, 14, 14, 14)
    assert earlier.killed_at == 2 * GIB
    assert earlier.of == pytest.approx(13.2 * 24, rel=0.1)


def test_kills_of_runs_that_are_analysed_count_once() -> None:
    assert found(usage(2 * GIB, 0), peaks(*range(14))).runs == 13
    assert found(usage(2 * GIB, 0), peaks(13)) == NO_KILLS
    assert found(usage(2 * GIB, 0), peaks(13, times=3)).runs == 2


def test_retried_runs_did_not_fail_for_good() -> None:
    earlier = found(usage(2 * GIB), peaks(*range(14), times=3, lost=1))
    assert (earlier.runs, earlier.lost) == (42, 14)


@pytest.mark.parametrize(
    ("days", "counted"),
    [
        (range(11), True),  # two days without, and what is over of the third
        (range(10), False),
        ((9,), True),  # rare ones may come again
        ((0, 1, 5, 6, 7, 8), True),
        ((3, 4, 10, 11), True),  # weekends
        ((0, 7), True),  # Sundays
    ],
)
def test_kills_have_ended_once_chance_does_not_explain_so_many_days_without(days: range, counted: bool) -> None:
    assert (found(usage(2 * GIB), peaks(*days)).runs == len(days)) is counted
    assert (found(usage(2 * GIB), peaks(*days)) != NO_KILLS) is counted


def test_many_kills_on_one_day_have_ended_after_a_week_without() -> None:
    assert found(usage(2 * GIB), peaks(5, times=20)) == NO_KILLS
    assert found(usage(2 * GIB), peaks(7, times=20)).runs == 20
    assert found(usage(2 * GIB), peaks(5)).runs == 1


def test_kills_below_the_present_limit_end_sooner_and_say_nothing_once_there_are_others() -> None:
    assert found(usage(2 * GIB), peaks(*range(11), times=3)).runs == 33
    assert found(usage(3 * GIB), peaks(*range(11), times=3)) == NO_KILLS  # two days without any of so many
    assert found(usage(3 * GIB), peaks(*range(12), at=2.0)).runs == 12
    assert found(usage(3 * GIB, 16), peaks(*range(12), at=2.0)) == NO_KILLS
    at = {TODAY - 13 + i: (2 if i < 8 else 3) * GIB for i in range(14)}
    earlier = found(usage(3 * GIB), peaks(*range(14), killed_at=at))
    assert (earlier.runs, earlier.known, earlier.killed_at) == (6, 6, 3 * GIB)


def test_kills_have_ended_where_there_is_no_limit_any_more() -> None:
    assert found(usage(None), peaks(*range(14))) == NO_KILLS
    assert found(usage(None), peaks(*range(14), killed_at={})).runs == 14  # by their nodes


def test_kills_before_a_change_that_ended_them_stay_ended() -> None:
    known = peaks(*range(10), 12, kills_over={TODAY - 3: 1.0})
    assert found(usage(2 * GIB), known).runs == 1


def test_runs_have_kills_that_are_over_where_another_image_ended_them() -> None:
    options = AnalysisSettings()
    for first in (0, 1):  # the oldest known ones may just be the last of many
        many = usage(2 * GIB, *range(first, 8))
        other = tuple(run._replace(image="a" if i < 8 else "b") for i, run in enumerate(many.runs))
        assert not superseded(many, options)
        assert superseded(replace(many, runs=other), options) is (first == 1)
    assert not superseded(usage(2 * GIB), options)
