"""A user stops changes: how soon does the operator stop writing?

While many changes are pending, with hanging watches and slow API requests, a user suspends the policy, sets it to
Recommend, or rejects the proposals. After the API server has accepted that, the proxy counts workflow writes by the
time they were started.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.chaos.loopfaults.bed import Place, instance, place, until
from benchmarks.chaos.loopfaults.gate import Fault, Gate, Passing, gate

STOPS = ("suspend", "Recommend", "Reject")
EACH, WORKFLOWS = 3, 6  # rounds per kind, and pending workflows per round
LATE = 1.0  # seconds after which no write may start
PATIENCE = 180.0  # seconds until the first writes of a round
LISTEN = 25.0  # seconds to wait for writes after the stop


def measure(seed: int = 1, each: int = EACH) -> dict[str, Any]:
    """Run the campaign."""
    rounds = each * len(STOPS)
    with place(rounds * WORKFLOWS, rounds) as where, gate(where.cluster) as door:
        return {"stops": _played(where, door, random.Random(seed)), "late_s": LATE, "each": each}


def _played(where: Place, door: Gate, chance: random.Random) -> list[dict[str, Any]]:
    op = instance(where, door, "operator-a")
    spaces: dict[str, list[tuple[str, str]]] = {}
    for name in where.wanted:
        spaces.setdefault(name[0], []).append(name)
    op.start()
    rows = []
    for number, (space, names) in enumerate(spaces.items()):
        row = _stop(where, door, space, names, STOPS[number % len(STOPS)], chance)
        rows.append(row)
        print(f"  {row}", flush=True)
    op.process.stop()
    return rows


def _stop(
    where: Place, door: Gate, space: str, names: Sequence[tuple[str, str]], kind: str, chance: random.Random
) -> dict[str, Any]:  # fmt: skip
    """One round: workflows are created, changes begin, and meanwhile a user stops them."""
    hangs = chance.random() < 0.5
    slow = chance.uniform(0.02, 0.25)

    def rule(passing: Passing) -> Fault | None:
        return None if passing.watch else Fault(delay=slow)

    where.govern(space, apply={"mode": "Approve" if kind == "Reject" else "Auto"})
    for name in names:
        where.make(name)
    started: list[tuple[float, str]] = []

    def seen(passing: Passing) -> None:
        if passing.target and f"/namespaces/{space}/" in passing.path:
            started.append((passing.at, passing.path.rpartition("/")[2]))

    door.seen = seen
    wanted = chance.randrange(1, 4)
    if kind == "Reject":  # all of them wait for a person, who leaves them to the operator and then thinks better of it
        until(lambda: _waiting(where, space) == len(names), PATIENCE, 0.5)
        _patch(where, space, {"apply": {"mode": "Auto"}})
    reached = until(lambda: bool(started), PATIENCE, 0.005)
    door.rule, door.muted = rule, hangs
    reached = reached and until(lambda: len(started) >= wanted, PATIENCE, 0.005)
    time.sleep(chance.uniform(0.0, 0.3))
    stopped = _rejected(where, space) if kind == "Reject" else _ended(where, space, kind, names)
    time.sleep(LISTEN)
    door.rule, door.muted = (lambda _: None), False
    first: dict[str, float] = {}
    for at, written in started:
        first.setdefault(written, at)
    after = [first[name] - at for name, at in stopped.items() if first.get(name, 0.0) > at]
    return {
        "kind": kind,
        "reached": reached,
        "watches_hang": hangs,
        "delay_ms": round(slow * 1000),
        "stopped": len(stopped),
        "before": len(first) - len(after),
        "after": len(after),
        "last_s": round(max(after, default=0.0), 3),
        "late": sum(seconds > LATE for seconds in after),
    }


def _ended(where: Place, space: str, kind: str, names: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Change the policy; the time at which the API server accepted that, per workflow."""
    _patch(where, space, {"suspend": True} if kind == "suspend" else {"apply": {"mode": "Recommend"}})
    now = time.time()
    return {name: now for _, name in names}


def _patch(where: Place, space: str, spec: Mapping[str, Any]) -> None:
    path = f"/apis/concertmaster.dev/v1alpha1/namespaces/{space}/optimizationpolicies/team"
    where.client.patch(path, {"spec": spec})


def _waiting(where: Place, space: str) -> int:
    return sum(c.phase == "Proposed" and c.namespace == space for c in where.changes())


def _rejected(where: Place, space: str) -> dict[str, float]:
    """Reject every pending change; the time at which the API server accepted that, by workflow."""
    done = {}
    for change in where.changes():
        if change.namespace == space and change.phase == "Proposed" and change.target is not None:
            where.decide(change, "Reject")
            done[change.target.name] = time.time()
    return done


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    rows = found["stops"]
    yield f"### Stop: {len(rows)} times"
    yield ""
    yield (
        "| a person says | times | of these with hung watches | writes begun before | begun after, at most"
        " | last one begun after, s | begun later than 1 s |"
    )
    yield "|---|---|---|---|---|---|---|"
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        yield (
            f"| {kind} | {len(mine)} | {sum(row['watches_hang'] for row in mine)} | {sum(row['before'] for row in mine)}"
            f" | {max(row['after'] for row in mine)} | {max(row['last_s'] for row in mine):.2f}"
            f" | {sum(row['late'] for row in mine)} |"
        )
    yield ""
    delay = statistics.median(row["delay_ms"] for row in rows)
    yield f"Each API request took {delay:.0f} ms more in the median."
