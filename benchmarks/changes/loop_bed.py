"""The loop with real components: control plane, Argo controller, Prometheus, the operator, and a client that submits
runs.

Real: etcd, API server, scheduler, controller manager, the Argo workflow controller, kube-state-metrics, Prometheus, and
the operator as a process with a configuration file. Simulated: the inside of pods (kwok) and the container series of
the kubelet (the test bed's exporter), as defined in testbed/pods/stages.yaml.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.changes.campaigns import Campaign
from benchmarks.changes.loop_scenarios import Scenario
from benchmarks.changes.loop_track import Pace, Track
from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.plan import PredictedEffect
from concertmaster.core.changes.verification.before_after import BeforeAfter, split_runs
from concertmaster.core.changes.verification.control_group import common_factor
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import verify
from concertmaster.core.model import RunRecord
from concertmaster.core.model.enums import OnSame
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.stats.comparison import CommonFactor
from concertmaster.engines.define import define
from concertmaster.history import Store
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES, Resource
from testbed.process import TemporaryDirectory, TestbedError, http_get
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.kinds import CRDS, install_kinds
from testbed.services.operator import OperatorProcess, operator_settings
from testbed.services.prometheus import PrometheusServer, scrapes_of

ROOT = Path(__file__).resolve().parents[2]
_COMPLETED = "workflows.argoproj.io/completed"
_WORKFLOWS = Resource("argoproj.io/v1alpha1", "Workflow", "workflows")
_TEMPLATES = "/apis/argoproj.io/v1alpha1/namespaces/{0}/workflowtemplates/{0}"
_CYCLES = re.compile(r"^concertmaster_cycles_total\{.*\} (\S+)$", re.MULTILINE)


class Bed:
    """A running loop: `tracks` by namespace, and the processes it needs."""

    def __init__(self, cluster: Cluster, operator: OperatorProcess, history: Path, pace: Pace) -> None:
        self.cluster = cluster
        self.operator = operator
        self.history = history
        self.pace = pace
        self.client = KubeClient.connect(cluster.kubeconfig())
        self.tracks: dict[str, Track] = {}
        self.started = 0
        self.cycles = 0  # the operator's, as of the last look

    def add(self, scenarios: Sequence[Scenario]) -> None:
        """Create the workflows, one namespace each."""
        objects: list[dict[str, Any]] = []
        for scenario in scenarios:
            self.tracks[scenario.name] = Track(scenario)
            objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scenario.name}})
        self.cluster.apply(*objects, validate=False)
        for scenario in scenarios:  # not applied: what a server-side apply owns is Git's, and only suggested to
            self.client.create(_TEMPLATES.format(scenario.name).rpartition("/")[0], scenario.template())
        self.cluster.apply(
            *(s.policy(least=self.pace.before - 2, most=self.pace.most) for s in scenarios), validate=False
        )
        limit = time.monotonic() + 300
        while not self._accounts() >= self.tracks.keys():
            if time.monotonic() > limit:
                raise TestbedError("the controller manager made no service accounts within 300 s")
            time.sleep(0.5)

    def _accounts(self) -> set[str]:
        """Namespaces whose service account exists, so that pods can be created."""
        accounts = self.client.items("/api/v1/serviceaccounts", metadata_only=True)
        return {a["metadata"]["namespace"] for a in accounts if a["metadata"]["name"] == "default"}

    def play(self, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
        """Submit runs until every scenario has ended, for at most ``seconds``."""
        end = time.monotonic() + seconds
        last_report = 0.0
        while time.monotonic() < end and not all(t.over(self.pace) for t in self.tracks.values()):
            if not self.operator.running:
                raise TestbedError(f"the operator ended:\n{self.operator.tail(30)}")
            self._look()
            self._start()
            if time.monotonic() - last_report > 15.0:
                last_report = time.monotonic()
                say(self.summary())
            time.sleep(self.pace.pause)
        self._look()
        say(self.summary())

    def summary(self) -> str:
        """The state of all scenarios in one line."""
        states: dict[str, int] = {}
        for track in self.tracks.values():
            state = "baseline"
            if track.change is not None:
                state = track.change.verdict.value if track.change.verdict is not None else track.change.phase
            elif track.unchanged:
                state = "unchanged"
            elif track.given_up:
                state = "no change"
            elif track.stuck_since is not None:
                state = "waiting"
            states[state] = states.get(state, 0) + 1
        going = sum(len(t.active) for t in self.tracks.values())
        return f"{self.started} runs, {going} going; {', '.join(f'{k} {v}' for k, v in sorted(states.items()))}"

    def _look(self) -> None:
        """Read runs, changes and how many cycles the operator has finished."""
        metrics = http_get(f"http://127.0.0.1:{self.operator.port}/metrics", timeout=60.0).decode()
        self.cycles = sum(int(float(n)) for n in _CYCLES.findall(metrics))
        going: dict[str, set[str]] = {}
        for run in self.client.items("/apis/argoproj.io/v1alpha1/workflows", label_selector=f"{_COMPLETED}!=true"):
            meta = run["metadata"]
            going.setdefault(meta["namespace"], set()).add(meta["name"])
        for change in map(WorkflowChangeView, self.client.items(CHANGES.path(None))):
            track = self.tracks.get(change.namespace)
            if track is not None and change.applied is not None and (
                track.change is None or track.change.uid == change.uid
            ):  # fmt: skip
                track.change = change
        for name, track in self.tracks.items():
            track.look(self.pace, going.get(name, set()), self.cycles)

    def template(self, name: str) -> dict[str, Any]:
        """The current WorkflowTemplate of a workflow."""
        return self.client.get(_TEMPLATES.format(name))

    def _start(self) -> None:
        """Start due runs, workflows with the fewest runs first; before them the unchanged ones, of which some have to run
        at any time."""
        now = time.time()
        room = self.pace.active - sum(len(t.active) for t in self.tracks.values())
        due = [t for t in self.tracks.values() if t.wants(self.pace, now)]
        due = sorted(due, key=lambda t: (not t.unchanged, t.ended))[: max(0, room)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.submit, due))

    def submit(self, track: Track) -> None:
        """Start the next run of a workflow."""
        if track.applied is not None:
            track.after += 1
        run = track.scenario.run(track.after)
        self.client.create(_WORKFLOWS.path(track.scenario.name), run)
        track.active.add(run["metadata"]["name"])
        self.started += 1

    # --- results

    @property
    def changed(self) -> list[Track]:
        """The scenarios that have an outcome."""
        return [t for t in self.tracks.values() if not t.unchanged]

    def results(self) -> list[Outcome]:
        """The outcome of each scenario that is not `unchanged`. Effects are measured over all runs in the operator's own
        history; call only after the operator has stopped."""
        store = Store(str(self.history))
        try:
            beside = [_runs(store, t) for t in self.tracks.values() if t.unchanged]
            return [self._outcome(store, track, beside) for track in self.changed]
        finally:
            store.close()

    def _outcome(self, store: Store, track: Track, beside: Sequence[Sequence[RunRecord]]) -> Outcome:
        change = track.change
        if change is None or change.applied is None:
            return Outcome(Campaign(track.scenario.kind, "", "none", False, 0, None, None, None))
        runs = _runs(store, track)
        until = change.restored or time.time()
        found = split_runs(runs, applied=change.applied, since=None, now=until)
        others = [split_runs(b, applied=change.applied, since=None, now=until) for b in beside]
        first = min((r.start for r in found.before if r.start is not None), default=change.applied)
        measured = _effect(change, found, common_factor(others, first))
        promised = _promise(change)
        reported = promised is not None and measured is not None and promised.measure == measured.measure
        campaign = Campaign(
            track.scenario.kind,
            change.rule,
            change.verdict.value if change.verdict is not None else "none",
            bool(change.restored),
            int(change.status.get("verifiedRuns") or 0),
            (promised.low, promised.likely, promised.high) if promised is not None else None,
            measured.likely if measured is not None else None,
            promised.low <= measured.likely <= promised.high if reported and promised and measured else None,
        )
        verified = change.since(ConditionType.VERIFIED)
        seconds = verified - change.applied if verified is not None else 0.0
        message = str(change.condition(ConditionType.VERIFIED).get("message") or "")
        return Outcome(campaign, len(found.after), seconds, message)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one scenario: the number of ``measured_runs`` behind its effect, the seconds from the change to the
    verdict, and the operator's messages."""

    campaign: Campaign
    measured_runs: int = 0
    seconds: float = 0.0
    said: str = ""

    def line(self) -> str:
        """One log line."""
        c = self.campaign
        promised = "nothing" if c.promised is None else " ".join(f"{100 * v:.1f}" for v in c.promised)
        measured = "unknown" if c.measured is None else f"{100 * c.measured:.1f}"
        return (
            f"{c.kind} {c.rule} {c.verdict}{' restored' if c.restored else ''} after {c.runs} runs and"
            f" {self.seconds:.0f} s: promised {promised}%, measured {measured}% on {self.measured_runs} runs;"
            f" {self.said}"
        )


def _promise(change: WorkflowChangeView) -> PredictedEffect | None:
    found = change.status.get("predicted") or {}
    if found.get("low") is None or found.get("high") is None or found.get("likely") is None:
        return None
    return PredictedEffect(found["measure"], *(float(found[k]) / 100 for k in ("low", "likely", "high")))


def _runs(store: Store, track: Track) -> Sequence[RunRecord]:
    """All runs of a scenario in the history."""
    definition = define(track.scenario.template())
    assert definition is not None
    return store.runs(definition.key, definition=definition, as_of=time.time())


def _effect(change: WorkflowChangeView, found: BeforeAfter, beside: CommonFactor | None) -> PredictedEffect | None:
    """The effect over all observed runs, in the unit of the change's goal, without what unchanged workflows share."""
    settings = VerifySettings(min_runs=1, max_runs=1000, on_same=OnSame.KEEP)
    return verify(change.aim, found, settings, age=0.0, around=Surroundings(common=beside)).measured


@contextmanager
def bed(pace: Pace, say: Callable[[str], None] = lambda _: None) -> Iterator[Bed]:
    """All components of the loop; must run inside a network namespace of the test bed."""
    options = Options(
        controller_manager=True,
        scheduler=True,
        kwok=True,
        nodes=4,
        kube_state_metrics=True,
        exporter=True,
        argo=True,
        full_crds=True,
    )
    with TemporaryDirectory("concertmaster-loop-") as directory, ControlPlane(options, progress=say) as plane:
        cluster = plane.cluster
        with PrometheusServer(scrapes_of(cluster, f"{pace.scrape}s"), progress=say) as prometheus:
            install_kinds(cluster, CRDS)
            history = directory / "history.db"
            operator = OperatorProcess(directory, loop_settings(pace, prometheus.url, history), cluster.kubeconfig())
            operator.start_live(timeout=240)
            try:
                yield Bed(cluster, operator, history, pace)
            finally:
                operator.stop()


def loop_settings(pace: Pace, prometheus: str, history: Path) -> dict[str, Any]:
    """The operator's configuration."""
    found = operator_settings(history, prometheus, delay=pace.scrape, interval=f"{pace.interval}s")
    found["sources"][0]["scrapeInterval"] = f"{pace.scrape}s"
    return {**found, "limits": {"backfill": "1h"}, "argoTemplateReferencing": "Other"}
