"""Labels of live pods, where no metrics source exports them.

Pods come and go within seconds: a watch delivers them in its own thread, and only their names and the few labels that are
read are kept, for a while after they are gone. Everything else about them comes from the metrics.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from concertmaster.core.model import PodFact, PodLabels
from concertmaster.core.units import DAY
from concertmaster.engines.labels.definition import preset_of
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import PODS, Resource

MAX_PODS = 20_000  # pods remembered
MAX_LISTED = 5 * MAX_PODS  # at the start of a watch
MAX_WATCHES = 4  # keys by which pods are watched; more are read by nobody
KEEP_SECONDS = 2 * DAY  # seconds after a pod was seen last


@dataclass(frozen=True, slots=True)
class _Pod:
    uid: str
    labels: Mapping[str, str]
    seen: float


Listing = Callable[[str], Iterable[Mapping[str, Any]]]
"""The pods that have a label now. Raises KubeError."""


class RunningWatch(Protocol):
    """A watch that continues by itself."""

    def keep(self) -> None:
        """Begin it, and again where it has ended."""

    def stop(self, timeout: float) -> bool:
        """End it."""


class PodIndex:
    """``accepts`` is called from the threads of the watches, everything else from the cycle's.

    ``start`` makes a watch of pods with a label that hands them to ``accepts``; ``places`` are the namespaces watched
    (None: the whole cluster). ``listing`` is asked before: a watch brings the pods there are one by one, and the metrics of
    a workflow would be read while the labels of some of its pods are unknown.
    """

    def __init__(
        self,
        start: Callable[[str, PodIndex], RunningWatch],
        access: AccessChecker,
        places: Sequence[str | None],
        *,
        listing: Listing = lambda _: (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._start = start
        self._listing = listing
        self._listed: dict[str, frozenset[str]] = {}  # by the key that is watched: those whose values were noted
        self._access = access
        self._places = places
        self._clock = clock
        self._lock = threading.Lock()
        self._pods: dict[str, OrderedDict[str, _Pod]] = {}  # by namespace and name, the last seen at the end
        self._count = 0
        self._watches: dict[str, RunningWatch] = {}
        self._keys: frozenset[str] = frozenset()

    # --- the watches' threads -----------------------------------------------------------------------------------------

    def accepts(self, resource: Resource, obj: Mapping[str, Any]) -> bool:
        """Note a pod. The object itself is never kept."""
        meta = obj.get("metadata") or {}
        given = meta.get("labels") or {}
        labels = {str(k): str(v) for k, v in given.items() if k in self._keys}
        pod = _Pod(str(meta.get("uid", "")), labels, self._clock())
        with self._lock:
            pods = self._pods.setdefault(str(meta.get("namespace", "")), OrderedDict())
            self._count -= len(pods)
            pods[name := str(meta.get("name", ""))] = pod
            pods.move_to_end(name)
            self._count += len(pods)
            while self._count > MAX_PODS:
                self._drop_first(max(self._pods, key=lambda namespace: len(self._pods[namespace])))
        return False

    def take(self, resource: Resource, obj: Mapping[str, Any], packed: bytes) -> None:
        """Keep nothing: ``accepts`` has noted the labels already."""

    # --- the cycle's thread -------------------------------------------------------------------------------------------

    def follow(self, hidden: Sequence[PodLabels]) -> tuple[str, ...]:
        """Watch pods by the first of these labels' keys, and nothing else. Returns the obstacles, for the cycle's log."""
        finders = {preset_of(keys).finder(keys): keys for keys in hidden}
        self._keys = frozenset(key for keys in hidden for key in preset_of(keys).read(keys))
        watched = list(finders)[:MAX_WATCHES]
        for finder in [f for f in self._watches if f not in watched]:
            self._watches.pop(finder).stop(0.0)
            self._listed.pop(finder, None)
        if not finders:
            return ()
        needed = [Right(verb, PODS, place) for place in self._places for verb in ("list", "watch")]
        if lacking := self._access.missing(needed):
            return (
                f"labels {', '.join(sorted(finders))} are in no metrics source, and live pods cannot be read: the operator "
                f"may not {'; '.join(map(str, lacking))}. Add the labels to kube-state-metrics' "
                "--metric-labels-allowlist, or set engines.podLabels of the chart",
            )
        unlisted = [note for finder in watched if (note := self._list(finder)) is not None]
        for finder in watched:
            if finder not in self._watches:
                self._watches[finder] = self._start(finder, self)
        left = sorted(finders.keys() - self._watches.keys())
        more = f"pods are watched by {MAX_WATCHES} labels at most, not by {', '.join(left)}" if left else ""
        for watch in self._watches.values():
            watch.keep()
        self._forget()
        return (*unlisted, *([more] if more else []))

    def _list(self, finder: str) -> str | None:
        """Record the existing pods, once for each set of labels that are read. Returns what stands in the way."""
        if self._keys <= self._listed.get(finder, frozenset()):
            return None
        try:
            for obj in islice(self._listing(finder), MAX_LISTED):
                self.accepts(PODS, obj)
        except KubeError as error:
            return f"runs of pods with label {finder} may lack steps: the pods there are cannot be listed: {error}"
        self._listed[finder] = self._keys
        return None

    def stop(self, timeout: float) -> bool:
        """End all watches; True when they ended within ``timeout`` seconds each."""
        ended = [watch.stop(timeout) for watch in self._watches.values()]
        return all(ended)

    def rows(self, keys: PodLabels) -> Iterator[tuple[str, dict[str, str]]]:
        """Namespace and labels of the pods that have the label by which such pods are found."""
        finder = preset_of(keys).finder(keys)
        with self._lock:
            matching = [
                (namespace, dict(pod.labels))
                for namespace, pods in self._pods.items()
                for pod in pods.values()
                if finder in pod.labels
            ]
        return iter(matching)

    def names(self, namespaces: Collection[str]) -> tuple[str, ...]:
        """Names of the pods noted in these namespaces."""
        with self._lock:
            return tuple(sorted({name for namespace in namespaces for name in self._pods.get(namespace, ())}))

    def labelled(self, facts: Sequence[PodFact]) -> tuple[PodFact, ...]:
        """The facts, with the labels of those that were noted."""
        with self._lock:
            known = {(namespace, name): pod for namespace, pods in self._pods.items() for name, pod in pods.items()}
        return tuple(
            replace(fact, labels={**pod.labels, **fact.labels})
            if (pod := known.get((fact.namespace, fact.pod))) is not None and pod.uid == fact.uid
            else fact
            for fact in facts
        )

    def _forget(self) -> None:
        now = self._clock()
        with self._lock:
            for namespace in list(self._pods):
                while (pods := self._pods.get(namespace)) and now - next(iter(pods.values())).seen > KEEP_SECONDS:
                    self._drop_first(namespace)

    def _drop_first(self, namespace: str) -> None:
        """Forget the pod of a namespace that was seen longest ago."""
        self._pods[namespace].popitem(last=False)
        self._count -= 1
        if not self._pods[namespace]:
            del self._pods[namespace]
