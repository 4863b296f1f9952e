"""``io-bound``: a step that mostly waits: low CPU use while it runs, with the available disk and network figures.

Pressure stall information shows how long it waited for the disk; without it, CPU use bounds the share of time that can have
been computation. Neither shows what a fix would gain: the replay is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.runs.usage import IDLE_CORES, mean_cores
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.known import median
from concertmaster.core.model import Category, ContainerFact, Finding, Level, RunRecord, StepExecution
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.performance.daemons import serving
from concertmaster.core.rules.upper_bound import HALF, QUARTER, assumption, attainable
from concertmaster.core.units import MIB, MINUTE

_BUSY_DISK = 20 * MIB  # bytes per second from which the disk is worth examining
_BUSY_NETWORK = 20 * MIB  # bytes per second, likewise; about a fifth of a gigabit link
_IDLE_DISK = 16 * MIB  # bytes an execution: no more than loading a program takes
_IDLE_NETWORK = 4096  # bytes an execution: less than opening one encrypted connection takes
_WATCHED = 2 * MINUTE
_STALLED_SHARE = 0.2  # share of the time stalled on I/O


class _Seen(NamedTuple):
    """One execution of a step: cores used, share of its time (0 to 1) stalled on disk, bytes per second of disk and of
    network, all None where unknown; GPUs busy, and the share of its time in which it had no CPU though it could run."""

    step: str
    cores: float
    stalled: float | None
    rate: float | None
    network: float | None
    gpus: float
    starved: float


def _seen(execution: StepExecution) -> _Seen | None:
    """None where its CPU use is unknown. All counters stand as they were at the last sample, so they are divided by the time
    until then, not by the whole life of a pod of which the samples ended earlier."""
    seconds, moved = execution.duration, None
    if execution.network_receive_bytes is not None or execution.network_transmit_bytes is not None:
        moved = execution.network_bytes
    if len(execution.containers) == 1:
        return _seen_alone(execution.step, execution.containers[0], seconds, moved)
    main = [c for c in execution.containers if not c.init]
    cores = [v for v in (mean_cores(c, seconds) for c in main) if v is not None]
    if not seconds or not cores or any(c.ambiguous or _unknown_gpu(c) for c in main):
        return None
    covered = max([c.cpu_sampled_seconds or seconds for c in main if c.cpu_seconds is not None])
    stalls = [
        c.io_waiting_seconds / (c.cpu_sampled_seconds or seconds) for c in main if c.io_waiting_seconds is not None
    ]
    sizes = [v for c in main for v in (c.fs_read_bytes, c.fs_write_bytes) if v is not None]
    return _Seen(
        execution.step,
        sum(cores),
        min(1.0, max(stalls)) if stalls else None,
        sum(sizes) / covered if sizes else None,
        moved / covered if moved is not None else None,
        sum(c.gpu_used or 0.0 for c in main),
        _starved(max(main, key=lambda c: c.cpu_seconds or 0.0), covered),
    )


def _unknown_gpu(container: ContainerFact) -> bool:
    """Whether it has a GPU of unknown utilization: work on it looks like waiting."""
    return bool(container.gpu_request) and container.gpu_used is None


def _starved(container: ContainerFact, covered: float) -> float:
    """Share of the time in which it could run and had no CPU, for a full node or its limit."""
    return min(1.0, max((container.cpu_waiting_seconds or 0.0) / covered, container.throttled_time or 0.0))


def _seen_in(run: RunRecord) -> list[_Seen]:
    """The succeeded executions of a run."""
    return [seen for e in run.steps if e.outcome.timed and (seen := _seen(e)) is not None]


def _seen_alone(step: str, container: ContainerFact, seconds: float | None, network: float | None) -> _Seen | None:
    """``_seen`` of a pod with one container, the common case."""
    spent = container.cpu_seconds
    if not seconds or spent is None or container.init or container.ambiguous or _unknown_gpu(container):
        return None
    covered = container.cpu_sampled_seconds or seconds
    if covered <= 0:
        return None
    stalled, read, written = container.io_waiting_seconds, container.fs_read_bytes, container.fs_write_bytes
    moved = None if read is None and written is None else (read or 0.0) + (written or 0.0)
    return _Seen(
        step,
        spent / covered,
        None if stalled is None else min(1.0, stalled / covered),
        None if moved is None else moved / covered,
        None if network is None else network / covered,
        container.gpu_used or 0.0,
        _starved(container, covered),
    )


def _cause(stalled: float | None, rate: float | None, network: float | None) -> tuple[str, str, bool]:
    """Suggested investigation, its evidence, and whether the cause is known."""
    if stalled is not None and stalled >= _STALLED_SHARE:
        return (
            "a faster volume, larger reads, or local scratch space",
            f"is stalled on the disk {text.percent(stalled)} of the time",
            True,
        )
    if network is not None and network >= _BUSY_NETWORK and network >= (rate or 0.0):
        return (
            "compression, parallel transfers, or data that is nearer (same zone, a cache)",
            f"moves {network / MIB:.0f} MiB a second over the network",
            True,
        )
    if rate is not None and rate >= _BUSY_DISK:
        return "a faster volume, compression, or less to read", f"reads and writes {rate / MIB:.0f} MiB a second", True
    known = "; the disk is not the cause" if stalled is not None else "; disk stalls are not recorded"
    return (
        "fewer, larger or pooled calls to databases and services",
        f"waits for something other than the CPU{known}",
        False,
    )


def _moves_nothing(seconds: float | None, stalled: float | None, rate: float | None, network: float | None) -> bool:
    """Whether an execution of ``seconds`` is known to use neither network nor disk. An unused disk has no series: then PSI
    shows that it was watched. A short one may have been sampled before it moved anything."""
    if seconds is None or seconds < _WATCHED or network is None or (rate is None and stalled is None):
        return False
    return network * seconds <= _IDLE_NETWORK and (rate or 0.0) * seconds <= _IDLE_DISK


def _finding(evidence: Evidence, step: StepAnalysis, rows: Sequence[_Seen]) -> Finding | None:
    _, *columns = zip(*rows, strict=True)
    used, stalled, rate, network, gpus, starved = map(median, columns)
    cores = used or 0.0
    requests = [c.cpu_request for c in step.containers if c.cpu_request]
    # Relative to one core, or the request if smaller: a single thread cannot use more than one. With a measured disk
    # stall or much traffic, use close to a small request is no sign of computation.
    seen = stalled is not None and stalled >= _STALLED_SHARE
    moving = network is not None and network >= _BUSY_NETWORK
    busy = cores / min(1.0, sum(requests)) if requests and not (seen or moving) else cores
    # Work on a GPU is no waiting. Nor is it waiting for something else where a full node, or the limit, leaves it no CPU.
    other = (gpus or 0.0) + (0.0 if seen else starved or 0.0)
    busy += other
    if busy > evidence.settings.number("maxCpuPercent", 30.0) / 100:
        return None
    left = max(1.0 - stalled, other) if seen and stalled is not None else min(1.0, cores + other)
    bound = evidence.worth(WhatIf.scale_step(step.step, left), evidence.settings.number("minGainPercent", 10.0))
    if bound is None:
        return None
    todo, why, known = _cause(stalled, rate, network)
    # Some use of the CPU and no cause is also what too large a request looks like: counted only for a missed objective.
    counted = known or cores <= IDLE_CORES or evidence.misses_duration
    part = HALF if known else QUARTER
    share, seconds = attainable(bound, part)
    name = evidence.title(step.step)
    # Waiting for services moves bytes. Without any it sleeps or polls, and nobody knows whether less of that would do.
    idle = not known and cores <= IDLE_CORES and _moves_nothing(step.duration.p50, stalled, rate, network)
    expected = f"{gain_sentence(share, seconds)}, {assumption('off-CPU time', part)}"
    if idle:
        counted, todo, why = False, "a shorter wait, if nothing needs it", "hardly uses disk or network"
        expected = "not known: nothing shows what it waits for"
    return Finding(
        step=step.step,
        action=f"{name} {'is idle' if idle else 'is I/O-bound'}: {text.percent(1.0 - left)} off-CPU",
        because=(
            f"{evidence.runs(step.runs)} it uses {text.cores(cores)}"
            + (f" and {text.number(gpus, 2)} GPUs" if gpus else "")
            + f" while it runs for {text.duration(step.duration.p50)} (medians) and {why}"
        ),
        otherwise=(
            f"more CPU or memory will not shorten it, and each run keeps waiting up to {text.duration(bound[1].likely)}"
        ),
        current=f"{text.percent(busy)} busy",
        proposed=todo,
        expected=expected,
        confidence=0.4,
        gain_seconds=seconds if counted else None,
        gain_share=share if counted else None,
        upper_bound=True,
        evidence=(
            f"stalled on the disk: {text.percent(stalled)} of the time (PSI)"
            if stalled is not None
            else "no PSI recorded",
            f"disk: {_a_second(rate)}" if rate is not None else "no disk bytes recorded",
            f"network: {_a_second(network)}" if network is not None else "no network bytes recorded",
            "what helps with services: fewer and larger calls, pooled connections, compressed or cached answers",
            "at most: replayed with only the part of the time that can have been work",
        ),
    )


def _a_second(rate: float) -> str:
    """Bytes per second in MiB; what is little does not read as nothing."""
    return f"{rate / MIB:.1f} MiB a second" if rate >= 0.1 * MIB else f"{text.number(rate / MIB, 1)} MiB a second"


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per step on the critical path that mostly waits."""
    analysis = evidence.analysis
    seen = analysis.figures.grouped(_seen_in, analysis.runs)
    # What no time at all for a step would not gain, less time does not either: most steps need no replay.
    least = evidence.settings.number("minGainPercent", 10.0) / 100 * float(analysis.recent.replayable.seconds.sum())
    for step in analysis.steps:
        if (
            step.path is None
            or step.path.drag <= 0
            or step.path.drag * step.path.runs < least
            or (step.spec is not None and (step.spec.waits or step.spec.creates or step.spec.daemon))
            or serving(step, analysis)
        ):
            continue
        rows = seen.get(step.step, ())
        if len(rows) >= analysis.options.min_runs:
            yield _finding(evidence, step, rows)


RULE = Rule(
    RuleName.IO_BOUND,
    evaluate,
    Category.PERFORMANCE,
    Level.HIGH,
    tie_break=4,
    settings=("maxCpuPercent", "minGainPercent"),
)
