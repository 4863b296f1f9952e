"""Usage of containers as answers tell it, by pod name and cgroup.

It has no uid of its own. That is found in the cgroup path; where the path is missing, or names no pod, the rows of a pod's
name stand for the pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.cgroups import cgroup_uid, normal
from concertmaster.prometheus.facts.drafts import PodDraft, PodName
from concertmaster.prometheus.queries.scope import LabelScheme
from concertmaster.prometheus.queries.usage import TAIL


@dataclass(slots=True)
class UsageRow:
    """Everything measured of one start of one container (one cgroup), or of one pod's network. ``step``: seconds between
    the moments at which its last sample was sought. ``uid``: of the pod that the cgroup names, in normal form."""

    id: str
    values: dict[str, float] = field(default_factory=dict)
    step: float = 0.0
    uid: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.uid = cgroup_uid(self.id)


Usage = dict[tuple[str, str, str], dict[str, UsageRow]]  # (namespace, pod, container) -> id -> row


def read_usage(vector: Vector, scheme: LabelScheme, usage: Usage, *, step: float = 0.0) -> None:
    """Merge a ``counters`` or ``usage`` answer by maximum per id; several windows may report the same container.
    ``step`` is that of the subqueries behind the answer."""
    names = ("__name__", "series", "stat", *scheme.columns("namespace", "pod", "container", "id"))
    for (name, series, stat, namespace, pod, container, cgroup), value in vector.select(*names):
        rows = usage.setdefault((namespace, pod, container), {})
        row = rows.get(cgroup)
        if row is None:
            row = rows[cgroup] = UsageRow(cgroup)
        metric = name or series or stat
        row.step = max(row.step, step)
        row.values[metric] = max(value, row.values.get(metric, value))


def join_tails(usage: Usage, pods: Iterable[PodName]) -> bool:
    """Make one figure of what recording rules say of these pods and what is too young for them. False when samples
    that rules should cover left no record: the rules leave something out, and the answer is not to be used."""
    names = set(pods)
    rows = [
        row.values
        for (namespace, pod, container), own in usage.items()
        if container and (namespace, pod) in names
        for row in own.values()
    ]
    whole = all("peak" in v for v in rows if v.get("samples", 0.0) > v.get("samples" + TAIL, 0.0))
    for values in rows:
        for tail in [name for name in values if name.endswith(TAIL)]:
            value, name = values.pop(tail), tail.removesuffix(TAIL)
            values[name] = max(value, values.get(name, value))
    return whole


def unidentified(usage: Usage) -> set[PodName]:
    """Pods with rows of usage that do not say by uid which pod they are of."""
    return {
        (namespace, pod) for (namespace, pod, _), rows in usage.items() if not all(row.uid for row in rows.values())
    }


def rows_of(draft: PodDraft, container: str, usage: Usage) -> tuple[list[UsageRow], bool]:
    """The usage rows of one container of one pod, and whether they name the pod by uid."""
    rows = usage.get((draft.namespace, draft.pod, container), {})
    wanted = normal(draft.uid)
    own, nameless = [], []
    for row in rows.values():
        if row.uid is None:
            nameless.append(row)
        elif row.uid == wanted:
            own.append(row)
    if own:
        return own, True
    # Rows that name a container but no pod (another cgroup layout) say more than rows without any path.
    named = [row for row in nameless if row.id]
    return named or nameless, False
