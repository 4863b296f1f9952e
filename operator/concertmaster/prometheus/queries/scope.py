"""What a bulk query covers: the names a source gives to labels, the namespaces and pods, and the span of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.engines.common.names import pod_label
from concertmaster.engines.registry import OWNER_KINDS
from concertmaster.prometheus.queries.promql import among, equalities, matcher
from concertmaster.settings.source import POD_LABEL_PREFIX, MetricsSource


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """What a metrics source calls the labels of one family of series. Queries and the readers of their answers ask it, so
    that a relabelled source needs a map in the configuration and nothing else."""

    renamed: Mapping[str, str] = field(default_factory=dict)  # exporter's name -> name in this source

    def name(self, label: str) -> str:
        """The source's name of a label."""
        return self.renamed.get(label, label)

    def names(self, labels: Sequence[str]) -> str:
        """A comma-separated list of the source's names."""
        return ", ".join(self.columns(*labels))

    def columns(self, *labels: str) -> tuple[str, ...]:
        """The source's names, in order."""
        return tuple(self.name(label) for label in labels)

    def match(self, label: str, operator: str, value: str) -> str:
        """A matcher on a label."""
        return matcher(self.name(label), operator, value)

    def pod_label(self, key: str) -> str:
        """The name under which the value of a Kubernetes pod label is exported."""
        return self.name(POD_LABEL_PREFIX) + pod_label(key)

    def over(self, detected: LabelScheme) -> LabelScheme:
        """This scheme, and what was detected of labels it does not name."""
        return LabelScheme({**detected.renamed, **self.renamed})


SPARSE = 900  # seconds between the moments at which what stays the same for long is queried
_LONG = 4 * SPARSE  # seconds; windows beyond this are read sparsely

MAX_NAMESPACES = 10  # matched beside names of pods

PLAIN = LabelScheme()
MOVED = LabelScheme({"namespace": "exported_namespace"})


@dataclass(frozen=True, slots=True)
class QueryScope:
    """What a set of queries covers.

    ``namespaces`` empty means all of them; ``run_labels`` are Kubernetes label keys whose presence makes any pod count
    as part of a run, beside the owners of ``owner_kinds``, and ``named`` pods of which that is known otherwise.
    """

    namespaces: tuple[str, ...] = ()
    extra_matchers: Mapping[str, str] = field(default_factory=dict)
    owner_kinds: tuple[str, ...] = OWNER_KINDS
    run_labels: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    per_metric: bool = False
    each_cpu: bool = False  # the source has series of CPU time for each CPU, which are left out
    state: LabelScheme = PLAIN
    usage: LabelScheme = PLAIN

    @classmethod
    def in_source(cls, source: MetricsSource, namespaces: Iterable[str] = ()) -> QueryScope:
        """The namespaces as the configuration of a source has them."""
        return cls(
            tuple(sorted(set(namespaces))),
            source.extra_matchers,
            source.owner_kinds,
            per_metric=source.per_metric_queries,
            state=LabelScheme(source.labels.state_metrics),
            usage=LabelScheme(source.labels.container_metrics),
        )

    def of(self, scheme: LabelScheme, *matchers: str) -> list[str]:
        """The matchers every selector of this scope carries, plus ``matchers``."""
        where = among(scheme.name("namespace"), self.namespaces) or [scheme.match("namespace", "!=", "")]
        return [*equalities(self.extra_matchers), *where, *matchers]

    def of_pods(self, scheme: LabelScheme, pods: Sequence[str], *matchers: str) -> list[str]:
        """The same for the pods named, of which none means all. Beside names, all namespaces or many are not matched: a
        metrics source intersects all their series with those of the pods, which takes it a fifth to a third of finding
        these. The answer may report pods of the same names in other namespaces."""
        named = among(scheme.name("pod"), pods)
        if named and not 0 < len(self.namespaces) <= MAX_NAMESPACES:
            return [*equalities(self.extra_matchers), *named, *matchers]
        return self.of(scheme, *named, *matchers)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The span a query covers, in whole seconds back from the pinned time.

    ``length`` is how far samples count, ``known`` the moment whose state the last reading knew. ``length`` is longer by
    the five minutes a series stays visible in stores without staleness markers, or a pod that vanishes just before one
    reading would be seen as present by it and be out of sight of the next.
    """

    length: int
    known: int = 0

    @property
    def range(self) -> str:
        """The window as a range."""
        return f"[{self.length}s]"

    @property
    def long(self) -> bool:
        """Whether what stays the same for long is read at moments of the window and not sample by sample."""
        return self.length > _LONG

    @property
    def sparse(self) -> str:
        """A long window as a subquery range: of a series that is there for hours, a few samples instead of hundreds. What
        is there for less than ``SPARSE`` seconds may be missed. A short window as it is."""
        return f"[{self.length}s:{SPARSE}s]" if self.long else self.range

    def step(self, finest: int, points: int = 1440) -> int:
        """The step in seconds, ``finest`` or more, that keeps a subquery over the window at ``points`` points or fewer."""
        return max(finest, -(-self.length // points))

    def subquery(self, *, finest: int, points: int = 1440) -> str:
        """The window as a subquery range, with a step that keeps it at ``points`` points or fewer."""
        return f"[{self.length}s:{self.step(finest, points)}s]"
