"""Work that follows the clock and the calendar: days, weeks, full loads, holidays and ends of a month."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from benchmarks.healthy.law import DAY, HOUR, Flow, Kind, Rng, Run, Starts, Step, in_sequence
from benchmarks.healthy.starts import every


def _two_steps(
    name: str,
    first: float,
    second: float,
    load: Callable[[Run], float],
    starts: Starts,
    schedule: str,
    noise: float = 0.12,
) -> Flow:
    """Two steps in sequence with the same load, which varies by ``noise``."""

    def prepare(run: Run) -> None:
        run.load = load(run) * run.varied(noise)

    steps = in_sequence(Step("collect", first, 0.1, scales=1), Step("load", second, 0.1, scales=1))
    return Flow(name, steps, starts, "cron", schedule, prepare=prepare)


def _daily(amplitude: float, weekend: float, peak: float) -> Callable[[Run], float]:
    """More work by day, most of it six hours after ``peak``, and less at weekends."""
    return lambda run: (
        (1.0 + amplitude * math.sin(2 * math.pi * (run.hour - peak) / 24)) * (weekend if run.weekend else 1.0)
    )


def by_day_every_two_hours(rng: Rng) -> Flow:
    """Runs every two hours, whose work varies by 40% over the day."""
    made = _two_steps("daily", 300, 300, _daily(0.4, 0.7, 9), every(2 * HOUR), "0 */2 * * *", 0.1)
    return replace(made, steps=(*made.steps, Step("export", 200, 0.1, ("collect",))))


def _frequent(amplitude: float, minutes: int) -> Flow:
    starts = every(60.0 * minutes)
    made = _two_steps("frequent", 60, 70, _daily(amplitude, 0.75, 8), starts, f"*/{minutes} * * * *", 0.1)
    return replace(made, true={"queue-time": "6 s of each minute are startup at night"})


def by_day_every_five_minutes(rng: Rng) -> Flow:
    """Runs every five minutes, whose work varies by 40% over the day: the latest 200 are less than a day."""
    return _frequent(0.4, 5)


def strongly_by_day_every_five_minutes(rng: Rng) -> Flow:
    """Runs every five minutes, whose work varies by 60% over the day."""
    return _frequent(0.6, 5)


def by_day_every_quarter(rng: Rng) -> Flow:
    """Runs every quarter of an hour, whose work varies by 40% over the day."""
    return _frequent(0.4, 15)


def _mondays(factor: float, starts: Starts, schedule: str) -> Flow:
    def load(run: Run) -> float:
        return factor if run.weekday == 0 else 0.6 if run.weekend else 1.0

    return _two_steps("mondays", 300, 600, load, starts, schedule)


def mondays_hourly(rng: Rng) -> Flow:
    """Hourly runs with 60% more work on Mondays and less at weekends."""
    return _mondays(1.6, every(HOUR), "0 * * * *")


def mondays_daily(rng: Rng) -> Flow:
    """Daily runs with 80% more work on Mondays and less at weekends."""
    return _mondays(1.8, every(DAY, at=3 * HOUR), "0 3 * * *")


def elsewhere(rng: Rng) -> Flow:
    """A company eight hours west of Greenwich: its weekend is not that of UTC."""

    def load(run: Run) -> float:
        there = replace(run, start=run.start - 8 * HOUR)
        return (0.5 if there.weekend else 1.0) * (1.3 if 9 <= there.hour < 18 else 1.0)

    return _two_steps("elsewhere", 300, 500, load, every(2 * HOUR), "0 */2 * * *")


def _days_of(name: str, factor: float, ended: float, days: float, seconds: float) -> Flow:
    """Some days with this factor on the work, until so many days ago (negative: they are not over yet)."""

    def load(run: Run) -> float:
        if ended < run.age < ended + days:
            return factor
        return 0.6 if factor < 1.0 and run.weekend else 1.0

    hours = int(seconds // HOUR)
    return _two_steps(name, 300, 600, load, every(seconds), f"0 */{hours} * * *")


def by_traffic_hourly(rng: Rng) -> Flow:
    """Hourly runs whose work follows the traffic: ten times as much at noon as at night, and half of it at weekends."""

    def load(run: Run) -> float:
        return (0.15 + 1.45 * math.pow(max(0.0, math.sin(math.pi * (run.hour - 6) / 14)), 1.5)) * (
            0.5 if run.weekend else 1.0
        )

    return _two_steps("traffic", 100, 900, load, every(HOUR), "0 * * * *")


def large_in_even_hours(rng: Rng) -> Flow:
    """Hourly runs that load a large shard in even hours, and a small one in odd ones."""
    return _two_steps("shards", 60, 480, lambda run: 1.0 if int(run.hour) % 2 else 3.7, every(HOUR), "0 * * * *", 0.06)


def holiday(rng: Rng) -> Flow:
    """Three days with half the work, which may last still, and less at weekends."""
    return _days_of("holiday", 0.45, float(rng.uniform(-1.5, 9.0)), 3.0, 2 * HOUR)


def end_of_month_over(rng: Rng) -> Flow:
    """Three days with twice the work, which are over."""
    return _days_of("month", 2.2, float(rng.uniform(1.0, 9.0)), 3.0, 6 * HOUR)


def end_of_month_now(rng: Rng) -> Flow:
    """Days with twice the work, which have begun two days ago and will pass."""
    made = _days_of("month-now", 2.0, -1.0, float(rng.uniform(1.5, 3.5)), 6 * HOUR)
    return replace(made, true={"degradation": "its runs do take longer now"})


def cold_caches_on_mondays(rng: Rng) -> Flow:
    """Hourly runs on weekdays: after the weekend caches are cold for a morning."""

    def load(run: Run) -> float:
        return 1.8 if run.weekday == 0 and run.hour < 9 else 1.0

    return _two_steps("cold", 300, 500, load, every(HOUR, weekdays=True), "0 * * * 1-5")


def _full_weekly(interval: float, at: float, hours: float, seconds: float, schedule: str, *, sized: bool) -> Flow:
    """A full load in the first run from 02:00 on Sundays, and incremental ones otherwise."""

    def prepare(run: Run) -> None:
        full = run.weekday == 6 and 2 <= run.hour < 2 + interval / HOUR
        run.load = hours * HOUR / seconds if full else run.varied(0.2)

    steps = in_sequence(Step("plan", 20, 0.2, cpu_request=0.2), Step("copy", seconds, 0.08, scales=1, sized=sized))
    return Flow("full-weekly", steps, every(interval, at=at), "cron", schedule, prepare=prepare)


def full_weekly_among_hourly(rng: Rng) -> Flow:
    """A full copy of three hours on Sundays among hourly ones of five minutes: it works, and does not hang."""
    return _full_weekly(HOUR, 0.0, 3.0, 300, "0 * * * *", sized=False)


def full_weekly_among_daily(rng: Rng) -> Flow:
    """A full copy of two and a half hours on Sundays among daily ones of a quarter of an hour."""
    return _full_weekly(DAY, 2 * HOUR, 2.5, 900, "0 2 * * *", sized=False)


def full_weekly_of_known_size(rng: Rng) -> Flow:
    """A full copy of three hours on Sundays, whose size the metrics show."""
    return _full_weekly(HOUR, 0.0, 3.0, 300, "0 * * * *", sized=True)


def _full_nightly(hours: int, factor: float) -> Flow:
    def prepare(run: Run) -> None:
        run.load = (factor if run.hour < hours - 0.01 else 1.0) * run.varied(0.1)

    steps = in_sequence(Step("plan", 60, 0.2), Step("copy", 300, 0.1, scales=1))
    schedule = f"0 */{hours} * * *" if hours > 1 else "0 * * * *"
    return Flow("full-nightly", steps, every(hours * HOUR), "cron", schedule, prepare=prepare)


def full_nightly_every_six_hours(rng: Rng) -> Flow:
    """Four times the work in the first run of each day, of four."""
    return _full_nightly(6, 4.0)


def full_nightly_every_four_hours(rng: Rng) -> Flow:
    """Five times the work in the first run of each day, of six."""
    return _full_nightly(4, 5.0)


def full_nightly_every_hour(rng: Rng) -> Flow:
    """Eight times the work in the first run of each day, of 24."""
    return _full_nightly(1, 8.0)


KINDS: tuple[Kind, ...] = (
    by_day_every_two_hours, by_day_every_five_minutes, strongly_by_day_every_five_minutes, by_day_every_quarter,
    mondays_hourly, mondays_daily, elsewhere, by_traffic_hourly, large_in_even_hours, holiday, end_of_month_over,
    end_of_month_now, cold_caches_on_mondays,
    full_weekly_among_hourly, full_weekly_among_daily, full_weekly_of_known_size, full_nightly_every_six_hours,
    full_nightly_every_four_hours, full_nightly_every_hour,
)  # fmt: skip
