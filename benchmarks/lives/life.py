"""The life of one workflow: it is edited, its runs go on, and it is analysed once a day by the operator's own path."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import fmean
from typing import Any

from benchmarks.lives.law import BEGIN, DAY, HOUR, Flow, at_day
from benchmarks.lives.manifests import NAME, NAMESPACE, edited, known, manifest
from benchmarks.lives.simulation import play, starts
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.request import AnalysisRequest, EarlierRecommendations
from concertmaster.controller.status_view import StatusView
from concertmaster.core.model import RunRecord
from concertmaster.core.model.policy import Policy

ANALYZED = 9 * HOUR  # time of the day (UTC) of the daily analysis
FIRST = 12  # the day of the first analysis
_LAGS = 4 * DAY  # before the window: runs that earlier analyses saw
_PROFILE = WorkflowProfile.parse(
    {
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "name": NAME}},
    }
)
_EFFECT = re.compile(r"(\w+) ([+-]?[\d.]+)%(?: \(([+-]?[\d.]+) to ([+-]?[\d.]+)%\))?")

Span = tuple[float, float, float]
"""Low, likely and high, as shares."""


@dataclass(frozen=True, slots=True)
class Result:
    """An implemented recommendation as published: when it was made (unix seconds), its verdict and effects."""

    id: str
    since: float
    verdict: str | None
    undone: bool
    measured: Span | None
    promised: Span | None


@dataclass(frozen=True, slots=True)
class Day:
    """What is published after one analysis: entries by id, and the results of implemented recommendations."""

    time: float
    entries: Mapping[str, Mapping[str, Any]]
    results: tuple[Result, ...]

    def active(self, id_: str) -> bool:
        """Whether the recommendation of that id, or one of the rule of that name, is made."""
        return any(_named(found, id_) and entry["state"] == "Active" for found, entry in self.entries.items())

    def state(self, id_: str) -> str | None:
        """The state of the recommendation of that id; None: it is not there."""
        entry = self.entries.get(id_)
        return None if entry is None else str(entry["state"])

    def result(self, id_: str, since: float) -> Result | None:
        """Its newest result of an implementation at or after ``since``."""
        found = [r for r in self.results if r.id == id_ and r.since >= since - 1.0]
        return max(found, key=lambda r: r.since, default=None)


def _named(found: str, id_: str) -> bool:
    return found == id_ or found.startswith(f"{id_}.")


@dataclass(slots=True)
class Life:
    """``flow`` is the workflow as it is deployed now, ``deployed`` what was deployed when; ``document``: its status;
    ``unmade``: recommendations that somebody would have followed, and that were not made."""

    flow: Flow
    seed: int
    now: float = BEGIN
    written: float | None = None
    deployed: list[tuple[float, Flow]] = field(default_factory=list)
    runs: list[RunRecord] = field(default_factory=list)
    document: dict[str, Any] | None = None
    days: list[Day] = field(default_factory=list)
    unmade: list[str] = field(default_factory=list)

    def go(self, events: Sequence[tuple[float, Event]], until: float) -> None:
        """Live until day ``until``: events at their days, and the daily analyses from ``FIRST`` on."""
        self.deployed = [(BEGIN, self.flow)]
        looks = [(at_day(d) + ANALYZED, Life.analyze) for d in range(FIRST, math.ceil(until))]
        everything = [*((at_day(day), event) for day, event in events), *looks]
        for time, event in sorted(everything, key=lambda row: row[0]):
            self._run(time)
            event(self)

    def _run(self, until: float) -> None:
        self.runs += [play(self.flow, self.seed, *each) for each in starts(self.flow, self.now, until)]
        self.now = until

    def deploy(self, flow: Flow) -> None:
        """Write the workflow's object."""
        self.flow, self.written = flow, self.now
        self.deployed.append((self.now, flow))

    def analyze(self) -> None:
        """Analyse the runs that have ended, and publish."""
        policy, now = Policy(), self.now
        since = now - policy.analysis.window_seconds
        ended = [r for r in self.runs if since - _LAGS <= (r.end or math.inf) <= now][-policy.analysis.max_runs :]
        past = EarlierRecommendations(
            StatusView.of(self.document).memory, manifest(self.flow), "kustomize-controller", self.written
        )
        request = AnalysisRequest(
            _PROFILE,
            policy,
            known(self.flow).definition,
            [r for r in ended if (r.end or 0.0) >= since],
            now,
            now,
            past=past,
            older=[r for r in ended if (r.end or 0.0) < since],
        )
        self.document = json.loads(json.dumps(analyze_profile(request).document))
        self.days.append(_day(now, self.document or {}))

    def sets(self, id_: str) -> str | None:
        """The fields that a recommendation sets, as published; None if it is not made or sets none."""
        entry = self.days[-1].entries.get(id_) if self.days else None
        return None if entry is None or entry["state"] != "Active" else entry.get("sets")

    def effect(self, since: float, until: float, of: Callable[[RunRecord], float | None]) -> float | None:
        """The true effect of what was deployed at ``since``, as a share, on the runs started from then on until ``until``:
        the same runs are played once more with what was deployed before. ``of``: the measure (None: the run does not
        count)."""
        before = max((row for row in self.deployed if row[0] < since), key=lambda row: row[0])[1]
        ratios = []
        for number, due in starts(self.flow, since, until):
            at = max((row for row in self.deployed if row[0] <= due), key=lambda row: row[0])[1]
            one, two = (of(play(flow, self.seed, number, due)) for flow in (at, before))
            if one and two:
                ratios.append(math.log(one / two))
        return math.expm1(fmean(ratios)) if ratios else None


Event = Callable[[Life], None]


def apply(id_: str, share: float = 1.0, *, also: Callable[[Flow], Flow] = lambda flow: flow) -> Event:
    """Somebody applies a recommendation, or this share of it, if it is made; ``also``: with something else in one commit."""

    def event(life: Life) -> None:
        sets = life.sets(id_)
        if sets is None:
            life.unmade.append(id_)
        else:
            life.deploy(also(edited(life.flow, sets, share)))

    return event


def write(change: Callable[[Flow], Flow]) -> Event:
    """Somebody edits the workflow."""
    return lambda life: life.deploy(change(life.flow))


def revert(life: Life) -> None:
    """Somebody restores what was deployed before the last write, if there was any; effects stay as they are."""
    if len(life.deployed) > 1:
        life.deploy(replace(life.deployed[-2][1], effects=life.flow.effects))


def _day(now: float, document: Mapping[str, Any]) -> Day:
    entries = [*document.get("recommendations", ()), *document.get("remaining", ())]
    return Day(now, {str(e["id"]): e for e in entries}, tuple(_result(r) for r in document.get("results", ())))


def _result(row: Mapping[str, Any]) -> Result:
    return Result(
        str(row["id"]),
        _seconds(str(row["since"])),
        row.get("verdict"),
        bool(row.get("undone")),
        _span(row.get("measured")),
        _span(row.get("promised")),
    )


def _span(words: str | None) -> Span | None:
    """``Cost -58% (-62 to -54%)``; None without an interval."""
    found = _EFFECT.fullmatch(words or "")
    if found is None or found[3] is None:
        return None
    return float(found[3]) / 100.0, float(found[2]) / 100.0, float(found[4]) / 100.0


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
