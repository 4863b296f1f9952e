"""Expansion of Argo templates into one flat step graph.

Nested dag and steps templates are expanded in place: a task ``fetch`` inside the template that task ``prepare`` calls
becomes the step ``prepare.fetch``. The key of a step is the path of task names from the entrypoint; fan-out and retries
do not change it, so that the executions of all runs share it. The path also tells the names of nodes, as pods bear them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import GroupLimit, NameSegment, StepSpec
from concertmaster.engines.argo.config_maps import read_locks
from concertmaster.engines.argo.expansion.budget import Budget
from concertmaster.engines.argo.expansion.call_place import CallPlace, retried_within
from concertmaster.engines.argo.expansion.items import FAN_OUTS, FanOut, widened
from concertmaster.engines.argo.expansion.references import DataFlow, Siblings
from concertmaster.engines.argo.expansion.tasks import Task
from concertmaster.engines.argo.expansion.templates import (
    LeafTemplate,
    ResolvedTemplate,
    Templates,
    declared,
    read_leaf,
)
from concertmaster.engines.argo.expansion.values import KnownValues, of_workflow, references_in
from concertmaster.engines.common.bounds import MAX_LOCKS
from concertmaster.engines.common.manifest import flag, mapping, text, whole

MAX_DEPTH = 40
_EDGES = ("dependencies", "depends")

Waits = dict[str, bool]
"""Dependencies of a step; the value is True if the edge may transfer data."""
Ends = tuple[str, ...]
"""The steps that dependents wait for."""


class Expansion:
    """Expands templates into ``steps``, in topological order."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self.problems = templates.problems
        arguments = templates.spec.get("arguments") or {}
        self._of_workflow = CallPlace(arguments=arguments, values=of_workflow(arguments, self.problems))
        self.steps: dict[str, StepSpec] = {}
        self.limits: list[GroupLimit] = []
        self.notes: dict[str, None] = {}
        self._data_flow = DataFlow(templates)
        self._waits: dict[tuple[str, ...], tuple[str, ...]] = {}  # deduplicates equal tuples
        self._leaves: dict[tuple[int, str | None], tuple[ResolvedTemplate, LeafTemplate]] = {}  # by body (id) and place
        self._locks: dict[int, tuple[ResolvedTemplate, tuple[str, ...]]] = {}
        self._fan_outs: dict[tuple[Task, tuple[tuple[str | None, bool], ...]], FanOut | None] = {}
        self._references: dict[Task, tuple[str, ...]] = {}  # of fan-outs to values
        self._budget = Budget(self.problems)

    def root(self, called: ResolvedTemplate) -> Ends:
        """Expand the entrypoint; returns the steps it ends with."""
        attempts = self.templates.retries(called.body) is not None
        place = fast_replace(self._of_workflow, path=(NameSegment("", (), attempts),))
        return self._call(called, place, {}, called.name)

    def handler(self, called: ResolvedTemplate, name: str, node: str, waits: Waits, place: CallPlace | None = None,
                conditional: bool = False, arguments: object = None) -> Ends:  # fmt: skip
        """Expand an exit handler or hook of the step or workflow at ``place``; ``node`` is the suffix of its node
        name. Of all of them only the failure of the workflow's own exit handler fails the workflow. An exit handler without
        ``arguments``, also one of a step, gets those of the workflow."""
        attempts = self.templates.retries(called.body) is not None
        base = place or self._of_workflow
        above = base.path[:-1]
        for last in base.path[-1:]:  # a fanned-out task has one handler per item and one for the whole
            above = (*above, replace(last, attempts=False, whole=last.items != ()))
        where = ".".join((*base.key, name))
        here = fast_replace(base, key=(*base.key, name), path=(*above, NameSegment(node, (), attempts)), on_exit=True,
                       tolerated=None if place is None and name == "onExit" else where,
                       conditional=base.conditional or conditional, limit=None, task=None,
                       arguments=arguments or (self._of_workflow.arguments if name == "onExit" else None))  # fmt: skip
        return self._call(called, here, waits, where)

    def _call(self, called: ResolvedTemplate, place: CallPlace, waits: Waits, where: str) -> Ends:
        """Expand ``called`` at ``place`` after the steps in ``waits``; returns the steps that its dependents wait
        for."""
        kind = called.kind
        frame = (called.scope, called.name)
        if kind not in ("dag", "steps"):
            return self._leaf(called, place, waits, where)
        if self._budget.called():
            return tuple(waits)
        if called.name and frame in place.stack:
            loop = " > ".join([*(n for _, n in place.stack[place.stack.index(frame) :]), called.name])
            self.problems.add(f"template {called.name!r} calls itself ({loop}): repetitions count as its first round")
            return tuple(waits)
        if len(place.stack) >= MAX_DEPTH:
            self.problems.add(f"{where}: templates are nested deeper than {MAX_DEPTH}: the rest is left out")
            return tuple(waits)
        inner = fast_replace(
            place,
            stack=(*place.stack, frame),
            memoized=place.memoized or called.body.get("memoize") is not None,
            locks=self._held(place, called, where),
            limit=None,
            outer_retries=retried_within(place.outer_retries, self.templates.retry_limit(called.body, where)),
            values=place.values.passed(
                called, place.arguments, where, self.problems, of_run=place.arguments is self._of_workflow.arguments
            ),
        )
        siblings = self._data_flow.siblings(called, where)
        first = len(self.steps)
        exits = self._compose(siblings, inner, waits, where)
        self._limit(called, siblings.tasks, inner, first, where)
        return exits

    def _compose(self, siblings: Siblings, place: CallPlace, waits: Waits, where: str) -> Ends:
        """Expand the tasks of one template in order and connect them."""
        called, tasks = siblings.called, siblings.tasks
        ends: dict[str, Ends] = {}
        awaited: set[str] = set()
        inside = fast_replace(place, limit=whole(called.body.get("parallelism"), f"{where} parallelism", self.problems))
        for task in tasks:
            if self._budget.spent():
                break
            before = siblings.before(task)
            awaited |= set(before)
            behind: Waits = dict(waits) if not before else {}
            for name, data in before.items():
                for end in ends.get(name, ()):
                    behind[end] = behind.get(end, False) or data
                self._budget.passed += len(ends.get(name, ()))
            ends[task.name] = self._task(task, siblings.callees[task.name], inside, behind, called.scope)
        last = {t.group for t in tasks if t.group is not None}
        if last:  # a steps template ends with its last group
            open_ends = [t.name for t in tasks if t.group == max(last)]
        else:
            open_ends = [t.name for t in tasks if t.name not in awaited]
        return tuple(dict.fromkeys(e for name in open_ends for e in ends.get(name, ()))) if tasks else tuple(waits)

    def _held(self, place: CallPlace, called: ResolvedTemplate, where: str) -> tuple[str, ...]:
        """The locks of a template and of those around it."""
        key = id(called.written)
        if key not in self._locks:
            self._locks[key] = called, read_locks(called.body, where, self.problems, self.templates.namespace)
        own = self._locks[key][1]
        return tuple(dict.fromkeys((*place.locks, *own)))[:MAX_LOCKS] if own else place.locks

    def _task(self, task: Task, callee: ResolvedTemplate | None, place: CallPlace, behind: Waits, scope: str) -> Ends:
        """Expand one task with its fan-out, exit handler and hooks."""
        spread = self._spread(task, place.values)
        retried = callee is not None and self.templates.retries(callee.body) is not None
        prefix = f"[{task.group}]." if task.group is not None else "."
        items = () if spread is None else spread.items
        goes_on = flag(mapping(task.raw.get("continueOn"), f"{task.where}.continueOn", self.problems).get("failed"))
        here = fast_replace(
            place,
            key=(*place.key, task.name),
            path=(*place.path, NameSegment(f"{prefix}{task.name}", items, retried)),
            fan_out=place.fan_out or spread is not None,
            width=widened(place.width, spread),
            conditional=place.conditional or bool(task.raw.get("when")) or any(task.before.values()),
            tolerated=".".join((*place.key, task.name)) if goes_on else place.tolerated,
            limit=place.limit if spread is not None else None,
            task=task,
            arguments=task.raw.get("arguments"),
        )
        if callee is None:
            name = text(task.raw.get("template"), "", self.problems) or ""
            unknown = ResolvedTemplate(name, {}, scope, None, {})
            ends = self._leaf(unknown, here, behind, task.where, known=False)
        else:
            ends = self._call(callee, here, behind, task.where)
        return (*ends, *self._hooks(task, here, ends, scope))

    def _spread(self, task: Task, values: KnownValues) -> FanOut | None:
        """The fan-out of a task, which is the same with the same values of what it refers to."""
        if task not in self._references:
            fields = json.dumps([task.raw.get(field) for field in FAN_OUTS], default=str)
            self._references[task] = tuple(references_in(fields))
        key = task, tuple((values.known.get(r), r in values.assumed) for r in self._references[task])
        if key not in self._fan_outs:
            self._fan_outs[key] = self._budget.names_of(task, values)
        return self._fan_outs[key]

    def _hooks(self, task: Task, here: CallPlace, ends: tuple[str, ...], scope: str) -> list[str]:
        hooks = dict(mapping(task.raw.get("hooks"), f"{task.where}.hooks", self.problems))
        if task.raw.get("onExit"):  # it comes before a hook "exit", as in the workflow's own spec
            hooks["exit"] = {"template": task.raw["onExit"]}
        out: list[str] = []
        for name, raw in hooks.items():
            if self._budget.called():
                break
            holder = mapping(raw, f"{task.where}.hooks.{name}", self.problems)
            called = self.templates.called(holder, scope, f"{task.where}.hooks.{name}", None)
            if called is None:
                continue
            label, node = ("onExit", ".onExit") if name == "exit" else (f"hooks.{name}", f".hooks.{name}")
            waits = dict.fromkeys(ends, True)  # a handler always depends on its task: never an unnecessary edge
            given, conditional = holder.get("arguments"), bool(holder.get("expression"))
            out += self.handler(called, label, node, waits, here, conditional=conditional, arguments=given)
        return out

    def _leaf(self, called: ResolvedTemplate, place: CallPlace, waits: Waits, where: str, known: bool = True) -> Ends:
        """Add the step of a template without further steps; ``known``: whether the template was found."""
        if self._budget.called():
            return tuple(waits)
        name = ".".join(place.key) or called.name or "main"
        if name in self.steps:
            self.problems.add(f"two steps are called {name!r}: they count as one")
            return (name,)
        leaf = self._read(called, where) if known else None
        elsewhere = known and called.at is None and bool(called.name)
        if elsewhere:
            self.notes.setdefault(
                f"Step {name} runs template {called.name} of {called.scope}: change its resources there."
            )
        self._budget.steps += 1
        self._budget.edges += len(waits)
        ordering_only = tuple(w for w, data in waits.items() if not data)
        self.steps[name] = StepSpec(
            name=name,
            depends_on=self._waits.setdefault(tuple(waits), tuple(waits)),
            template=called.name or None,
            fan_out=place.fan_out,
            width=place.width if place.fan_out else None,
            parallelism=place.limit,
            ordering_only=self._waits.setdefault(ordering_only, ordering_only),
            containers=leaf.containers if leaf else (),
            pod=leaf.pod if leaf else None,
            has_timeout=leaf.has_timeout if leaf else None,
            timeout_seconds=leaf.timeout_seconds if leaf else None,
            retry_limit=leaf.retry_limit if leaf else None,
            outer_retries=place.outer_retries,
            memoized=(leaf.memoized or place.memoized) if leaf else None,
            on_exit=place.on_exit,
            tolerated=place.tolerated,
            conditional=place.conditional or place.memoized,
            waits=leaf.podless if leaf else False,
            creates=leaf.creates if leaf else False,
            daemon=leaf.daemon if leaf else False,
            locks=self._held(place, called, where),
            outer_locks=place.locks,
            path=place.path,
            pointer=called.at,
            declared=declared(called),
            template_in=called.scope if elsewhere else None,
            task_pointer=place.task.at if place.task is not None else None,
            task={k: place.task.raw[k] for k in _EDGES if place.task.raw.get(k)} if place.task is not None else {},
        )
        return (name,)

    def _read(self, called: ResolvedTemplate, where: str) -> LeafTemplate:
        key = id(called.written), called.at
        if key not in self._leaves:
            self._leaves[key] = called, read_leaf(called, self.templates, where)
        return self._leaves[key][1]

    def _limit(self, called: ResolvedTemplate, tasks: Sequence[Task], place: CallPlace, first: int, where: str) -> None:
        limit = whole(called.body.get("parallelism"), f"{where} parallelism", self.problems)
        if limit is None or limit <= 0:
            return
        names = [n for n in list(self.steps)[first:] if not self.steps[n].on_exit]
        direct = {".".join((*place.key, t.name)) for t in tasks}
        if any(n not in direct for n in names):
            self.notes.setdefault(
                f"Template {called.name} limits its invocations of nested templates to {limit}: not used as a pod limit."
            )
            return
        own = called.at is not None and called.written.get("parallelism") is not None
        at = f"{called.at}/parallelism" if own else None  # a limit of templateDefaults applies to other templates too
        self.limits.append(GroupLimit(tuple(names), limit, at, called.name or None))
