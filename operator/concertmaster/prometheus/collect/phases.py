"""Whether a source exposes the phases of pods, learned from what was read.

Where it does, five series of each pod tell which ended, where it takes eight if the end of the containers may have to stand
in (``queries.ended.finished``). A pod without a phase cannot get lost by that: it is found too often, and then seen here.
"""

from __future__ import annotations

from collections.abc import Iterable

from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.hourly import HOUR
from concertmaster.prometheus.facts.drafts import PodDraft


def exposed(client: PrometheusClient, at: float) -> bool:
    """Whether to rely on phases at a moment (unix seconds): unless pods lacked theirs within the hour before it, or later,
    which is what a reading of the past goes by."""
    return client.unphased is None or at >= client.unphased + HOUR


def lacking(drafts: Iterable[PodDraft]) -> bool:
    """Whether any of the pods that were found has no phase: one that is still exposed without having ended, or of which only
    its containers say that it has. Pods that vanished while they ran say nothing of it."""
    return any(not draft.phases and (draft.there or draft.terminal) for draft in drafts)
