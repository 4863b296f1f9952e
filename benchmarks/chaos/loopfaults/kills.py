"""kill -9 at random points, with API errors, lost responses, a full disk and frozen watches: is anything left half
done?

Each kill hits a write of the operator (before forwarding, after completion in the API server, or after the response):
any write, those of changes, those of workflows, or those of rollbacks; or a random time. Meanwhile a user rejects,
deletes and edits changes in verification. At the end every CronJob is checked: it has changed requests if and only if
exactly one change is in effect.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.chaos.loopfaults import audit
from benchmarks.chaos.loopfaults.bed import ASKED, HOUR, Instance, Place, instance, place, until
from benchmarks.chaos.loopfaults.gate import Fault, Gate, Passing, gate
from benchmarks.chaos.loopfaults.person import Person, verdicts
from concertmaster.controller.workflow_change import WorkflowChangeView

KILLS, WORKFLOWS, SPACES = 100, 90, 3
LONGEST = 60.0  # maximum seconds from liveness to the kill if its trigger does not occur
MOST = 25 * 60.0  # seconds, after which no further kill starts
UNLISTED = 10.0  # seconds: longer than a list is retried
PENDING = 6  # minimum number of workflows waiting for a change
INTERVAL = 3.0  # seconds between cycles
MOMENTS = {"before": "before", "done": "before the answer to", "answered": "after"}
AIMS = {"any write": 2, "changes": 4, "workflows": 3, "rollbacks": 3}


class Faults(random.Random):
    """Faults during the lifetime of one operator process, and the time of its kill."""

    def __init__(self, seed: int, to_kill: Instance) -> None:
        super().__init__(seed)
        self.to_kill = to_kill
        self.counts: Counter[str] = Counter()
        self.now = threading.Event()
        self.moments: Counter[str] = Counter()
        self._at = ("time", 0)
        self._aim = "changes"  # which writes are counted
        self._errors, self._lost, self._frozen = 0.0, 0.0, False
        self._unlisted, self._listed_from = False, 0.0
        self._lock = threading.Lock()

    def draw(self) -> dict[str, str]:
        """Draw the faults of the next process; returns additional environment variables."""
        self.now.clear()
        self._aim = self.choices([*AIMS], [*AIMS.values()])[0]
        most = {"workflows": 4, "rollbacks": 2}.get(self._aim, 13)
        self._at = (self.choice(["before", "before", "done", "answered", "time"]), self.randrange(1, most))
        self._errors = self.choice([0.0, 0.0, 0.05, 0.2])
        self._lost = self.choice([0.0, 0.0, 0.05, 0.2])
        self._frozen = self.random() < 0.15
        self._unlisted = self.random() < 0.25
        return {"CHAOS_DISK": "full"} if self.random() < 0.15 else {}

    def calm(self) -> None:
        """End all faults."""
        self._at, self._errors, self._lost, self._frozen = ("time", 0), 0.0, 0.0, False
        self._unlisted, self._listed_from = False, 0.0

    @property
    def by_time(self) -> bool:
        """Whether the kill is triggered by time instead of a write."""
        return self._at[0] == "time"

    def rule(self, passing: Passing) -> Fault | None:
        """The rule of the proxy."""
        if self._frozen and passing.watch and self.random() < 0.5:
            return self._count("frozen watches", Fault(silent=True))
        if self._counts(passing) and self._reached("before", passing):
            return Fault(drop=True)
        if self._counts(passing) and self._reached("done", passing):
            return Fault(lost=True)
        if passing.watch:
            return None
        if passing.lists("cronjobs") and time.monotonic() < self._listed_from:
            return self._count("failed lists", Fault(code=503))
        if self.random() < self._errors:
            return self._count("API errors", Fault(code=self.choice([429, 500, 503, 504])))
        if passing.write and self.random() < self._lost:
            return self._count("lost answers", Fault(lost=True))
        return None

    def done(self, passing: Passing, _: int) -> None:
        """Called after a response. CronJobs may be unlistable from a change of one: the last list is older then."""
        if passing.target and self._unlisted:
            self._listed_from = time.monotonic() + UNLISTED
        if self._counts(passing):
            self._reached("answered", passing)

    def _counts(self, passing: Passing) -> bool:
        match self._aim:
            case "changes":
                return passing.target or passing.change
            case "workflows":
                return passing.target
            case "rollbacks":
                return _what(passing) == "a rollback"
        return passing.write

    def _count(self, what: str, fault: Fault) -> Fault:
        self.counts[what] += 1
        return fault

    def _reached(self, moment: str, passing: Passing) -> bool:
        with self._lock:
            if self._at[0] != moment:
                return False
            left = self._at[1] - 1
            self._at = (moment, left)
            if left > 0:
                return False
            self._at = ("time", 0)
        self.moments[f"{MOMENTS[moment]} {_what(passing)}"] += 1
        if moment != "done":
            self.to_kill.kill()
        self.now.set()
        return True


def _what(passing: Passing) -> str:
    """The type of a write."""
    if passing.target:
        operations = json.loads(passing.body)
        back = [op["value"] for op in operations if op.get("op") == "replace"]
        return "a rollback" if back and set(back) <= set(ASKED.values()) else "a change of a workflow"
    return "a write of a WorkflowChange" if passing.change else "another write"


def measure(seed: int = 1, kills: int = KILLS, workflows: int = WORKFLOWS, most: float = MOST) -> dict[str, Any]:
    """Run the campaign."""
    with place(workflows, SPACES, ahead=HOUR) as where, gate(where.cluster) as door:
        return _played(where, door, seed, kills, most)


def _played(where: Place, door: Gate, seed: int, kills: int, most: float) -> dict[str, Any]:
    op = instance(where, door, "operator-a", interval=INTERVAL)
    faults, person = Faults(seed, op), Person(seed, where)
    door.rule, door.done = faults.rule, faults.done
    for space in sorted({space for space, _ in where.wanted}):
        where.govern(space)
    made: list[tuple[str, str]] = []
    end_of_all = time.monotonic() + most
    number = -1
    while number + 1 < kills and time.monotonic() < end_of_all:
        number += 1
        _supply(where, made, len(where.changes()) + person.done["deleted"])
        environment = faults.draw()
        faults.counts["full disks"] += bool(environment)
        op.start(**environment)
        timed = faults.by_time
        if not timed:  # a busy machine starts slowly: wait for liveness before the kill
            until(lambda: op.ready() or faults.now.is_set() or not op.process.running, 60.0)
        limit = faults.uniform(1.0, 10.0) if timed else LONGEST
        end = time.monotonic() + limit
        while time.monotonic() < end and op.process.running and not faults.now.is_set():
            person.act()
            time.sleep(0.2)
        if not faults.now.is_set():
            faults.moments["at a random time"] += 1
        op.kill()
        if number % 10 == 9:
            print(
                f"  {number + 1} kills, {len(made)} workflows, {dict(person.done)}, {dict(faults.counts)}", flush=True
            )
    faults.calm()
    op.start()
    began = op.cycles()
    until(lambda: op.cycles() >= began + 2, 240.0, 1.0)
    until(lambda: not where.unsettled(), 240.0, 1.0)
    began = op.cycles()
    until(lambda: op.cycles() >= began + 2, 120.0, 1.0)
    op.process.stop()
    found = audit.writes(where.log)
    judged = [v for v in verdicts(where, made, person.foreign) if v.wrong]
    for verdict in judged:
        print("\n".join([verdict.wrong, *audit.trail(found, verdict.name)]), flush=True)
    left = [str(c.ref) for c in where.unsettled()]
    return {
        "kills": number + 1,
        "moments": dict(faults.moments.most_common()),
        "workflows": len(made),
        "changes": len(where.changes()) + person.done["deleted"],
        "person": dict(person.done),
        "faults": dict(faults.counts),
        "target_writes": _target_writes(found),
        "violations": [v.wrong for v in judged],
        "twice": _twice(found),
        "unannounced": _unannounced(found),
        "lost_phases": audit.wrong_phases(found),
        "unsettled": left,
    }


def _supply(where: Place, made: list[tuple[str, str]], changes: int) -> None:
    """Create enough workflows for the operator to change."""
    while len(made) < len(where.wanted) and len(made) - changes < PENDING:
        where.make(where.wanted[len(made)])
        made.append(where.wanted[len(made)])


def _target_writes(found: list[audit.Write]) -> int:
    return sum(w.resource == "cronjobs" and w.user in ("operator-a",) for w in found)


def _twice(found: list[audit.Write]) -> list[str]:
    """CronJobs to which the operator wrote the same values twice without other values in between."""
    last: dict[tuple[str, str], Any] = {}
    wrong = []
    for write in found:
        if write.resource != "cronjobs" or write.verb == "create":
            continue
        spec = write.after["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        requests = spec["containers"][0]["resources"]["requests"]
        if write.user == "operator-a" and last.get(write.key) == requests:
            wrong.append(f"{write.key}: {requests} twice")
        last[write.key] = requests
    return wrong


def _unannounced(found: list[audit.Write]) -> list[str]:
    """Writes of CronJobs by the operator without a preceding WorkflowChange."""
    announced: set[tuple[str, str]] = set()
    wrong = []
    for write in found:
        if write.resource == "workflowchanges/status":
            change = WorkflowChangeView(write.after)
            if change.target is not None and change.phase == "Applied":
                announced.add((change.target.namespace or "", change.target.name))
        elif write.resource == "cronjobs" and write.user == "operator-a" and write.key not in announced:
            wrong.append(f"{write.key}: written before a WorkflowChange said so")
    return wrong


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    person, faults = found["person"], found["faults"]
    yield f"### {found['kills']} kills -9 at random points"
    yield ""
    at = ", ".join(f"{count} {name}" for name, count in found["moments"].items())
    yield (
        f"{at[0].upper()}{at[1:]}. Beside them {', '.join(f'{count} {name}' for name, count in faults.items())}."
        f" {found['workflows']} workflows with {found['changes']} changes, of which a person rejected {person['rejected']},"
        f" deleted {person['deleted']} and overwrote {person['edited']}; {found['target_writes']} writes of CronJobs in the"
        " API server's audit log."
    )
    yield ""
    yield (
        "| changed iff exactly one change stands: violations | same values written twice | written unannounced"
        " | phases lost or reversed | unsettled at the end |"
    )
    yield "|---|---|---|---|---|"
    keys = ("violations", "twice", "unannounced", "lost_phases", "unsettled")
    counts = (str(len(found[key])) if key in found else "not measured" for key in keys)
    yield f"| {' | '.join(counts)} |"
    for key in keys:
        yield from (f"- {text}" for text in found.get(key, ()))
