"""What is reported of a history at its end, and day by day, against what is true."""

from __future__ import annotations

from itertools import pairwise

from benchmarks.series.law import DAY, generator
from benchmarks.series.rises.analyses import DELAY, Reported, workflow
from benchmarks.series.rises.kinds import BY_NAME
from benchmarks.series.rises.law import SPAN, History, Rise, history
from benchmarks.series.tally import Key, Tally

LIVES = 4  # one in so many seeds is followed day by day
_WINDOW = 14.0  # days
_NEAR = 0.5 * DAY  # of what is known to the day, and of a begin of growth
_ENDS = 0.1 * SPAN * DAY  # of the begin and the end of a gradual increase
_BACK = 7  # days within which what has gone is back


def judge(kind: str, seed: int) -> Tally:
    """The history of that kind and seed."""
    tally, rise = Tally(), BY_NAME[kind]
    of = history(rise, generator(f"rise: {kind}", seed), before=rise.before, after=SPAN)
    _judge(tally, rise, of, workflow(of, seed).analyze(of.at(SPAN) + DELAY))
    if seed % LIVES == 0:
        of = history(rise, generator(f"rise: {kind}", seed, 1), before=_WINDOW + rise.before, after=SPAN + _WINDOW)
        one = workflow(of, seed)
        _follow(tally, kind, [one.analyze(of.at(day) + DELAY) for day in range(1, int(SPAN + _WINDOW) + 1)])
    return tally


def _judge(tally: Tally, rise: Rise, of: History, found: Reported | None) -> None:
    tally.add(Key(rise.name, "reported" if rise.rises else "false", ""), found is not None)
    if found is None or not rise.rises:
        return
    tally.add(Key(rise.name, "dated", ""), found.since is not None)
    if found.since is not None:
        tally.add(Key(rise.name, "date", ""), right(of, found))
    if found.between is not None and of.plan.growth is not None:
        ends = (of.at(day) for day in of.plan.growth)
        near = [abs(a - b) <= _ENDS for a, b in zip(ends, found.between, strict=True)]
        tally.add(Key(rise.name, "between", ""), all(near))


def right(of: History, found: Reported) -> bool:
    """Whether the date is that of a step within a run, or within half a day that of the begin of growth; if it is known to
    the day, that day or within half a day of it."""
    since = found.since or 0.0
    if found.by_day:
        return any(since - _NEAR <= of.at(day) < since + DAY + _NEAR for day in _due(of))
    apart = 1.5 * of.every + (0.0 if of.plan.steps else _NEAR)
    return any(abs(since - of.at(day)) <= apart for day in _due(of))


def _due(of: History) -> tuple[float, ...]:
    """Days since which runs may be said to take longer."""
    return of.plan.steps or (of.plan.growth or ())[:1]


def _follow(tally: Tally, kind: str, days: list[Reported | None]) -> None:
    """What is published day by day: whether it comes and goes, and keeps its id and its date."""
    for place, (was, now) in enumerate(pairwise(days)):
        tally.add(Key(kind, "published", ""), now is not None)
        back = was is not None and now is None and any(days[place + 2 : place + 1 + _BACK])
        tally.add(Key(kind, "gone and back", ""), back)
        if was is None or now is None:
            continue
        tally.add(Key(kind, "other id", ""), was.id != now.id)
        tally.add(Key(kind, "other words", ""), (was.since is None) is not (now.since is None))
        if was.since is not None and now.since is not None:
            tally.add(Key(kind, "other date", ""), abs(was.since - now.since) >= DAY)
