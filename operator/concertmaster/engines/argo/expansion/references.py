"""What a task depends on, and whether the dependency transfers data or only defines an order.

An edge without a data reference may be unnecessary, which is worth a recommendation; calling a real data edge
unnecessary would be harmful. Therefore everything that may transfer data counts: parameters, artifacts, results, exit
codes and status of another task, global outputs, an artifact's location, a shared volume, a ``depends`` on a particular
result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from concertmaster.engines.argo.expansion.tasks import Task, read_tasks
from concertmaster.engines.argo.expansion.templates import ResolvedTemplate, Templates

_REFERENCE = re.compile(r"\b(?:tasks|steps)(?:\.([a-zA-Z0-9][-\w]*)|\[\s*\\?['\"]([^'\"\\]+)\\?['\"]\s*\])")
_GLOBAL = re.compile(
    r"\bworkflow\.outputs(?:\.(?:parameters|artifacts)(?:\.([\w-]+)|\[\s*\\?['\"]([^'\"\\]+)\\?['\"]\s*\])?)?"
)
_ARGUMENT = re.compile(r"\{\{\s*(?:=|inputs\.|item\b|tasks\b|steps\b)")
_BLANKS = re.compile(r"(?<=\{\{)\s+|\s+(?=\}\})")  # within a tag, where they mean nothing
_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
_LOCATIONS = {"s3": "key", "gcs": "key", "oss": "key", "azure": "blob", "hdfs": "path", "artifactory": "url", "http": "url",
              "plugin": "key"}  # fmt: skip
_PRIVATE = frozenset({"name", "emptyDir", "configMap", "secret", "downwardAPI", "projected", "image"})
_ANY = "?"  # a claim, location or global output that only an argument names: it may be any
_Frame = tuple[str, str, tuple[int, str | None] | None]
# Fields about the task itself, not about the arguments of its template.
_READS = ("arguments", "when", "withParam", "withItems", "withSequence", "hooks", "onExit", "inline")


@dataclass(frozen=True, slots=True)
class Reads:
    """What a task reads: names of sibling ``tasks`` or steps whose outputs, status or times it reads, of global outputs
    (``workflow.outputs...``), and the ``locations`` of artifacts that its arguments give."""

    tasks: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()


_NOTHING = Reads()


def reads(task: Mapping[str, Any]) -> Reads:
    """What ``task`` reads."""
    fields = {k: task[k] for k in _READS if k in task}
    if not fields:
        return _NOTHING
    written = _encode(fields)
    tasks = frozenset(dotted or quoted for dotted, quoted in _REFERENCE.findall(written))
    outputs = frozenset(dotted or quoted or _ANY for dotted, quoted in _GLOBAL.findall(written))
    return Reads(tasks, outputs, _locations(task.get("arguments")))


def _global_writes(template: Mapping[str, Any]) -> frozenset[str]:
    """Names of global outputs that ``template`` exports with ``globalName``."""
    outputs = template.get("outputs")
    if not isinstance(outputs, Mapping):
        return frozenset()
    rows = [*_rows(outputs.get("parameters")), *_rows(outputs.get("artifacts"))]
    names = (str(r["globalName"]) for r in rows if r.get("globalName"))
    return frozenset(_ANY if "{{" in name else name for name in names)


def _locations(holder: object) -> frozenset[str]:
    """Where the artifacts of arguments, inputs or outputs are stored, if their author named a place: a file that one step
    writes there may be read by another without any reference between them."""
    rows = _rows(holder.get("artifacts")) if isinstance(holder, Mapping) else []
    stores = ((row.get(kind), key) for row in rows for kind, key in _LOCATIONS.items())
    named = (store.get(key) for store, key in stores if isinstance(store, Mapping))
    return frozenset(_place(text) for text in named if isinstance(text, str) and text)


def _place(text: str) -> str:
    return _ANY if _ARGUMENT.search(text) else _BLANKS.sub("", text)


def _meet(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of claims, locations or global outputs may have something in common."""
    return bool(one and other) and (not one.isdisjoint(other) or _ANY in one or _ANY in other)


def _shared_volumes(holder: Mapping[str, Any]) -> dict[str, str | None]:
    """Volumes of a run or template by name: what they are if steps can share files through them (claims, host paths,
    network shares), None for all others. Two names of one claim are one volume."""
    claims = (r.get("metadata") for r in _rows(holder.get("volumeClaimTemplates")))
    out: dict[str, str | None] = {str(m.get("name")): f"own/{m.get('name')}" for m in claims if isinstance(m, Mapping)}
    for row in _rows(holder.get("volumes")):
        sources = {kind: source for kind, source in row.items() if kind not in _PRIVATE}
        claim = sources.get("persistentVolumeClaim")
        if isinstance(claim, Mapping) and claim.get("claimName"):
            out[str(row.get("name"))] = _place(f"claim/{claim['claimName']}")
        else:
            out[str(row.get("name"))] = _place(_encode(sources)) if sources else None
    return out


def _mounted(template: Mapping[str, Any]) -> frozenset[str]:
    """Names of the volumes that some container of ``template`` mounts."""
    parts: list[Any] = [template.get("container"), template.get("script"), template.get("containerSet")]
    parts += [*_rows(template.get("sidecars")), *_rows(template.get("initContainers"))]
    if isinstance(template.get("containerSet"), Mapping):
        parts += _rows(template["containerSet"].get("containers"))
    return frozenset(str(m.get("name")) for p in parts if isinstance(p, Mapping) for m in _rows(p.get("volumeMounts")))


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [r for r in value if isinstance(r, Mapping)] if isinstance(value, list | tuple) else []


@dataclass(frozen=True, slots=True)
class _Transfers:
    """What a template transfers besides arguments: shared volumes it mounts, global outputs and locations of artifacts
    that it writes and reads."""

    volumes: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    fetches: frozenset[str] = frozenset()

    @classmethod
    def of_all(cls, parts: Sequence[_Transfers]) -> _Transfers:
        """What several templates transfer together."""
        return cls(*(frozenset[str]().union(*map(attrgetter(f.name), parts)) for f in fields(cls)))


@dataclass(slots=True, eq=False)
class Siblings:
    """The tasks of one dag or steps template in topological order, and what each calls. Read once, however many places call
    the template."""

    called: ResolvedTemplate
    tasks: list[Task]
    callees: dict[str, ResolvedTemplate | None]
    _data_flow: DataFlow
    _places: dict[str, int]
    _known: dict[str, dict[str, bool]] = field(default_factory=dict)

    def before(self, task: Task) -> dict[str, bool]:
        """The siblings that ``task`` depends on, declared or through data references; the value is True for data edges."""
        if task.name not in self._known:
            self._known[task.name] = self._before(task)
        return self._known[task.name]

    def _before(self, task: Task) -> dict[str, bool]:
        own, callee = reads(task.raw), self.callees[task.name]
        out = {
            name: chosen or name in own.tasks or self._data_flow.between(self.callees.get(name), callee, own)
            for name, chosen in task.before.items()
        }
        here = self._places[task.name]
        return out | {name: True for name in sorted(own.tasks) if self._places.get(name, here) < here}


class DataFlow:
    """What the templates of one workflow transfer to each other besides arguments: global outputs, artifacts stored at a
    named place, and files on shared volumes. Each template is looked through once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._volumes = _shared_volumes(templates.spec)
        self._own: dict[_Frame, tuple[ResolvedTemplate, _Transfers, dict[_Frame, ResolvedTemplate]]] = {}
        self._known: dict[_Frame, _Transfers] = {}
        self._siblings: dict[_Frame, Siblings] = {}
        self._pairs: dict[tuple[_Frame, _Frame], bool] = {}
        self._inline: dict[_Frame, str] = {}  # where templates without a name are

    def siblings(self, called: ResolvedTemplate, where: str) -> Siblings:
        """The tasks of a template. ``where``: of one without a name, in messages."""
        frame = _frame(called)
        if frame not in self._siblings:
            tasks = read_tasks(called, called.name or where, self._templates.problems)
            callees = {t.name: self._templates.called(t.raw, called.scope, t.where, t.at) for t in tasks}
            for task in tasks:
                callee = callees[task.name]
                if callee is not None and not callee.name:
                    self._inline[_frame(callee)] = task.where
            places = {task.name: place for place, task in enumerate(tasks)}
            self._siblings[frame] = Siblings(called, tasks, callees, self, places)
        return self._siblings[frame]

    def between(self, above: ResolvedTemplate | None, callee: ResolvedTemplate | None, own: Reads) -> bool:
        """Whether template ``above`` may transfer something to a task that reads ``own`` and calls ``callee``."""
        if above is None:
            return False
        left = self._transfers(above)
        return (
            (callee is not None and self._linked(above, callee))
            or _meet(left.writes, own.outputs)
            or _meet(left.stores, own.locations)
        )

    def _linked(self, above: ResolvedTemplate, callee: ResolvedTemplate) -> bool:
        """Whether template ``above`` may transfer something to ``callee``, whoever calls them."""
        pair = _frame(above), _frame(callee)
        if pair not in self._pairs:
            left, right = self._transfers(above), self._transfers(callee)
            self._pairs[pair] = (
                _meet(left.volumes, right.volumes)
                or _meet(left.writes, right.reads)
                or _meet(left.stores, right.fetches)
            )
        return self._pairs[pair]

    def _transfers(self, called: ResolvedTemplate) -> _Transfers:
        """What a template and all that it calls, directly or through others, transfer; they may call each other."""
        frame = _frame(called)
        if frame not in self._known:
            parts: list[_Transfers] = []
            below = {frame: called}
            todo = [frame]
            while todo:
                transfers, callees = self._itself(below[todo.pop()])
                parts.append(transfers)
                fresh = [f for f in callees if f not in below]
                below.update((f, callees[f]) for f in fresh)
                todo += fresh
            self._known[frame] = _Transfers.of_all(parts)
        return self._known[frame]

    def _itself(self, called: ResolvedTemplate) -> tuple[_Transfers, Mapping[_Frame, ResolvedTemplate]]:
        """What a template itself transfers, and the templates that it calls. It is kept, so that the id of one without a
        name stays its own."""
        frame = _frame(called)
        if frame not in self._own:
            body = called.body
            volumes = {**self._volumes, **_shared_volumes({"volumes": body.get("volumes")})}
            read = reads({"inline": body, "arguments": body.get("inputs")})
            transfers = _Transfers(
                frozenset(volume for name in _mounted(body) if (volume := volumes.get(name)) is not None),
                _global_writes(body),
                read.outputs,
                _locations(body.get("outputs")),
                read.locations,
            )
            inside = self.siblings(called, self._inline.get(frame, "")) if called.kind in ("dag", "steps") else None
            callees = {_frame(c): c for c in inside.callees.values() if c is not None} if inside is not None else {}
            self._own[frame] = called, transfers, callees
        return self._own[frame][1:]


def _frame(called: ResolvedTemplate) -> _Frame:
    """What makes two calls those of one template. One without a name is kept, so that its id stays its own; several tasks
    of a manifest may share one by a YAML alias, but each has its own place."""
    return called.scope, called.name, None if called.name else (id(called.written), called.at)
