"""Declared step graphs and selected runs, as registered."""

from __future__ import annotations

from collections.abc import Iterable

from concertmaster.engines.base import Engine
from concertmaster.engines.graph.steps import claims, define, place, settle
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.labels.definition import KIND


def engine(others: Iterable[Engine]) -> Engine:
    """The engine of profiles that declare a graph, or select runs of the ``others`` by name and labels."""
    runs = {kind.object.kind: e for e in others for kind in e.run_kinds}
    return Engine(
        traits=GRAPH,
        defining=(KIND,),
        define=lambda raw, resolve, namespace: define(raw, runs),
        place=place,
        settle=settle,
        selects=lambda fact, candidates, context: claims(fact, candidates) is not None,
        selects_declared=True,
    )
