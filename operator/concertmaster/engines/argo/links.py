"""Actual dependencies within one run, from the links of its node table.

Argo links nodes, not steps: composite nodes (dag, steps, fan-out, retry) stand between the pods. A composite starts
with its children, so its dependencies are passed through to them; handlers and hooks are linked to their task and delay
its dependents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from concertmaster.engines.argo.status import Node
from concertmaster.engines.common.manifest import Problems
from concertmaster.engines.live import WAITED_UNKNOWN

MAX_WORK = 1_000_000
"""Links of one table that are followed. The largest known runs (10,000 nodes) need a tenth of it."""
_PIECES = 300  # parts of a node name that are searched for handlers: the controller stops at 100 levels itself
_Waited = tuple[float | None, frozenset[str]]
"""When all that a node waited for had ended (unix seconds; None: not known of each), and which steps that was."""
_PIECE = re.compile(r"\([^()]*\)|\[\d+\]|\.[^.(\[]+")


class _Beyond(Exception):
    """More work than ``MAX_WORK`` allows."""


class Links:
    """The links of one node table. Times are unix seconds, None if unknown. ``beyond``: there are too many links to
    follow, so that results of ``before`` must not be used; ``problems`` then contains a message."""

    def __init__(self, nodes: Mapping[str, Node], problems: Problems) -> None:
        self.beyond = False
        self.work = 0
        self._problems = problems
        self._nodes = nodes
        self._parents: dict[str, list[Node]] = {}
        self._earlier: dict[str, str] = {}
        self._handlers: dict[str, list[Node]] = {}
        named = {node.name: node for node in nodes.values()}
        for node in nodes.values():
            for child in node.children:
                self._parents.setdefault(child, []).append(self._pod_of(node))
            if node.kind == "Retry":
                tries = self._tries(node)
                self._earlier.update(zip(tries[1:], tries, strict=False))
            if node.hooked:
                base = re.sub(r"\.(onExit|hooks\.[^.]+)$", "", node.name)
                self._handlers.setdefault(base, []).append(node)
        for base, handlers in self._handlers.items():
            for handler in handlers:  # the workflow's own exit handler has no parent
                if base in named and handler.id not in self._parents:
                    self._parents[handler.id] = [named[base]]
        self._memo: dict[str, _Waited] = {}
        self._ends: dict[str, list[Node]] = {}
        self._around: dict[str, list[str]] = {}
        self._sorted: dict[frozenset[str], tuple[str, ...]] = {}

    def before(self, node: Node) -> tuple[float | None, tuple[str, ...] | None]:
        """When ``node`` could start, and the steps it had waited for (sorted)."""
        if self.beyond:
            return None, None
        try:
            at, steps = self._waited(node)
        except _Beyond:
            self.beyond = True
            self._problems.add(f"the nodes of this run have more than {MAX_WORK:,} links: {WAITED_UNKNOWN}")
            return None, None
        if steps not in self._sorted:
            self._sorted[steps] = tuple(sorted(steps))
        return at, self._sorted[steps]

    def _waited(self, node: Node) -> _Waited:
        todo, entered = [node.id], {node.id}
        while todo:  # iterative, because chains may be thousands of nodes long
            current = todo[-1]
            waiting = [p.id for p in self._seen_through(current) if p.id not in self._memo and p.id not in entered]
            if current not in self._memo and waiting:
                todo += waiting
                entered.update(waiting)
                continue
            if current not in self._memo:
                self._memo[current] = self._join(current)
            todo.pop()
        return self._memo[node.id]

    def _spend(self, work: int = 1) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise _Beyond

    def _seen_through(self, identity: str) -> Iterator[Node]:
        """Parents whose dependencies the node inherits: composites that contain it, and the task in which a hook began."""
        node = self._nodes[identity]
        if identity in self._earlier:
            return
        for parent in self._parents.get(identity, ()):
            self._spend()
            if node.hooked:
                if _began_during(node, parent):
                    yield parent
            elif parent.composite and (_inside(node.name, parent.name) or self._passes_on(parent)):
                yield parent

    def _passes_on(self, composite: Node) -> bool:
        """Whether dependents of a composite waited for nothing in it, as it is empty. Those of a failed retry and of a
        handler are its children too, and those of a retried template in a fan-out are children of its last attempt."""
        return composite.kind != "Retry" and not composite.hooked and not self._exits(composite)

    def _join(self, identity: str) -> _Waited:
        """What a node waited for: the attempt before it, or its parents; where it inherits their dependencies, these."""
        node = self._nodes[identity]
        earlier = self._nodes.get(self._earlier.get(identity, ""))
        if earlier is not None:
            failed = self._exits(earlier) or [earlier]
            return _ended(failed, earlier), frozenset(".".join(leaf.key) for leaf in failed)
        parents = self._parents.get(identity, ())
        if not parents:
            return node.started, frozenset()
        through = {p.id for p in self._seen_through(identity)}
        if len(parents) == len(through) == 1 and parents[0].id in self._memo and not node.hooked:
            return self._memo[parents[0].id]
        times: list[float | None] = []
        steps: set[str] = set()
        for parent in parents:
            self._spend()
            if parent.id in through:
                at, names = self._memo.get(parent.id, (None, frozenset()))
                self._spend(len(names))
                times.append(node.started if node.hooked else at)
                steps |= names
                continue
            if node.hooked:
                left = [n for leaf in self._exits(parent) for n in (leaf, *self._handlers_passed(leaf, node))]
                waited = [leaf for n in left for leaf in self._exits(n)]
                times.append(_ended(waited, parent))
                steps |= {".".join(n.key) for n in waited}
                continue
            for one in (parent, *self._handlers_passed(parent, node)):
                times.append(one.finished)
                steps |= {".".join(leaf.key) for leaf in self._exits(one)}
        known = [t for t in times if t is not None]
        return (max(known) if len(known) == len(times) else None), frozenset(s for s in steps if s)

    def _pod_of(self, node: Node) -> Node:
        """The pod of a container of a containerSet: dependents wait for the whole pod."""
        around = self._nodes.get(str(node.raw.get("boundaryID")))
        return around if node.kind == "Container" and around is not None else node

    def _exits(self, node: Node) -> list[Node]:
        """The leaves that end a node; a leaf is its own end."""
        if node.id not in self._ends:
            self._ends[node.id] = self._leaves(node)
        self._spend(len(self._ends[node.id]))
        return self._ends[node.id]

    def _leaves(self, node: Node) -> list[Node]:
        nodes: dict[str, Node] = {}
        todo, seen = [node.id], set()
        while todo:
            self._spend()
            current = self._nodes.get(todo.pop())
            if current is None or current.id in seen:
                continue
            seen.add(current.id)
            if not current.composite:
                nodes[current.id] = current
            elif current.kind == "Retry":
                self._spend(len(current.children))
                todo += self._tries(current)[-1:]
            elif current.kind == "TaskGroup":
                self._spend(len(current.children))
                todo += [c for c in current.children if not self._hooked(c)]
            else:
                outbound = current.raw.get("outboundNodes")
                todo += [str(o) for o in outbound] if isinstance(outbound, list) else self._held(current)
        return list(nodes.values())

    def _tries(self, node: Node) -> list[str]:
        """Attempts of a retry, without the dependents of a failed one, which are its children too."""
        children = (self._nodes[c] for c in node.children if not self._hooked(c))
        return [c.id for c in children if c.name.startswith(f"{node.name}(")]

    def _held(self, node: Node) -> list[str]:
        """All nodes inside a composite: a failed one has no outbound nodes."""
        inside: dict[str, None] = {}
        todo = list(node.children)
        while todo:
            self._spend()
            held = self._nodes.get(todo.pop())
            if held is not None and held.id not in inside and _inside(held.name, node.name):
                inside[held.id] = None
                todo += held.children
        return list(inside)

    def _hooked(self, identity: str) -> bool:
        node = self._nodes.get(identity)
        return node is None or node.hooked

    def _handlers_passed(self, parent: Node, node: Node) -> Iterator[Node]:
        """Handlers of ``parent``, and of composites around it that do not contain ``node``."""
        if not self._handlers:
            return
        if parent.id not in self._around:
            self._around[parent.id] = self._handled(parent)
        for prefix in self._around[parent.id]:
            if not _inside(node.name, prefix):
                self._spend(len(self._handlers[prefix]))
                yield from self._handlers[prefix]

    def _handled(self, node: Node) -> list[str]:
        """Names of ``node`` and of composites around it that have handlers, outermost first."""
        handled = []
        for piece in islice(_PIECE.finditer(node.name), _PIECES):
            self._spend()
            if node.name[: piece.end()] in self._handlers:
                handled.append(node.name[: piece.end()])
        return handled


def _ended(leaves: Sequence[Node], composite: Node) -> float | None:
    """When all ``leaves`` had ended. The ``composite`` ends when the controller observes that: the delay in between is not
    theirs."""
    ends = [n.finished for n in leaves if n.finished is not None]
    return max(ends) if len(ends) == len(leaves) > 0 else composite.finished


def _began_during(hook: Node, node: Node) -> bool:
    """Whether a hook started while its node ran: hooks start once their expression is true, only exit handlers wait."""
    return hook.started is not None and node.finished is not None and hook.started < node.finished


def _inside(name: str, composite: str) -> bool:
    return name.startswith(composite) and name[len(composite) : len(composite) + 1] in (".", "[", "(")
