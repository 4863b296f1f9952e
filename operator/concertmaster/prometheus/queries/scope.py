"""What a bulk query looks at: the names a store gives to labels, the namespaces and pods, and the span of time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.engines.registry import OWNER_KINDS
from concertmaster.prometheus.queries.promql import among, equalities, matcher


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a store names what differs from the plain names: a label that a scrape without ``honor_labels`` moved away."""

    renamed: Mapping[str, str] = field(default_factory=dict)  # plain name -> name in this store

    def name(self, label: str) -> str:
        """The store's name of a label."""
        return self.renamed.get(label, label)

    def names(self, labels: Sequence[str]) -> str:
        """A comma-separated list of the store's names."""
        return ", ".join(self.name(label) for label in labels)


PLAIN = Dialect()
MOVED = Dialect({"namespace": "exported_namespace"})


@dataclass(frozen=True, slots=True)
class QueryScope:
    """What a set of queries looks at.

    ``namespaces`` empty means all of them; ``run_labels`` are Kubernetes label keys whose presence makes any pod count
    as part of a run, beside the owners of ``owner_kinds``.
    """

    namespaces: tuple[str, ...] = ()
    extra_matchers: Mapping[str, str] = field(default_factory=dict)
    owner_kinds: tuple[str, ...] = OWNER_KINDS
    run_labels: tuple[str, ...] = ()
    per_metric: bool = False
    state: Dialect = PLAIN
    usage: Dialect = PLAIN

    def of(self, dialect: Dialect, *matchers: str, pods: Sequence[str] = ()) -> list[str]:
        """The matchers every selector of this scope carries, plus ``matchers`` and a restriction to ``pods``."""
        where = among(dialect.name("namespace"), self.namespaces) or [matcher(dialect.name("namespace"), "!=", "")]
        return [*equalities(self.extra_matchers), *where, *among(dialect.name("pod"), pods), *matchers]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The span a query looks at, in whole seconds back from the pinned time.

    ``length`` is how far samples count, ``known`` the moment whose state the last look knew. ``length`` is longer by
    the five minutes a series stays visible in stores without staleness markers, or a pod that vanishes just before one
    look would be seen as present by it and be out of sight of the next.
    """

    length: int
    known: int = 0

    @property
    def range(self) -> str:
        """The window as a range."""
        return f"[{self.length}s]"

    def subquery(self, *, finest: int, points: int = 1440) -> str:
        """The window as a subquery range, with a step that keeps it at ``points`` points or fewer."""
        return f"[{self.length}s:{max(finest, -(-self.length // points))}s]"
