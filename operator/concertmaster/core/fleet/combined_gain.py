"""Combined gain of the recommendations of one workflow: overlapping time and failures are counted once.

Recommendations for one step share its time: the largest counts. Those for the whole run (all waiting, all start-up) include
those for single steps of the same kind: only the excess counts; those for all of its time include its waiting and start-up
as well. Waiting for nodes, limits, locks and other workflows is the same time: a pod waits only once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from concertmaster.core.model import Impact, Interval
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.recommendations import rule_of

_WAITING, _STARTUP, _SUSPENDED, _RUN = "waiting", "startup", "suspended", "run"
# Part of the run's time gained by recommendations for the whole run, by id; others apply to all of the run.
_WHOLES = {
    RuleName.PARALLELISM: _WAITING,
    RuleName.QUEUE_TIME: _WAITING,
    f"{RuleName.QUEUE_TIME}.lock": _WAITING,
    f"{RuleName.QUEUE_TIME}.start": _STARTUP,
    f"{RuleName.QUEUE_TIME}.suspended": _SUSPENDED,  # before the run, so no step's time
    RuleName.SCHEDULE_CLASH: _WAITING,
}
# Part gained by a rule's recommendations for one step, if it is not the step's work.
_PARTS: dict[str, str] = {RuleName.BATCH_SMALL_STEPS: _STARTUP, RuleName.PARALLELISM: _WAITING}


def precedes(identifier: str) -> bool:
    """Whether the time that a recommendation gains precedes the run, and is no part of its makespan."""
    return _WHOLES.get(identifier) == _SUSPENDED


def contributions(gains: Iterable[tuple[str, float]]) -> list[float]:
    """Contribution of each recommendation, given (id, gain) pairs with ids like ``cpu-request.train``, in the unit of the
    gain: one positive number per step and per kind of the run's own time."""
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
        for kind in (_RUN, *([_PARTS[rule]] if (rule := rule_of(identifier)) in _PARTS else ())):
            parts[kind, root] = max(parts[kind, root], gain)
    beyond = {kind: gain - sum(v for (of, _), v in parts.items() if of == kind) for kind, gain in wholes.items()}
    if _RUN in beyond:  # whatever made the run longer may have made it wait
        beyond[_RUN] -= sum(max(0.0, beyond.get(kind, 0.0)) for kind in (_WAITING, _STARTUP))
    return [gain for gain in (*steps.values(), *beyond.values()) if gain > 0]


def combined_gain(items: Iterable[tuple[str, Impact]]) -> Impact:
    """Combined likely amounts of one workflow's recommendations (id and impact); no interval, since they are not
    independent. Money adds up: no two recommendations save the same request."""
    rows = list(items)

    def total(amounts: Iterable[tuple[str, Interval | None]], *, apart: bool = False) -> Interval | None:
        likely = [(i, a.likely) for i, a in amounts if a is not None and a.likely > 0]
        combined = sum(v for _, v in likely) if apart else sum(contributions(likely))
        return Interval(combined, combined, combined) if likely else None

    return Impact(
        total((i, impact.run_minutes) for i, impact in rows),
        total((i, impact.failed_runs) for i, impact in rows),
        total(((i, impact.money) for i, impact in rows), apart=True),
    )
