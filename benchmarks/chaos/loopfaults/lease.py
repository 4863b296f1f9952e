"""Two operators, one lease: the leader is stopped at random, or its requests are delayed or dropped. Do both ever
write?

The lease lasts a third of the default, with all other times in proportion, so that a hundred faults take minutes. Both
processes share one history, as pods share a volume; a process that loses the lease exits and is restarted, as by a
kubelet.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from benchmarks.chaos.loopfaults import audit
from benchmarks.chaos.loopfaults.bed import HOUR, OPERATORS, Instance, Place, instance, place, until
from benchmarks.chaos.loopfaults.gate import Fault, Gate, Passing, gate
from benchmarks.chaos.loopfaults.person import Person, verdicts

FAULTS, WORKFLOWS, SPACES = 100, 60, 3
MOST = 20 * 60.0  # seconds, after which no further fault starts
LASTS = 10.0  # seconds of a lease


class Faults(random.Random):
    """Faults on the requests of one instance."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.delay, self.drop, self.over = 0.0, False, 0.0

    def begin(self, kind: str) -> float:
        """Start a fault of that kind; returns its duration in seconds."""
        lasting = self.uniform(0.2, 1.5) * LASTS
        self.over = time.monotonic() + lasting
        self.delay = self.uniform(0.1, 0.9) * LASTS if kind == "delay" else 0.0
        self.drop = kind == "drop"
        return lasting

    def rule(self, passing: Passing) -> Fault | None:
        """The rule of the proxy: only affects requests about the lease."""
        if not passing.lease or time.monotonic() >= self.over:
            return None
        return Fault(drop=True) if self.drop else Fault(delay=self.delay) if self.delay else None


def measure(seed: int = 1, faults: int = FAULTS, workflows: int = WORKFLOWS, most: float = MOST) -> dict[str, Any]:
    """Run the campaign."""
    with ExitStack() as stack:
        where = stack.enter_context(place(workflows, SPACES, ahead=HOUR))
        doors = [stack.enter_context(gate(where.cluster)) for _ in OPERATORS]
        return _played(where, doors, seed, faults, most)


def _leader(where: Place, both: Mapping[str, Instance]) -> Instance | None:
    with suppress(Exception):
        path = "/apis/coordination.k8s.io/v1/namespaces/ops/leases/concertmaster"
        return both.get(str(where.client.get(path)["spec"].get("holderIdentity")))
    return None


def _keep_up(both: Mapping[str, Instance], restarts: Counter[str]) -> None:
    for one in both.values():
        if not one.process.running:
            one.start()
            restarts[one.user] += 1


def _played(where: Place, doors: list[Gate], seed: int, faults: int, most: float) -> dict[str, Any]:
    chance, person = random.Random(seed), Person(seed, where)
    both = {user: instance(where, door, user, lease=LASTS) for user, door in zip(OPERATORS, doors, strict=True)}
    all_faults = {user: Faults(seed + n) for n, user in enumerate(OPERATORS)}
    for one, injected in zip(both.values(), all_faults.values(), strict=True):
        one.gate.rule = injected.rule
    for space in sorted({space for space, _ in where.wanted}):
        where.govern(space)
    made: list[tuple[str, str]] = []
    kinds: Counter[str] = Counter()
    restarts: Counter[str] = Counter()
    for one in both.values():
        one.start()
    until(lambda: _leader(where, both), 120.0)
    end = time.monotonic() + most
    number = -1
    while number + 1 < faults and time.monotonic() < end:
        number += 1
        changes = len(where.changes())
        while len(made) < len(where.wanted) and len(made) - changes < 4:
            where.make(where.wanted[len(made)])
            made.append(where.wanted[len(made)])
        _play(where, both, all_faults, chance, kinds, person, number)
        _keep_up(both, restarts)
        if number % 10 == 9:
            print(f"  {number + 1} faults, {len(made)} workflows, restarts {dict(restarts)}", flush=True)
    began = max(one.cycles() for one in both.values())
    until(lambda: max(one.cycles() for one in both.values()) > began + 2, 240.0, 1.0)
    until(lambda: not where.unsettled(), 240.0, 1.0)
    for one in both.values():
        one.process.stop()
    found = audit.writes(where.log)
    two, turns = audit.seconds_with_two(found, OPERATORS)
    return {
        "faults": dict(kinds),
        "writes": dict(audit.tally([w for w in found if w.user in OPERATORS])),
        "changes_of_leader": turns,
        "seconds_with_two": two,
        "lost_phases": audit.wrong_phases(found),
        "violations": [v.wrong for v in verdicts(where, made, person.foreign) if v.wrong],
        "workflows": len(made),
        "restarts": sum(restarts.values()),
        "lasts_s": LASTS,
    }


def _play(
    where: Place, both: Mapping[str, Instance], all_faults: Mapping[str, Faults], chance: random.Random,
    kinds: Counter[str], person: Person, number: int,
) -> None:  # fmt: skip
    """One fault of the leader, from start to end, at a random point of its work."""
    time.sleep(chance.uniform(0.0, 2.0))
    leader = _leader(where, both)
    if leader is None or not leader.process.running:
        until(lambda: _leader(where, both), 30.0)
        leader = _leader(where, both) or next(iter(both.values()))
    kind = ("delay", "drop", "stop")[number % 3]
    kinds[kind] += 1
    lasting = all_faults[leader.user].begin(kind)
    stopped = leader.process.pid if kind == "stop" and leader.process.running else None
    if stopped is not None:
        os.kill(stopped, signal.SIGSTOP)
    end = time.monotonic() + lasting
    while time.monotonic() < end:
        person.act()
        time.sleep(0.3)
    if stopped is not None:
        with suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGCONT)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    faults = ", ".join(f"{count} times {name}" for name, count in found["faults"].items())
    yield f"### One lease, two operators: {sum(found['faults'].values())} faults of the leader"
    yield ""
    yield (
        f"{faults} (delay: its requests about the lease; stop: SIGSTOP), with a lease of {found['lasts_s']:.0f} s and all"
        f" else in proportion. It changed hands {found['changes_of_leader']} times, {found['restarts']} restarts,"
        f" {found['workflows']} workflows; writes by instance {', '.join(str(n) for n in found['writes'].values())}."
    )
    yield ""
    yield "| seconds with two writers | phases lost or reversed | changed iff exactly one change stands: violations |"
    yield "|---|---|---|"
    yield f"| {found['seconds_with_two']} | {len(found['lost_phases'])} | {len(found['violations'])} |"
    for key in ("lost_phases", "violations"):
        yield from (f"- {text}" for text in found[key])
