"""What was used of the persistent volumes that pods mounted. The kubelet names a volume by its claim, not by pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from concertmaster.core.model import VolumeUse
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.drafts import PodDraft
from concertmaster.prometheus.queries.extended import CLAIM
from concertmaster.prometheus.queries.scope import LabelScheme

ClaimBytes = dict[tuple[str, str], dict[str, float]]  # (namespace, claim) -> used and capacity, bytes


def read_volumes(vector: Vector, scheme: LabelScheme, amounts: ClaimBytes) -> None:
    """Add an answer of the ``volumes`` query."""
    for (stat, namespace, claim), value in vector.select("stat", *scheme.columns("namespace", CLAIM)):
        amounts.setdefault((namespace, claim), {})[stat] = value


def join_volumes(drafts: Iterable[PodDraft], amounts: ClaimBytes) -> None:
    """Join it to the pods that mounted a claim; one of the two amounts alone is not used."""
    for draft in drafts:
        for claim in draft.claims:
            own = amounts.get((draft.namespace, claim), {})
            if own.get("capacity", 0.0) > 0 and "used" in own:
                draft.volumes[claim] = VolumeUse(claim, own["used"], own["capacity"])
