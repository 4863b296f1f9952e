"""Engines recognised by pod labels, as registered: one per preset, and one for custom labels."""

from __future__ import annotations

from concertmaster.engines.base import ChartSwitch, Engine, RunKind
from concertmaster.engines.common.ordering import settle
from concertmaster.engines.labels.definition import TRAITS
from concertmaster.engines.labels.live import RUN_KINDS
from concertmaster.engines.labels.pods import Pods
from concertmaster.engines.labels.preset import Preset
from concertmaster.engines.labels.presets import ALL, PLAIN

PAGE = ("Engines by pod labels", "labels.md")


def _switch(preset: Preset, run: RunKind | None) -> ChartSwitch | None:
    if run is not None:
        return ChartSwitch("podLabels", (f"{run.object.kind}s",))
    return ChartSwitch("podLabels", ("labels of live pods",)) if preset is PLAIN else None


def _engine(preset: Preset) -> Engine:
    pods, run = Pods(preset), RUN_KINDS.get(preset.name)
    return Engine(
        traits=TRAITS[preset.name],
        defining=(),
        define=lambda raw, resolve, namespace: None,
        place=pods.place,
        settle=lambda executions, definition: settle(executions, definition, preset.try_of),
        selects=lambda fact, candidates, context: pods.claims(fact, candidates) is not None,
        selects_declared=True,
        pod_labels=preset.read(preset.keys) if preset is not PLAIN else (),
        run_labels=(preset.finder(preset.keys),) if preset.infers else (),
        infer=pods.infer,
        run_kinds=(run,) if run is not None else (),
        inferred_steps=preset.known_steps,
        watches_pods=preset is PLAIN,
        chart=_switch(preset, run),
        page=PAGE,
    )


LABELLED = tuple(_engine(preset) for preset in (*ALL, PLAIN))
