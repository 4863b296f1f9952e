"""Hashes of the node names that an Argo definition can produce, and linking of attempts by hash alone.

Node names are enumerated from the paths of the steps, except for items that only exist at run time (withParam).
Attempts need no enumeration: the hash can be inverted over the "(1)" suffix, which links even the attempts of an
unknown item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

from concertmaster.core.attempts import begin
from concertmaster.core.model import ITEM_JOIN, NameSegment, StepExecution, StepSpec, WorkflowDefinition
from concertmaster.engines.common.names import ArgoPodName, fnv32a, fnv32a_before

MAX_ATTEMPTS = 64  # maximum attempt number searched for at the end of a node name
_USUAL_ATTEMPTS = 16  # the same if the limit is open or only known at run time
_FEW_ROUNDS = 4  # attempts of each enclosing retry (a retried dag around the step) that are searched for in any case
_MAX_NAMES = 50_000  # maximum number of node names computed per run
_MAX_HASHED = 2_000_000  # maximum number of their characters that are hashed: one item may have a million


@dataclass(frozen=True, slots=True)
class NodeMatch:
    """The step, item and attempt that a node name represents."""

    step: StepSpec
    item: str | None
    attempt: int


class _Enough(Exception):
    """As much was hashed for one run as may be."""


@dataclass(slots=True)
class NodeNames:
    """Node names of one definition in one run: hash before the last attempt suffix -> step, item, outer attempts. Names
    beyond the limits are not computed: their pods are recognised by the template."""

    run: str
    definition: WorkflowDefinition
    stems: dict[int, NodeMatch] = field(default_factory=dict)
    plain: dict[int, NodeMatch] = field(default_factory=dict)
    attempts: int = 1
    late: bool = False  # whether late rounds of templates that are retried as a whole are among them
    left: int = _MAX_NAMES

    def __post_init__(self) -> None:
        self.attempts = max((attempts_of(s) for s in self.definition.graph.steps), default=1)
        self._compute({s.name: min(_FEW_ROUNDS, rounds_of(s)) for s in self.definition.graph.steps})

    def _compute(self, rounds: Mapping[str, int]) -> None:
        """Compute the names of the steps in ``rounds``, up to so many of each retried template around them."""
        hashing = _Hashing()
        start = fnv32a(self.run)
        try:
            for step in self.definition.graph.steps:
                if step.name not in rounds or not step.path or any(p.items is None and not p.whole for p in step.path):
                    continue
                table = self.stems if step.path[-1].attempts else self.plain
                for state, items, attempt in islice(hashing.names(step.path, start, rounds[step.name]), self.left):
                    table.setdefault(state, NodeMatch(step, ITEM_JOIN.join(items) or None, attempt))
                    self.left -= 1
        except _Enough:
            return

    def find(self, name: ArgoPodName) -> NodeMatch | None:
        """The step that has a node with this hash; None if there is none."""
        match = self._known(name)
        if match is None and not self.late:  # rounds after the first few are rare
            self.late = True
            rounds = {s.name: rounds_of(s) for s in self.definition.graph.steps}
            if later := {step: most for step, most in rounds.items() if most > _FEW_ROUNDS}:
                self._compute(later)
                match = self._known(name)
        return match

    def _known(self, name: ArgoPodName) -> NodeMatch | None:
        if name.hash is None:
            return None
        match = self.plain.get(name.hash)
        if match is not None and name.may_be(match.step.template or ""):
            return match
        for attempt in range(self.attempts) if self.stems else ():
            stem = self.stems.get(fnv32a_before(name.hash, f"({attempt})"))
            if stem is not None and name.may_be(stem.step.template or ""):
                return NodeMatch(stem.step, stem.item, stem.attempt * MAX_ATTEMPTS + attempt)
        return None

    def root(self) -> NodeMatch | None:
        """The step that is the root node, for workflows that consist of one template; None for all others."""
        steps = self.definition.graph.steps
        return next((NodeMatch(s, None, 0) for s in steps if len(s.path) == 1 and s.path[0].text == ""), None)


def attempts_of(step: StepSpec) -> int:
    """How many attempts of one node are searched for."""
    if not step.path or not step.path[-1].attempts:
        return 1
    return _USUAL_ATTEMPTS if step.retry_limit is None else max(1, min(MAX_ATTEMPTS, step.retry_limit + 1))


def rounds_of(step: StepSpec) -> int:
    """How many attempts of each retried template around a step are searched for: as many as are declared of one, and fewer
    of several within one another, which have the product of their names."""
    retried = sum(piece.attempts for piece in step.path[:-1])
    declared = _USUAL_ATTEMPTS if step.outer_retries is None else step.outer_retries + 1
    return min(declared, max(_FEW_ROUNDS, int(MAX_ATTEMPTS ** (1 / max(1, retried)))))


@dataclass(slots=True)
class _Hashing:
    """Hashes of names, until ``_MAX_HASHED`` characters were hashed: then it raises _Enough. The part that the names of
    many steps have in common, as those inside one item, is hashed once."""

    left: int = _MAX_HASHED
    known: dict[tuple[int, str], int] = field(default_factory=dict)

    def of(self, text: str, state: int) -> int:
        place = state, text
        if place not in self.known:
            self.left -= len(text)
            if self.left < 0:
                raise _Enough
            self.known[place] = fnv32a(text, state)
        return self.known[place]

    def names(
        self, path: Sequence[NameSegment], state: int, rounds: int, items: tuple[str, ...] = (), attempt: int = 0
    ) -> Iterator[tuple[int, tuple[str, ...], int]]:
        """The node names of a path, one after the other: hash without the last attempt suffix, items, outer attempts, of
        each of which there are so many ``rounds``.
        Fan-outs inside one another have the product of their items, so that nobody makes a list of them."""
        if not path:
            yield state, items, attempt
            return
        segment, *inner = path
        base = self.of(segment.text, state)
        for item in (*(segment.items or ()), *((None,) if segment.whole or not segment.items else ())):
            here = base if item is None else self.of(f"({item})", base)
            labels = items if item is None else (*items, item)
            if segment.attempts and inner:
                for n in range(rounds):
                    yield from self.names(inner, self.of(f"({n})", here), rounds, labels, attempt * MAX_ATTEMPTS + n)
            else:
                yield from self.names(inner, here, rounds, labels, attempt)


def link_attempts(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    """Number attempts of unknown items: two attempts of one item have the same hash before "(0)" and "(1)"."""
    if not any(e.attempt >= MAX_ATTEMPTS or (e.item is not None and e.item[:1] == "#") for e in executions):
        return list(executions)
    specs = {s.name: s for s in definition.graph.steps} if definition else {}
    out: list[StepExecution] = []
    groups: dict[str, list[StepExecution]] = {}
    for e in executions:
        spec = specs.get(e.step)
        may_retry = spec is None or not spec.path or spec.path[-1].attempts
        if may_retry and _hash_of(e) is not None:
            groups.setdefault(e.step, []).append(e)
        else:
            out.append(e)
    out = dense_attempts(out)
    for step, rows in groups.items():
        spec = specs.get(step)
        declared = spec is not None and bool(spec.path)
        out += _linked(rows, attempts_of(spec) if spec is not None and declared else _USUAL_ATTEMPTS, declared)
    return out


def dense_attempts(rows: list[StepExecution]) -> list[StepExecution]:
    """Nested attempts (a retried step in a retried dag), numbered consecutively from 0."""
    nested: dict[tuple[str, str | None], list[StepExecution]] = {
        (e.step, e.item): [] for e in rows if e.attempt >= MAX_ATTEMPTS
    }
    out: list[StepExecution] = []
    for e in rows:
        nested.get((e.step, e.item), out).append(e)
    for place in sorted(nested, key=str):
        mine = sorted(nested[place], key=lambda e: (e.attempt, e.uid or ""))
        out += [replace(e, attempt=n) for n, e in enumerate(mine)]
    return out


def _hash_of(e: StepExecution) -> int | None:
    return int(e.item[1:]) if e.item and e.item.startswith("#") and e.item[1:].isdecimal() else None


def _linked(rows: list[StepExecution], attempts: int, declared: bool) -> list[StepExecution]:
    """Assign a shared item to executions whose hashes differ only by an attempt suffix. With retries ``declared``, a
    single one is attempt 0.

    FNV-1a combines bytes by exclusive or, so the same pods also match under wrong numbers (each number with the same
    bits flipped). The correct numbering is the one that increases with time.
    """
    stems: dict[int, list[tuple[int, StepExecution]]] = {}
    for e in rows:
        for n in range(attempts):
            stems.setdefault(fnv32a_before(_hash_of(e) or 0, f"({n})"), []).append((n, e))
    shared = [(stem, chain) for stem, chain in stems.items() if len({n for n, _ in chain}) > 1]
    linked: dict[str | None, StepExecution] = {}
    for stem, chain in sorted(shared, key=lambda row: (_disorder(row[1]), row[0])):
        if not any(e.item in linked for _, e in chain):
            linked.update((e.item, replace(e, item=f"#{stem}", attempt=n)) for n, e in chain)
    out = []
    for e in rows:
        lone = replace(e, item=f"#{fnv32a_before(_hash_of(e) or 0, '(0)')}") if declared else e
        out.append(linked.get(e.item, lone))
    return out


def _disorder(chain: list[tuple[int, StepExecution]]) -> tuple[int, int, int]:
    """Penalty of a numbering: few pods, numbers that do not increase by one over time, a first number above 0."""
    numbers = [n for n, _ in sorted(chain, key=lambda row: (begin(row[1]), row[0]))]
    steps = sum(b - a != 1 for a, b in pairwise(numbers))
    return -len(numbers), steps, numbers[0]
