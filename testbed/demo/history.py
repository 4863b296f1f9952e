"""Two weeks of three workflows, as pod lifetimes.

Run time, peak memory and CPU of every task are from real runs (see examples/demo/data/NOTICE.md); schedule, names,
requests, delays, downloads and one regression are generated with a fixed seed. The history ends at the last full hour, so
that its shape does not depend on the time of the demo.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.runs import fnv32a

DAY = 86400.0
HOUR = 3600.0
DAYS = 14
REGRESSION_DAYS = 5  # the regression affects the last five days
REGRESSION_FACTOR = 1.3
NAMESPACE = "demo"
DOWNLOAD = 6 * 2.0**20  # bytes per second that a fetch receives
SEED = 20240917
MI = 2.0**20

Task = tuple[float, float, float]  # run time in s, peak memory in bytes, CPU in cores


@dataclass(frozen=True, slots=True)
class Real:
    """Tasks of real runs: by run, then by step."""

    runs: Mapping[str, Mapping[str, Sequence[Task]]]

    @classmethod
    def load(cls, file: Path) -> Real:
        """Read examples/demo/data/wfinstances.json."""
        document = json.loads(file.read_text())
        return cls(
            {
                entry["run"]: {
                    step: [(max(seconds, 1.0), float(size or MI), cpu / 100.0) for seconds, size, cpu in tasks]
                    for step, tasks in entry["steps"].items()
                }
                for entry in document["runs"]
            }
        )

    def family(self, prefix: str) -> list[Mapping[str, Sequence[Task]]]:
        """The runs whose name starts with ``prefix``."""
        return [steps for name, steps in sorted(self.runs.items()) if name.startswith(prefix)]


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of a container: cores and bytes, None if not set."""

    cpu: float | None = None
    memory: float | None = None
    memory_limit: float | None = None


class PodGenerator:
    """Generates pod lifetimes in sequence, with its own random numbers."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.pods: list[PodLife] = []

    def pod(
        self,
        name: str,
        container: str,
        image: str,
        created: float,
        task: Task,
        requests: Requests,
        *,
        owner: tuple[str, str] = ("", ""),
        labels: Mapping[str, str] | None = None,
        keep: float = HOUR,
        download: float = 0.0,
    ) -> float:
        """Generate one pod that receives ``download`` bytes per second; returns the end of its container in unix seconds
        (whole seconds, as in the API server)."""
        seconds, peak, cores = task
        scheduled = created + self.chance.choice((0, 0, 1, 1, 2))
        started = scheduled + self.chance.choice((2, 3, 3, 4, 6))
        finished = float(round(started + max(1.0, seconds)))
        self.pods.append(
            PodLife(
                namespace=NAMESPACE,
                pod=name,
                uid=str(UUID(int=self.chance.getrandbits(128), version=4)),
                created=created,
                scheduled=scheduled,
                started=scheduled,
                finished=finished,
                deleted=finished + keep,
                node=f"node-{self.chance.randrange(3)}",
                owner_kind=owner[0],
                owner_name=owner[1],
                labels=dict(labels or {}),
                network_receive_bytes=download * (finished - started),
                containers=[
                    ContainerLife(
                        name=container,
                        image=image,
                        started=started,
                        finished=finished,
                        cpu_seconds=cores * (finished - started),
                        memory_peak=peak,
                        memory_curve=[(0.0, 0.3 * peak), (0.1, 0.9 * peak), (0.3, peak), (1.0, peak)],
                        cpu_request=requests.cpu,
                        memory_request=requests.memory,
                        memory_limit=requests.memory_limit,
                        terminated_reason="Completed",
                    )
                ],
            )
        )
        return finished


def _suffix(chance: random.Random) -> str:
    return "".join(chance.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))


def _argo_run(generator: PodGenerator, real: Mapping[str, Sequence[Task]], begin: float, slow: bool) -> None:
    """Generate one run of the WorkflowTemplate blast-search (examples/demo/workflows.yaml)."""
    run = f"blast-search-{_suffix(generator.chance)}"
    owner = ("Workflow", run)

    def step(node: str, template: str, image: str, created: float, task: Task, requests: Requests) -> float:
        name = f"{run}-{template}-{fnv32a(f'{run}.{node}')}"
        labels = {"workflows.argoproj.io/workflow": run, "workflows.argoproj.io/completed": "true"}
        return generator.pod(name, "main", image, created, task, requests, owner=owner, labels=labels)

    old, new = "registry.example/blast:2.14", "registry.example/blast:2.15"
    split = step("split", "split-fasta", old, begin, real["split_fasta"][0], Requests(0.5, 128 * MI))
    factor = REGRESSION_FACTOR if slow else 1.0
    shards = [(s * factor, m, c) for s, m, c in generator.chance.sample(list(real["blastall"]), 6)]
    big = Requests(2.0, 4096 * MI, 4096 * MI)
    ends = [
        step(f"search({i}:shard-{i})", "blastall", new if slow else old, split + 1, task, big)
        for i, task in enumerate(shards)
    ]
    step("join", "cat-blast", old, max(ends) + 1, real["cat_blast"][0], Requests(0.5, None))
    step("index", "cat", old, max(ends) + 1, real["cat"][0], Requests(0.1, 64 * MI))


def _cron_run(generator: PodGenerator, tasks: Sequence[Task], due: float) -> None:
    """Generate one Job of the CronJob align-reads."""
    job = f"align-reads-{int(due // 60)}"
    generator.pod(
        f"{job}-{_suffix(generator.chance)}",
        "bowtie2",
        "registry.example/bowtie2:2.5",
        due,
        generator.chance.choice(tasks),
        Requests(2.0, 1024 * MI, 1024 * MI),
        owner=("Job", job),
        labels={"batch.kubernetes.io/job-name": job},
        keep=2 * HOUR,
    )


def _graph_run(generator: PodGenerator, real: Mapping[str, Sequence[Task]], begin: float) -> None:
    """Generate one run of the declared workflow sra-search: pods without an owner, distinguished by labels."""
    run = f"sra-{int(begin)}"

    def step(name: str, number: int, created: float, task: Task, requests: Requests, download: float = 0.0) -> float:
        labels = {"app": "sra-search", "step": name, "example.com/run": run}
        pod, image = f"{run}-{name}-{number}", f"registry.example/sra-{name}:3.1"
        return generator.pod(pod, "main", image, created, task, requests, labels=labels, download=download)

    index = step("index", 0, begin, real["bowtie2-build"][0], Requests(1.0, 256 * MI))
    fetched = [
        step("fetch", i, begin, task, Requests(1.0, 2048 * MI), DOWNLOAD)
        for i, task in enumerate(generator.chance.sample(list(real["fasterq-dump"]), 3))
    ]
    ready = max([index, *fetched])
    aligned = [
        step("align", i, ready + 2, task, Requests(1.0, 512 * MI))
        for i, task in enumerate(generator.chance.sample(list(real["bowtie2"]), 3))
    ]
    step("merge", 0, max(aligned) + 2, real["merge"][0], Requests(0.1, 64 * MI))


def anchor(end: float) -> float:
    """The full hour (unix seconds) at which the history ends."""
    return end // HOUR * HOUR


def grid(end: float) -> Grid:
    """Scrapes at the same times relative to the history, whenever the demo runs."""
    return Grid(anchor(end) - DAYS * DAY, end)


def pod_history(end: float, data: Path) -> list[PodLife]:
    """All pods of the ``DAYS`` before ``end`` (unix seconds) that had ended by the last full hour."""
    real = Real.load(data)
    blast, sra = real.family("blast-"), real.family("srasearch-")
    align = [task for run in sra for task in run["bowtie2"]]
    generator = PodGenerator(random.Random(SEED))
    chance = generator.chance
    for day in range(-DAYS, 1):
        start = anchor(end) + day * DAY
        for hour in (2, 10, 18):
            begin = start + hour * HOUR + chance.randrange(20)
            _argo_run(generator, chance.choice(blast), begin, slow=begin > anchor(end) - REGRESSION_DAYS * DAY)
        for hour in range(24):
            _cron_run(generator, align, start + hour * HOUR + 7 * 60)
        _graph_run(generator, chance.choice(sra), start + 4 * HOUR + chance.randrange(60))
    return [
        p for p in generator.pods if p.finished is not None and end - DAYS * DAY <= p.created and p.finished < end - 60
    ]
