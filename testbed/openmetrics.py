"""Writes weeks of history as OpenMetrics text, for Prometheus to load before it starts.

A fresh cluster has no past, but everything this project says rests on one. From a list of pod lives this module
writes the series that kube-state-metrics and cAdvisor would have given, with the same names, labels, gaps and
scrape grid: a pod's series exist while the pod object exists, a container's while it runs, and a container that
lives between two scrapes leaves nothing.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from testbed import cadvisor_series, dcgm_series, node_series, state_series, volume_series
from testbed.lives import CADVISOR_PATH, KUBELET_JOB, STATE_METRICS_JOB, ContainerLife, Grid, JobLife, NodeLife, PodLife
from testbed.naming import series

__all__ = ["ContainerLife", "Grid", "JobLife", "NodeLife", "PodLife", "render", "write"]


class _Samples:
    """Turns spans into sample lines on the scrape grid of one job."""

    def __init__(self, grid: Grid, job: str) -> None:
        self.times = grid.times(job)
        self._stamps = [f"{time:.3f}".rstrip("0").rstrip(".") for time in self.times]
        self._stride = max(1, round(grid.constant_interval / grid.interval))

    def between(self, start: float, end: float) -> range:
        """Indices of the scrapes at or after `start` and before `end`."""
        return range(bisect.bisect_left(self.times, start), bisect.bisect_left(self.times, end))

    def shares(self, found: range, start: float, end: float) -> list[float]:
        """How much of the life from `start` to `end` has passed at each of these scrapes, 0 to 1."""
        return [(time - start) / (end - start) for time in self.times[found.start : found.stop]]

    def constant(self, name: str, spans: list[tuple[float, float, float]]) -> str:
        """Lines of a series that holds one value in each span: every n-th sample, the first and the last."""
        lines = []
        for start, end, value in spans:
            found = self.between(start, end)
            if not found:
                continue
            stamps = self._stamps[found.start : found.stop : self._stride]
            if (len(found) - 1) % self._stride:
                stamps.append(self._stamps[found.stop - 1])
            head = f"{name} {value:.15g} "
            lines.append(head + f"\n{head}".join(stamps) + "\n")
        return "".join(lines)

    def varying(self, name: str, found: range, values: Iterable[str]) -> str:
        """Lines of a series with a value of its own at each scrape."""
        stamps = self._stamps[found.start : found.stop]
        return "".join([f"{name} {value} {stamp}\n" for value, stamp in zip(values, stamps, strict=True)])


def _state_lines(objects: Iterable[state_series.Emit], samples: _Samples) -> Iterator[str]:
    """Lines of one family of kube-state-metrics, object by object."""
    for emitted in objects:
        for name, spans in emitted:
            yield samples.constant(name, spans)


def _life(pod: PodLife, container: ContainerLife, grid: Grid) -> tuple[float, float] | None:
    """When the container was running, or None. Without a known end: until its pod went, or the history ends."""
    if container.started is None:
        return None
    end = container.finished
    if end is None:
        end = grid.end if pod.deleted is None else pod.deleted
    return container.started, end


def _container_lines(sample: str, pods: Sequence[PodLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    _, extra, values = cadvisor_series.CONTAINER_FAMILIES[sample]
    for pod in pods:
        for container in pod.containers:
            life = _life(pod, container, grid)
            if life is None:
                continue
            found = samples.between(*life)
            if found:
                numbers = values(container, samples.shares(found, *life))
                if numbers is not None:
                    name = series(sample, **cadvisor_series.container_labels(pod, container), **extra)
                    yield samples.varying(name, found, numbers)


def _network_lines(sample: str, pods: Sequence[PodLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    total = cadvisor_series.POD_FAMILIES[sample]
    for pod in pods:
        lives = [life for container in pod.containers if (life := _life(pod, container, grid))]
        if lives:
            start, end = min(life[0] for life in lives), max(life[1] for life in lives)
            found = samples.between(start, end)
            bytes_then = (f"{total(pod) * share:.0f}" for share in samples.shares(found, start, end))
            yield samples.varying(series(sample, **cadvisor_series.pod_labels(pod)), found, bytes_then)


def _gpu_lines(sample: str, pods: Sequence[PodLife], grid: Grid, samples: _Samples) -> Iterator[str]:
    for pod in pods:
        for container in pod.containers:
            if container.gpu_busy and (life := _life(pod, container, grid)) is not None:
                found = samples.between(*life)
                for name, values in dcgm_series.of_container(sample, pod, container, len(found)):
                    yield samples.varying(name, found, values)


def _up_lines(pods: Sequence[PodLife], grid: Grid) -> Iterator[str]:
    """`up` of kube-state-metrics and of each node's kubelet for the whole time, 0 during outages."""
    targets = [(STATE_METRICS_JOB, {"instance": state_series.STATE_METRICS_INSTANCE})]
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
    for name, value in node_series.of_nodes(family, nodes):
        yield samples.constant(name, [(grid.start, grid.end, value)])


def render(
    pods: Sequence[PodLife], grid: Grid, jobs: Sequence[JobLife] = (), nodes: Sequence[NodeLife] = ()
) -> Iterator[str]:
    """The whole history as OpenMetrics text in pieces: families in order of name, `# EOF` at the end."""
    state = _Samples(grid, STATE_METRICS_JOB)
    kubelet = _Samples(grid, KUBELET_JOB)
    families: dict[str, tuple[str, Iterator[str]]] = {"up": ("gauge", _up_lines(pods, grid))}
    for name, of_pod in state_series.POD_FAMILIES.items():
        families[name] = ("gauge", _state_lines(map(of_pod, pods), state))
    for name, of_job in state_series.JOB_FAMILIES.items():
        families[name] = ("gauge", _state_lines(map(of_job, jobs), state))
    schedules = state_series.last_schedule_times(jobs)
    families["kube_cronjob_status_last_schedule_time"] = ("gauge", _state_lines([schedules], state))
    for name, (kind, _, _) in cadvisor_series.CONTAINER_FAMILIES.items():
        families[name] = (kind, _container_lines(name, pods, grid, kubelet))
    for name in cadvisor_series.POD_FAMILIES:
        families[name] = ("counter", _network_lines(name, pods, grid, kubelet))
    for name in node_series.FAMILIES:
        families[name] = ("gauge", _node_lines(name, nodes, grid, state))
    for name in volume_series.FAMILIES:
        families[name] = ("gauge", _state_lines([volume_series.of_claims(name, pods)], kubelet))
    for name in dcgm_series.FAMILIES:
        families[name] = ("gauge", _gpu_lines(name, pods, grid, kubelet))
    for name, (kind, lines) in sorted(families.items()):
        # A counter family is named without the `_total` of its samples.
        yield f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}\n"
        yield from lines
    yield "# EOF\n"


def write(path: Path, pods: Sequence[PodLife], grid: Grid, jobs: Sequence[JobLife] = ()) -> None:
    """Write the history to `path`; load it with `PrometheusServer.load_openmetrics`."""
    with path.open("w") as output:
        output.writelines(render(pods, grid, jobs))
