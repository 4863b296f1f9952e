"""Recommendations for the set as WorkflowChanges in mode Approve: the operator itself reads the runs, plans, is given
the approval, applies and verifies, while the workflows continue to run under their controllers.

One change per workflow at a time, each on top of the previous one, as a user would do. The prediction is the one in the
WorkflowChange at its approval.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.changes.loop_bed import loop_settings
from benchmarks.changes.loop_track import Pace
from benchmarks.torture.bed import NAMESPACE, SCRAPE_SECONDS, Play, over, runs_of, wave
from benchmarks.torture.recommended import POLL, Trial, declared, outcome, outcomes, restore, runs_in, seconds
from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES
from testbed.process import Process, TemporaryDirectory, TestbedError
from testbed.services.cluster import Cluster
from testbed.services.kinds import CRDS, install_kinds
from testbed.services.operator import OperatorProcess
from testbed.services.prometheus import PrometheusServer

FIRST = 100  # number of the first run
_PATIENCE = 240.0  # seconds for the operator's next action
_TRIES = 3  # plans per recommendation
_SETTLED = 45.0  # seconds without a new proposal after which none is expected


@dataclass
class Change:
    """The WorkflowChange of one recommendation: its predicted effect in percent, and the runs before and after it."""

    name: str = ""
    verdict: str = ""
    measure: str = ""
    promised: tuple[float, float] | None = None
    measured: float | None = None
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    runs: int = 0  # after the change
    worse: int = 0
    said: str = "not proposed"

    @property
    def effect(self) -> float | None:
        """Percentage by which runs became longer, by the engine's own times; for goals other than run time, the effect
        measured by the operator."""
        if self.measure and self.measure != "Duration":
            return self.measured
        if not self.before or not self.after:
            return None
        return 100 * (fmean(self.after) / fmean(self.before) - 1)

    @property
    def clock(self) -> float:
        """Percentage of a run that the controllers' times leave open: a second of its duration, nothing of its cost."""
        return 100 * POLL / fmean(self.before) if self.before and self.measure in ("", "Duration") else 0.0

    @property
    def holds(self) -> bool | None:
        """Whether the predicted interval contains the effect, within the resolution of the controllers' times if it is on
        the duration."""
        effect = self.effect
        if self.promised is None or effect is None or not self.before:
            return None
        return self.promised[0] - self.clock <= effect <= self.promised[1] + self.clock


def approve(
    cluster: Cluster,
    prometheus: PrometheusServer,
    play: Play,
    found: list[Trial],
    runs: int,
    say: Callable[[str], None],
) -> dict[tuple[str, str], Change]:
    """All changes that the operator may make among ``found``, by workflow and id. The definitions are restored at the
    end."""
    wanted = [t for t in found if not t.left_out]
    pristine = {name: declared(cluster, name) for name in dict.fromkeys(t.workflow for t in wanted)}
    for own in pristine.values():
        restore(cluster, own)  # created instead of applied: objects owned by server-side apply belong to GitOps
    changes = {(t.workflow, t.id): Change() for t in wanted}
    with (
        TemporaryDirectory("concertmaster-torture-") as directory,
        _operator(cluster, prometheus, directory) as operator,
    ):
        _Approval(cluster, operator, play, changes, runs, say).carry_out()
    for own in pristine.values():
        restore(cluster, own)
    return changes


class _Approval:
    def __init__(
        self, cluster: Cluster, operator: Process, play: Play,
        changes: dict[tuple[str, str], Change], runs: int, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._cluster, self._operator, self._runs, self._say = cluster, operator, runs, say
        self._changes = changes
        self._client = KubeClient.connect(cluster.kubeconfig())
        self._outcomes = outcomes(play)
        self._later = Play(play.begun)
        self._number = FIRST
        self._last: dict[str, range] = {}  # numbers of the newest runs by workflow

    def carry_out(self) -> None:
        """Repeat rounds until none of the recommendations is proposed any more."""
        self._run({workflow for workflow, _ in self._changes})
        tried: set[tuple[str, str]] = set()
        tries: Counter[tuple[str, str]] = Counter()
        while True:
            chosen = self._chosen(tried)
            if not chosen:
                break
            for view in chosen.values():
                self._decide(view)
            self._wait("applied", chosen, lambda view: view.phase not in ("Proposed", "Applied"))
            applied = {key: view for key, view in self._now(chosen).items() if view.applied is not None}
            before = {key: self._last[key[0]] for key in applied}
            self._run({workflow for workflow, _ in applied})
            self._wait("verified", applied, lambda view: view.verdict is not None)
            for key, view in self._now(chosen).items():
                self._note(key, view, before.get(key))
                tries[key] += 1
                if key in applied or tries[key] == _TRIES:  # a plan may be superseded by a newer one
                    tried.add(key)
            self._say(f"{len(applied)} of {len(chosen)} WorkflowChanges applied")
        for (workflow, identity), change in self._changes.items():
            if not change.name:
                change.said = self._why_not(workflow, identity)

    def _run(self, workflows: set[str]) -> None:
        numbers = range(self._number, self._number + self._runs)
        for number in numbers:  # one run of each at a time: beside more, a wide one would wait for the machine
            wave(self._cluster, self._later, list(runs_of(number, sorted(workflows))), self._say)
        self._number = numbers.stop
        self._last |= dict.fromkeys(workflows, numbers)

    def _views(self) -> Iterator[tuple[tuple[str, str], WorkflowChangeView]]:
        for view in map(WorkflowChangeView, self._client.items(CHANGES.path(NAMESPACE))):
            target = view.target
            if target is not None and (target.name, view.recommendation) in self._changes:
                yield (target.name, view.recommendation), view

    def _now(self, of: Mapping[tuple[str, str], WorkflowChangeView]) -> dict[tuple[str, str], WorkflowChangeView]:
        names = {view.name: key for key, view in of.items()}
        return {names[view.name]: view for _, view in self._views() if view.name in names}

    def _chosen(self, tried: set[tuple[str, str]]) -> dict[tuple[str, str], WorkflowChangeView]:
        """One proposal per workflow, once no new ones have appeared for a while."""
        begun = changed = time.monotonic()
        seen: set[str] = set()
        while time.monotonic() - changed < _SETTLED and time.monotonic() - begun < _PATIENCE:
            proposed = [(k, v) for k, v in self._views() if k not in tried and v.phase == "Proposed" and not v.decision]
            if names := {v.name for _, v in proposed} - seen:
                seen |= names
                changed = time.monotonic()
            time.sleep(2)
            self._alive()
        found: dict[tuple[str, str], WorkflowChangeView] = {}
        for key, view in sorted(proposed, key=lambda row: row[0]):
            if key[0] not in {workflow for workflow, _ in found}:
                found[key] = view
        return found

    def _decide(self, view: WorkflowChangeView) -> None:
        """Approve a change as ``kubectl concertmaster approve`` does."""
        self._client.patch(view.ref.path, {"spec": {"decision": "Approve", "decidedBy": "admin"}}, kind="merge")

    def _wait(
        self,
        what: str,
        of: Mapping[tuple[str, str], WorkflowChangeView],
        done: Callable[[WorkflowChangeView], bool],
    ) -> None:
        deadline = time.monotonic() + _PATIENCE
        while late := [key for key, view in self._now(of).items() if not done(view)]:
            if time.monotonic() > deadline:
                self._say(f"not {what} after {_PATIENCE:.0f} s: {late}")
                return
            time.sleep(2)
            self._alive()

    def _why_not(self, workflow: str, identity: str) -> str:
        """Output of ``kubectl concertmaster explain`` for a recommendation that the operator did not propose."""
        words = ["explain", workflow, identity, "-n", NAMESPACE, "--kubeconfig", str(self._cluster.kubeconfig())]
        done = subprocess.run(
            [sys.executable, "-m", "concertmaster", *words], capture_output=True, text=True, timeout=120, check=False
        )
        lines = [line.strip() for line in (done.stdout or done.stderr).splitlines()]
        reported = [
            line for line in lines if line.startswith(("No plan:", "blocked")) and not line.startswith("blocked  mode")
        ]
        return "; ".join(" ".join(line.split()) for line in reported) or (
            lines[-1] if done.returncode and lines else "not proposed"
        )

    def _alive(self) -> None:
        if not self._operator.running:
            raise TestbedError(f"the operator ended:\n{self._operator.tail(30)}")

    def _note(self, key: tuple[str, str], view: WorkflowChangeView, before: range | None) -> None:
        change = self._changes[key]
        change.name, status = view.name, view.status
        predicted, measured = status.get("predicted") or {}, status.get("measured") or {}
        change.measure = str(predicted.get("measure") or "")
        if predicted.get("low") is not None and predicted.get("high") is not None:
            change.promised = (float(predicted["low"]), float(predicted["high"]))
        if measured.get("likely") is not None:
            change.measured = float(measured["likely"])
        change.verdict = str(status.get("verdict") or "")
        held = view.condition(ConditionType.VERIFIED if before is not None else ConditionType.APPLIED)
        change.said = str(held.get("message") or view.phase)
        if before is None:
            return
        for number, raw in runs_in(self._later, key[0]):
            ended = over(raw)
            good = ended and outcome(raw) == "Succeeded"
            if number in before and good:
                change.before.append(seconds(raw))
            elif number in self._last[key[0]]:
                change.after += [seconds(raw)] if good else []
                change.runs += 1
                change.worse += not ended or outcome(raw) not in self._outcomes[key[0]]


@contextmanager
def _operator(cluster: Cluster, prometheus: PrometheusServer, directory: Path) -> Iterator[Process]:
    """The operator as a process, with a policy in mode Approve for the set."""
    install_kinds(cluster, CRDS)
    cluster.apply(_policy(), validate=False)
    settings = loop_settings(Pace(scrape=SCRAPE_SECONDS), prometheus.url, directory / "history.db")
    settings["limits"] |= {"changesPerMinute": 600}
    process = OperatorProcess(directory, settings, cluster.kubeconfig())
    process.start_live(timeout=240)
    try:
        yield process
    finally:
        process.stop()


def _policy() -> dict[str, Any]:
    nothing = {
        "failedRunsPerMonth": "0",
        "runMinutesPerMonth": "0",
        "runPercent": "0",
        "costPercent": "0",
        "moneyPerMonth": "0",
    }
    spec = {
        "discover": [
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"},
            {"apiVersion": "tekton.dev/v1", "kind": "Pipeline"},
        ],
        "analysis": {"window": "3h", "minRuns": 5, "materiality": nothing},
        "apply": {
            "mode": "Approve",
            "maxRisk": "High",
            "cooldown": "0s",
            # The small requests of the set are inside, since nothing is rolled back to a value that is not.
            "bounds": {"maxStepPercent": 1000, "memory": {"min": "16Mi"}, "cpu": {"min": "10m"}},
            # A verdict after as many runs as the prediction is compared with; harmless changes are kept.
            "verify": {"minRuns": 5, "maxRuns": 5, "onSame": "Keep"},
        },
    }
    meta = {"name": "team", "namespace": NAMESPACE}
    return {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "OptimizationPolicy", "metadata": meta, "spec": spec}
