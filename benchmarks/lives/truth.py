"""What is right to publish on each day of a life, and the true effects of what was implemented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.lives.law import Flow, at_day
from benchmarks.lives.life import Day, Event
from concertmaster.core.model import RunRecord
from concertmaster.core.model.policy import Policy

Seen = Callable[[Day], bool]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is right from day ``since`` of a life until day ``until``, in words; ``wrong``: what must not be published on any
    of these days (what is neither is not known yet, or no longer)."""

    words: str
    since: float
    until: float
    right: Seen
    wrong: Seen = lambda _: False


@dataclass(frozen=True, slots=True)
class Plan:
    """A life: ``events`` at their days, until day ``until``. ``applied``: recommendations that somebody implements, with the
    day, whose measured effect is compared with the true one."""

    flow: Flow
    events: tuple[tuple[float, Event], ...]
    until: float
    claims: tuple[Claim, ...]
    applied: tuple[tuple[str, float], ...] = ()


def recommended(id_: str, since: float, until: float) -> Claim:
    """The recommendation, or any of that rule, is made."""
    return Claim(f"{_rule(id_)} is recommended", since, until, lambda day: day.active(id_))


def gone(id_: str, since: float, until: float) -> Claim:
    """It is made no more."""
    return Claim(f"{_rule(id_)} is gone", since, until, lambda day: not day.active(id_))


def never(id_: str, since: float, until: float) -> Claim:
    """It is not made on any of these days."""
    return Claim(f"no {_rule(id_)}", since, until, lambda day: not day.active(id_), lambda day: day.active(id_))


def implemented(id_: str, since: float, until: float, *, rest: bool = False, ended: bool = False) -> Claim:
    """Its implementation is measured as an improvement; ``rest``: and the rest of it may still be recommended; ``ended``:
    or it is Inconclusive, since another edit ended the verification."""
    states = ("Implemented", "Active") if rest else ("Implemented",)
    verdicts = ("Improved", "Inconclusive") if ended else ("Improved",)

    def right(day: Day) -> bool:
        found = day.result(id_, at_day(since))
        return found is not None and found.verdict in verdicts and not found.undone and day.state(id_) in states

    def wrong(day: Day) -> bool:
        found = day.result(id_, at_day(since))
        return day.state(id_) == "Obsolete" or (found is not None and found.verdict not in (None, *verdicts))

    return Claim(f"{_rule(id_)} is implemented, {' or '.join(verdicts)}", since, until, right, wrong)


def unmeasurable(id_: str, since: float, until: float) -> Claim:
    """Its implementation is Inconclusive, and no effect is attributed to it."""

    def right(day: Day) -> bool:
        found = day.result(id_, at_day(since))
        return found is not None and found.verdict == "Inconclusive" and found.measured is None

    def wrong(day: Day) -> bool:
        found = day.result(id_, at_day(since))
        return found is not None and (found.verdict not in (None, "Inconclusive") or found.measured is not None)

    return Claim(f"{_rule(id_)} is implemented, Inconclusive", since, until, right, wrong)


def undone(id_: str, since: float, reverted: float, until: float) -> Claim:
    """It was implemented on day ``since``, its result says that it was reverted, and it is recommended again."""

    def right(day: Day) -> bool:
        found = day.result(id_, at_day(since))
        return found is not None and found.undone and day.active(id_)

    return Claim(
        f"{_rule(id_)} was reverted and is recommended again", reverted, until, right,
        lambda day: day.state(id_) == "Implemented",
    )  # fmt: skip


def unchanged(id_: str, since: float, until: float) -> Claim:
    """It is recommended as before, and no implementation is reported."""

    def wrong(day: Day) -> bool:
        return day.state(id_) in ("Implemented", "Obsolete") or day.result(id_, at_day(since)) is not None

    return Claim(
        f"{_rule(id_)} is recommended as before", since, until, lambda day: day.active(id_) and not wrong(day), wrong
    )


def _rule(id_: str) -> str:
    return id_.partition(".")[0]


def seconds(run: RunRecord) -> float | None:
    """How long a run that succeeded took."""
    return (run.end or 0.0) - (run.start or 0.0) if run.outcome.timed else None


def cost(run: RunRecord) -> float | None:
    """What the requests of a run that succeeded cost, by the default prices."""
    if not run.outcome.timed:
        return None
    prices, total = Policy().pricing, 0.0
    for e in run.steps:
        for c in e.containers:
            hourly = prices.cpu_core_hour * (c.cpu_request or 0.0)
            hourly += prices.memory_gib_hour * (c.memory_request or 0.0) / 2.0**30
            total += hourly * ((e.finished or 0.0) - (e.started or 0.0)) / 3600.0
    return total
