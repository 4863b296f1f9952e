"""Runs and steps derived from pod labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from concertmaster.core.model import (
    EngineTraits,
    PodFact,
    PodLabels,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.labels.definition import TRAITS
from concertmaster.engines.labels.preset import MAIN, Preset

_Index = dict[PodLabels, dict[str, WorkflowDefinition]]
"""The workflows of one namespace by label keys and value."""

NO_RUN = "its labels name a workflow, but no run"


class Pods:
    """Reads the pods of one preset. Workflows are indexed by label values, which avoids a search per pod."""

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self._traits: EngineTraits = TRAITS[preset.name]
        self._known: tuple[Candidates | None, _Index] = (None, {})

    def infer(self, fact: PodFact) -> WorkflowKey | None:
        """The workflow of a pod without a declaration, with the preset's engine as kind; None if its labels do not
        identify one."""
        keys = self.preset.keys
        workflow = self.preset.workflow(fact, keys) if self.preset.infers else None
        if workflow is None or self.preset.run(fact, keys) is None:
            return None
        return WorkflowKey(fact.namespace, self.preset.title, workflow)

    def claims(self, fact: PodFact, candidates: Candidates) -> WorkflowDefinition | None:
        """The workflow that a pod belongs to; None if there is none."""
        for keys, workflows in self._index(candidates).items():
            workflow = self.preset.workflow(fact, keys)
            if workflow is not None and workflow in workflows:
                return workflows[workflow]
        return None

    def place(self, facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
        """Assign every pod that a workflow claims to its run and step."""
        for fact in facts:
            definition = self.claims(fact, candidates)
            if definition is None:
                continue
            keys = self._keys(definition)
            run = self.preset.run(fact, keys)
            if not run:
                yield UnassignedPod(fact, NO_RUN, self._traits)
                continue
            step, item = self.preset.step(fact, keys), self.preset.item(fact, keys)
            attempt = self.preset.attempt(fact, keys) or 0
            yield AssignedPod(
                definition.key, run, execution(_renamed(fact), step, item, attempt, beside=self.preset.beside)
            )

    def _index(self, candidates: Candidates) -> _Index:
        known, index = self._known
        if known is not candidates:
            index = {}
            for d in candidates.all:
                keys = self._keys(d)
                index.setdefault(replace(keys, value=""), {}).setdefault(keys.value, d)
            self._known = (candidates, index)
        return index

    def _keys(self, definition: WorkflowDefinition) -> PodLabels:
        """The label keys of a workflow; those of the preset if it was inferred from pods."""
        return definition.pod_labels or replace(self.preset.keys, value=definition.key.name)


def _renamed(fact: PodFact) -> PodFact:
    """The pod with a fixed name for the container that is named after it, so that all runs use the same name."""
    if all(c.name != fact.pod for c in fact.containers):
        return fact
    containers = tuple(replace(c, name=MAIN) if c.name == fact.pod else c for c in fact.containers)
    return replace(fact, containers=containers)
