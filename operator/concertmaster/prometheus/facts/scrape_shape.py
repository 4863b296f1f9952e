"""Recognising a scrape without ``honor_labels``. Pure.

Such a scrape puts its target's own namespace, pod and container into the labels of those names and moves the ones that
matter to ``exported_...``. Everything is still there, so it is read from there, and the remedy is named.
"""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.missing_series import MissingSeries, renamed
from concertmaster.prometheus.queries.scope import PLAIN, LabelScheme

_MOVABLE = ("namespace", "pod", "container", "node", "uid")


@dataclass(frozen=True, slots=True)
class ScrapeShape:
    """What the two families of series call their labels; ``present`` is False when the metrics source has no pods at
    all."""

    state: LabelScheme = PLAIN
    usage: LabelScheme = PLAIN
    present: bool = False
    notes: tuple[MissingSeries, ...] = ()


def detect(vector: Vector) -> ScrapeShape:
    """Read the ``shape`` query: one series of each family with all its labels, where it was moved at all."""
    state: dict[str, str] = {}
    usage: dict[str, str] = {}
    present = False
    for labels, _ in vector:
        stat = labels.get("stat", "")
        present = present or stat == "any"
        moved = {name: f"exported_{name}" for name in _MOVABLE if f"exported_{name}" in labels}
        (usage if stat == "usage" else state).update(moved)
    notes = []
    if state:
        notes.append(renamed(sorted(state), "kube-state-metrics"))
    if usage:
        notes.append(renamed(sorted(usage), "container"))
    return ScrapeShape(LabelScheme(state), LabelScheme(usage), present, tuple(notes))
