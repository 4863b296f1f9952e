"""Placing pods over several readings as if they were read at once.

A long fan-out is read in several readings, and some of them have no pod that identifies the run. So a run once recognised
stays recognised, and pods whose run is not recognised yet are kept, in bounded number, until one identifies it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import TypeVar

from concertmaster.core.fair_share import round_robin
from concertmaster.core.model import UNKNOWN_STEP, EngineTraits, PodFact, WorkflowDefinition, WorkflowKey
from concertmaster.core.stable_findings import StableFindings
from concertmaster.engines import Assignment, assign
from concertmaster.prometheus.collect.reading import Collection

MAX_RUNS = 20_000  # recognised runs remembered
MAX_PODS = 5_000  # pods that wait for their run to be recognised

RunId = tuple[str, str]  # namespace and name
_K = TypeVar("_K")
_V = TypeVar("_V")


class PodPlacer:
    """Places the pods of one source, and keeps what is unusual about them."""

    def __init__(self) -> None:
        self._observed: tuple[WorkflowDefinition, ...] = ()
        self._recognised: OrderedDict[RunId, WorkflowKey] = OrderedDict()
        self._held: OrderedDict[str, PodFact] = OrderedDict()  # by uid, oldest first
        self._strays: StableFindings[WorkflowKey] = StableFindings()
        self._unattributed: StableFindings[tuple[str, EngineTraits]] = StableFindings()

    @property
    def unplaced(self) -> dict[WorkflowKey, tuple[str, ...]]:
        """Sentences on pods that belong to no run although they seem to, by workflow."""
        return self._strays.all

    @property
    def namespace_unplaced(self) -> dict[tuple[str, EngineTraits], Mapping[str, str]]:
        """The same where no single workflow is concerned, by namespace and engine: each sentence by its reason."""
        return self._unattributed.by_kind

    def keep_only(self, definitions: Sequence[WorkflowDefinition]) -> None:
        """Forget what concerns workflows nobody observes any more."""
        if (observed := tuple(definitions)) == self._observed:
            return
        self._observed, keys = observed, {d.key for d in definitions}
        self._strays.keep_only(keys)
        self._unattributed.keep_only({(d.key.namespace, d.engine) for d in definitions})
        for run in [run for run, key in self._recognised.items() if key not in keys]:
            del self._recognised[run]

    def place(
        self,
        collected: Collection,
        definitions: Sequence[WorkflowDefinition],
        *,
        present: bool,
        live: Mapping[RunId, WorkflowKey] | None = None,
    ) -> Assignment:
        """Assign the pods of one reading, and those that waited for it. ``present``: the reading reached about now.
        ``live``: runs whose own objects say which workflow selects them, by labels their pods may not carry."""
        self._recognised.update(live or {})
        waiting_for = {(f.namespace, f.owner_name) for f in collected.facts} | set(live or ())
        waiting = [f for f in self._held.values() if _runs_of(f) & waiting_for]
        placed = assign(
            [*collected.facts, *waiting], definitions, job_owners=collected.job_owners, recognised=self._recognised
        )
        for fact in waiting:
            del self._held[fact.uid]
        for fact in placed.undecided:
            self._held[fact.uid] = fact
        self._held = _newest(self._held, MAX_PODS, lambda uid: self._held[uid].namespace)
        for key, runs in placed.executions.items():
            for run in runs:
                self._recognised[key.namespace, run] = key
                self._recognised.move_to_end((key.namespace, run))
        self._recognised = _newest(self._recognised, MAX_RUNS, itemgetter(0))
        self._learn(placed, definitions, present=present)
        return placed

    def _learn(self, placed: Assignment, definitions: Sequence[WorkflowDefinition], *, present: bool) -> None:
        engines = {d.key: d.engine for d in definitions} if placed.executions else {}
        learn = self._strays.learn if present else self._strays.add
        for key in {*placed.executions, *placed.unplaced}:
            learn(key, _sentences(placed.unplaced.get(key, {})))
        note = self._unattributed.learn if present else self._unattributed.add
        for place in {(k.namespace, engines[k]) for k in placed.executions} | set(placed.namespace_unplaced):
            pods = placed.namespace_unplaced.get(place, {})
            note(place, _sentences({why: f"{place[0]}/{pod}" for why, pod in pods.items()}))


def _newest(items: OrderedDict[_K, _V], most: int, namespace: Callable[[_K], str]) -> OrderedDict[_K, _V]:
    """``items``, oldest first; of more than ``most`` the newest of each namespace in turns, so that a flood in one of them
    takes nothing from the others."""
    if len(items) <= most:
        return items
    kept = set(islice(round_robin(reversed(items), namespace), most))
    return OrderedDict((key, value) for key, value in items.items() if key in kept)


def _runs_of(fact: PodFact) -> set[tuple[str, str | None]]:
    """Names by which the run of a pod may be known: its owner's, and those its labels tell."""
    return {(fact.namespace, name) for name in (fact.owner_name, *fact.labels.values())}


def _sentences(reasons: Mapping[str, str]) -> dict[str, str]:
    return {why: f"pods belong to no run: {why}, as {pod}" for why, pod in reasons.items()}


def placed_uids(placed: Assignment) -> set[str]:
    """Uids of pods whose assignment is final: a pod without a step may still get one from what a later reading shows of
    its run."""
    return {
        e.uid
        for runs in placed.executions.values()
        for executions in runs.values()
        for e in executions
        if e.uid and not e.step.startswith(UNKNOWN_STEP)
    }
