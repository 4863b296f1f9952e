"""Periods follow the calendar of their zone, every run counts once, and unknown is never zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concertmaster.core.analysis.periods import Period, boundaries, local, period_start
from concertmaster.core.analysis.trends import Trends, trends
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import Pricing
from concertmaster.core.stats.exact import fisher
from concertmaster.core.units import HOUR
from tests.support.builders import DAY, MI, container, definition, run, step

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
ONE = definition(step("load"))
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Beirut", "Asia/Kathmandu",
         "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]  # fmt: skip


def at(text: str, zone: ZoneInfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def ended(end: float, seconds: float = 600.0, number: int = 0, **more: object) -> RunRecord:
    """A run of one step that ended then."""
    facts = (container(cpu_seconds=seconds / 2, cpu_sampled_seconds=seconds),)
    made = run(ONE.graph, {"load": seconds}, number=number, start=end - seconds - 3.0, containers=lambda _: facts)
    return replace(made, **more)  # type: ignore[arg-type]


def made(runs: Sequence[RunRecord], period: Period, since: float, until: float, **more: object) -> Trends:
    return trends(runs, period, more.pop("zone", UTC), since=since, until=until, **more)  # type: ignore[arg-type]


class TestPeriods:
    @pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
    def test_a_day_is_as_long_as_the_clocks_say(self, day: str, hours: int) -> None:
        start = at(day, BERLIN)
        assert boundaries(start, start + DAY / 2, Period.DAILY, BERLIN) == [start, start + hours * HOUR]
        assert len(boundaries(start, start + hours * HOUR, Period.HOURLY, BERLIN)) == hours + 1

    def test_the_hour_that_comes_twice_is_two_periods(self) -> None:
        start = at("2026-10-25T02:00", BERLIN)
        edges = boundaries(start, start + 2 * HOUR, Period.HOURLY, BERLIN)
        shown = [local(e, BERLIN).isoformat(timespec="minutes") for e in edges]
        assert shown == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]

    def test_weeks_begin_on_monday_and_months_on_the_first(self) -> None:
        weeks = boundaries(at("2026-11-20", BERLIN), at("2026-11-25", BERLIN), Period.WEEKLY, BERLIN)
        assert weeks == [at(d, BERLIN) for d in ("2026-11-16", "2026-11-23", "2026-11-30")]
        months = boundaries(at("2026-01-31", BERLIN), at("2026-03-01T00:01", BERLIN), Period.MONTHLY, BERLIN)
        assert months == [at(d, BERLIN) for d in ("2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01")]

    def test_a_midnight_that_clocks_skip_or_repeat(self) -> None:
        cairo, havana = ZoneInfo("Asia/Beirut"), ZoneInfo("America/Havana")
        spring = boundaries(at("2026-03-29T12:00", cairo), at("2026-03-29T13:00", cairo), Period.DAILY, cairo)
        assert local(spring[0], cairo).isoformat() == "2026-03-29T01:00:00+03:00"  # there is no 00:00 that day
        assert spring[1] - spring[0] == 23 * HOUR
        autumn = period_start(at("2026-11-01T12:00", havana), Period.DAILY, havana)
        assert local(autumn, havana).isoformat() == "2026-11-01T00:00:00-04:00"  # the first of its two midnights

    def test_a_day_that_a_zone_left_out(self) -> None:
        apia = ZoneInfo("Pacific/Apia")
        edges = boundaries(at("2011-12-29T12:00", apia), at("2011-12-31T12:00", apia), Period.DAILY, apia)
        assert [local(e, apia).strftime("%d") for e in edges] == ["29", "31", "01"]

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(ZONES),
        st.sampled_from(list(Period)),
        st.floats(1_250_000_000, 1_900_000_000),
        st.floats(1, 40 * DAY),
    )
    def test_periods_follow_each_other_without_gap_or_overlap(
        self, name: str, period: Period, since: float, span: float
    ) -> None:
        zone = ZoneInfo(name)
        edges = boundaries(since, since + span, period, zone)
        assert edges[0] <= since < edges[1]
        assert edges[-2] < since + span <= edges[-1]
        longest = {Period.HOURLY: 1.5, Period.DAILY: 25, Period.WEEKLY: 169, Period.MONTHLY: 745}[period] * HOUR
        assert all(0 < b - a <= longest for a, b in pairwise(edges))
        assert all(local(e, zone).minute in (0, 30) for e in edges[1:])


class TestTrends:
    def test_figures_of_a_day_are_those_of_its_runs(self) -> None:
        start = at("2026-11-16")
        seconds = [100.0, 200.0, 300.0, 400.0]
        runs = [ended(start + HOUR * (i + 1), s, i) for i, s in enumerate(seconds)]
        runs.append(ended(start + 6 * HOUR, 50.0, 9, outcome=Outcome.FAILED))
        price = Pricing(cpu_core_hour=3.6, memory_gib_hour=0.0)
        found = made(runs, Period.DAILY, start, start + DAY, pricing=price).workflow.buckets
        assert len(found) == 1
        day = found[0]
        assert (day.total, day.succeeded, day.failed, day.whole, day.known) == (5, 4, 1, True, True)
        assert day.success == 0.8
        assert day.figures is not None
        times = day.figures["durationSeconds"]
        assert (times.count, times.minimum, times.mean, times.maximum) == (4, 103.0, 253.0, 403.0)  # 3 s to start
        assert times.p95 == pytest.approx(388.0)
        assert times.p99 == pytest.approx(400.0)
        assert day.figures["cost"].mean == pytest.approx(sum(s + 2 for s in [*seconds, 50.0]) / 5 * 0.001)
        assert day.figures["cpuSeconds"].maximum == 200.0

    def test_steps_have_their_own_figures(self) -> None:
        start = at("2026-11-16")
        load = made([ended(start + HOUR)], Period.DAILY, start, start + DAY).steps["load"].buckets[0]
        assert load.figures is not None
        assert load.figures["durationSeconds"].mean == 600.0
        assert load.figures["memoryPeakBytes"].maximum == 600 * MI

    def test_no_run_is_zero_and_nothing_seen_is_unknown(self) -> None:
        start = at("2026-11-16")
        found = made(
            [ended(start + HOUR)], Period.DAILY, start, start + 4 * DAY, blind=[(start + DAY, start + 2.5 * DAY)]
        )
        days = found.workflow.buckets
        assert [(d.known, d.whole, d.total) for d in days] == [
            (True, True, 1),
            (False, False, 0),
            (True, False, 0),
            (True, True, 0),
        ]
        assert days[3].success is None
        assert found.workflow.difference.reason == "the period before it was not seen from end to end"

    def test_a_run_seen_in_a_blind_span_makes_it_known(self) -> None:
        start = at("2026-11-16")
        day = made(
            [ended(start + HOUR)], Period.DAILY, start, start + DAY, blind=[(start, start + DAY)]
        ).workflow.buckets
        assert (day[0].known, day[0].whole, day[0].total) == (True, False, 1)

    def test_the_running_period_is_not_compared(self) -> None:
        start = at("2026-11-16")
        runs = [ended(start + d * DAY + k * HOUR + HOUR, number=10 * d + k) for d in range(3) for k in range(4)]
        found = made(runs, Period.DAILY, start, start + 2.5 * DAY).workflow
        assert [b.whole for b in found.buckets] == [True, True, False]
        assert found.difference.now == found.buckets[1]
        assert found.difference.before == found.buckets[0]
        same = found.difference.figures["durationSeconds"]
        assert same.verdict is Verdict.SAME
        assert found.difference.success_p == 1.0

    def test_a_slower_day_and_a_worse_one_are_distinguished_from_chance(self) -> None:
        start = at("2026-11-16")
        runs = [
            ended(start + d * DAY + k * HOUR + HOUR, (600.0 + k) * (1.3 if d else 1.0), 10 * d + k,
                  outcome=Outcome.FAILED if d and k % 2 else Outcome.SUCCEEDED)
            for d in range(2) for k in range(20)
        ]  # fmt: skip
        found = made(runs, Period.DAILY, start, start + 2 * DAY).workflow.difference
        assert found.figures["durationSeconds"].verdict is Verdict.WORSE
        assert found.figures["durationSeconds"].ratio == pytest.approx(1.3, rel=0.02)
        assert found.success_changed

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.floats(0, 9 * DAY), max_size=40),
        st.sampled_from(ZONES),
        st.sampled_from(list(Period)),
        st.lists(st.tuples(st.floats(-DAY, 10 * DAY), st.floats(0, 3 * DAY)), max_size=3),
    )
    def test_every_run_that_ended_in_the_span_counts_once(
        self, ends: list[float], zone: str, period: Period, dark: list[tuple[float, float]]
    ) -> None:
        since = at("2026-10-20")
        until = since + 8 * DAY
        runs = [ended(since + e, number=i) for i, e in enumerate(ends)]
        blind = [(since + a, since + a + length) for a, length in dark]
        found = made(runs, period, since, until, zone=ZoneInfo(zone), blind=blind)
        counted = [r for r in runs if since < (r.end or 0.0) <= until]
        assert sum(b.total for b in found.workflow.buckets) == len(counted)
        assert sum(b.total for s in found.steps.values() for b in s.buckets) == len(counted)
        assert all(b.known for b in found.workflow.buckets if b.total)
        assert all(b.start >= since and b.end <= until for b in found.workflow.buckets if b.whole)


@settings(max_examples=200, deadline=None)
@given(*[st.integers(0, 60)] * 4)
def test_the_exact_test_agrees_with_an_independent_one(a: int, b: int, c: int, d: int) -> None:
    if not a + b or not c + d:
        assert fisher(a, b, c, d) is None
        return
    wanted = stats.fisher_exact([[a, b], [c, d]]).pvalue
    assert fisher(a, b, c, d) == pytest.approx(float(wanted), rel=1e-6, abs=1e-12)


def test_the_exact_test_of_many_executions_ends() -> None:
    assert fisher(99_000, 1_000, 98_000, 2_000) == pytest.approx(0.0, abs=1e-12)
    assert fisher(99_000, 1_000, 99_000, 1_000) == pytest.approx(1.0)
