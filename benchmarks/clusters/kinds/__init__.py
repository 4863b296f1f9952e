"""The kinds of histories: what is planted, and workflows that are as they should be."""

from __future__ import annotations

from benchmarks.clusters.kinds import calendar, clashes, limits, locks, nodes, overlaps
from benchmarks.clusters.kinds.plan import Kind, Plan
from benchmarks.clusters.law import stream

_PARTS = (calendar, nodes, limits, locks, overlaps)


def _named(kinds: tuple[Kind, ...]) -> dict[str, Kind]:
    return {kind.__name__.replace("_", "-"): kind for kind in kinds}


PLANTED = _named((*clashes.KINDS, *(kind for part in _PARTS for kind in part.PLANTED)))
HEALTHY = _named(tuple(kind for part in _PARTS for kind in part.HEALTHY))
KINDS = {**PLANTED, **HEALTHY}


def planted(kind: str, seed: int) -> Plan:
    """The plan of that kind and seed."""
    return KINDS[kind](stream(kind, seed))
