"""What the nodes behind each metrics source have allocatable, asked once an hour."""

from __future__ import annotations

import logging

from concertmaster.core.changes.admission.capacity import UNKNOWN_NODES, Nodes
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.facts.nodes import read_allocatable
from concertmaster.prometheus.queries.extended import allocatable

log = logging.getLogger("concertmaster.sources")


class NodeCapacity:
    """Capacities by source. A source that does not know its nodes, or does not answer, costs no more than a recommendation
    that is not bound by them: the last answer stays."""

    def __init__(self) -> None:
        self._known: dict[str, Nodes] = {}

    def of(self, client: PrometheusClient, now: float, *, answers: bool) -> Nodes:
        """What the nodes of the client's source have allocatable. ``now`` in unix seconds; ``answers``: whether the source
        does at present."""
        name = client.source.name
        if answers and client.hourly.due(
            "nodes", now
        ):  # the answer covers a day, and nodes come and go slower than runs
            try:
                text = allocatable(client.source.extra_matchers)
                self._known[name] = Nodes(*read_allocatable(client.instant(text, now, name="nodes")))
            except MetricsError as error:
                log.info("source %s: what nodes have allocatable is not known: %s", name, error)
        return self._known.get(name, UNKNOWN_NODES)
