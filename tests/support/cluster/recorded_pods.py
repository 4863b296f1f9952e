"""Pods that were seen of engines with labels (``tests/support/engines/pod_labels``), as lifetimes of several runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from concertmaster.engines.labels.presets import BY_NAME
from testbed.series.lives import PodLife
from tests.support.cluster.labelled_pods import EVERY, life

_RECORDED = Path(__file__).parent.parent / "engines" / "pod_labels"
_LAST = "245678"  # last characters of runs: each of them fits a UUID, a number and a name made by the API server


@dataclass
class Played:
    """A workflow as its profile should have it."""

    preset: str
    title: str
    runs: set[str]
    steps: set[str]


def _of_run(value: Any, run: str, other: str) -> Any:
    return value.replace(run, other) if isinstance(value, str) else value


def _pods(namespace: str, row: Mapping[str, Any], at: int, count: int, end: float) -> list[PodLife]:
    """The pod in each of ``count`` runs, two minutes after the one before it; all of a run end together, for a driver or
    worker outlasts what it started."""
    found, run = [], row["is"]["run"] if row["is"] is not None else row["pod"]
    for i in range(count):
        other = run[:-1] + _LAST[i]
        name = row["pod"].replace(run, other)
        name = name if other in name else name[:-1] + _LAST[i]
        labels = {k: _of_run(v, run, other) for k, v in row["labels"].items()}
        owner = tuple(_of_run(v, run, other) for v in row.get("owner", ("", "")))
        start = end - 2400.0 - (count - 1 - i) * EVERY + 120.0 * at
        pod = life(namespace, name, start, 600.0 + i - 120.0 * at, labels, owner=owner)
        (inside,) = pod.containers
        containers = [replace(inside, name=_of_run(c, run, other)) for c in row["containers"]]
        found.append(replace(pod, containers=containers))
    return found


def recorded(namespace: str, presets: list[str], count: int, end: float) -> tuple[list[PodLife], dict[str, Played]]:
    """Runs of these presets up to ``end`` (unix seconds), and the workflows that should be found, by name."""
    lives: list[PodLife] = []
    found: dict[str, Played] = {}
    for preset in presets:
        for at, row in enumerate(yaml.safe_load((_RECORDED / f"{preset}.yaml").read_text())):
            pods = _pods(namespace, row, at, count if row["is"] is not None else 1, end)
            lives += pods
            if row["is"] is not None:
                known = found.setdefault(row["is"]["workflow"], Played(preset, BY_NAME[preset].title, set(), set()))
                run = row["is"]["run"]
                known.runs |= {run[:-1] + _LAST[i] for i in range(count)}
                known.steps.add(row["is"]["step"])
    return lives, found
