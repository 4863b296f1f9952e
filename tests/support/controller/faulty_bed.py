"""Changes under random faults: requests that are lost, answered with errors or stored late, a full disk, processes that are
killed at any of them, watches that lack a profile, and a person who decides, deletes and edits meanwhile.

A write whose request was cut off may be stored up to ``LATEST`` seconds later, as a real API server may.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.history import HistoryFull
from concertmaster.kube import errors
from concertmaster.kube.objects import PROFILES
from tests.support.controller.changes_bed import CHANGES, CPU, Bed, Died, Memory, Mortal, Pages
from tests.support.resources import CRONJOB

LATEST = 60.0
ASKED, PLANNED = "2", "1500m"


class FaultyMemory(Memory):
    """An API server behind a bad connection."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(Mortal())
        self.chance = chance
        self.faulty = 0.0  # share of requests with a fault
        self.now: Callable[[], float] = lambda: 0.0
        self.late: list[tuple[float, Callable[[], Any]]] = []  # until when, and the write
        self._passing = False

    def deliver(self, until: float) -> None:
        """Store the late writes that are due, and perhaps others."""
        for due, write in list(self.late):
            if due <= until or self.chance.random() < 0.05:
                self.late.remove((due, write))
                self._pass(write)

    def _pass(self, write: Callable[[], Any]) -> None:
        self._passing = True
        try:
            write()
        except errors.KubeError:
            pass
        finally:
            self._passing = False

    def request(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        def send() -> dict[str, Any]:
            return Memory.request(self, method, path, **kwargs)

        dry = "dryRun" in (kwargs.get("query") or {})
        if self._passing or "selfsubjectaccess" in path or "/events" in path:
            return send()
        self.deliver(self.now())
        if self.chance.random() >= self.faulty:
            return send()
        if method == "GET" or dry:
            raise errors.Busy("try again", status=503)
        match self.chance.choice(["busy", "drop", "lost", "late", "die before", "die after", "die late"]):
            case "busy":
                raise errors.Busy("try again", status=503)
            case "lost":
                send()
            case "die before":
                raise Died
            case "die after":
                send()
                raise Died
            case "late":
                self.late.append((self.now() + LATEST * self.chance.random(), send))
            case "die late":
                self.late.append((self.now() + LATEST * self.chance.random(), send))
                raise Died
        raise errors.Unreachable("reset")


class FaultyPages(Pages):
    """A journal on a disk that is full now and then, and a process that ends in the middle of it."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(Mortal())
        self.chance = chance
        self.faulty = self.crowded = 0.0

    def write_journal(self, key: str, body: str, at: float) -> None:
        if self.chance.random() < self.crowded:
            raise HistoryFull("no space left on device")
        self._perhaps_dies()
        super().write_journal(key, body, at)
        self._perhaps_dies()

    def drop_journal(self, key: str) -> None:
        if self.chance.random() < self.crowded:
            raise HistoryFull("no space left on device")
        self._perhaps_dies()
        super().drop_journal(key)
        self._perhaps_dies()

    def _perhaps_dies(self) -> None:
        if self.chance.random() < self.faulty:
            raise Died


class FaultyBed(Bed):
    """A bed whose every step may fail, by the chance of ``seed``."""

    def __init__(self, seed: int, **apply: Any) -> None:
        self.chance = random.Random(seed)
        self.foreign: str | None = None
        self.said: list[str] = []  # for whoever investigates
        self._judged: set[str] = set()
        super().__init__(cooldown="0s", **apply)
        faulty, rows = FaultyMemory(self.chance), self.client
        faulty.objects, faulty._uid, faulty.allows = rows.objects, rows._uid, rows.allows  # type: ignore[method-assign]
        faulty.now = lambda: self.now
        self.memory = self.client = faulty
        self.disk = self.pages = FaultyPages(self.chance)
        self.start()

    def play(self, cycles: int) -> None:
        """Cycles with faults, and processes that end in them."""
        for _ in range(cycles):
            self.memory.faulty = self.chance.choice([0.0, 0.05, 0.2])
            self.disk.faulty, self.disk.crowded = self.chance.choice([0.0, 0.03]), self.chance.choice([0.0, 0.0, 0.5])
            unlisted = self.chance.random() < 0.2
            self.client.lists = {CRONJOB.path(): errors.Unreachable("reset")} if unlisted else {}
            self._step(self.chance.uniform(1.0, 40.0))
            self._person()

    def calm(self) -> None:
        """Cycles without faults, until nothing is left to do."""
        self.memory.faulty = self.disk.faulty = self.disk.crowded = 0.0
        self.client.lists = {}
        self.start()
        for _ in range(8):
            self._step(60.0)

    def _step(self, seconds: float) -> None:
        self.memory.deliver(self.now + seconds)
        profile = self.client.objects[PROFILES.path("demo", "etl")]
        hidden = self.memory.faulty and self.chance.random() < 0.1
        try:
            self.run(seconds, unseen=[profile["metadata"]["uid"]] if hidden else [])
        except Died:
            self.said.append(f"{self.now:.0f}: killed")
            self.start()
        except errors.KubeError:
            pass  # of the namespaces: the cycle decided nothing
        self.said.append(
            f"{self.now:.0f}: {self.cpu()} {[(c.name[-6:], c.phase, c.decision) for c in self.all()]} {self.problems}"
        )

    def _person(self) -> None:
        for change in self.all():
            if change.phase not in ("Applied", "Verifying") or change.uid in self._judged:
                continue
            if change.phase == "Applied" and self.chance.random() < 0.8:
                continue
            self._judged.add(change.uid)
            chance = self.chance.random()
            if chance < 0.3:
                self.decide("Reject", change.name)
            elif chance < 0.6:
                self.delete(CHANGES, change.name)
                self.said.append(f"{self.now:.0f}: deleted {change.name[-6:]} in {change.phase}")
            elif chance < 0.7:
                self.foreign = "700m"
                self.edit(CPU, self.foreign)

    def wrong(self) -> str:
        """What contradicts "changed if and only if exactly one change stands"; empty for nothing."""
        standing = [c for c in self.all() if _stands(c)]
        cpu = str(self.cpu())
        if self.foreign is not None:
            return "" if cpu == self.foreign else f"a person's {self.foreign} became {cpu}"
        if cpu == PLANNED and len(standing) == 1:
            return ""
        return "" if cpu == ASKED and not standing else f"{cpu}, and {len(standing)} changes stand"


def _stands(change: WorkflowChangeView) -> bool:
    if change.applied is None or change.status.get("restored"):
        return False
    return change.phase not in FINISHED - {"Completed"}
