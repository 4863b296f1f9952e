"""Daily analyses of the same workflows: which recommendations appear and disappear, and how often their values change
slightly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.advice.law import DAY, HOUR, NOW, WINDOW, Flow
from benchmarks.advice.numbers import amount
from benchmarks.advice.truth import runs_of
from concertmaster.core.lifecycle.sizing_history import sizing_history
from concertmaster.core.model import Recommendation
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import EarlierAnalyses, analyze_workflow
from concertmaster.core.pipeline.damping import LAGS

WEEKS = 2
_EVERY = 24 * HOUR  # between two analyses
_STEP = 0.2  # relative difference from which a proposed amount counts as different
_SOON = 7 * DAY


@dataclass(slots=True)
class Stability:
    """Results over all workflows. ``present``: weeks in which a recommendation was published, summed over
    recommendations. ``flickers``: recommendations that appeared and disappeared within a week, or disappeared and
    reappeared. ``moves``: changes of a proposed amount between two analyses, of which ``small`` are less than a
    material step."""

    workflows: int = 0
    analyses: int = 0
    present: float = 0.0
    flickers: list[str] = field(default_factory=list)
    moves: int = 0
    small: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The summary in the result file."""
        return {
            "workflows": self.workflows,
            "analyses": self.analyses,
            "recommendation_weeks": round(self.present, 1),
            "flickers": len(self.flickers),
            "flickers_per_week": round(len(self.flickers) / self.present, 5) if self.present else 0.0,
            "moves": self.moves,
            "small_moves": len(self.small),
        }


def replay(name: str, flow: Flow, policy: Policy, seen: Stability) -> None:
    """Two weeks of daily analyses, each over the preceding two weeks of runs and aware of the previously published
    result."""
    until = NOW + WEEKS * 7 * DAY
    own, runs = runs_of(flow, span=WINDOW + max(LAGS) + WEEKS * 7 * DAY, until=until)
    published: dict[str, Recommendation] = {}
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    seen.workflows += 1
    for step in range(int(WEEKS * 7 * DAY / _EVERY) + 1):
        now = NOW + step * _EVERY
        past = [r for r in runs if now - WINDOW - max(LAGS) <= (r.end or 0.0) <= now]
        found = analyze_workflow(
            own.definition,
            past,
            policy,
            profile=flow.name,
            now=now,
            earlier=EarlierAnalyses(
                tuple(published) if step else None,
                sizing=sizing_history({}, (), published=list(_rows(published.values()))),
            ),
        )
        seen.analyses += 1
        given = {r.id: r for r in found.recommendations}
        seen.present += len(given) * _EVERY / (7 * DAY)
        for id_ in given.keys() - published.keys():
            if id_ in ended and now - ended[id_] < _SOON:
                seen.flickers.append(f"{name}: {id_} vanished and came back")
            begun[id_] = now if step else now - WINDOW
        for id_ in published.keys() - given.keys():
            if now - begun[id_] < _SOON:
                seen.flickers.append(f"{name}: {id_} appeared and vanished")
            ended[id_] = now
        for id_ in given.keys() & published.keys():
            _moved(name, published[id_], given[id_], seen)
        published = given


def _rows(items: Iterable[Recommendation]) -> Iterator[tuple[str, str, str, str]]:
    for item in items:
        for row in item.items if item.rule == "right-size" else ():
            yield row.step, row.container, row.field, row.new


def _moved(name: str, before: Recommendation, after: Recommendation, seen: Stability) -> None:
    old = {(i.step, i.container, i.field): i.new for i in before.items}
    for item in after.items:
        was = old.get((item.step, item.container, item.field))
        if was is None or was == item.new:
            continue
        seen.moves += 1
        if abs(amount(item.new) / amount(was) - 1) < _STEP:
            seen.small.append(f"{name}: {after.id} {item.step} {item.field} {was} -> {item.new}")


def replay_one(row: tuple[str, Flow, Policy]) -> Stability:
    """One workflow under its policy."""
    seen = Stability()
    replay(*row, seen)
    return seen


def together(parts: Iterable[Stability]) -> Stability:
    """The combined results of all workflows."""
    seen = Stability()
    for part in parts:
        seen.workflows += part.workflows
        seen.analyses += part.analyses
        seen.present += part.present
        seen.flickers += part.flickers
        seen.moves += part.moves
        seen.small += part.small
    return seen
