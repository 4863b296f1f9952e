"""From a recommendation to the exact operations on one object, and back again.

A plan is made from the object as the API server has it, so that every ``test`` holds the literal that stands there and
every parent that must be added is known to be absent. It is minimal, it touches nothing but parallelism and requests,
and the same advice on the same object always gives the same plan: its digest is what a person approves and what the
operator recomputes before it writes.

The digest leaves out ``resourceVersion``: an object that somebody merely touched is still the object of the plan. The
version is tested when the plan is written (``Plan.operations``).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from concertmaster.core import jsonpatch, text
from concertmaster.core.amounts import quantity, whole
from concertmaster.core.jsonpatch import Operation, compact
from concertmaster.core.model import Category, Edit, Level, Recommendation

_MI = 1024.0**2
# Standard deviation of log(measured / promised) per unit of the promised log ratio: what a replay cannot know. Fitted to
# 120 simulated campaigns (benchmarks/campaigns.py, other seeds than those of the table).
MODEL_ERROR = 0.04
_Z = 1.645  # promises are 90 % intervals
_ARGO = r"(/spec|/spec/workflowSpec)"
_TEMPLATE = _ARGO + r"/templates/\d+((/dag/tasks/\d+|/steps/\d+/\d+)/inline)*"
_CONTAINER = r"(container|script|(sidecars|initContainers|containerSet/containers)/\d+)"
_REQUEST = r"/requests/(?P<resource>cpu|memory)"
_TASK = r"((steps|sidecars)/\d+|stepTemplate)/computeResources"
_ARGO_POINTERS = (
    re.compile(rf"{_ARGO}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/{_CONTAINER}/resources{_REQUEST}"),
)
ALLOWED: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "WorkflowTemplate": _ARGO_POINTERS,
    "ClusterWorkflowTemplate": _ARGO_POINTERS,
    "CronWorkflow": _ARGO_POINTERS,
    "CronJob": (
        re.compile(r"/spec/jobTemplate/spec/(?P<resource>parallelism)"),
        re.compile(rf"/spec/jobTemplate/spec/template/spec/(containers|initContainers)/\d+/resources{_REQUEST}"),
    ),
    "Pipeline": (re.compile(rf"/spec/(tasks|finally)/\d+/taskSpec/{_TASK}{_REQUEST}"),),
    "Task": (re.compile(rf"/spec/{_TASK}{_REQUEST}"),),
}


class Kind(StrEnum):
    """What kind of field a plan sets, as policies name it."""

    PARALLELISM = "Parallelism"
    RESOURCES = "Resources"


class Aim(StrEnum):
    """What a change is for, and so how it is judged."""

    FASTER = "Faster"
    CHEAPER = "Cheaper"
    SAFER = "Safer"  # fewer failures; like Cheaper it must not cost time


class Refused(Exception):
    """No plan can be made of this advice; the message is a sentence. ``changed``: the object is no longer the one the
    advice was made for, so that a new analysis may give a plan."""

    def __init__(self, message: str, *, changed: bool = False) -> None:
        super().__init__(message)
        self.changed = changed


@dataclass(frozen=True, slots=True)
class Target:
    """The object a plan is for. ``namespace`` is None for a cluster-wide kind."""

    api_version: str
    kind: str
    name: str
    namespace: str | None
    uid: str
    resource_version: str

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Target:
        """The target an object is."""
        meta = raw.get("metadata") or {}
        return cls(
            str(raw.get("apiVersion") or ""),
            str(raw.get("kind") or ""),
            str(meta.get("name") or ""),
            str(meta["namespace"]) if meta.get("namespace") else None,
            str(meta.get("uid") or ""),
            str(meta.get("resourceVersion") or ""),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one change may go: the largest relative step, and least and most per resource (cores, bytes)."""

    max_step: float
    cpu: tuple[float, float]
    memory: tuple[float, float]

    def of(self, resource: str) -> tuple[float, float]:
        """Least and most of a resource."""
        return self.cpu if resource == "cpu" else self.memory


@dataclass(frozen=True, slots=True)
class Setting:
    """One field a plan sets. Numbers are cores, bytes or pods; ``old`` is None where nothing is set now, ``limit`` is
    the limit of the same resource beside it."""

    pointer: str
    resource: str  # cpu, memory, parallelism
    container: str | None
    old: float | None
    new: float
    old_literal: object
    new_literal: object
    limit: float | None = None

    @property
    def change(self) -> float | None:
        """Relative change: -0.5 is half of it. None where nothing is set now."""
        return None if not self.old else self.new / self.old - 1.0


@dataclass(frozen=True, slots=True)
class Predicted:
    """The expected relative change of one measure (Duration, Cost, Failures); negative is less."""

    measure: str
    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written (``patch``), how it is taken back (``inverse``), and what is to come of it.

    ``whole`` is False when the largest step lets the change go only part of the way that was advised.
    """

    profile: str
    namespace: str
    recommendation: str
    rule: str
    step: str | None
    aim: Aim
    risk: Level
    automatic: bool
    target: Target
    settings: tuple[Setting, ...]
    patch: tuple[Operation, ...]
    inverse: tuple[Operation, ...]
    predicted: Predicted | None
    whole: bool

    @property
    def kind(self) -> Kind:
        """The kind of field it sets; parallelism when it sets both."""
        both = {Kind.PARALLELISM if s.resource == "parallelism" else Kind.RESOURCES for s in self.settings}
        return Kind.PARALLELISM if Kind.PARALLELISM in both else Kind.RESOURCES

    @property
    def digest(self) -> str:
        """SHA-256 of profile, recommendation, target and operations."""
        return digest_of(self.namespace, self.profile, self.recommendation, self.target, self.patch)

    @property
    def kustomize(self) -> str:
        """The same change as an entry of a kustomization's ``patches``, as JSON on one line."""
        group, _, version = self.target.api_version.rpartition("/")
        target = {"group": group, "version": version, "kind": self.target.kind, "name": self.target.name}
        return compact({"patch": compact(list(self.patch)), "target": target})

    def operations(self, resource_version: str) -> list[Operation]:
        """The patch for one version of the object: it fails when anybody wrote to it since."""
        return [_version(resource_version), *self.patch]

    def says(self) -> str:
        """What it changes, in words: ``CPU request of main from 2 to 1``."""
        return "; ".join(describe(s) for s in self.settings)


def describe(setting: Setting) -> str:
    """One setting in words."""
    name = {"cpu": "CPU request", "memory": "memory request", "parallelism": "parallelism"}[setting.resource]
    of = f" of container {setting.container}" if setting.container else ""
    before = "nothing" if setting.old_literal is None else str(setting.old_literal)
    return f"{name}{of} from {before} to {setting.new_literal}"


def digest_of(
    namespace: str, profile: str, recommendation: str, target: Target, patch: Sequence[Mapping[str, Any]]
) -> str:
    """The digest of a plan from its parts, so that what a status says can be checked against what was approved."""
    identity = [target.api_version, target.kind, target.namespace, target.name, target.uid]
    return hashlib.sha256(compact([namespace, profile, recommendation, identity, list(patch)]).encode()).hexdigest()


def allowed(kind: str, pointer: str) -> str | None:
    """The resource a pointer sets (cpu, memory, parallelism) when changes of ``kind`` may set it, else None."""
    found = next((m for p in ALLOWED.get(kind, ()) if (m := p.fullmatch(pointer)) is not None), None)
    return None if found is None else found["resource"]


def within(kind: str, operations: Sequence[Mapping[str, Any]]) -> str | None:
    """The first path a patch would write outside the fields that may be changed, None when there is none.

    A parent is added whole where it is missing: then what it holds is judged leaf by leaf.
    """
    for operation in operations:
        if operation.get("op") == "test":
            continue
        path = str(operation.get("path"))
        if operation.get("op") == "remove":  # of an inverse: what the change added, possibly with its parents
            leaves = [path, f"{path}/cpu", f"{path}/memory", f"{path}/requests/cpu", f"{path}/requests/memory"]
            if not any(allowed(kind, leaf) for leaf in leaves):
                return path
        elif operation.get("op") not in ("add", "replace"):
            return path
        else:
            outside = next((p for p in _leaves(path, operation.get("value")) if not allowed(kind, p)), None)
            if outside is not None:
                return outside
    return None


def _leaves(path: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [leaf for k, v in value.items() for leaf in _leaves(f"{path}{jsonpatch.join([str(k)])}", v)]
    return [path]


def aim_of(item: Recommendation) -> Aim:
    """Advice that saves time is Faster, advice against failures Safer, the rest Cheaper."""
    if item.category is Category.RELIABILITY:
        return Aim.SAFER
    return Aim.FASTER if item.category is Category.PERFORMANCE else Aim.CHEAPER


def plan(
    item: Recommendation,
    raw: Mapping[str, Any],
    *,
    profile: str,
    namespace: str,
    reach: Reach | None = None,
    monthly_cost: float | None = None,
    spread: float = 0.0,
) -> Plan:
    """The plan of ``item`` on the object ``raw`` as the API server has it. Raises Refused.

    With ``reach``, requests move towards the advised value as far as one step and the bounds allow. ``spread`` is the
    relative standard error with which an effect on the duration can be measured at all.
    """
    if not item.edits:
        raise Refused(f"{item.id} is work for a person: it sets no field")
    target = Target.of(raw)
    if target.kind not in ALLOWED:
        raise Refused(f"objects of kind {target.kind} are never changed")
    for edit in item.edits:
        if allowed(target.kind, edit.pointer) is None:
            raise Refused(f"{item.id} sets {edit.pointer}; only parallelism and requests are ever changed")
    settings = [_setting(edit, raw, target.kind, reach) for edit in item.edits]
    changing = [(e, s) for e, s in zip(item.edits, settings, strict=True) if s.old is None or s.new != s.old]
    if not changing:
        raise Refused(f"{item.id}: the bounds and the largest step leave nothing to change")
    guards, patch, inverse = _operations(raw, [s for _, s in changing])
    way = min(_way(e, s) for e, s in changing)
    return Plan(
        profile=profile,
        namespace=namespace,
        recommendation=item.id,
        rule=item.rule,
        step=item.step,
        aim=aim_of(item),
        risk=item.risk,
        automatic=item.automatic,
        target=target,
        settings=tuple(s for _, s in changing),
        patch=(*guards, *patch),
        inverse=(*guards, *inverse),
        predicted=_predicted(item, way, monthly_cost, spread),
        whole=way >= 1.0 - 1e-9,
    )


def _setting(edit: Edit, raw: Mapping[str, Any], kind: str, reach: Reach | None) -> Setting:
    resource = allowed(kind, edit.pointer) or ""
    there, literal = jsonpatch.find(raw, edit.pointer)
    _same_as_advised(edit, resource, there, literal)
    if resource == "parallelism":
        new = whole(json.loads(edit.proposed or "null"))
        if new is None or new < 1:
            raise Refused(f"{edit.pointer}: {edit.proposed} is no number of pods")
        old = whole(literal)
        if there and literal is not None and old is None:
            raise Refused(f"{edit.pointer} is {literal!r}, which is no whole number")
        return Setting(edit.pointer, resource, None, old, new, literal, new)
    amount = quantity(literal) if there else None
    proposed = quantity(edit.proposed)
    if (there and amount is None) or proposed is None or proposed <= 0:
        wrong = edit.proposed if proposed is None or proposed <= 0 else literal
        raise Refused(f"{edit.pointer}: {wrong!r} is no amount that can be changed, such as 500m or 2Gi")
    new_literal = edit.proposed if reach is None or amount is None else _step(resource, amount, proposed, reach, edit)
    *above, _, _ = jsonpatch.parts(edit.pointer)
    limit = jsonpatch.find(raw, jsonpatch.join([*above, "limits", resource]))[1]
    holder = jsonpatch.find(raw, jsonpatch.join(above[:-1]))[1]
    name = holder.get("name") if isinstance(holder, Mapping) else None
    return Setting(
        edit.pointer,
        resource,
        str(name) if name and above[-2].isdigit() else None,
        amount,
        quantity(new_literal) or proposed,
        literal,
        new_literal,
        quantity(limit),
    )


def _same_as_advised(edit: Edit, resource: str, there: bool, literal: object) -> None:
    """The advice rests on a value; when another stands there now, the advice is about something else."""
    expected: object = edit.current
    if resource == "parallelism" and edit.current is not None:
        expected = json.loads(edit.current)
    shown = literal if resource == "parallelism" or isinstance(literal, str) else json.dumps(literal)
    if (expected is not None, expected) != (
        there and literal is not None,
        shown if there and literal is not None else None,
    ):
        was = "absent" if expected is None else f"{expected!r}"
        now = "absent" if not there else f"{literal!r}"
        raise Refused(f"{edit.pointer} is {now} now and was {was} when the advice was made", changed=True)


def _step(resource: str, old: float, proposed: float, reach: Reach, edit: Edit) -> str | None:
    """The literal one step towards ``proposed``; the advised one when it is within reach."""
    least, most = reach.of(resource)
    if least > most:
        return edit.proposed  # the bounds' gate says so
    wanted = min(max(proposed, least), most)
    near, far = old * (1.0 - reach.max_step), old * (1.0 + reach.max_step)
    if wanted == proposed and near <= proposed <= far:
        return edit.proposed
    write = text.cpu_quantity if resource == "cpu" else text.memory_quantity
    unit = 0.001 if resource == "cpu" else _MI
    if wanted < near:
        return write(near)
    if wanted > far:
        return write(max(unit, math.floor(far / unit + 1e-9) * unit))
    return write(wanted)


def _way(edit: Edit, setting: Setting) -> float:
    """Share of the advised way that the setting goes, 0 to 1."""
    if setting.resource == "parallelism" or setting.old is None:
        return 1.0
    advised = (quantity(edit.proposed) or setting.new) - setting.old
    return 1.0 if advised == 0 else min(1.0, max(0.0, (setting.new - setting.old) / advised))


def _predicted(item: Recommendation, way: float, monthly_cost: float | None, spread: float) -> Predicted | None:
    """What the rule promised, scaled to the part of the way that is gone.

    A rule's interval is for the runs it saw. What later runs will measure also varies by their own noise and by what
    the replay does not know, which grows with the size of the change: the promise is as wide as all three.
    """
    gain, saving = item.gain_share, item.saving_per_month
    if gain is not None:
        low, likely, high = (math.log(max(1e-3, 1.0 - v * way)) for v in (gain.high, gain.likely, gain.low))
        more = (_Z * MODEL_ERROR * likely) ** 2 + (_Z * spread) ** 2
        ends = (likely - math.hypot(likely - low, math.sqrt(more)), likely + math.hypot(high - likely, math.sqrt(more)))
        return Predicted("Duration", math.exp(ends[0]) - 1.0, math.exp(likely) - 1.0, math.exp(ends[1]) - 1.0)
    if saving is not None and monthly_cost:
        low, likely, high = (min(1.0, v / monthly_cost) * way for v in (saving.low, saving.likely, saving.high))
        return Predicted("Cost", -high, -likely, -low)
    return None


def _operations(
    raw: Mapping[str, Any], settings: Sequence[Setting]
) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """Tests of names on the way, the changes behind tests of what is there, and how to take them back in order."""
    guards: dict[str, Operation] = {}
    patch: list[Operation] = []
    back: list[list[Operation]] = []
    present: Any = raw
    for setting in settings:
        for guard in _names(raw, setting.pointer):
            guards[guard["path"]] = guard
        ops, undo = _change(present, setting)
        try:
            present = jsonpatch.apply(present, ops)
        except jsonpatch.PatchFailed as error:
            raise Refused(str(error), changed=True) from error
        patch += ops
        back.insert(0, undo)
    return list(guards.values()), patch, [op for undo in back for op in undo]


def _names(raw: Mapping[str, Any], pointer: str) -> list[Operation]:
    """Tests that the named members of lists on the way still stand at their places."""
    found: list[Operation] = []
    walked: list[str] = []
    for part in jsonpatch.parts(pointer):
        walked.append(part)
        member = jsonpatch.find(raw, jsonpatch.join(walked))[1]
        if part.isdigit() and isinstance(member, Mapping) and isinstance(member.get("name"), str):
            found.append({"op": "test", "path": f"{jsonpatch.join(walked)}/name", "value": member["name"]})
    return found


def _change(raw: Any, setting: Setting) -> tuple[list[Operation], list[Operation]]:
    there, literal = jsonpatch.find(raw, setting.pointer)
    if there and literal is not None:
        return _swap(setting.pointer, literal, setting.new_literal), _swap(
            setting.pointer, setting.new_literal, literal
        )
    way = jsonpatch.parts(setting.pointer)
    depth = next(i for i in range(1, len(way) + 1) if jsonpatch.find(raw, jsonpatch.join(way[:i]))[1] is None)
    value: Any = setting.new_literal
    for part in reversed(way[depth:]):
        value = {part: value}
    if any(part.isdigit() for part in way[depth - 1 :]):
        raise Refused(f"{setting.pointer}: there is no such place in the object", changed=True)
    path = jsonpatch.join(way[:depth])
    test: Operation = {"op": "test", "path": path, "value": None}
    return (
        [test, {"op": "add", "path": path, "value": value}],
        [{"op": "test", "path": path, "value": value}, {"op": "remove", "path": path}],
    )


def _swap(path: str, old: object, new: object) -> list[Operation]:
    return [{"op": "test", "path": path, "value": old}, {"op": "replace", "path": path, "value": new}]


def _version(resource_version: str) -> Operation:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
