"""What the nodes behind each metrics source have allocatable, asked once an hour, and what services leave of them and of the
quotas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.changes.admission.service_pods import (
    SAMPLE_EVERY,
    InQuotas,
    QuotaMoment,
    ServiceMoment,
    ServicePods,
    in_quotas,
)
from concertmaster.core.units import DAY, HOUR
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.nodes import read_allocatable
from concertmaster.prometheus.facts.scrape_shape import detect
from concertmaster.prometheus.facts.services import read_quota_services, read_services
from concertmaster.prometheus.queries.bulk import kept_labels, moved_labels
from concertmaster.prometheus.queries.extended import allocatable
from concertmaster.prometheus.queries.scope import LabelScheme, QueryScope
from concertmaster.prometheus.queries.services import quota_services, services

log = logging.getLogger("concertmaster.sources")

_WEEK = 7 * DAY
_PAUSE = 600.0  # seconds between two moments of more than a day ago: 3 to 4 s of the source's CPU time with 2,000 nodes
_MIN_EXPORTED_SHARE = 0.9  # of the cores of all nodes: with fewer, a part of kube-state-metrics was away

_Moment = TypeVar("_Moment", bound=ServiceMoment | QuotaMoment)
_Made = TypeVar("_Made")


class NodeCapacity:
    """Capacities by source. A source that does not know its nodes, or does not answer, costs no more than a recommendation
    that is not bound by them: the last answer stays."""

    def __init__(self) -> None:
        self._known: dict[str, Nodes] = {}
        self._labels: dict[str, LabelScheme] = {}  # what each source calls those of kube-state-metrics
        self._services: dict[str, MomentReader[ServiceMoment, ServicePods]] = {}
        self._in_quotas: dict[str, MomentReader[QuotaMoment, dict[str, InQuotas]]] = {}

    def of(self, client: PrometheusClient, now: float, *, answers: bool) -> Nodes:
        """What the nodes of the client's source have allocatable, and what pods outside workflows leave of it. ``now`` in
        unix seconds; ``answers``: whether the source does at present."""
        name = client.source.name
        if answers and client.hourly.due("nodes", now):
            try:  # the answer covers a day, and nodes come and go slower than runs
                labels = self._labels[name] = _state_labels(client, now)
                text = allocatable(client.source.extra_matchers, labels)
                self._known[name] = read_allocatable(client.instant(text, now, name="nodes"), labels)
            except MetricsError as error:
                log.info("source %s: what nodes have allocatable is not known: %s", name, error)
        nodes = self._known.get(name, UNKNOWN_NODES)
        if not nodes.all:
            return nodes  # services bind nothing where the nodes scale
        moments = self._services.setdefault(name, MomentReader("services", services, read_services, _usable))
        if answers:
            moments.ask(client, now, self._names(client))
        return replace(nodes, services=moments.known(now))

    def in_quotas(self, client: PrometheusClient, now: float, *, answers: bool) -> Mapping[str, InQuotas]:
        """What services take of quotas, by namespace; the namespaces not named are not known. Arguments as above."""
        name = client.source.name
        made = MomentReader("quota services", quota_services, read_quota_services, in_quotas)
        moments = self._in_quotas.setdefault(name, made)
        if answers:
            moments.ask(client, now, self._names(client))
        return moments.known(now) or {}

    def _names(self, client: PrometheusClient) -> LabelScheme:
        return self._labels.get(client.source.name, LabelScheme(client.source.labels.state_metrics))


class MomentReader(Generic[_Moment, _Made]):
    """Moments of one source. Each is queried once, the newest first, one query per call, and none for an hour after one
    without an answer: 8 a day, at first those of the last day, and then slowly those of the week, as far as the source
    reaches back. None is stored: the source tells them again after a restart."""

    def __init__(
        self,
        name: str,
        text: Callable[[Mapping[str, str], LabelScheme, Collection[str]], str],
        read: Callable[[Vector, float, LabelScheme], _Moment | None],
        make: Callable[[list[_Moment]], _Made],
    ) -> None:
        self._name, self._text, self._reader, self._make = name, text, read, make
        self._read: dict[float, _Moment | None] = {}
        self._not_before = self._newest = 0.0
        self._known: _Made | None = None

    def ask(self, client: PrometheusClient, now: float, scheme: LabelScheme) -> None:
        """Read the newest moment of the week before ``now`` (unix seconds) that was not read."""
        source = client.source
        newest = (now - source.delay_seconds) // SAMPLE_EVERY * SAMPLE_EVERY
        due = [
            newest - n * SAMPLE_EVERY
            for n in range(round(_WEEK / SAMPLE_EVERY))
            if newest - n * SAMPLE_EVERY not in self._read
        ]
        if not due or (now < self._not_before <= now + HOUR):
            return
        try:
            text = self._text(source.extra_matchers, scheme, source.owner_kinds)
            found = self._reader(client.instant(text, due[0], name=self._name), due[0], scheme)
        except MetricsError as error:
            log.info("source %s: requests of pods outside workflows are not known: %s", source.name, error)
            self._not_before = now + HOUR
            return
        self._read = {at: moment for at, moment in self._read.items() if newest - _WEEK < at <= newest}
        self._read[due[0]] = found
        self._not_before = now + (HOUR if found is None else _PAUSE if newest - due[0] >= DAY else 0.0)
        moments = [moment for _, moment in sorted(self._read.items()) if moment is not None]
        if moments:
            self._known, self._newest = self._make(moments), moments[-1].at

    def known(self, now: float) -> _Made | None:
        """What is known; None where nothing is, or only what is more than a day old at ``now`` (unix seconds)."""
        return self._known if self._newest > now - DAY else None


def _state_labels(client: PrometheusClient, now: float) -> LabelScheme:
    """Names of labels of kube-state-metrics: as configured, else where a scrape without ``honor_labels`` moved them, as its
    own node would be taken for all there are. Where only some are moved, these are of a second kube-state-metrics, of a
    virtual cluster say. Raises MetricsError."""
    scope, at = QueryScope.in_source(client.source), now - client.source.delay_seconds
    moved = client.instant(moved_labels(scope), at, name="moved labels")
    if moved and client.instant(kept_labels(scope), at, name="kept labels"):
        return scope.state
    return scope.state.over(detect(moved).state)


def _usable(moments: list[ServiceMoment]) -> ServicePods:
    """The moments with about as large nodes as the newest day had: not those at which a part of them was not known, nor
    those from before nodes were added or taken away."""
    sizes = {moment.at: moment.held["cpu"] + float(moment.left["cpu"].sum()) for moment in moments}
    most = max(size for at, size in sizes.items() if at > moments[-1].at - DAY)
    return ServicePods(
        tuple(m for m in moments if _MIN_EXPORTED_SHARE * most <= sizes[m.at] <= most / _MIN_EXPORTED_SHARE)
    )
