"""The recommendations for one history of a healthy workflow, and the figures over many."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.advice.manifests import read
from benchmarks.healthy.law import DAY, WINDOW, Flow, Kind
from benchmarks.healthy.manifests import manifest
from benchmarks.healthy.simulation import simulate
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.model import Recommendation
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import Environment, analyze_workflow

_LAST = 1_763_640_000.0  # 2025-11-20 12:00 UTC, a Thursday; analyses take place in the fortnight before it


@dataclass(frozen=True, slots=True)
class Published:
    """A recommendation for a healthy workflow. ``true``: why it is right all the same, ``hidden``: what no metric shows
    and makes it wrong; empty: it is wrong for no such reason."""

    rule: str
    words: str
    true: str
    hidden: str


@dataclass(frozen=True, slots=True)
class History:
    """The analysis of one history."""

    kind: str
    what: str
    seed: int
    runs: int
    published: tuple[Published, ...]

    def has(self, what: Callable[[Published], bool]) -> bool:
        """Whether this is true of any of its recommendations."""
        return any(map(what, self.published))


def name_of(kind: Kind) -> str:
    """The name of a kind."""
    return kind.__name__.replace("_", "-")


def history(kind: Kind, seed: int) -> History:
    """The workflow of that kind and seed, analysed at a random time with the runs of two weeks."""
    name = name_of(kind)
    seeds = (zlib.crc32(name.encode()), seed)
    rng = np.random.default_rng([*seeds, 2])
    now = _LAST - float(rng.uniform(0.0, WINDOW / DAY)) * DAY
    flow = kind(rng)
    known = read(manifest(flow), (step.name for step in flow.steps))
    runs = simulate(flow, known.definition, known.names, seeds, now)
    capacity = Capacity(nodes=Nodes(all=flow.nodes))
    result = analyze_workflow(
        known.definition, runs, Policy(), profile=flow.name, now=now, environment=Environment(capacity=capacity)
    )
    published = tuple(_published(item, flow) for item in result.recommendations)
    return History(name, " ".join((kind.__doc__ or "").split()), seed, len(runs), published)


def _published(item: Recommendation, flow: Flow) -> Published:
    words = f"{item.action}: {item.because}"
    return Published(item.rule, words, flow.true.get(item.rule, ""), flow.hidden.get(item.rule, ""))


@dataclass(frozen=True, slots=True)
class Row:
    """What a rule recommends for the workflows of a kind: in how many histories, and the first with its seed."""

    rule: str
    kind: str
    what: str
    histories: int
    seed: int
    example: Published

    @property
    def order(self) -> tuple[bool, bool, str, int, str]:
        """Wrong ones first, those that no metric could have ruled out next; by rule, the most frequent first."""
        return bool(self.example.true), bool(self.example.hidden), self.rule, -self.histories, self.kind


def rows(histories: Sequence[History]) -> list[Row]:
    """A row for each rule and kind with recommendations."""
    found: dict[tuple[str, str], list[tuple[History, Published]]] = defaultdict(list)
    for one in histories:
        first = {item.rule: item for item in reversed(one.published)}
        for rule, item in first.items():
            found[rule, one.kind].append((one, item))
    made = [
        Row(rule, kind, cases[0][0].what, len(cases), cases[0][0].seed, cases[0][1])
        for (rule, kind), cases in found.items()
    ]
    return sorted(made, key=lambda row: row.order)


def summary(histories: Sequence[History], seeds: int) -> dict[str, Any]:
    """The figures over all histories."""
    return {
        "seeds": seeds,
        "kinds": len({one.kind for one in histories}),
        "histories": len(histories),
        "runs": sum(one.runs for one in histories),
        "wrong": sum(one.has(_wrong) for one in histories),
        "avoidable": sum(one.has(_avoidable) for one in histories),
        "true": sum(one.has(_true) for one in histories),
        "rows": [{**asdict(row), "example": row.example.words, "true": row.example.true, "hidden": row.example.hidden}
                 for row in rows(histories)],
    }  # fmt: skip


def _true(item: Published) -> bool:
    return bool(item.true)


def _wrong(item: Published) -> bool:
    return not item.true


def _avoidable(item: Published) -> bool:
    return not item.true and not item.hidden
