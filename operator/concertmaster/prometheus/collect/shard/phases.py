"""Whether a source exposes the phases of pods, learned from what was read.

Where it does, five series of each pod tell which ended, where it takes eight if the end of the containers may have to stand
in (``queries.ended.finished``). A pod without a phase cannot get lost by that: it is found too often, and then seen here.
Where it does not, containers that completed tell which pods succeeded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from concertmaster.core.units import HOUR
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.shard.source import ShardSource
from concertmaster.prometheus.facts.drafts import PodDraft
from concertmaster.prometheus.queries import ended


def exposed(client: PrometheusClient, at: float) -> bool:
    """Whether to rely on phases at a moment (unix seconds): unless pods lacked theirs within the hour before it, or later,
    which is what a reading of the past goes by."""
    return client.traits.unphased is None or at >= client.traits.unphased + HOUR


def lacking(drafts: Iterable[PodDraft]) -> bool:
    """Whether any of the pods found has no phase: one that is still exposed and has not ended, or one whose end is known
    only from its containers. Pods that vanished while they ran do not count."""
    return any(not draft.phases and (draft.there or draft.terminal) for draft in drafts)


def stand_in(source: ShardSource, drafts: Mapping[str, PodDraft]) -> None:
    """Treat pods that have ended without a phase and whose containers all completed as succeeded, as their phase would
    say. A container that failed before was restarted until it completed. Raises MetricsError."""
    bare = {uid: draft for uid, draft in drafts.items() if draft.terminal and not draft.phases}
    names, completed = [draft.pod for draft in bare.values()], set[tuple[str, ...]]()
    for answer in source.by_name("completed", names, partial(ended.completed, source.scope, source.window)):
        completed.update(labels for labels, _ in answer.select(*source.scope.state.columns("uid", "container")))
    for uid, draft in bare.items():
        working = [name for name, inside in draft.containers.items() if not inside.init]
        if working and not draft.reasons and all((uid, name) in completed for name in working):
            draft.phases.add("Succeeded")
            draft.stood_in = True
