"""One workflow of one step: what its runs need, those the history knows as records, and those of the days to come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.days.levels import Family, Rng, Rows, Span
from benchmarks.graphs.draws import stream
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, WorkflowDefinition
from concertmaster.core.units import DAY, GIB, MIB, MINUTE
from concertmaster.engines import complete, define

_FIRST_DAY = 20_000  # since 1970, of which the first was a Thursday
FEWEST_DAYS, MOST_DAYS = 4, 14  # of the window
_EVERY = (15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE)
_LEAST_REQUEST, _MOST_REQUEST = 1.5, 8.0  # times the largest known peak
JOB = "job"


@dataclass(frozen=True, slots=True)
class Case:
    """Runs in their order: when each starts (unix seconds), bytes at its peak, mean cores, seconds. ``known``: how many of
    them are over at ``now``; the others are of as long a time to come. ``memory``, ``cpu``: what is requested today."""

    name: str
    now: float
    starts: Rows
    peaks: Rows
    cores: Rows
    seconds: Rows
    known: int
    memory: float
    cpu: float


def drawn(family: Family, seed: int) -> Case:
    """A case of the family."""
    rng = stream("days", family.name, seed)
    days, every = int(rng.integers(FEWEST_DAYS, MOST_DAYS + 1)), float(rng.choice(_EVERY))
    known = int(days * DAY / every)
    first = _FIRST_DAY + int(rng.integers(7))
    times = np.asarray(rng.random() + (np.arange(2 * known) + 0.5) * every / DAY, dtype=np.float64)
    level = family.draw(rng, Span(days, (first + 3) % 7))(times)
    wave = rng.choice([0.0, rng.uniform(0.05, 0.4)]) * np.sin(2.0 * np.pi * (times - rng.random()))
    seconds = rng.uniform(60.0, 0.4 * every) * np.exp(rng.normal(0.0, 0.1, times.size))
    peaks = 2.0 ** rng.uniform(-3.0, 1.0) * GIB * level * (1.0 + wave) * _noise(rng, times.size)
    cores = rng.uniform(0.1, 2.0) * level * (1.0 + wave) * _noise(rng, times.size)
    peaks, cores = np.ceil(peaks / MIB) * MIB, np.round(cores, 3)
    return Case(
        f"{family.name} {seed}",
        (first + float(times[known]) - 0.05 * every / DAY) * DAY,
        np.asarray((first + times) * DAY, dtype=np.float64),
        peaks,
        cores,
        seconds,
        known,
        math.ceil(peaks[:known].max() / MIB * np.exp(rng.uniform(*np.log((_LEAST_REQUEST, _MOST_REQUEST))))) * MIB,
        round(float(cores[:known].max() * rng.uniform(1.5, 4.0)), 3),
    )


def _noise(rng: Rng, count: int) -> Rows:
    """Factors of runs that could have come in any order, by one of five laws."""
    laws: tuple[Callable[[], Rows], ...] = (
        lambda: np.exp(rng.normal(0.0, rng.uniform(0.01, 0.05), count)),
        lambda: np.exp(rng.normal(0.0, rng.uniform(0.05, 0.25), count)),
        lambda: rng.gamma(shape := rng.uniform(10.0, 60.0), 1.0 / shape, count),
        lambda: (1.0 + 0.05 * rng.random(count)) * (1.0 - rng.random(count)) ** (-1.0 / rng.uniform(6.0, 15.0)),
        lambda: (
            np.where(rng.random(count) < rng.uniform(0.02, 0.5), rng.uniform(1.1, 2.0), 1.0)
            * np.exp(rng.normal(0.0, 0.03, count))
        ),
    )
    return np.asarray(laws[rng.integers(len(laws))]())


def definition(case: Case) -> WorkflowDefinition:
    """What the product reads from the CronJob."""
    resources = {"requests": {"cpu": f"{round(1000 * case.cpu)}m", "memory": f"{round(case.memory / MIB)}Mi"}}
    container = {"name": "main", "image": "registry.example/work:1", "command": ["work"], "resources": resources}
    every = round((case.starts[1] - case.starts[0]) / MINUTE)
    made = define({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "work", "namespace": "lab", "uid": "work", "resourceVersion": "1"},
        "spec": {
            "schedule": f"*/{every} * * * *" if every < 60 else f"0 */{every // 60} * * *",
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}},
        },
    })  # fmt: skip
    assert made is not None
    return complete(made, ())[0]


def records(case: Case, read: WorkflowDefinition) -> list[RunRecord]:
    """The known runs as the history keeps them."""
    rows = zip(
        *(column[: case.known].tolist() for column in (case.starts, case.peaks, case.cores, case.seconds)), strict=True
    )
    return [_record(case, read, number, *row) for number, row in enumerate(rows)]


def _record(
    case: Case, read: WorkflowDefinition, number: int, start: float, peak: float, cores: float, seconds: float
) -> RunRecord:
    end, samples = start + seconds, max(1, int(seconds / 30.0))
    container = ContainerFact(
        "main", "registry.example/work:1", started=start, finished=end, samples=samples, expected_samples=samples,
        cpu_request=case.cpu, memory_request=case.memory, cpu_seconds=cores * seconds, cpu_sampled_seconds=seconds,
        cpu_peak_cores=cores, memory_sampled_peak=peak, memory_kernel_peak=1.03 * peak,
        cpu_waiting_seconds=0.0, io_waiting_seconds=0.0,
    )  # fmt: skip
    uid = f"work-{number}"
    execution = StepExecution(
        JOB, None, attempt=0, pod=uid, uid=uid, node=f"node-{number % 5}", ready=start, created=start, scheduled=start,
        started=start, finished=end, outcome=Outcome.SUCCEEDED, containers=(container,),
    )  # fmt: skip
    return RunRecord(
        read.key, uid, start, end, Outcome.SUCCEEDED, Source.HISTORY, (execution,), fingerprint=read.fingerprint
    )
