"""A user who decides on changes at random, and the final check."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.chaos.loopfaults.bed import ASKED, CONTAINER, Name, Place
from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.kube.errors import KubeError


@dataclass(frozen=True, slots=True)
class Verdict:
    """Final state of a CronJob: its requests, and the changes in effect by their status."""

    name: Name
    requests: Mapping[str, str]
    standing: tuple[str, ...]
    foreign: str = ""

    @property
    def wrong(self) -> str:
        """Violation of "changed if and only if exactly one change is in effect"; empty if there is none."""
        changed = dict(self.requests) != ASKED
        if self.foreign:
            kept = self.requests.get("cpu") == self.foreign
            return "" if kept else f"{self.name}: a person's {self.foreign} became {self.requests}"
        if changed and len(self.standing) != 1:
            return f"{self.name}: asks for {dict(self.requests)}, and {len(self.standing)} changes stand"
        if not changed and self.standing:
            return f"{self.name}: is as before, and {', '.join(self.standing)} stands"
        return ""


def verdicts(where: Place, made: Sequence[Name], foreign: Mapping[Name, str]) -> list[Verdict]:
    """Final states of all created CronJobs."""
    standing: dict[Name, list[str]] = {}
    for change in where.changes():
        target = change.target
        restored = change.status.get("restored") is not None and change.status.get("restored") is not False
        if target is None or change.applied is None or restored or change.phase in FINISHED - {"Completed"}:
            continue
        standing.setdefault((target.namespace or "", target.name), []).append(change.name)
    return [Verdict(name, where.requests(name), tuple(standing.get(name, ())), foreign.get(name, "")) for name in made]


class Person(random.Random):
    """Rejects, deletes and edits changes in verification at random."""

    def __init__(self, seed: int, where: Place) -> None:
        super().__init__(seed)
        self.where = where
        self.done: dict[str, int] = {"rejected": 0, "deleted": 0, "edited": 0, "left": 0}
        self.foreign: dict[Name, str] = {}
        self._judged: set[str] = set()

    def act(self) -> None:
        """Decide on every change that entered verification since the last call. Conflicts are ignored."""
        with suppress(KubeError):
            self._act()

    def _act(self) -> None:
        for change in self.where.changes():
            if change.phase != "Verifying" or change.uid in self._judged or change.target is None:
                continue
            name = (change.target.namespace or "", change.target.name)
            chance = self.random()
            if chance < 0.4:
                self.where.decide(change, "Reject")
                self.done["rejected"] += 1
            elif chance < 0.65:
                self.where.client.delete(change.ref.path, uid=change.uid)
                self.done["deleted"] += 1
            elif chance < 0.8:
                wanted = f"{self.randrange(610, 990)}m"
                edit = [{"op": "replace", "path": f"{CONTAINER}/resources/requests/cpu", "value": wanted}]
                self.where.client.patch(self.where.path(name), edit, kind="json")
                self.foreign[name] = wanted
                self.done["edited"] += 1
            else:
                self.done["left"] += 1
            self._judged.add(change.uid)
