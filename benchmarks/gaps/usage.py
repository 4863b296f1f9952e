"""Laws of usage: containers without samples or with few, and series that a source does not have."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.advice.plant import Rng
from benchmarks.gaps.law import Law, between, by_chance, of_containers, of_pods
from concertmaster.core.model import ContainerFact, StepExecution

# Kinds of problems that are only seen by what is used.
_BY_USE = frozenset(
    {"cpu-over", "memory-over", "all-over", "fan-out-over", "guaranteed-over", "sidecar", "cpu-over-idle"}
)
_BY_COUNTERS = frozenset({"throttled", "starved", "io-bound", "network-bound", "long-step"})


def _dark(c: ContainerFact) -> ContainerFact:
    """Looked for and never seen. That it was killed for its memory is known to kube-state-metrics."""
    return replace(
        c, samples=0, cpu_seconds=None, cpu_sampled_seconds=None, cpu_peak_cores=None, throttled_share=None,
        memory_sampled_peak=None, memory_kernel_peak=None, oom_events=1.0 if c.reason == "OOMKilled" else None,
        cpu_waiting_seconds=None, io_waiting_seconds=None, fs_read_bytes=None, fs_write_bytes=None, storage_peak=None,
    )  # fmt: skip


def _unsampled(_: Rng, e: StepExecution) -> StepExecution:
    return replace(e, containers=tuple(_dark(c) for c in e.containers), network_receive_bytes=None)


def _on_node(rng: Rng, e: StepExecution) -> StepExecution:
    """The kubelet of one node is not scraped, so its volumes are not seen either."""
    return replace(_unsampled(rng, e), volumes=()) if e.node == "node-1" else e


def _cut_short(rng: Rng, e: StepExecution) -> StepExecution:
    """Samples until a quarter to three quarters of its life: counters stand as they were then, and a peak that came
    later is not seen."""
    share = float(rng.uniform(0.25, 0.75))
    seen = 1.0 if rng.random() < share else float(rng.uniform(0.5, 1.0))
    return replace(
        e,
        containers=tuple(_until(c, share, seen) for c in e.containers),
        network_receive_bytes=_times(e.network_receive_bytes, share),
    )


def _until(c: ContainerFact, share: float, seen: float) -> ContainerFact:
    if not c.samples:
        return c
    return replace(
        c, samples=max(1, round(share * c.samples)), cpu_seconds=_times(c.cpu_seconds, share),
        cpu_sampled_seconds=_times(c.cpu_sampled_seconds, share), memory_sampled_peak=_times(c.memory_sampled_peak, seen),
        memory_kernel_peak=_times(c.memory_kernel_peak, seen), cpu_waiting_seconds=_times(c.cpu_waiting_seconds, share),
        io_waiting_seconds=_times(c.io_waiting_seconds, share), fs_read_bytes=_times(c.fs_read_bytes, share),
        fs_write_bytes=_times(c.fs_write_bytes, share),
    )  # fmt: skip


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _unthrottled(c: ContainerFact) -> ContainerFact:
    return replace(c, throttled_share=None)


def _without_pressure(c: ContainerFact) -> ContainerFact:
    return replace(c, cpu_waiting_seconds=None, io_waiting_seconds=None)


def _without_kernel_peak(c: ContainerFact) -> ContainerFact:
    """A burst between two samples is not seen: up to a twentieth of the peak here."""
    return replace(c, memory_kernel_peak=None, memory_sampled_peak=_times(c.memory_sampled_peak, 0.95))


LAWS: tuple[Law, ...] = (
    Law("usage-30%-lost", "failed scrapes, short pods", of_pods(by_chance(0.3, _unsampled))),
    Law(
        "usage-80%-lost",
        "a scrape interval longer than most pods live",
        of_pods(by_chance(0.8, _unsampled)),
        _BY_USE | _BY_COUNTERS,
    ),
    Law("usage-node-dark", "the kubelet of one node is not scraped", of_pods(_on_node)),
    Law("usage-3-days-dark", "cAdvisor was not scraped for three days", of_pods(between(7.0, 4.0, _unsampled))),
    Law("usage-cut-short", "samples of half of the pods end early", of_pods(by_chance(0.5, _cut_short))),
    Law("usage-expired", "usage is kept for four days, times for longer", of_pods(between(99.0, 4.0, _unsampled))),
    Law(
        "usage-absent",
        "cAdvisor is not scraped",
        of_pods(_unsampled),
        _BY_USE | _BY_COUNTERS,
    ),
    Law("throttling-absent", "dropped by the allow-list", of_pods(of_containers(_unthrottled)), frozenset({"throttled"})),
    Law(
        "pressure-absent",
        "kernel without pressure stall information",
        of_pods(of_containers(_without_pressure)),
        frozenset({"starved", "io-bound"}),
    ),
    Law("kernel-peak-absent", "dropped by the allow-list", of_pods(of_containers(_without_kernel_peak))),
)  # fmt: skip
