"""A user stops changes, or no run arrives: how soon does the operator stop writing, and how soon is a change rolled
back?

While many changes are pending, with hanging watches and slow API requests, a user suspends the policy, sets it to
Recommend, or rejects the proposals. After the API server has accepted that, the proxy counts workflow writes by the
time they were started.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.chaos.loopfaults.bed import Place, instance, place, until
from benchmarks.chaos.loopfaults.gate import Fault, Gate, Passing, gate

STOPS = ("suspend", "Recommend", "Reject")
EACH, WORKFLOWS = 6, 6  # rounds per kind, and pending workflows per round
SILENT = {"*/2 * * * *": 120.0, "*/3 * * * *": 180.0, "*/4 * * * *": 240.0}  # schedules whose runs stop
LONGEST_SILENCE = 25 * 60.0  # seconds after the last round
LATE = 1.0  # seconds after which no write may start
PATIENCE = 180.0  # seconds until the first writes of a round
LISTEN = 25.0  # seconds to wait for writes after the stop


def measure(seed: int = 1, each: int = EACH) -> dict[str, Any]:
    """Run the campaign."""
    rounds = each * len(STOPS)
    count = (rounds + 1) * WORKFLOWS
    pace = {rounds + n * (rounds + 1): every for n, every in enumerate(SILENT.values())}
    with place(count, rounds + 1, pace=pace) as where, gate(where.cluster) as door:
        return _played(where, door, random.Random(seed), each)


def _played(where: Place, door: Gate, chance: random.Random, each: int) -> dict[str, Any]:
    op = instance(where, door, "operator-a")
    spaces: dict[str, list[tuple[str, str]]] = {}
    for name in where.wanted:
        spaces.setdefault(name[0], []).append(name)
    *rounds, quiet = spaces
    for n, schedule in enumerate(SILENT):
        where.make(spaces[quiet][n], schedule)
    where.govern(quiet)
    op.start()
    silence = Silence(where, spaces[quiet][: len(SILENT)])
    watcher = threading.Thread(target=silence.watch, daemon=True)
    watcher.start()
    rows = []
    for number, space in enumerate(rounds):
        row = _stop(where, door, space, spaces[space][:WORKFLOWS], STOPS[number % len(STOPS)], chance)
        rows.append(row)
        print(f"  {row}", flush=True)
    door.rule = lambda _: None
    watcher.join(LONGEST_SILENCE)
    op.process.stop()
    return {"stops": rows, "silence": silence.rows(), "late_s": LATE, "each": each}


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


class Silence:
    """CronJobs without runs after their change."""

    def __init__(self, where: Place, names: Sequence[tuple[str, str]]) -> None:
        self._where = where
        self._names = list(names)
        self._applied: dict[str, float] = {}
        self._restored: dict[str, float] = {}

    def watch(self) -> None:
        """Wait until all are rolled back."""
        while len(self._restored) < len(self._names):
            for change in self._where.changes():
                target = change.target
                if target is None or (target.namespace or "", target.name) not in self._names:
                    continue
                if change.applied is not None:
                    self._applied.setdefault(target.name, change.applied)
                if change.restored is not None:
                    self._restored.setdefault(target.name, change.restored)
            time.sleep(1.0)

    def rows(self) -> list[dict[str, Any]]:
        """By schedule: seconds from the change to its rollback, None without a rollback."""
        return [
            {
                "schedule": schedule,
                "seconds": round(self._restored[name] - self._applied[name]) if name in self._restored else None,
            }
            for schedule, (_, name) in zip(SILENT, self._names, strict=True)
        ]


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    rows = found["stops"]
    yield f"### Stop: {len(rows)} times, and silence after a change"
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
    silences = "; ".join(
        f"`{row['schedule']}`: {row['seconds']} s" if row["seconds"] is not None else f"`{row['schedule']}`: not"
        for row in found["silence"]
    )
    delay = statistics.median(row["delay_ms"] for row in rows)
    yield (
        f"Each API request took {delay:.0f} ms more in the median. No run came after a change; rolled back after:"
        f" {silences}."
    )
