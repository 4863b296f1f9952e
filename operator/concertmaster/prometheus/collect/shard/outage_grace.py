"""How long a reading waits for pods that may have ended while kube-state-metrics was down. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.facts.drafts import PodDraft


def waiting_until(
    held: Sequence[PodDraft], since: float, end: float, options: CollectOptions
) -> tuple[float, tuple[str, ...]]:
    """How far the watermark of a reading of (``since``, ``end``] may move with these pods held back, and what is given
    up."""
    if not held:
        return end, ()
    seen = [since if draft.last_seen is None else draft.last_seen for draft in held]
    earliest = min(seen) - options.shortest
    longest = end - options.hold
    if earliest < longest:
        note = f"{len(held)} pods disappeared while kube-state-metrics was away for long; their ends stay unknown"
        return max(since, longest), (note,)
    return max(since, min(end, earliest)), ()
