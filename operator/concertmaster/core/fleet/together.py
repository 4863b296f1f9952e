"""What recommendations of one workflow gain together: time and failures are gained once, however many of them speak of it.

Those about one step share its time: the largest counts. Those about the run as a whole (all waiting, all startup) contain
those about single steps of the same kind: what they gain beyond these counts. Waiting for nodes, for a limit, for a lock
and for other workflows is one time: a pod waits once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from concertmaster.core.model import Impact, Interval

_WAITING, _STARTUP, _SUSPENDED, _RUN = "waiting", "startup", "suspended", "run"
# What a recommendation about the run as a whole gains, by id; the others are about all of the run.
_WHOLES = {
    "parallelism": _WAITING,
    "queue-time": _WAITING,
    "queue-time.lock": _WAITING,
    "queue-time.start": _STARTUP,
    "queue-time.suspended": _SUSPENDED,  # before the run: no step's time
    "schedule-clash": _WAITING,
}
# What recommendations of a rule about one step gain, where that is not the step's work.
_PARTS = {"batch-small-steps": _STARTUP, "parallelism": _WAITING}


def contributions(gains: Iterable[tuple[str, float]]) -> list[float]:
    """What each of the ids (as ``cpu-request.train``) with such a gain adds to the others, in any unit: one positive number
    for each step and each kind of the run's own time."""
    steps: dict[str, float] = defaultdict(float)
    wholes: dict[str, float] = defaultdict(float)
    parts: dict[tuple[str, str], float] = defaultdict(float)
    known = [(i, gain) for i, gain in gains if gain > 0]
    places = {i: i.partition(".")[2] for i, _ in known if i not in _WHOLES}
    for identifier, gain in known:
        place = places.get(identifier, "")
        if not place:
            kind = _WHOLES.get(identifier, _RUN)
            wholes[kind] = max(wholes[kind], gain)
            continue
        root = min((p for p in places.values() if p and f"{place}.".startswith(f"{p}.")), key=len)
        steps[root] = max(steps[root], gain)
        for kind in (_RUN, *([_PARTS[rule]] if (rule := identifier.partition(".")[0]) in _PARTS else ())):
            parts[kind, root] = max(parts[kind, root], gain)
    beyond = [gain - sum(v for (of, _), v in parts.items() if of == kind) for kind, gain in wholes.items()]
    return [gain for gain in (*steps.values(), *beyond) if gain > 0]


def together(items: Iterable[tuple[str, Impact]]) -> Impact:
    """The likely amounts of one workflow's recommendations (id and impact); no interval, since they are not independent.
    Money adds up: no two recommendations save the same request."""
    rows = list(items)

    def total(amounts: Iterable[tuple[str, Interval | None]], *, apart: bool = False) -> Interval | None:
        likely = [(i, a.likely) for i, a in amounts if a is not None and a.likely > 0]
        found = sum(v for _, v in likely) if apart else sum(contributions(likely))
        return Interval(found, found, found) if likely else None

    return Impact(
        total((i, impact.run_minutes) for i, impact in rows),
        total((i, impact.failed_runs) for i, impact in rows),
        total(((i, impact.money) for i, impact in rows), apart=True),
    )
