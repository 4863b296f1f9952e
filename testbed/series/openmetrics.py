"""Writes weeks of history as OpenMetrics text, to be loaded into Prometheus before it starts.

A new cluster has no history, but the operator's analysis depends on one. From a list of pod lifetimes this module
writes the series that kube-state-metrics and cAdvisor would have exported, with the same names, labels, gaps and scrape
times: a pod's series exist as long as the pod object, a container's while it runs, and a container that starts and ends
between two scrapes has none.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from testbed.series import cadvisor, dcgm, node, state, volume
from testbed.series.lives import (
    CADVISOR_PATH,
    KUBELET_JOB,
    STATE_METRICS_JOB,
    ContainerLife,
    Grid,
    JobLife,
    NodeLife,
    PodLife,
)
from testbed.series.naming import series

__all__ = ["ContainerLife", "Grid", "JobLife", "NodeLife", "PodLife", "render", "write"]


class _Samples:
    """Converts spans to sample lines at the scrape times of one job."""

    def __init__(self, grid: Grid, job: str) -> None:
        self.times = grid.times(job)
        self._stamps = [f"{time:.3f}".rstrip("0").rstrip(".") for time in self.times]
        self._stride = max(1, round(grid.constant_interval / grid.interval))

    def between(self, start: float, end: float) -> range:
        """Indices of the scrapes from `start` (inclusive) to `end` (exclusive)."""
        return range(bisect.bisect_left(self.times, start), bisect.bisect_left(self.times, end))

    def shares(self, indices: range, start: float, end: float) -> list[float]:
        """Elapsed share (0 to 1) of the lifetime from `start` to `end` at each of these scrapes."""
        return [(time - start) / (end - start) for time in self.times[indices.start : indices.stop]]

    def constant(self, name: str, spans: list[tuple[float, float, float]]) -> str:
        """Lines of a series that is constant in each span: every n-th sample, the first and the last."""
        lines = []
        for start, end, value in spans:
            indices = self.between(start, end)
            if not indices:
                continue
            stamps = self._stamps[indices.start : indices.stop : self._stride]
            if (len(indices) - 1) % self._stride:
                stamps.append(self._stamps[indices.stop - 1])
            head = f"{name} {value:.15g} "
            lines.append(head + f"\n{head}".join(stamps) + "\n")
        return "".join(lines)

    def varying(self, name: str, indices: range, values: Iterable[str]) -> str:
        """Lines of a series with one value per scrape."""
        stamps = self._stamps[indices.start : indices.stop]
        return "".join([f"{name} {value} {stamp}\n" for value, stamp in zip(values, stamps, strict=True)])


def _state_lines(objects: Iterable[state.Emit], samples: _Samples) -> Iterator[str]:
    """Lines of one family of kube-state-metrics, object by object."""
    for emitted in objects:
        for name, spans in emitted:
            yield samples.constant(name, spans)


def _life(pod: PodLife, container: ContainerLife, grid: Grid) -> tuple[float, float] | None:
    """When the container was running, or None. Without a known end: until the pod was deleted, or the history ends."""
    if container.started is None:
        return None
    end = container.finished
    if end is None:
        end = grid.end if pod.deleted is None else pod.deleted
    return container.started, end


def _container_lines(sample: str, pods: Sequence[PodLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    _, extra, values = cadvisor.CONTAINER_FAMILIES[sample]
    for pod in pods:
        for container in pod.containers:
            life = _life(pod, container, grid)
            if life is None:
                continue
            indices = samples.between(*life)
            if indices:
                numbers = values(container, samples.shares(indices, *life))
                if numbers is not None:
                    name = series(sample, **cadvisor.container_labels(pod, container), **extra)
                    yield samples.varying(name, indices, numbers)


def _network_lines(sample: str, pods: Sequence[PodLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    total = cadvisor.POD_FAMILIES[sample]
    for pod in pods:
        lives = [life for container in pod.containers if (life := _life(pod, container, grid))]
        if lives:
            start, end = min(life[0] for life in lives), max(life[1] for life in lives)
            indices = samples.between(start, end)
            bytes_then = (f"{total(pod) * share:.0f}" for share in samples.shares(indices, start, end))
            yield samples.varying(series(sample, **cadvisor.pod_labels(pod)), indices, bytes_then)


def _gpu_lines(sample: str, pods: Sequence[PodLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    for pod in pods:
        for container in pod.containers:
            if container.gpu_busy and (life := _life(pod, container, grid)) is not None:
                indices = samples.between(*life)
                for name, values in dcgm.of_container(sample, pod, container, len(indices)):
                    yield samples.varying(name, indices, values)


def _up_lines(pods: Sequence[PodLife], grid: Grid) -> Iterator[str]:
    """`up` of kube-state-metrics and of each node's kubelet over the whole history, 0 during outages."""
    targets = [(STATE_METRICS_JOB, {"instance": state.STATE_METRICS_INSTANCE})]
    targets += [
        (KUBELET_JOB, {"instance": f"{node}:10250", "metrics_path": CADVISOR_PATH, "node": node})
        for node in sorted({pod.node for pod in pods if pod.node})
    ]
    count = int((grid.end - grid.start) // grid.up_interval) + 1
    for job, labels in targets:
        name = series("up", job=job, **labels)
        for number in range(count):
            time = grid.start + number * grid.up_interval
            yield f"{name} {0 if grid.is_out(job, time) else 1} {time:.15g}\n"


def _node_lines(family: str, nodes: Sequence[NodeLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    for name, value in node.of_nodes(family, nodes):
        yield samples.constant(name, [(grid.start, grid.end, value)])


def render(
    pods: Sequence[PodLife], grid: Grid, jobs: Sequence[JobLife] = (), nodes: Sequence[NodeLife] = ()
) -> Iterator[str]:
    """The complete history as OpenMetrics text in pieces: families sorted by name, `# EOF` at the end."""
    objects = _Samples(grid, STATE_METRICS_JOB)
    kubelet = _Samples(grid, KUBELET_JOB)
    families: dict[str, tuple[str, Iterator[str]]] = {"up": ("gauge", _up_lines(pods, grid))}
    for name, of_pod in state.POD_FAMILIES.items():
        families[name] = ("gauge", _state_lines(map(of_pod, pods), objects))
    for name, of_job in state.JOB_FAMILIES.items():
        families[name] = ("gauge", _state_lines(map(of_job, jobs), objects))
    schedules = state.last_schedule_times(jobs)
    families["kube_cronjob_status_last_schedule_time"] = ("gauge", _state_lines([schedules], objects))
    for name, (kind, _, _) in cadvisor.CONTAINER_FAMILIES.items():
        families[name] = (kind, _container_lines(name, pods, grid, kubelet))
    for name in cadvisor.POD_FAMILIES:
        families[name] = ("counter", _network_lines(name, pods, grid, kubelet))
    for name in node.FAMILIES:
        families[name] = ("gauge", _node_lines(name, nodes, grid, objects))
    for name in volume.FAMILIES:
        families[name] = ("gauge", _state_lines([volume.of_claims(name, pods)], kubelet))
    for name in dcgm.FAMILIES:
        families[name] = ("gauge", _gpu_lines(name, pods, grid, kubelet))
    for name, (kind, lines) in sorted(families.items()):
        # The name of a counter family lacks the `_total` of its samples.
        yield f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}\n"
        yield from lines
    yield "# EOF\n"


def write(path: Path, pods: Sequence[PodLife], grid: Grid, jobs: Sequence[JobLife] = ()) -> None:
    """Write the history to `path`; load it with `PrometheusServer.load_openmetrics`."""
    with path.open("w") as output:
        output.writelines(render(pods, grid, jobs))
