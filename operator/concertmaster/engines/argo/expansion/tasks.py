"""Argo's two composite templates, dag and steps, as one ordered list of tasks.

Both declare dependencies in different forms: a dag names them (or uses a ``depends`` expression), a steps template runs
its groups in sequence. Cycles and unknown or duplicate names are reported as problems.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from concertmaster.engines.argo.expansion.templates import ResolvedTemplate
from concertmaster.engines.common.bounds import MAX_NAME, MAX_STEPS
from concertmaster.engines.common.manifest import Problems, mapping, pointer, sequence, text
from concertmaster.engines.common.objects import texts
from concertmaster.engines.common.ordering import in_order

# Follows workflow/common/ancestry.go.
_NAME = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*)(?:\.([A-Z][a-zA-Z]+))?")
_PLAIN_RESULTS = {None, "Succeeded", "Daemoned"}
_RESULTS = {"Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed"}


@dataclass(frozen=True, slots=True)
class Depends:
    """Tasks in a ``depends`` expression. ``chosen``: those whose particular result matters (also in an "or"), so that
    the edge decides whether the task runs at all. ``unknown_results``: results that Argo does not define."""

    names: tuple[str, ...]
    chosen: frozenset[str] = frozenset()
    unknown_results: tuple[str, ...] = ()


def parse_depends(expression: str, skippable: Collection[str] = ()) -> Depends:
    """Parse ``A && (B.Failed || C)``. Names are in order of first occurrence. Success of one that is ``skippable`` is a
    particular result: a task behind its plain name also follows where it was skipped."""
    names: dict[str, None] = {}
    chosen: set[str] = set()
    unknown: list[str] = []
    either = "||" in expression or "!" in expression
    for name, result in _NAME.findall(expression):
        names.setdefault(name)
        if either or (result or None) not in _PLAIN_RESULTS or (result == "Succeeded" and name in skippable):
            chosen.add(name)
        if result and result not in _RESULTS:
            unknown.append(f"{name}.{result}")
    return Depends(tuple(names), frozenset(chosen), tuple(unknown))


@dataclass(slots=True, eq=False)
class Task:
    """One dag task or step: its name, its declaration, and the siblings it depends on (value: on a particular
    result). It equals nothing but itself."""

    name: str
    raw: Mapping[str, Any]
    where: str
    at: str | None
    before: dict[str, bool] = field(default_factory=dict)
    group: int | None = None  # index of its group in a steps template


def read_tasks(called: ResolvedTemplate, where: str, problems: Problems) -> list[Task]:
    """Tasks of a dag or steps template in topological order; empty for a leaf template."""
    if called.kind == "dag":
        return _dag(called, where, problems)
    return _groups(called, where, problems) if called.kind == "steps" else []


def _dag(called: ResolvedTemplate, where: str, problems: Problems) -> list[Task]:
    """Tasks of a dag template in topological order; cycles and unknown names are reported as problems."""
    dag = mapping(called.body.get("dag"), f"{where}.dag", problems)
    listed = enumerate(sequence(dag.get("tasks"), f"{where}.dag.tasks", problems))
    rows = (_named(raw, f"{where}.dag.tasks[{i}]", _at(called, "dag", "tasks", i), problems) for i, raw in listed)
    tasks = {task.name: task for task in _each_once(rows, "tasks", called.name, problems)}
    for task in tasks.values():
        _declared(task, tasks, called.name, problems)
    target = text(dag.get("target"), f"{where}.dag.target", problems)
    return _ordered(_targeted(tasks, target, called.name, problems), called.name, problems)


def _declared(task: Task, tasks: Mapping[str, Task], template: str, problems: Problems) -> None:
    expression = text(task.raw.get("depends"), f"{task.where}.depends", problems)
    if expression:
        read = parse_depends(expression, {name for name, other in tasks.items() if _skippable(other)})
        names = {n: n in read.chosen for n in read.names}
        for unknown in read.unknown_results:
            problems.add(f"task {task.name!r} of template {template!r} depends on {unknown}, which is no known result")
    else:
        names = dict.fromkeys(texts(task.raw.get("dependencies"), f"{task.where}.dependencies", problems), False)
    for name, chosen in names.items():
        if name == task.name:
            problems.add(f"task {name!r} of template {template!r} depends on itself")
        elif name not in tasks:
            problems.add(f"task {task.name!r} of template {template!r} depends on unknown task {name!r}")
        else:
            task.before[name] = chosen


def _skippable(task: Task) -> bool:
    """Whether a task may be skipped: by its condition, or because a run has no items for it."""
    return bool(task.raw.get("when")) or any(
        "{{" in str(task.raw.get(field)) for field in ("withParam", "withSequence")
    )


def _targeted(tasks: dict[str, Task], target: str | None, template: str, problems: Problems) -> dict[str, Task]:
    """Keep only the ancestors of the dag's ``target``, which are all that runs."""
    if not target or "{{" in target:
        return tasks
    needed, todo = set(), []
    for name in target.split():
        if name in tasks:
            todo.append(name)
        else:
            problems.add(f"template {template!r} has unknown target {name!r}")
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += tasks[name].before
    return {n: t for n, t in tasks.items() if n in needed} if needed else tasks


def _ordered(tasks: dict[str, Task], template: str, problems: Problems) -> list[Task]:
    """Topological order, by declaration order among equals; edges that close a cycle are dropped and reported."""

    def broken(cycle: Sequence[str], done: Mapping[str, None]) -> None:
        problems.add(f"template {template!r} has a cycle: {' -> '.join(cycle)}")
        task = tasks[cycle[0]]
        task.before = {b: c for b, c in task.before.items() if b in done}

    return [tasks[name] for name in in_order({n: t.before for n, t in tasks.items()}, broken)]


def _groups(called: ResolvedTemplate, where: str, problems: Problems) -> list[Task]:
    """Steps of a steps template: each depends on the whole group before it."""
    out: list[Task] = []
    above: dict[str, bool] = {}  # shared by all steps of a group
    steps = _each_once(_steps(called, where, problems), "steps", called.name, problems)
    for _, group in groupby(steps, key=lambda task: task.group):
        members = list(group)
        for task in members:
            task.before = above
        above = dict.fromkeys([task.name for task in members], False)
        out += members
    return out


def _steps(called: ResolvedTemplate, where: str, problems: Problems) -> Iterator[Task | None]:
    for g, raw_group in enumerate(sequence(called.body.get("steps"), f"{where}.steps", problems)):
        group = raw_group.get("steps") if isinstance(raw_group, Mapping) and "steps" in raw_group else raw_group
        rows = [group] if isinstance(group, Mapping) else sequence(group, f"{where}.steps[{g}]", problems)
        for s, raw in enumerate(rows):
            task = _named(raw, f"{where}.steps[{g}][{s}]", _at(called, "steps", g, s), problems)
            if task is not None:
                task.group = g
            yield task


def _each_once(rows: Iterator[Task | None], noun: str, template: str, problems: Problems) -> Iterator[Task]:
    """The first task (or step: ``noun``) of each name, at most ``MAX_STEPS``; others are reported."""
    names: set[str] = set()
    for task in rows:
        if task is None:
            continue
        if task.name in names:
            problems.add(f"template {template!r} has two {noun} {task.name!r}: the first one is used")
            continue
        if len(names) >= MAX_STEPS:
            problems.add(f"template {template!r} has more than {MAX_STEPS:,} tasks: the rest is left out; split it")
            return
        names.add(task.name)
        yield task


def _at(called: ResolvedTemplate, *parts: str | int) -> str | None:
    return None if called.at is None else called.at + pointer(*parts)


def _named(raw: object, where: str, at: str | None, problems: Problems) -> Task | None:
    body = mapping(raw, where, problems)
    name = text(body.get("name"), f"{where}.name", problems)
    if name is None:
        problems.add(f"{where} has no name: it is ignored")
        return None
    if len(name) > MAX_NAME:
        problems.add(f"{where}.name has {len(name)} characters, at most {MAX_NAME} are possible: it is ignored")
        return None
    return Task(name, body, where, at)
