"""Pod labels that must be read from the metrics source to assign pods to workflows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines.registry import ENGINES, by_traits


@dataclass(frozen=True, slots=True)
class NeededLabels:
    """Label keys, both tuples sorted: ``run_keys`` make a pod part of a run, ``keys`` are all that are needed.
    ``nodes``: whether prices also need the labels of nodes."""

    keys: tuple[str, ...]
    run_keys: tuple[str, ...]
    nodes: bool = False

    @property
    def words(self) -> dict[str, int]:
        """What each key costs a query, in characters: it names all keys several times, and looks for each run key among the
        labels of all pods."""
        runs = dict.fromkeys(self.run_keys, _RUN_KEY)
        return {key: _TIMES * len(key) + runs.get(key, 0) for key in self.keys}


MAX_WORDS = 2_500_000
"""Characters of label keys and names of pods that one reading may cost: metrics sources refuse queries of 10 MB."""
_TIMES = 25
_RUN_KEY = 25_000  # of a hundred of them a query consists at most


class QueryWords:
    """Words of one query, each once."""

    def __init__(self, words: Mapping[str, int] | None = None) -> None:
        """``words`` with what each costs."""
        self._costs = dict(words or {})
        self._size = sum(self._costs.values())

    def add_if_fits(self, words: Mapping[str, int]) -> bool:
        """Add ``words`` with what each costs, if all of them fit; whether they do."""
        dearer = {word: cost for word, cost in words.items() if cost > self._costs.get(word, 0)}
        size = self._size + sum(cost - self._costs.get(word, 0) for word, cost in dearer.items())
        if size > MAX_WORDS:
            return False
        self._costs.update(dearer)
        self._size = size
        return True


def labels_in_use(definitions: Iterable[WorkflowDefinition], *, undeclared: bool = False) -> NeededLabels:
    """Label keys that the definitions' engines and selectors read. With ``undeclared`` those of all engines, so that
    workflows without a declaration can be inferred."""
    keys = {key for engine in ENGINES for key in engine.pod_labels} if undeclared else set[str]()
    runs = {key for engine in ENGINES for key in engine.run_labels} if undeclared else set[str]()
    nodes = False
    for definition in definitions:
        nodes = nodes or definition.priced_by_node
        engine = by_traits(definition.engine)
        keys.update(engine.pod_labels if engine is not None else ())
        if definition.pod_labels is not None:
            keys.update(definition.pod_labels.keys)
        if definition.run_label:
            runs.add(definition.run_label)
        keys.update(term.key for term in definition.run_selector)
        for step in definition.graph.steps:
            keys.update(term.key for term in step.selector)
    return NeededLabels(tuple(sorted(keys | runs)), tuple(sorted(runs)), nodes)


def affordable(definitions: Sequence[WorkflowDefinition]) -> NeededLabels:
    """The labels in use; where one reading cannot afford them, those of the first definitions that it can."""
    labels = labels_in_use(definitions)
    if sum(labels.words.values()) <= MAX_WORDS:
        return labels
    query = QueryWords()
    fitting = [definition for definition in definitions if query.add_if_fits(labels_in_use([definition]).words)]
    return labels_in_use(fitting)


def nameable(pods: Sequence[str]) -> tuple[str, ...]:
    """As many names of pods as one reading can afford."""
    return tuple(name for name, size in zip(pods, accumulate(map(len, pods)), strict=True) if size <= MAX_WORDS)
