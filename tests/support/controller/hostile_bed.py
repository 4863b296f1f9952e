"""Changes among other writers: random sequences of what people and controllers do while the operator is killed at any
request and at any row of its journal, which is in a real database.

GitOps reverts at once or an hour later, people edit the same fields and others, autoscalers write, policies are switched,
bounded, deleted and outdone by a second one, changes are decided about and deleted, profiles and the target deleted and made
anew, runs are lost, clocks jump, and admission freezes the namespace. ``wrong`` collects what the stage must never do.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.reconcile import FINISHED, IN_FLIGHT
from concertmaster.core.model import Edit
from concertmaster.core.model.amounts import quantity
from concertmaster.history import HistoryFull
from concertmaster.history.database import Database
from concertmaster.kube import errors
from concertmaster.kube.objects import POLICIES, PROFILES
from tests.support.controller.changes_bed import CPU, MEMORY, Bed, Died, Pages, cheaper
from tests.support.controller.faulty_bed import FaultyMemory
from tests.support.core.change_samples import recommended
from tests.support.resources import CRONJOB

TARGET, TEAM, SECOND = CRONJOB.path("demo", "etl"), POLICIES.path("demo", "team"), POLICIES.path("demo", "zz")
HOUR = 3600.0
FIELDS = (CPU, MEMORY)
EVENTS = (
    "edit", "edit", "edit beside", "status", "autoscale", "decide", "decide", "delete change", "policy", "policy",
    "recreate", "profile", "second profile", "lose runs", "git later", "git at once", "freeze",
)  # fmt: skip
WORKFLOW = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}}


class HostileMemory(FaultyMemory):
    """An API server that tells the bed what is sent and stored, and lets others write in between."""

    def __init__(self, chance: random.Random, bed: HostileBed) -> None:
        super().__init__(chance)
        self.bed = bed
        self.deadly = self.meddling = 0.0  # shares of requests
        self.frozen = self.undoing = False

    def items(self, path: str, **options: Any) -> Any:
        self._perhaps_dies()
        return super().items(path, **options)

    def request(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        if not self._passing:
            self._perhaps_dies()
            if method == "PATCH" and path == TARGET:
                self._admit("dryRun" in kwargs["query"], kwargs["body"])
            elif method == "GET" and self.chance.random() < self.meddling:
                self.bed.somebody()
        answer = super().request(method, path, **kwargs)
        self._perhaps_dies(5.0 if method == "PATCH" and path == TARGET else 1.0)
        return answer

    def _admit(self, dry: bool, body: Any) -> None:
        if self.frozen:
            raise errors.Denied('admission webhook "freeze" denied the request: not now', status=403)
        if not dry:
            self.bed.sent(body)

    def _perhaps_dies(self, times: float = 1.0) -> None:
        if not self._passing and self.chance.random() < times * self.deadly:
            raise Died

    def _patch(self, obj: dict[str, Any], body: Any) -> dict[str, Any]:
        before = copy.deepcopy(obj)
        answer = super()._patch(obj, body)
        if obj["kind"] == "CronJob":
            self.bed.stored(before, obj)
            if self.undoing:
                self.bed.revert()
        return answer


class Disk(Pages):
    """A journal in SQLite, on a disk that is full now and then, in a process that may end at each row."""

    def __init__(self, chance: random.Random) -> None:
        self.database = Database(":memory:")
        self.chance = chance
        self.faulty = self.crowded = 0.0

    def write_journal(self, key: str, body: str, at: float) -> None:
        self._step()
        self.database.write_journal(key, body, at)
        self._perhaps_dies()

    def drop_journal(self, key: str) -> None:
        self._step()
        self.database.drop_journal(key)
        self._perhaps_dies()

    def prune_journal(self, prefix: str, before: float) -> None:
        self._step()
        self.database.prune_journal(prefix, before)

    def journal(self, prefix: str = "") -> dict[str, str]:
        return self.database.journal(prefix)

    def _step(self) -> None:
        if self.chance.random() < self.crowded:
            raise HistoryFull("no space left on device")
        self._perhaps_dies()

    def _perhaps_dies(self) -> None:
        if self.chance.random() < self.faulty:
            raise Died


class HostileBed(Bed):
    """A bed whose sequence of events follows from ``seed``."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.elapsed = 0.0  # the monotonic clock
        self.said: list[str] = []  # for whoever investigates
        self.wrong: list[str] = []
        self.foreign = {CPU: "2", MEMORY: "1Gi"}  # what others set last
        self.own: dict[str, list[tuple[Any, Any]]] = {f: [] for f in FIELDS}  # the operator's: value and the one before
        self.undone: dict[str, float] = {}  # when others undid it
        self.untraced = False  # changes were deleted: nothing may tell why a value is as it is
        self.git_due: float | None = None
        self.kept: set[str] = set()  # uids
        super().__init__(cooldown="0s")
        memory, rows = HostileMemory(self.chance, self), self.client
        memory.objects, memory._uid, memory.allows = rows.objects, rows._uid, rows.allows  # type: ignore[method-assign]
        memory.now = lambda: self.elapsed
        self.memory = self.client = memory
        self.disk = self.pages = Disk(self.chance)
        self.git = copy.deepcopy(self.target["spec"])
        self.events_of_seed = EVENTS if seed % 3 == 0 else self.chance.sample(EVENTS, 3)
        self.slow_below = self.chance.choice([0.5, 1.2, 1.45, 1.6])  # cores
        self.start()

    def clock(self) -> float:
        return self.elapsed

    # --- what the operator may do

    def sent(self, body: Any) -> None:
        """A write of the target is sent."""
        policies = [self.client.objects[p]["spec"] for p in (TEAM, SECOND) if p in self.client.objects]
        profiles = [p for p in (PROFILES.path("demo", n) for n in ("etl", "etl2")) if p in self.client.objects]
        rank = max((p.get("priority", 0) for p in policies), default=0)
        policy = next((p for p in policies if p.get("priority", 0) == rank), None)
        if policy is None or policy.get("suspend") or policy["apply"]["mode"] == "Recommend" or not profiles:
            self._wrong("a write that no policy allows")
            return
        low = policy["apply"].get("bounds", {}).get("cpu", {}).get("min", "1m")
        if (quantity(written(body).get(CPU, low)) or 0.0) < (quantity(low) or 0.0):
            self._wrong("a value outside the bounds")

    def stored(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A write of the operator is stored."""
        for field in FIELDS:
            old, new = (jsonpatch.find(obj, field)[1] for obj in (before, after))
            last = self.own[field][-1] if self.own[field] else None
            if old == new:
                continue
            self._say(f"{field[-6:]} {old} -> {new}")
            if last == (old, new):
                self.own[field].pop()  # rolled back
                continue
            if last is not None and not self._left(field, last[0]):
                self._wrong("a second change of a field")
            if last is None and old != self.foreign[field]:
                self._wrong("a value that nobody set is replaced")
            if self.now - self.undone.get(field, -1e12) < 29 * 24 * HOUR and not self._approved(field, new):
                self._wrong("what somebody undid is written again, unasked")
            self.own[field].append((new, old))

    def _left(self, field: str, value: Any) -> bool:
        """Whether a change that set the field has ended, or is left to a person."""
        found = [c for c in self.all() if written(c.operations("patch") or ()).get(field) == value]
        return self.untraced or any(c.phase == "Completed" or c.is_(C.ORPHANED) for c in found)

    def _is_kept(self, field: str, value: Any) -> bool:
        """Whether the newest change that set the field was kept."""
        found = [c for c in self.all() if field in written(c.operations("patch") or ()) and c.applied is not None]
        newest = max(found, key=lambda c: int(c.uid.removeprefix("uid-")), default=None)
        return newest is not None and newest.uid in self.kept and not self.untraced

    def _approved(self, field: str, value: Any) -> bool:
        found = [c for c in self.all() if written(c.operations("patch") or ()).get(field) == value]
        return any(c.decision == "Approve" for c in found)

    def ended(self) -> None:
        """What must hold when nothing is left to do."""
        for change in self.all():
            reasons = [c.get("message") for c in change.status.get("conditions") or ()]
            if not (change.phase in FINISHED or change.is_(C.ORPHANED)) or not all(reasons) or not reasons:
                self._wrong(f"{change.name} ends in {change.phase!r}")
        for field in FIELDS:
            value = jsonpatch.find(self.target, field)[1]
            made = [c for c in self.all() if written(c.operations("patch") or ()).get(field) == value]
            stands = any(c.applied is not None and c.restored is None and c.phase == "Completed" for c in made)
            if self.own[field] and not stands and not self._left(field, value):
                self._wrong(f"no change says why {field[-6:]} is {value}")
            if not self.own[field] and value != self.foreign[field]:
                self._wrong(f"{field[-6:]} is {value}, and was {self.foreign[field]}")
        begun = {key.removeprefix("change/") for key in self.disk.journal("change/")}
        if begun - {c.uid for c in self.all() if c.phase in IN_FLIGHT}:
            self._wrong("the journal keeps what has ended")

    def _kept(self, alone: bool) -> None:
        """What is called kept in a cycle in which nobody else wrote must be there."""
        kept = {
            c.uid: c for c in self.all() if c.condition(C.RESTORED).get("reason") == "Kept" and c.applied is not None
        }
        for uid in kept.keys() - self.kept if alone else ():
            if not all(self.own[field] for field in written(kept[uid].operations("patch") or ())):
                self._wrong("a change that somebody undid is called kept")
        self.kept = set(kept)

    def _say(self, text: str) -> None:
        self.said.append(f"{self.elapsed:.0f}/{self.now:.0f}: {text}")

    def _wrong(self, text: str) -> None:
        self._say(f"WRONG {text}")
        self.wrong.append(text)

    # --- everybody else

    def _bump(self, obj: dict[str, Any], generations: int = 1) -> None:
        self.client._uid += 1
        obj["metadata"]["resourceVersion"] = str(self.client._uid)
        obj["metadata"]["generation"] += generations

    def _set(self, field: str, value: str) -> None:
        old = jsonpatch.find(self.target, field)[1]
        if old == value:
            return
        self._say(f"somebody: {field[-6:]} {old} -> {value}")
        changed = jsonpatch.apply(self.target, [{"op": "add", "path": field, "value": value}])
        self.target.update(changed)
        self._bump(self.target)
        ours = self.own[field] and self.own[field][-1][0] == old
        if ours and (not self._left(field, old) or self._is_kept(field, old)):
            self.undone[field] = self.now
        self.own[field], self.foreign[field] = [], value

    def revert(self) -> None:
        """GitOps restores what is in Git."""
        for field in FIELDS if TARGET in self.client.objects else ():
            self._set(field, jsonpatch.find({"spec": self.git}, field)[1])

    def _anew(self, spec: dict[str, Any]) -> None:
        self.client.put(CRONJOB, "demo", "etl", spec=copy.deepcopy(spec))
        self.foreign = {f: jsonpatch.find(self.target, f)[1] for f in FIELDS}
        self.own, self.undone = {f: [] for f in FIELDS}, {}

    def _policy(self) -> None:
        how = self.chance.choice(["Auto", "Auto", "Approve", "Recommend", "suspend", "delete", "bounds", "second"])
        more: dict[str, Any] = {"cooldown": "0s", "maxInFlight": self.chance.choice([1, 3])}
        if how == "delete":
            self.client.objects.pop(TEAM, None)
        elif how == "second":
            apply = {"mode": self.chance.choice(["Auto", "Recommend"]), **more}
            if self.client.objects.pop(SECOND, None) is None:
                self.client.put(POLICIES, "demo", "zz", spec={"priority": 10, "apply": apply})
        else:
            low = self.chance.choice(["100m", "1800m"])
            more |= {"bounds": {"cpu": {"min": low, "max": "8"}}} if how == "bounds" else {}
            mode = how if how in ("Approve", "Recommend") else "Auto"
            self.policy(how == "suspend", mode=mode, **more)
            self._bump(self.client.objects[TEAM])

    def somebody(self) -> None:
        """One event, of those that this seed has."""
        what = self.chance.choice(self.events_of_seed)
        self._say(what)
        if TARGET in self.client.objects:
            self._at_target(what)
        elif what == "recreate":
            self._anew(self.git)
        if what == "policy":
            self._policy()
        elif what in ("profile", "second profile") and self.chance.random() < 0.3:
            name = "etl" if what == "profile" else "etl2"
            if self.client.objects.pop(PROFILES.path("demo", name), None) is None:
                self.client.put(PROFILES, "demo", name, spec=WORKFLOW)
            self.undone = {}
        elif what == "git later":
            self.git_due = self.elapsed + HOUR
        elif what == "git at once":
            self.memory.undoing = not self.memory.undoing
        elif what == "freeze":
            self.memory.frozen = not self.memory.frozen
        elif what in ("decide", "delete change") and self.all():
            change = self.chance.choice(self.all())
            if what == "delete change":
                self.client.objects.pop(change.ref.path)
                self.untraced, self.undone = True, {}  # also what people were against is read from changes
            elif change.decision is None and change.phase not in FINISHED:
                self.decide(self.chance.choice(["Approve", "Approve", "Reject"]), change.name)
                self._bump(self.client.objects[change.ref.path])

    def _at_target(self, what: str) -> None:
        spec, job = self.target["spec"], self.target["spec"]["jobTemplate"]["spec"]
        if what == "edit":
            self._set(*self.chance.choice([(CPU, "2"), (CPU, "3"), (CPU, "1900m"), (MEMORY, "1Gi"), (MEMORY, "2Gi")]))
        elif what == "edit beside":
            spec["suspend"] = not spec.get("suspend", False)
            self._bump(self.target)
        elif what == "status":
            self._bump(self.target, 0)
        elif what == "autoscale":
            job["parallelism"] = self.chance.choice([1, 2, 3])
            self._bump(self.target)
        elif what == "recreate":
            old = self.client.objects.pop(TARGET)["spec"]
            if self.chance.random() < 0.7:
                self._anew(self.chance.choice([old, self.git]))
        elif what == "lose runs":
            self.history.runs_of["etl"] = []
            self.runs(30)

    # --- cycles

    def play(self, cycles: int) -> None:
        """Cycles with faults and events, and processes that end in them."""
        for _ in range(cycles):
            choice = self.chance.choice
            self.memory.faulty, self.memory.deadly = choice([0.0, 0.0, 0.05, 0.2]), choice([0.0, 0.0, 0.05])
            self.memory.meddling = choice([0.0, 0.0, 0.05])
            self.disk.faulty, self.disk.crowded = choice([0.0, 0.03]), choice([0.0, 0.0, 0.0, 0.5])
            self.client.lists = {CRONJOB.path(): errors.Unreachable("reset")} if self.chance.random() < 0.1 else {}
            if self.chance.random() < 0.9:
                self._analyse()
            if self.chance.random() < 0.05:
                self.now += choice([-2 * HOUR, -60.0, HOUR, 24 * HOUR])
            if self.chance.random() < 0.3:
                self._hours(choice([1, 3, 8]))
            self._cycle(self.chance.uniform(1.0, 60.0))
            for _ in range(choice([0, 0, 1, 1, 2])):
                self.somebody()

    def calm(self) -> None:
        """Cycles without faults, events or recommendations, until nothing is left to do."""
        self.memory.faulty = self.memory.deadly = self.memory.meddling = self.disk.faulty = self.disk.crowded = 0.0
        self.memory.frozen, self.memory.undoing, self.git_due, self.client.lists = False, False, None, {}
        self.client.objects.pop(SECOND, None)
        if TARGET not in self.client.objects:
            self._anew(self.git)
        if PROFILES.path("demo", "etl") not in self.client.objects:
            self.client.put(PROFILES, "demo", "etl", spec=WORKFLOW)
        self.policy(mode="Auto", cooldown="0s")
        self.items = []
        self.start()
        for _ in range(20):
            self._hours(12)
            self._cycle(60.0)

    def _hours(self, count: int) -> None:
        self.now, self.elapsed = self.now + count * HOUR, self.elapsed + count * HOUR
        if TARGET in self.client.objects:
            slow = (quantity(self.cpu()) or 0.0) < self.slow_below
            self.runs(count, 1500.0 if slow else 600.0, seed=self.chance.randrange(1000))

    def _analyse(self) -> None:
        """Recommend a quarter less than there is, unless that is little."""
        if TARGET not in self.client.objects:
            return
        cpu, memory = (jsonpatch.find(self.target, f)[1] for f in FIELDS)
        cores, size = quantity(cpu) or 0.0, quantity(memory) or 0.0
        less = Edit(MEMORY, memory, f"{round(size * 0.75 / 2**20)}Mi")
        items = [recommended(less, id="memory-request.job", rule="memory-request", step="job")] if size > 2**29 else []
        self.items = [cheaper(cpu, f"{round(cores * 750)}m"), *items] if cores > 1.0 else items

    def _cycle(self, seconds: float) -> None:
        self.elapsed += seconds
        alone = not self.memory.late  # what was judged before somebody wrote may be stored after that
        self.memory.deliver(self.elapsed)
        if self.git_due is not None and self.git_due <= self.elapsed:
            self.git_due = None
            self.revert()
        reverts = False
        try:
            self.run(seconds)
        except Died:
            self._say("killed")
            self.start()
            reverts = self.chance.random() < 0.3
        except errors.KubeError:
            pass  # of the namespaces: the cycle decided nothing
        self._kept(alone and not self.memory.meddling and not self.memory.undoing)
        if reverts:
            self.revert()
        self._say(f"{[(c.name, c.phase, c.decision, c.verdict) for c in self.all()]} {self.problems}")
        if any("the operator's log" in p for p in self.problems):
            self._wrong(str(self.problems))
