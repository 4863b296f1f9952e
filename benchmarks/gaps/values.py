"""Laws of single values: times and clocks, nodes, requests, reasons, and sizes and fingerprints of inputs."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import replace

from benchmarks.advice.plant import Rng
from benchmarks.gaps.law import ChangePod, ChangeRun, Law, age, between, by_chance, of_containers, of_pods
from concertmaster.core.model import ContainerFact, RunRecord, StepExecution

Shift = Callable[[float], float]
_MEGA = 1e6
_WAITING = frozenset({"pending", "crowded", "clash", "busy-hour"})
_BY_REASON = frozenset({"oom", "memory-ramp", "timeout-tight"})


def _stamped(e: StepExecution, by_node: Shift, by_server: Shift = float) -> StepExecution:
    """Starts and ends are stamped by the node, creation and binding by the control plane."""

    def moved(time: float | None, shift: Shift) -> float | None:
        return None if time is None else shift(time)

    return replace(
        e,
        created=moved(e.created, by_server),
        scheduled=moved(e.scheduled, by_server),
        started=moved(e.started, by_node),
        finished=moved(e.finished, by_node),
        containers=tuple(
            replace(c, started=moved(c.started, by_node), finished=moved(c.finished, by_node)) for c in e.containers
        ),
    )


def _whole_seconds(_: Rng, e: StepExecution) -> StepExecution:
    return _stamped(e, math.floor, math.floor)


def _clock(offset: Callable[[str], float]) -> ChangePod:
    """The clock of each node is off by so many seconds."""

    def change(_: Rng, e: StepExecution) -> StepExecution:
        off = offset(e.node or "")
        return _stamped(e, lambda time: time + off)

    return change


def _few_seconds(node: str) -> float:
    """-4 to 4 seconds, not reported as skew."""
    return zlib.crc32(node.encode()) % 9 - 4.0


def _of_one(seconds: float) -> Callable[[str], float]:
    return lambda node: seconds if node == "node-1" else 0.0


def _without(*names: str) -> ChangePod:
    return lambda _, e: replace(e, **dict.fromkeys(names))  # type: ignore[arg-type]


def _unrequested(c: ContainerFact) -> ContainerFact:
    return replace(
        c, cpu_request=None, cpu_limit=None, memory_request=None, memory_limit=None, gpu_request=None, gpu_resource=None
    )


def _without_reasons(_: Rng, e: StepExecution) -> StepExecution:
    containers = tuple(replace(c, reason=None, oom_events=None) for c in e.containers)
    return replace(e, reason=None, containers=containers)


def _of_runs(which: Callable[[Rng, RunRecord], bool], change: ChangePod) -> ChangeRun:
    """The change of all pods of some runs: what is read of the engine's object is known of all of them, or of none."""
    of_run = of_pods(change)
    return lambda rng, run: of_run(rng, run) if which(rng, run) else run


def _in_megabytes(_: Rng, e: StepExecution) -> StepExecution:
    return e if e.input_size is None else replace(e, input_size=e.input_size / _MEGA)


def _unmarked(_: Rng, run: RunRecord) -> RunRecord:
    """The template's fingerprint is known of runs since the definition was first read."""
    return replace(run, fingerprint=None) if age(run.start) > 5.0 else run


LAWS: tuple[Law, ...] = (
    Law("whole-seconds", "times of objects", of_pods(_whole_seconds)),
    Law("clocks-4s-off", "nodes without NTP", of_pods(_clock(_few_seconds))),
    Law("clock-20s-behind", "one node without NTP", of_pods(_clock(_of_one(-20.0)))),
    Law("clock-20s-ahead", "one node without NTP", of_pods(_clock(_of_one(20.0)))),
    Law("clock-3m-ahead", "one node without NTP", of_pods(_clock(_of_one(180.0)))),
    Law("created-absent", "dropped by the allow-list", of_pods(_without("created")), _WAITING),
    Law("created-7-days-absent", "allow-list that lacked it", of_pods(between(99.0, 7.0, _without("created")))),
    Law("scheduled-absent", "dropped by the allow-list", of_pods(_without("scheduled")), _WAITING),
    Law("nodes-30%-unknown", "pods seen only before they were bound", of_pods(by_chance(0.3, _without("node")))),
    Law("requests-absent", "dropped by the allow-list", of_pods(of_containers(_unrequested)), frozenset({"sidecar"})),
    Law(
        "requests-7-days-absent",
        "allow-list that lacked them",
        of_pods(between(99.0, 7.0, of_containers(_unrequested))),
    ),
    Law("reasons-absent", "dropped by the allow-list", of_pods(_without_reasons), _BY_REASON),
    Law(
        "inputs-40%-known",
        "objects deleted before they were read",
        _of_runs(lambda rng, _: rng.random() < 0.6, _without("input_size", "input_fingerprint")),
        sized=True,
    ),
    Law(
        "inputs-5-days-known",
        "the operator is new",
        _of_runs(lambda _, run: age(run.end) > 5.0, _without("input_size", "input_fingerprint")),
        sized=True,
    ),
    Law(
        "inputs-4-days-in-MB",
        "the unit of the size was changed",
        _of_runs(lambda _, run: age(run.end) <= 4.0, _in_megabytes),
        sized=True,
    ),
    Law(
        "inputs-30%-in-MB",
        "two producers, two units",
        _of_runs(lambda rng, _: rng.random() < 0.3, _in_megabytes),
        sized=True,
    ),
    Law("fingerprints-5-days", "the operator is new", _unmarked),
)
