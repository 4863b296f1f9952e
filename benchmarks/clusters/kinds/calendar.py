"""What the calendar does to schedules: summer time, the end of a month, weekends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.clusters.kinds.clashes import CLASH, apart, wide
from benchmarks.clusters.kinds.plan import WEEKS, Kind, Plan
from benchmarks.clusters.law import DAY, Cluster, Flow, Pool, Rng, Site, Step

_SPRING = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()  # clocks of Europe go forward
_AUTUMN = datetime(2026, 11, 1, 6, 0, tzinfo=UTC).timestamp()  # clocks of New York go back
_MONTH = datetime(2026, 6, 1, 0, 0, tzinfo=UTC).timestamp()


def _beside(g: Rng, utc: int, local: int) -> Site:
    """A workflow at that hour (UTC), and a larger one at that local hour of Berlin."""
    cores = g.choice((4.0, 6.0, 8.0))
    own = Flow("report", wide(g, cores, 200, 500), f"5 {utc} * * *")
    other = Flow("billing", wide(g, cores, 500, 900), f"0 {local} * * *", zone="Europe/Berlin")
    return Site((own, other), Cluster((Pool("", 1, cores),)))


def clash_since_summer_time(g: Rng) -> Plan:
    """Two daily workflows have met since clocks went forward 8 to 10 days ago: the schedule of one is in local time."""
    hour = g.randint(3, 20)
    site = _beside(g, hour, hour + 2)
    return Plan(site, CLASH, "report", apart(site), now=_SPRING + g.uniform(8, 10) * DAY, fresh=10 * WEEKS)


def clash_until_summer_time(g: Rng) -> Plan:
    """Two daily workflows met until clocks went forward 3 to 6 days ago."""
    hour = g.randint(3, 20)
    return Plan(_beside(g, hour, hour + 1), now=_SPRING + g.uniform(3, 6) * DAY, fresh=10 * WEEKS)


def hour_left_out(g: Rng) -> Plan:
    """A daily schedule whose start is in the hour that clocks skip, and a frequent one, both with Forbid."""
    daily = Flow("daily", wide(g, 4, 300, 900), "30 2 * * *", zone="Europe/Berlin", policy="Forbid")
    often = Flow("often", (Step("a", g.uniform(300, 700)),), "*/20 * * * *", zone="Europe/Berlin", policy="Forbid")
    site = Site((daily, often), Cluster((Pool("", 2, 8.0),)))
    return Plan(site, now=_SPRING + g.uniform(0.5, 2.0) * DAY)


def hour_twice(g: Rng) -> Plan:
    """Schedules with Forbid in a zone whose clocks went back, so that an hour came twice."""
    zone, minute = "America/New_York", g.randint(0, 50)
    nightly = Flow("nightly", wide(g, 4, 900, 1800), f"{minute} 1 * * *", zone=zone, policy="Forbid")
    hourly = Flow("hourly", wide(g, 4, 300, 900), f"{minute} * * * *", zone=zone, policy="Forbid")
    site = Site((nightly, hourly), Cluster((Pool("", 2, 8.0),)))
    return Plan(site, now=_AUTUMN + g.uniform(1, 8) * DAY)


def closing_days(g: Rng) -> Plan:
    """A daily workflow waits on six days of each month, on which the books are closed."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(1, 20)
    own = Flow("report", wide(g, cores, 200, 500), f"5 {hour} * * *")
    closing = Flow("closing", wide(g, 3 * cores, 600, 1200), f"0 {hour} 1-3,28-30 * *")
    site = Site((own, closing), Cluster((Pool("", 1, cores),)))
    now = _MONTH + g.uniform(4, 9) * DAY
    return Plan(site, ("queue-time", *CLASH), "report", apart(site), now=now, fresh=90 * DAY)


def monthly_beside(g: Rng) -> Plan:
    """A daily workflow meets a monthly one once in the window."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(1, 20)
    own = Flow("report", wide(g, cores, 200, 500), f"5 {hour} * * *")
    monthly = Flow("statements", wide(g, 3 * cores, 600, 1200), f"0 {hour} 1 * *")
    return Plan(Site((own, monthly), Cluster((Pool("", 1, cores),))), now=_MONTH + g.uniform(2, 12) * DAY)


def weekly_beside(g: Rng) -> Plan:
    """A daily workflow meets a weekly one, which runs when nobody waits for the result, twice in the window."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(1, 20)
    own = Flow("report", wide(g, cores, 300, 600), f"5 {hour} * * *")
    weekly = Flow("vacuum", wide(g, cores, 300, 600), f"0 {hour} * * 0")
    return Plan(Site((own, weekly), Cluster((Pool("", 1, cores),))), fresh=8 * WEEKS)


def weekdays_only(g: Rng) -> Plan:
    """A schedule of weekdays with Forbid beside a daily one, on nodes for both."""
    cores, hour = g.choice((4.0, 6.0, 8.0)), g.randint(1, 20)
    own = Flow("report", wide(g, cores, 300, 600), f"0 {hour} * * 1-5", policy="Forbid")
    daily = replace(Flow("daily", wide(g, cores, 300, 600), f"0 {hour} * * *"), policy="Forbid")
    return Plan(Site((own, daily), Cluster((Pool("", 2, cores),))))


PLANTED: tuple[Kind, ...] = (clash_since_summer_time, closing_days)
HEALTHY: tuple[Kind, ...] = (
    clash_until_summer_time,
    hour_left_out,
    hour_twice,
    monthly_beside,
    weekly_beside,
    weekdays_only,
)
