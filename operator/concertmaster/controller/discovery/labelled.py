"""Workflows without an object of their own, found by the labels of their pods in metrics sources and among live pods.

A source is queried for the last day once, and then for what is new. A query that fails becomes a note, and what was known
is kept for a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from concertmaster.api.labelled import LabelledWorkflow, asked_for
from concertmaster.api.models.pod_labels import DiscoveredLabels
from concertmaster.api.policy import AnyPolicy, home, reaches, ref
from concertmaster.controller.discovery.pod_index import PodIndex
from concertmaster.core.fair_share import round_robin
from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.model.policy import PolicyRef
from concertmaster.core.units import DAY
from concertmaster.engines.labels.definition import preset_of
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError, TooLarge
from concertmaster.prometheus.collect.labelled import Row, labels_seen

MAX_WORKFLOWS = 5_000  # workflows remembered for one set of labels: beyond that of each namespace the first, in turns
MAX_SETS = 200  # sets of labels that are asked for, of each namespace the first, in turns
_OVERLAP = 600.0  # seconds asked for again
_MAX_REFUSED = 5  # namespaces whose answers are too large, beyond which it is the source that allows too little
_Entry = tuple[AnyPolicy, DiscoveredLabels, PodLabels]
_MIN_INTERVAL_SHARE = 0.9  # of the interval between two questions


class LabelSources(Protocol):
    """The metrics sources, as far as labels are asked of them."""

    def names(self) -> Sequence[str]:
        """The configured names."""

    def allows(self, source: str, namespace_labels: Mapping[str, str]) -> bool:
        """Whether a namespace with these labels may use the source."""

    def client(self, name: str) -> PrometheusClient:
        """The client of a source."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What was found; ``left_out``: what is not looked for, by policy."""

    workflows: tuple[LabelledWorkflow, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: Mapping[PolicyRef, str] = field(default_factory=dict)


class LabelledWorkflows:
    """Remembers the workflows found, and when each source was queried. Used by one thread."""

    def __init__(
        self,
        sources: LabelSources,
        *,
        interval: float,
        pods: PodIndex | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._interval = interval
        self._pods = pods
        self._clock = clock
        self._asked: dict[tuple[str, PodLabels, str], float] = {}
        self._exported: dict[PodLabels, float] = {}
        self._known: dict[PodLabels, dict[LabelledWorkflow, float]] = {}

    def refresh(self, policies: Iterable[AnyPolicy], namespaces: Mapping[str, Mapping[str, str]]) -> Labelled:
        """The workflows that policies select, as far as they are known now."""
        now, notes = self._clock(), dict[str, None]()
        requested: dict[tuple[str, PodLabels], set[str]] = {}
        left_out: dict[PolicyRef, str] = {}
        for policy, _, keys in _fairly(asked_for(policies)):
            source = policy.spec.metrics_source
            if policy.spec.suspend or source not in self._sources.names():
                continue
            own = home(policy)
            places = {
                name
                for name in (namespaces if own is None else (own,))
                if (labels := namespaces.get(name)) is not None
                and reaches(policy, name, labels)
                and self._sources.allows(source, labels)
            }
            if (source, keys) in requested or (places and len(requested) < MAX_SETS):
                requested.setdefault((source, keys), set()).update(places)
            elif places:
                left_out[ref(policy)] = (
                    f"not all of its podLabels are looked for: those of all policies are more than {MAX_SETS}; use the "
                    "same ones in several policies, or one policy of the cluster"
                )
        every = dict.fromkeys(keys for _, keys in requested)
        self._asked = {asked: at for asked, at in self._asked.items() if asked[2] in requested.get(asked[:2], ())}
        for (source, keys), places in requested.items():
            try:
                notes |= dict.fromkeys(self._ask(source, keys, places, now))
            except MetricsError as error:
                notes[f"workflows are not discovered by pod labels now: {error}"] = None
        for keys in every:
            self._take(keys, self._pods.rows(keys) if self._pods is not None else (), now)
        for known in (self._known, self._exported):
            for keys in [k for k in known if k not in every]:
                del known[keys]
        for keys, workflows in self._known.items():
            self._known[keys] = {w: at for w, at in workflows.items() if now - at <= DAY}
        workflows_now = tuple(w for workflows in self._known.values() for w in workflows)
        # Of these no source has a label: only live pods show them.
        hidden = tuple(keys for keys in every if now - self._exported.get(keys, 0.0) > DAY)
        warnings = self._pods.follow(hidden) if self._pods is not None else ()
        return Labelled(workflows_now, (*notes, *warnings), left_out)

    def _ask(self, source: str, keys: PodLabels, places: Iterable[str], now: float) -> Iterable[str]:
        """Ask for what is new. Returns sentences on namespaces with more workflows than an answer may have: next time they
        are asked for what is new then."""
        asked = {place: self._asked.get((source, keys, place), 0.0) for place in places}
        # What was asked at a time to come was asked before the clock was set back: nobody knows how long ago.
        since = {place: at if at <= now else 0.0 for place, at in asked.items()}
        due = [place for place, at in since.items() if now - at >= _MIN_INTERVAL_SHARE * self._interval]
        if not due:
            return ()
        preset, refused = preset_of(keys), dict[str, str]()
        reach = min(DAY, max(now - since[place] for place in due) + _OVERLAP)

        def seen(some: Sequence[str]) -> list[Row]:
            try:
                return labels_seen(
                    self._sources.client(source),
                    some,
                    preset.finder(keys),
                    (keys.workflow, *preset.more),
                    seconds=int(reach),
                    now=now,
                )
            except TooLarge as error:
                if len(some) > 1:
                    return [*seen(some[: len(some) // 2]), *seen(some[len(some) // 2 :])]
                if len(refused) == _MAX_REFUSED:
                    raise
                refused[some[0]] = f"workflows of namespace {some[0]} are not discovered by pod labels now: {error}"
                return []

        rows = seen(due)
        self._asked.update({(source, keys, place): now for place in due})
        if rows:
            self._exported[keys] = now
        self._take(keys, rows, now)
        return refused.values()

    def _take(self, keys: PodLabels, rows: Iterable[Row], now: float) -> None:
        known, preset = self._known.setdefault(keys, {}), preset_of(keys)
        for namespace, labels in rows:
            value = preset.workflow(PodFact(namespace, "", "", labels=labels), keys)
            if value is None or not value.isprintable() or len(value) > 253:
                continue
            known[LabelledWorkflow(namespace, replace(keys, value=value))] = now
        if len(known) > MAX_WORKFLOWS:
            kept = islice(round_robin(known, lambda workflow: workflow.namespace), MAX_WORKFLOWS)
            self._known[keys] = {workflow: known[workflow] for workflow in kept}


def _fairly(entries: Iterable[_Entry]) -> list[_Entry]:
    """Keys of the cluster's policies first, then of each namespace in turn: pods are watched by few labels only."""
    turns = round_robin(entries, lambda entry: entry[0].metadata.namespace)
    return sorted(turns, key=lambda entry: entry[0].metadata.namespace is not None)
