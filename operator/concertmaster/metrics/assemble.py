"""From bulk answers to facts: rows of several vectors joined by pod uid. Pure; missing stays missing.

Container usage has no uid of its own. It is found in the cgroup path; where that path is missing, or names no pod, the
rows of a pod's name stand for the pod, unless the name was borne by more than one pod or the container started more
than once: then they are kept and marked ambiguous.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from concertmaster.core.model import ContainerFact, JobFact, PodFact
from concertmaster.metrics.queries import Dialect
from concertmaster.metrics.vector import Vector

_CGROUP_POD = re.compile(r"(?:^|[/-])pod([^/]+?)(?:\.slice)?(?:/|$)")

PodName = tuple[str, str]  # namespace, name


@dataclass(slots=True)
class ContainerDraft:
    """What is known of one container before its usage is joined."""

    images: set[str] = field(default_factory=set)
    spec_image: str = ""
    init: bool = False
    started: float | None = None
    restarts: float | None = None
    reasons: set[str] = field(default_factory=set)
    last_reasons: set[str] = field(default_factory=set)
    requests: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class PodDraft:
    """What is known of one pod before its usage is joined."""

    namespace: str
    pod: str
    uid: str
    nodes: set[str] = field(default_factory=set)
    owner: tuple[str, str] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    phases: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    containers: dict[str, ContainerDraft] = field(default_factory=dict)
    ended: float | None = None  # first time seen terminal
    seen: dict[tuple[str, str], float] = field(default_factory=dict)  # (job, instance) -> last sample

    def container(self, name: str) -> ContainerDraft:
        """The draft of a container, made when it is new."""
        return self.containers.setdefault(name, ContainerDraft())

    @property
    def terminal(self) -> bool:
        """Whether it was seen to end; otherwise it vanished."""
        return bool(self.phases) or "kube_pod_completion_time" in self.times

    @property
    def finished(self) -> float | None:
        """End of the last container, else the first time it was seen terminal; None for a vanished pod."""
        return self.times.get("kube_pod_completion_time", self.ended) if self.terminal else None

    @property
    def last_seen(self) -> float | None:
        """The last sample of the pod object."""
        return max(self.seen.values(), default=None)

    @property
    def begin(self) -> float | None:
        """The earliest moment known of its life."""
        starts = [draft.started for draft in self.containers.values() if draft.started is not None]
        named = ("kube_pod_created", "kube_pod_status_scheduled_time", "kube_pod_start_time")
        return min([*starts, *(self.times[name] for name in named if name in self.times)], default=None)


@dataclass(slots=True)
class UsageRow:
    """Everything measured of one start of one container (one cgroup), or of one pod's network."""

    id: str
    values: dict[str, float] = field(default_factory=dict)


Usage = dict[tuple[str, str, str], dict[str, UsageRow]]  # (namespace, pod, container) -> id -> row


def read_timeline(found: Vector, dialect: Dialect) -> dict[str, PodDraft]:
    """Drafts by uid from the ``timeline`` query."""
    drafts: dict[str, PodDraft] = {}
    names = ("__name__", "series", *_dialect(dialect, "namespace", "pod", "uid", "node", "container"))
    more = ("created_by_kind", "created_by_name", "image", "image_spec")
    for row, value in found.select(*names, *more):
        name, series, namespace, pod, uid, node, container, kind, owner, image, spec = row
        metric = name or series
        if not uid:
            continue
        draft = drafts.get(uid)
        if draft is None:
            draft = drafts[uid] = PodDraft(namespace, pod, uid)
        if metric == "kube_pod_info":
            if node:
                draft.nodes.add(node)
            if kind and kind != "<none>":
                draft.owner = (kind, owner)
        elif metric in ("kube_pod_container_info", "kube_pod_init_container_info"):
            inside = draft.container(container)
            inside.init = inside.init or metric == "kube_pod_init_container_info"
            inside.spec_image = inside.spec_image or spec
            if image:
                inside.images.add(image)
        elif metric == "kube_pod_container_state_started":
            draft.container(container).started = value if value > 0 else None
        elif metric == "kube_pod_container_status_restarts_total":
            draft.container(container).restarts = value
        elif value > 0:
            draft.times[metric] = value
    return drafts


def read_ends(found: Vector, dialect: Dialect, drafts: Mapping[str, PodDraft]) -> None:
    """Phases and reasons from the ``ends`` query."""
    names = ("__name__", "series", *_dialect(dialect, "uid", "container"), "phase", "reason")
    for (name, series, uid, container, phase, reason), _ in found.select(*names):
        draft = drafts.get(uid)
        if draft is None:
            continue
        metric = name or series
        if metric == "kube_pod_status_phase":
            draft.phases.add(phase)
        elif metric == "kube_pod_status_reason":
            draft.reasons.add(reason)
        elif metric == "kube_pod_container_status_last_terminated_reason":
            draft.container(container).last_reasons.add(reason)
        elif reason:
            inside = draft.container(container)
            inside.init = inside.init or metric == "kube_pod_init_container_status_terminated_reason"
            inside.reasons.add(reason)


def read_resources(found: Vector, dialect: Dialect, drafts: Mapping[str, PodDraft]) -> None:
    """Requests and limits from the ``resources`` query."""
    names = ("__name__", "series", *_dialect(dialect, "uid", "container"), "resource")
    for (name, series, uid, container, resource), value in found.select(*names):
        metric = name or series
        draft = drafts.get(uid)
        if draft is None:
            continue
        inside = draft.container(container)
        inside.init = inside.init or metric.startswith("kube_pod_init_")
        (inside.requests if metric.endswith("_requests") else inside.limits)[resource] = value


def read_labels(found: Vector, dialect: Dialect, drafts: Mapping[str, PodDraft]) -> None:
    """Pod labels from the ``labels`` query."""
    uid_label = dialect.name("uid")
    for labels, _ in found:
        draft = drafts.get(labels.get(uid_label, ""))
        if draft is not None:
            draft.labels.update((k.removeprefix("label_"), v) for k, v in labels.items() if k.startswith("label_"))


def read_presence(found: Vector, dialect: Dialect, drafts: Mapping[str, PodDraft]) -> None:
    """Last sights and first terminal sights from the ``presence`` query."""
    for (stat, uid, job, instance), value in found.select("stat", dialect.name("uid"), "job", "instance"):
        draft = drafts.get(uid)
        if draft is None:
            continue
        if stat == "seen":
            draft.seen[(job, instance)] = value
        elif stat == "ended":
            draft.ended = value


def read_jobs(found: Vector, dialect: Dialect) -> tuple[JobFact, ...]:
    """Jobs from the ``jobs`` query."""
    owners: dict[PodName, tuple[str, str]] = {}
    numbers: dict[PodName, dict[str, float]] = defaultdict(dict)
    reasons: dict[PodName, str] = {}
    names = ("__name__", "series", *_dialect(dialect, "namespace"), "job_name", "owner_kind", "owner_name", "reason")
    for (name, series, namespace, job, kind, owner, reason), value in found.select(*names):
        metric, key = name or series, (namespace, job)
        if metric == "kube_job_owner":
            numbers.setdefault(key, {})
            if kind and kind != "<none>":
                owners[key] = (kind, owner)
        elif metric == "kube_job_failed" and value > 0 and reason:
            reasons[key] = reason
            numbers[key][metric] = value
        else:
            numbers[key][metric] = max(value, numbers[key].get(metric, value))
    return tuple(
        JobFact(
            namespace=namespace,
            name=job,
            owner_kind=owners.get((namespace, job), (None, None))[0],
            owner_name=owners.get((namespace, job), (None, None))[1],
            succeeded=_verdict(known),
            reason=reasons.get((namespace, job)),
            parallelism=known.get("kube_job_spec_parallelism"),
            completions=known.get("kube_job_spec_completions"),
            started=known.get("kube_job_status_start_time"),
            finished=known.get("kube_job_status_completion_time"),
        )
        for (namespace, job), known in sorted(numbers.items())
    )


def read_usage(found: Vector, dialect: Dialect, usage: Usage) -> None:
    """Merge a ``counters`` or ``usage`` answer by maximum per id; several windows may tell of the same container."""
    names = ("__name__", "series", "stat", *_dialect(dialect, "namespace", "pod", "container", "id"))
    for (name, series, stat, namespace, pod, container, cgroup), value in found.select(*names):
        if stat == "reused":
            continue
        rows = usage.setdefault((namespace, pod, container), {})
        row = rows.get(cgroup)
        if row is None:
            row = rows[cgroup] = UsageRow(cgroup)
        metric = name or series or stat
        row.values[metric] = max(value, row.values.get(metric, value))


def read_reused(found: Vector, dialect: Dialect) -> set[PodName]:
    """Names borne by more than one pod, from the ``usage`` query."""
    names = ("stat", *_dialect(dialect, "namespace", "pod"))
    return {(namespace, pod) for (stat, namespace, pod), _ in found.select(*names) if stat == "reused"}


def facts(
    drafts: Iterable[PodDraft],
    usage: Usage,
    *,
    reused: Set[PodName] = frozenset(),
    interval: float | None = None,
    sampled: bool = True,
) -> tuple[PodFact, ...]:
    """Pod facts, sorted by namespace, name and uid.

    ``reused`` names pods whose name another pod bore; ``interval`` is the scrape interval in seconds; ``sampled`` is
    False when container memory is not collected at all, so that no samples means unknown rather than none.
    """
    found = [_pod(draft, usage, (draft.namespace, draft.pod) in reused, interval, sampled) for draft in drafts]
    return tuple(sorted(found, key=lambda fact: (fact.namespace, fact.pod, fact.uid)))


def estimate_interval(drafts: Iterable[PodDraft], usage: Usage, seen: float | None = None) -> float | None:
    """The interval at which container usage is sampled, in seconds; None when too little is known.

    From samples per sampled span of the containers, a low quantile, because gaps make a span look sparser and nothing
    makes it look denser; ``seen`` is what the store's best sampled container says. Both err upwards. Intervals are
    configured in round numbers, so one close by is taken.
    """
    found: list[float] = []
    for draft in drafts:
        for name in draft.containers:
            rows, _ = rows_of(draft, name, usage)
            for row in rows:
                begin = row.values.get("container_start_time_seconds", draft.containers[name].started)
                last, samples = row.values.get("last"), row.values.get("samples", 0.0)
                if begin is not None and last is not None and samples >= 4 and last > begin:
                    found.append((last - begin) / (samples - 0.5))
    found.sort()
    guesses = [value for value in (seen, found[len(found) // 5] if found else None) if value]
    if not guesses:
        return None
    best = min(guesses)
    rounded = 5.0 * round(best / 5.0)
    return rounded if rounded and abs(rounded - best) <= 0.05 * best else best


def rows_of(draft: PodDraft, container: str, usage: Usage) -> tuple[list[UsageRow], bool]:
    """The usage rows of one container of one pod, and whether they name the pod by uid."""
    rows = usage.get((draft.namespace, draft.pod, container), {})
    own, nameless = [], []
    for cgroup, row in rows.items():
        uid = cgroup_uid(cgroup)
        if uid is None:
            nameless.append(row)
        elif uid == _normal(draft.uid):
            own.append(row)
    if own:
        return own, True
    # Rows that name a container but no pod (another cgroup layout) say more than rows without any path.
    named = [row for row in nameless if row.id]
    return named or nameless, False


def cgroup_uid(path: str) -> str | None:
    """The pod uid inside a cgroup path, in a normal form for comparison; None when there is none."""
    match = _CGROUP_POD.search(path)
    return _normal(match.group(1)) if match else None


def _normal(uid: str) -> str:
    return uid.replace("_", "-").lower()


def _pod(draft: PodDraft, usage: Usage, reused: bool, interval: float | None, sampled: bool) -> PodFact:
    times = draft.times
    finished = draft.finished
    network, own = rows_of(draft, "", usage)
    clear = own or not reused
    only = sum(1 for inside in draft.containers.values() if not inside.init) == 1
    return PodFact(
        namespace=draft.namespace,
        pod=draft.pod,
        uid=draft.uid,
        node=max(draft.nodes, default=None),
        owner_kind=draft.owner[0] if draft.owner else None,
        owner_name=draft.owner[1] if draft.owner else None,
        labels=dict(sorted(draft.labels.items())),
        created=times.get("kube_pod_created"),
        scheduled=times.get("kube_pod_status_scheduled_time"),
        started=times.get("kube_pod_start_time"),
        finished=finished,
        last_seen=None if draft.terminal else draft.last_seen,
        phase="Failed" if "Failed" in draft.phases else max(draft.phases, default=None),
        reason=max(draft.reasons, default=None),
        vanished=not draft.terminal,
        network_receive_bytes=_most(network, "container_network_receive_bytes_total") if clear else None,
        network_transmit_bytes=_most(network, "container_network_transmit_bytes_total") if clear else None,
        containers=tuple(
            _container(draft, name, usage, reused, interval, sampled, only) for name in sorted(draft.containers)
        ),
    )


def _container(
    draft: PodDraft, name: str, usage: Usage, reused: bool, interval: float | None, sampled: bool, only: bool
) -> ContainerFact:
    inside = draft.containers[name]
    rows, own = rows_of(draft, name, usage)
    restarted = bool(inside.restarts)
    begins = [
        row.values["container_start_time_seconds"] for row in rows if "container_start_time_seconds" in row.values
    ]
    started = inside.started if inside.started is not None and not restarted else min(begins, default=inside.started)
    finished = draft.finished if only and not inside.init else None
    life = _span(started if started is not None else draft.begin, draft.finished or draft.last_seen)
    periods = _total(rows, "container_cpu_cfs_periods_total")
    throttled = _total(rows, "container_cpu_cfs_throttled_periods_total")
    oom = _total(rows, "container_oom_events_total")
    if "OOMKilled" in inside.reasons | inside.last_reasons:
        oom = max(oom or 0.0, 1.0)
    samples = _total(rows, "samples")
    expected = max(1, int(life / interval)) if life is not None and interval else None
    succeeded = draft.phases == {"Succeeded"}
    return ContainerFact(
        name=name,
        image=inside.spec_image or max(inside.images, key=lambda text: (len(text), text), default=None),
        init=inside.init,
        started=started,
        finished=finished,
        # A reason seen earlier in the window may belong to a start before the one that succeeded.
        reason=None if succeeded else _reason(inside.reasons),
        cpu_request=inside.requests.get("cpu"),
        cpu_limit=inside.limits.get("cpu"),
        memory_request=inside.requests.get("memory"),
        memory_limit=inside.limits.get("memory"),
        cpu_seconds=_total(rows, "container_cpu_usage_seconds_total"),
        cpu_sampled_seconds=_sampled(rows, started),
        cpu_peak_cores=_most(rows, "burst"),
        throttled_share=None if throttled is None or not periods else min(1.0, throttled / periods),
        memory_sampled_peak=_most(rows, "peak"),
        memory_kernel_peak=_most(rows, "container_memory_max_usage_bytes"),
        samples=int(samples) if samples is not None else 0 if sampled and not inside.init else None,
        expected_samples=None if inside.init else expected,
        oom_events=oom,
        cpu_waiting_seconds=_total(rows, "container_pressure_cpu_waiting_seconds_total"),
        io_waiting_seconds=_total(rows, "container_pressure_io_waiting_seconds_total"),
        fs_read_bytes=_total(rows, "container_fs_reads_bytes_total"),
        fs_write_bytes=_total(rows, "container_fs_writes_bytes_total"),
        ambiguous=bool(rows) and not own and (reused or restarted or len(rows) > 1),
    )


def _total(rows: Sequence[UsageRow], metric: str) -> float | None:
    """The sum over all starts of a container, or None when no start was measured."""
    found = [row.values[metric] for row in rows if metric in row.values]
    return sum(found) if found else None


def _most(rows: Sequence[UsageRow], metric: str) -> float | None:
    return max((row.values[metric] for row in rows if metric in row.values), default=None)


def _sampled(rows: Sequence[UsageRow], started: float | None) -> float | None:
    """Wall time the CPU counters cover: from each start to its last sample."""
    total = 0.0
    for row in rows:
        begin, last = row.values.get("container_start_time_seconds", started), row.values.get("last")
        if begin is None or last is None:
            return None
        total += max(0.0, last - begin)
    return total if rows else None


def _span(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(0.0, end - begin)


def _reason(found: set[str]) -> str | None:
    return "OOMKilled" if "OOMKilled" in found else max(found, default=None)


def _verdict(known: Mapping[str, float]) -> bool | None:
    if known.get("kube_job_complete"):
        return True
    return False if known.get("kube_job_failed") else None


def _dialect(dialect: Dialect, *labels: str) -> tuple[str, ...]:
    return tuple(dialect.name(label) for label in labels)
