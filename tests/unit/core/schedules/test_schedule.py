"""Starts that a schedule tells, in its own time zone, and the fleet made from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.arrays import Floats
from concertmaster.core.model import WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.core.pipeline import fleet_of
from concertmaster.core.schedules.starts import least_interval, next_run, readable, upcoming
from concertmaster.core.schedules.timetable import Timetable, timetable_of
from concertmaster.engines.jobs.traits import JOB
from tests.support.builders import DAY, daily, definition, step
from tests.support.counting import all_calls, growth

NOW = datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp()
CRON = WorkflowDefinition(WorkflowKey("demo", "CronJob", "x"), JOB, WorkflowGraph(), schedule="0 2 * * *")


def _hours(times: tuple[float, ...]) -> list[str]:
    return [datetime.fromtimestamp(t, tz=UTC).strftime("%d %H:%M") for t in times]


def test_starts_up_to_a_moment_through_a_change_of_clocks() -> None:
    berlin = replace(CRON, schedule_time_zone="Europe/Berlin")
    # summer time begins on the 29th: two o'clock does not exist that night, and the controllers start nothing instead
    assert _hours(upcoming(CRON, NOW, NOW + 3 * DAY, most=9)) == ["28 02:00", "29 02:00", "30 02:00"]
    assert _hours(upcoming(berlin, NOW, NOW + 4 * DAY, most=9)) == ["28 01:00", "30 00:00", "31 00:00"]
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()  # on the 25th it comes twice
    assert _hours(upcoming(berlin, autumn, autumn + 2 * DAY, most=9)) == ["25 00:00", "25 01:00", "26 01:00"]
    for start in (NOW, autumn):
        table = timetable_of(berlin)
        assert table is not None
        assert tuple(table.starts(start, start + 4 * DAY)) == upcoming(berlin, start, start + 4 * DAY, most=9)


def test_a_line_may_name_its_own_time_zone() -> None:
    for prefix in ("CRON_TZ", "TZ"):
        tokyo = replace(CRON, schedule=f"{prefix}=Asia/Tokyo 0 2 * * *; 0 3 * * *; {prefix}=UTC @daily")
        assert readable(tokyo)
        expected = ["27 17:00", "28 00:00", "28 03:00"]
        assert _hours(upcoming(tokyo, NOW, NOW + DAY, most=9)) == expected
        table = timetable_of(tokyo)
        assert table is not None
        assert _hours(tuple(table.starts(NOW, NOW + DAY))) == expected
    for zone, line in (
        ("Asia/Tokyo", "TZ=UTC 0 2 * * *"),
        (None, "TZ=Mars/Base 0 2 * * *"),
        (None, "TZ=UTC 0 0 2 * * *"),
    ):
        refused = replace(CRON, schedule=line, schedule_time_zone=zone)  # no controller starts anything by these
        assert not readable(refused)
        assert upcoming(refused, NOW, NOW + DAY, most=9) == ()
        assert next_run(refused, NOW) is None
        assert timetable_of(refused) is None


def test_every_other_day_and_a_weekday_are_both_days_of_the_schedule() -> None:
    """As the controllers read it, other than cron: only a plain star leaves the day to the other field."""
    by_days = replace(CRON, schedule="0 2 */5 * 1")
    assert _hours(upcoming(by_days, NOW, NOW + 7 * DAY, most=9)) == ["30 02:00", "31 02:00", "01 02:00"]
    assert upcoming(by_days, NOW, NOW + 40 * DAY, most=99) == upcoming(
        replace(CRON, schedule="0 2 1-31/5 * 1"), NOW, NOW + 40 * DAY, most=99
    )
    every_day = replace(CRON, schedule="0 2 */1 * 1")
    assert _hours(upcoming(every_day, NOW, NOW + 7 * DAY, most=9)) == ["30 02:00"]


def test_several_lines_none_and_unreadable_ones() -> None:
    both = replace(CRON, schedule="0 2 * * *; 30 2 * * *")
    assert _hours(upcoming(both, NOW, NOW + DAY, most=9)) == ["28 02:00", "28 02:30"]
    assert next_run(both, NOW) == upcoming(both, NOW, NOW + DAY, most=9)[0]
    assert next_run(replace(CRON, schedule="0 2 * * *; @every 1h"), NOW) is None  # the other one may start it before
    for odd in (replace(CRON, schedule="nonsense"), replace(CRON, suspended=True), replace(CRON, schedule=None)):
        assert upcoming(odd, NOW, NOW + DAY, most=9) == ()
        assert next_run(odd, NOW) is None
    assert len(upcoming(replace(CRON, schedule="* * * * *"), NOW, NOW + 30 * DAY, most=500)) == 500


MINUTES = st.sampled_from(["0", "7", "30", "59", "*", "*/20", "0,1", "5-6"])
HOURS = st.sampled_from(["0", "2", "3", "23", "*", "*/6", "1,2,3", "0-4"])
DAYS = st.sampled_from(["*", "1", "15,16", "*/2", "L"])
WEEKDAYS = st.sampled_from(["*", "1-5", "0", "5,6"])
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
CHANGES = st.sampled_from(
    [(3, 7), (3, 28), (4, 4), (10, 2), (10, 24), (10, 31), (6, 1)]
)  # days before clocks are changed


@given(st.lists(st.tuples(MINUTES, HOURS, DAYS, WEEKDAYS), min_size=1, max_size=2), ZONES, CHANGES)
def test_no_two_starts_are_closer_than_the_text_tells(
    fields: list[tuple[str, str, str, str]], zone: str | None, change: tuple[int, int]
) -> None:
    lines = "; ".join(f"{minute} {hour} {day} * {weekday}" for minute, hour, day, weekday in fields)
    of = replace(CRON, schedule=lines, schedule_time_zone=zone)
    begin = datetime(2026, *change, tzinfo=UTC).timestamp()
    starts = upcoming(of, begin, begin + 4 * DAY, most=500)
    assert all(b - a >= least_interval(of) for a, b in pairwise(starts))


@pytest.mark.parametrize(
    ("schedule", "zone", "seconds"),
    [
        ("0 2 * * 1-5", None, DAY),
        ("@daily", "Europe/Berlin", 1800),
        ("TZ=Europe/Berlin 0 2 * * *", None, 1800),
        ("15 */6 * * *", "UTC", 3600),
        ("15 */6 * * *", "Europe/Berlin", 1800),
        ("*/5 * * * *", None, 60),
        ("0 2 * * *; 1 2 * * *", None, 60),
        ("nonsense", None, 60),
        (None, None, 60),
    ],
)
def test_how_close_starts_can_be_is_told_by_the_text(schedule: str | None, zone: str | None, seconds: float) -> None:
    assert least_interval(replace(CRON, schedule=schedule, schedule_time_zone=zone)) == seconds


def test_a_fleet_knows_runs_and_starts() -> None:
    of = definition(step("load"))
    runs = daily(of.graph, 3, lambda _: {"load": 100.0})
    fleet = fleet_of([(of, runs), (CRON, [])])
    first, second = fleet.members
    assert len(first.runs) == 3
    assert first.runs[0, 2] > 100.0  # a core for the life of the pod, start-up included
    assert second.timetable == Timetable(("0 2 * * *",))
    assert first.timetable is None
    assert first.key == of.key


@given(
    st.lists(st.tuples(MINUTES, HOURS, DAYS, WEEKDAYS), min_size=1, max_size=2),
    # Played forward, a schedule misses starts of half an hour where clocks are changed by that.
    ZONES.filter(lambda zone: zone != "Australia/Lord_Howe"),
    CHANGES,
)
def test_a_timetable_has_the_starts_that_cron_makes(
    fields: list[tuple[str, str, str, str]], zone: str | None, change: tuple[int, int]
) -> None:
    lines = "; ".join(f"{minute} {hour} {day} * {weekday}" for minute, hour, day, weekday in fields)
    of = replace(CRON, schedule=lines, schedule_time_zone=zone)
    begin = datetime(2026, *change, 13, 7, 30, tzinfo=UTC).timestamp()
    table = timetable_of(of)
    assert table is not None
    assert table.starts(begin, begin + 3 * DAY).tolist() == list(upcoming(of, begin, begin + 3 * DAY, most=5000))


def test_a_day_after_clocks_were_changed_by_half_an_hour_begins_at_midnight() -> None:
    midnight = datetime(2026, 4, 5, 13, 30, tzinfo=UTC).timestamp()
    starts = Timetable(("* 0 * * *",), "Australia/Lord_Howe").starts(midnight - 1.0, midnight + DAY - 1.0)
    assert starts.tolist() == [midnight + 60.0 * n for n in range(60)]


@pytest.mark.parametrize("schedule", ["nonsense", "@every 1h", "0 2 * * *; 61 2 * * *", "0 0 31 2 *", "", None])
def test_without_a_schedule_that_is_known_there_is_no_timetable(schedule: str | None) -> None:
    assert timetable_of(replace(CRON, schedule=schedule)) is None
    assert timetable_of(replace(CRON, schedule_time_zone="Mars/Base")) is None


def test_lines_that_start_each_minute_are_read_in_proportion_to_their_number() -> None:
    def lines(count: int) -> Callable[[], Floats]:
        table = Timetable(tuple(f"{n}-59,* * * * *" for n in range(count)), "Europe/Berlin")
        return lambda: table.starts(NOW - 9 * DAY, NOW + 5 * DAY)

    assert len(lines(50)()) == 14 * 1440
    assert growth(lines, 5) < 2.2


def test_thousands_of_schedules_take_no_longer_than_some() -> None:
    def schedules(count: int) -> Callable[[], Sequence[float]]:
        lines = "; ".join(f"{n % 60} {n // 60 % 24} {1 + n // 1440} * *" for n in range(count))
        return lambda: upcoming(replace(CRON, schedule=lines), NOW, NOW + 400 * DAY, most=500)

    assert 0 < len(schedules(5_000)()) <= 500
    assert all_calls(schedules(5_000)) < 1.5 * all_calls(schedules(100))


def test_the_same_schedule_many_times_counts_once() -> None:
    repeated = replace(CRON, schedule="; ".join(["0 3 * * *"] * 200 + ["0 2 * * *"]))
    assert _hours(upcoming(repeated, NOW, NOW + DAY, most=9)) == ["28 02:00", "28 03:00"]


def test_named_schedules_and_question_marks_are_those_of_the_engines() -> None:
    for named, line in (("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("0 2 ? * ?", "0 2 * * *")):
        expected = upcoming(replace(CRON, schedule=line), NOW, NOW + 3 * DAY, most=9)
        assert expected
        assert upcoming(replace(CRON, schedule=named), NOW, NOW + 3 * DAY, most=9) == expected


def test_a_schedule_of_a_megabyte_takes_no_time() -> None:
    long = replace(CRON, schedule=",".join(["*"] * 700_000) + " * * * *")
    assert next_run(long, NOW) is None
    assert all_calls(lambda: next_run(long, NOW)) < 1_000
