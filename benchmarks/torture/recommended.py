"""Recommendations for the set, applied as printed: each command is executed, the workflow runs again, and the
prediction is compared with the measured effect.

Recommendations are tried one at a time: the definition is restored before the next one. All materiality thresholds are
zero, so that every recommendation with a command is tried, including those too small to be published.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from statistics import fmean

from benchmarks.torture.bed import NAMESPACE, Play, over, remove, runs_of, wave
from benchmarks.torture.compare import placed_records
from benchmarks.torture.workflows.parts import Object
from concertmaster.core.model import Interval, Recommendation, RunRecord, WorkflowDefinition
from concertmaster.core.model.policy import AnalysisSettings, Materiality, Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.core.times import parse_time
from concertmaster.engines import complete
from concertmaster.prometheus.collect.reading import Collection
from testbed.services.cluster import Cluster

OF_OPERATOR = frozenset({"right-size", "cpu-request", "memory-request", "parallelism"})  # rules
_ALL = Materiality(failed_runs=0.0, run_share=0.0, run_minutes=0.0, money=0.0, cost_share=0.0)
FIRST = 500  # number of the first run
_ABREAST = 3  # runs of one workflow at a time where no run time is measured
POLL = 1.0  # seconds of delay until a controller observes the end of a pod
# Whose definitions are changed here and restored. Jobs and JobSets are created anew for each run: they have none.
KINDS = {"WorkflowTemplate": "workflowtemplates.argoproj.io", "Pipeline": "pipelines.tekton.dev"}
_RESOURCES = {**KINDS, "Task": "tasks.tekton.dev"}


@dataclass
class Trial:
    """One recommendation of one workflow: the output of its command, and its runs before and after."""

    workflow: str
    id: str
    command: str
    action: str
    promised: Interval | None
    published: bool = True  # large enough to be shown to users
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    refused: str = ""
    runs: int = 0  # with the recommendation
    worse: int = 0  # of these, with an outcome that did not occur before

    @property
    def rule(self) -> str:
        """The rule of the recommendation."""
        return self.id.partition(".")[0]

    @property
    def left_out(self) -> str:
        """Why no operator makes it as a WorkflowChange; empty if one may."""
        if self.rule not in OF_OPERATOR:
            return "no field that an operator sets"
        return "" if self.published else "not published: nothing to gain"

    @property
    def gain(self) -> float | None:
        """Mean reduction of the run time in seconds; None without finished runs on both sides."""
        return fmean(self.before) - fmean(self.after) if self.before and self.after else None

    @property
    def holds(self) -> bool | None:
        """Whether the predicted interval contains the measured effect, within the resolution of the controllers' times;
        None without a prediction or measurement."""
        gain = self.gain
        if self.promised is None or gain is None:
            return None
        return self.promised.low - POLL <= gain <= self.promised.high + POLL


def trials(play: Play, metrics: Collection) -> Iterator[Trial]:
    """All recommendations with a command that changes the definition."""
    for definition, records in placed_records(play, metrics):
        if definition.key.kind not in KINDS:
            continue
        for item in _recommended(definition, records, play.ended):
            if item.edits:
                yield Trial(
                    definition.key.name, item.id, item.how, item.action, item.gain_seconds, published=not item.minor
                )


def _recommended(definition: WorkflowDefinition, records: list[RunRecord], now: float) -> list[Recommendation]:
    policy = Policy(analysis=AnalysisSettings(min_runs=len(records), materiality=_ALL))
    whole, runs = complete(definition, records)
    result = analyze_workflow(whole, runs, policy, profile=definition.key.name, now=now + 1)
    return [*result.recommendations, *result.minor]


def carry_out(
    cluster: Cluster, play: Play, found: list[Trial], runs: int, say: Callable[[str], None], done: Callable[[], None]
) -> None:
    """Try all of them, one per workflow in each round, after each of which ``done`` is called. Where a run time is
    predicted, runs before and after are measured, each time with the same runs beside them because the load of the machine
    matters. All others only have to end as before, a few runs at a time."""
    ends = outcomes(play)
    queues: dict[str, list[Trial]] = {}
    for trial in found:
        queues.setdefault(trial.workflow, []).append(trial)
    number = FIRST
    while any(queues.values()):
        remove(cluster)  # what earlier rounds left would be listed again and again
        now = [own.pop(0) for own in queues.values() if own]
        pristine = {t.workflow: declared(cluster, t.workflow) for t in now}
        begun, later = number, Play(play.begun)
        timed, others = [t for t in now if t.promised], [t for t in now if not t.promised]
        for side in range(2):
            for trial in now if side else ():
                trial.refused = _paste(cluster, trial.command)
            numbers = range(number, number := number + runs)
            for at in numbers:  # one by one, as a wide one would otherwise wait for the machine
                wave(cluster, later, _runs_of([at], [t for t in timed if not t.refused]), say)
        for at in range(0, runs, _ABREAST):
            wave(cluster, later, _runs_of(numbers[at : at + _ABREAST], [t for t in others if not t.refused]), say)
        for trial in now:
            _measure(trial, later, range(begun, begun + runs), ends[trial.workflow])
        for own in pristine.values():
            restore(cluster, own)
        say(f"{len(now)} recommendations tried")
        done()


def _runs_of(numbers: Iterable[int], tried: Iterable[Trial]) -> list[Object]:
    workflows = [trial.workflow for trial in tried]
    return [run for number in numbers for run in runs_of(number, workflows)]


def _measure(trial: Trial, later: Play, first: range, ends: set[str]) -> None:
    """``first``: numbers of the runs without the recommendation."""
    for number, raw in runs_in(later, trial.workflow):
        trial.runs += number not in first
        good = over(raw) and outcome(raw) == "Succeeded"
        if good:
            (trial.before if number in first else trial.after).append(seconds(raw))
        elif number not in first and (not over(raw) or outcome(raw) not in ends):
            trial.worse += 1


def runs_in(play: Play, workflow: str) -> list[tuple[int, Object]]:
    """Runs by number, finished or not, in no particular order."""
    every = (item for kind in ("Workflow", "PipelineRun") for item in play.objects.get(kind, {}).items())
    parts = ((name.rpartition("-r"), raw) for name, raw in every)
    return [(int(number), raw) for (own, _, number), raw in parts if own == workflow]


def outcomes(play: Play) -> dict[str, set[str]]:
    """Outcomes of the runs of each workflow."""
    found: dict[str, set[str]] = {}
    for kind in ("Workflow", "PipelineRun"):
        for name, raw in play.objects.get(kind, {}).items():
            found.setdefault(name.rpartition("-r")[0], set()).add(outcome(raw))
    return found


def outcome(raw: Object) -> str:
    """Outcome of a finished run."""
    if raw["kind"] == "Workflow":
        return str(raw["status"].get("phase"))
    ends = [c for c in raw["status"].get("conditions") or () if c["type"] == "Succeeded"]
    return "Succeeded" if ends and ends[0]["status"] == "True" else "Failed"


def seconds(raw: Object) -> float:
    """Duration of a run in seconds, from the engine's own start and end."""
    status = raw["status"]
    begun = status.get("startedAt") or status["startTime"]
    return parse_time(status.get("finishedAt") or status["completionTime"]) - parse_time(begun)


def _paste(cluster: Cluster, command: str) -> str:
    """Error output of the command; empty on success."""
    words = command.replace("kubectl ", f"{cluster.kubectl_path} --kubeconfig={cluster.kubeconfig()} ", 1)
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"


def declared(cluster: Cluster, name: str) -> list[Object]:
    """The current definition of the workflow, and the Tasks that it refers to."""
    kind = "Pipeline" if name.startswith("tk-") else "WorkflowTemplate"
    found: Object = cluster.get(_RESOURCES[kind], name, "-n", NAMESPACE)
    parts = [*found["spec"].get("tasks", ()), *found["spec"].get("finally", ())]
    referred = sorted({part["taskRef"]["name"] for part in parts if "taskRef" in part})
    return [found, *(cluster.get(_RESOURCES["Task"], task, "-n", NAMESPACE) for task in referred)]


def restore(cluster: Cluster, own: Iterable[Object]) -> None:
    """Recreate definitions as they were read; applying them would make server-side apply own their fields."""
    for raw in own:
        wanted = deepcopy(raw)
        for name in ("resourceVersion", "managedFields", "generation", "uid", "creationTimestamp"):
            wanted["metadata"].pop(name, None)
        kind = _RESOURCES[wanted["kind"]]
        cluster.kubectl("delete", kind, wanted["metadata"]["name"], "-n", NAMESPACE)
        cluster.kubectl("create", "--validate=false", "-n", NAMESPACE, "-f", "-", input=json.dumps(wanted))
