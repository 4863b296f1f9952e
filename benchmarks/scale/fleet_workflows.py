"""Many workflows of the same shape: their objects, and the pods of their runs for the metrics source."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.openmetrics import render
from testbed.series.runs import argo_pod
from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, CRDS, install_kinds
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
DAY = 86400.0
MI = 2.0**20
NAMESPACE = "fleet"
PER_NAMESPACE = 100  # workflows
AHEAD = 3600.0  # seconds by which the history extends beyond its creation
PREPARED = 0.0019  # seconds per pod to load it into the metrics source; what it takes longer is missing from ``ahead``
SCRAPE = 30.0
LONGEST_RUN = 1200.0  # seconds from the start of a run to its last pod
MOST_PODS = 25_000  # per block: needs 2 GB of memory while it is written
LEAST_SPAN = 1500.0  # seconds of a block: pods of the longest run are in two of them, not in forty


@dataclass(frozen=True, slots=True)
class Load:
    """The simulated load. ``days``: period in which each workflow has its ``runs``; ``spread``: seconds over which the
    starts of one round are spread; ``ahead``: seconds by which the history extends beyond the start of the operator."""

    workflows: int
    steps: int
    runs: int
    days: float
    spread: float
    ahead: float
    kept: int = 0  # runs of each workflow that are in the operator's history at last, where that is more

    def pods(self, end: float) -> Iterator[PodLife]:
        """All pods created before ``end`` (unix seconds)."""
        return lives(
            self.workflows, self.steps, self.runs, end, self.days, namespace_of, spread=self.spread, ahead=self.ahead
        )

    @property
    def every(self) -> float:
        """Seconds between two runs of a workflow."""
        return self.days * DAY / self.runs

    def play(self, prometheus: PrometheusServer) -> tuple[int, float]:
        """Load it into a metrics source that has not been started; returns the number of pods and the end of the history
        (unix seconds). The operator is started ``ahead`` seconds before that."""
        made = time.monotonic()
        end = time.time() + self.ahead + PREPARED * self.workflows * self.steps * self.runs  # until it is loaded
        count = load(prometheus, self.pods(end), end - self.days * DAY - self.ahead, end)
        print(f"  {count} pods loaded in {time.monotonic() - made:.0f} s, {end - time.time():.0f} s ahead", flush=True)
        return count, end

    @classmethod
    def asked(cls, description: str | None) -> Load:
        """The load that the command line asks for."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--workflows", type=int, default=200)
        parser.add_argument("--steps", type=int, default=10)
        parser.add_argument("--runs", type=int, default=14)
        parser.add_argument("--days", type=float, default=14)
        parser.add_argument(
            "--every", type=float, help="seconds between two runs of a workflow, evenly spread over them"
        )
        parser.add_argument("--ahead", type=float, default=AHEAD, help="seconds the history goes on after the start")
        parser.add_argument("--kept", type=int, default=0, help="runs of each in the operator's history at last")
        options = parser.parse_args()
        days = options.days if options.every is None else options.every * options.runs / DAY
        spread = AHEAD if options.every is None else options.every
        return cls(options.workflows, options.steps, options.runs, days, spread, options.ahead, options.kept)


def create(cluster: Cluster, workflows: int, steps: int) -> None:
    """Make the workflows, their namespaces and the policy that discovers them."""
    made = time.monotonic()
    install_kinds(cluster, CRDS, ARGO_CRDS)
    for space in dict.fromkeys(map(namespace_of, range(workflows))):
        cluster.kubectl("create", "namespace", space)
    for first in range(0, workflows, 200):
        group = range(first, min(first + 200, workflows))
        cluster.apply(*(template(f"w{w:03}", steps, namespace_of(w)) for w in group))
    cluster.kubectl("apply", "-f", str(ROOT / "examples" / "policy.yaml"))
    print(f"  {workflows} workflows made in {time.monotonic() - made:.0f} s", flush=True)


def namespace_of(workflow: int) -> str:
    """Namespace of the workflow with that number."""
    return f"{NAMESPACE}-{workflow // PER_NAMESPACE}"


def template(name: str, steps: int, namespace: str = NAMESPACE) -> dict[str, Any]:
    """A WorkflowTemplate: a first and a last step with all others in parallel between them."""
    tasks: list[dict[str, Any]] = [{"name": "s0", "template": "s0"}]
    tasks += [{"name": f"s{n}", "template": f"s{n}", "dependencies": ["s0"]} for n in range(1, steps - 1)]
    tasks.append(
        {"name": f"s{steps - 1}", "template": f"s{steps - 1}", "dependencies": [f"s{n}" for n in range(1, steps - 1)]}
    )
    containers = [
        {
            "name": f"s{n}",
            "container": {
                "image": "registry.example/fleet:1",
                "command": ["work"],
                "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}},
            },
        }
        for n in range(steps)
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, *containers]},
    }


def lives(
    workflows: int,
    steps: int,
    runs: int,
    end: float,
    days: float,
    place: Callable[[int], str] = lambda _: NAMESPACE,
    *,
    spread: float = AHEAD,
    ahead: float = AHEAD,
) -> Iterator[PodLife]:
    """The pods of all runs that begin before ``end`` (unix seconds), oldest round first, with log-normal run times.
    Every workflow has ``runs`` over ``days``; the starts of each round are spread over ``spread`` seconds, and the last
    round begins ``ahead`` seconds before ``end``."""
    chance = random.Random(1)
    every = days * DAY / runs
    for r in range(runs):
        for w in range(workflows):
            run = f"w{w:03}-{''.join(chance.choice('bcdfghjkmn2456789') for _ in range(5))}"
            start = end - ahead - (runs - 1 - r) * every + w * spread / workflows
            if start >= end:
                return
            ready = [start] * steps
            for n in range(steps):
                created = ready[n] if n else start
                begun = created + 3
                finished = float(round(begun + max(5.0, 90 * chance.lognormvariate(0, 0.2))))
                for later in range(n + 1, steps):
                    if n == 0 or later == steps - 1:
                        ready[later] = max(ready[later], finished + 1)
                inside = ContainerLife(
                    "main",
                    image="registry.example/fleet:1",
                    started=begun,
                    finished=finished,
                    cpu_seconds=0.2 * (finished - begun),
                    memory_peak=150 * MI * chance.lognormvariate(0, 0.1),
                    cpu_request=0.5,
                    memory_request=512 * MI,
                    terminated_reason="Completed",
                )
                yield argo_pod(place(w), run, f"s{n}", created, inside, chance)


def load(prometheus: PrometheusServer, pods: Iterable[PodLife], begin: float, end: float) -> int:
    """Load pods, sorted by the start of their runs, into the metrics source at every scrape, in consecutive time spans,
    so that the text of millions of pods is never in memory at once. Returns the number of pods.

    One more is there at all times, as in any cluster that has kube-state-metrics. Without it, the source would know of no
    pod between two rounds of runs, which the operator takes for a failure, and reads again once the source sees pods.
    """
    count, known = 0, [_resident(begin)]
    for pod in pods:
        until = pod.created - LONGEST_RUN
        if len(known) >= MOST_PODS and until - begin >= LEAST_SPAN:
            begin = _span(prometheus, known, begin, until)
            known = [p for p in known if (p.deleted or end) >= begin]
        known.append(pod)
        count += 1
    _span(prometheus, known, begin, end + SCRAPE)
    return count


def _resident(begin: float) -> PodLife:
    """The pod of kube-state-metrics, older than the history, whose end lies beyond it."""
    inside = ContainerLife(
        "kube-state-metrics",
        image="registry.example/kube-state-metrics:1",
        started=begin - DAY,
        finished=begin + 100 * DAY,
        cpu_seconds=0.01 * 101 * DAY,
        memory_peak=60 * MI,
    )
    return PodLife(
        namespace="monitoring",
        pod="kube-state-metrics-5d6c7b8f9-x2x7k",
        uid="00000000-0000-4000-8000-000000000001",
        created=begin - DAY,
        containers=[inside],
        node="node-0",
        owner_kind="ReplicaSet",
        owner_name="kube-state-metrics-5d6c7b8f9",
        scheduled=begin - DAY,
        started=begin - DAY,
    )


def _span(prometheus: PrometheusServer, pods: list[PodLife], begin: float, until: float) -> float:
    """Load the scrapes from ``begin`` (inclusive) to ``until`` (exclusive); returns the time of the next scrape."""
    count = max(1, int((until - begin) // SCRAPE))
    grid = Grid(begin, begin + (count - 1) * SCRAPE + SCRAPE / 2, interval=SCRAPE, constant_interval=SCRAPE)
    prometheus.load_trusted(render(pods, grid))
    return begin + count * SCRAPE
