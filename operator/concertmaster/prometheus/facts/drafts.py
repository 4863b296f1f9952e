"""Pods and Jobs from kube-state-metrics, collected by uid: answers in, drafts out. Pure.

Several queries each return a part of a pod; a draft gathers them until its usage is joined and it becomes a fact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from concertmaster.core.model import JobFact, VolumeUse
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.queries.bulk import CLAIMS, ENDS, RESOURCES
from concertmaster.prometheus.queries.scope import LabelScheme
from concertmaster.settings.source import POD_LABEL_PREFIX

PodName = tuple[str, str]  # namespace, name

_FAMILIES = dict.fromkeys(ENDS, "ends") | dict.fromkeys(RESOURCES, "resources")
_FAMILIES |= {"kube_pod_labels": "labels", CLAIMS: "claims"}


@dataclass(slots=True)
class ContainerDraft:
    """What is known of one container before its usage is joined."""

    images: set[str] = field(default_factory=set)
    spec_image: str = ""
    init: bool = False
    sidecar: bool = False  # declared as an init container, with restartPolicy Always
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
    times: dict[str, float] = field(default_factory=dict)  # by metric; and the overhead of its RuntimeClass
    phases: set[str] = field(default_factory=set)
    stood_in: bool = False  # the ends of its containers stand in for its phase, which is not exposed
    reasons: set[str] = field(default_factory=set)
    containers: dict[str, ContainerDraft] = field(default_factory=dict)
    ended: float | None = None  # first time seen terminal
    there: bool = False  # exposed at the pinned time, as far as its end is not known
    claims: set[str] = field(default_factory=set)  # of persistent volumes that it mounts
    volumes: dict[str, VolumeUse] = field(default_factory=dict)  # by claim
    seen: dict[tuple[str, str], float | None] = field(default_factory=dict)  # (job, instance) -> last sample, if known

    def container(self, name: str) -> ContainerDraft:
        """The draft of a container, made when it is new."""
        known = self.containers.get(name)
        if known is None:  # of a dozen calls for each container, one
            known = self.containers[name] = ContainerDraft()
        return known

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
        return max((time for time in self.seen.values() if time is not None), default=None)

    @property
    def begin(self) -> float | None:
        """The earliest moment known of its life."""
        starts = [draft.started for draft in self.containers.values() if draft.started is not None]
        named = ("kube_pod_created", "kube_pod_status_scheduled_time", "kube_pod_start_time")
        return min([*starts, *(self.times[name] for name in named if name in self.times)], default=None)


def read_pods(vector: Vector, scheme: LabelScheme, uids: Set[str]) -> dict[str, PodDraft]:
    """Drafts by uid of the pods of ``uids`` from the ``pods`` query, which may report others of the same names too."""
    families: dict[str, tuple[list[tuple[str, ...]], list[float]]] = {
        f: ([], []) for f in ("state", *_FAMILIES.values())
    }
    own = vector.columns.index(scheme.name("uid")) if scheme.name("uid") in vector.columns else -1
    names = [vector.columns.index(c) for c in ("__name__", "series") if c in vector.columns]
    for row, value in zip(vector.rows, vector.values, strict=True):
        if own < 0 or row[own] not in uids:
            continue
        metric = next((row[place] for place in names if row[place]), "")
        rows, values = families[_FAMILIES.get(metric, "state")]
        rows.append(row)
        values.append(value)
    parts = {f: Vector(vector.columns, tuple(rows), values) for f, (rows, values) in families.items()}
    drafts = read_timeline(parts["state"], scheme)
    read_ends(parts["ends"], scheme, drafts)
    read_resources(parts["resources"], scheme, drafts)
    read_labels(parts["labels"], scheme, drafts)
    for (uid, claim), _ in parts["claims"].select(*scheme.columns("uid", "persistentvolumeclaim")):
        if claim and uid in drafts:
            drafts[uid].claims.add(claim)
    return drafts


def read_timeline(vector: Vector, scheme: LabelScheme) -> dict[str, PodDraft]:
    """Drafts by uid from times, node, owner and images."""
    drafts: dict[str, PodDraft] = {}
    names = ("__name__", "series", *scheme.columns("namespace", "pod", "uid", "node", "container"))
    more = scheme.columns("created_by_kind", "created_by_name", "image", "image_spec", "restart_policy")
    for row, value in vector.select(*names, *more):
        name, series, namespace, pod, uid, node, container, kind, owner, image, spec, restarts = row
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
            inside.sidecar = inside.sidecar or restarts == "Always"
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


def read_ends(vector: Vector, scheme: LabelScheme, drafts: Mapping[str, PodDraft]) -> None:
    """Phases and reasons."""
    names = ("__name__", "series", *scheme.columns("uid", "container", "phase", "reason"))
    for (name, series, uid, container, phase, reason), _ in vector.select(*names):
        draft = drafts.get(uid)
        if draft is None:
            continue
        metric = name or series
        if metric == "kube_pod_status_phase":
            draft.phases.add(phase)
        elif metric == "kube_pod_status_reason":
            draft.reasons.add(reason)
        elif reason:
            inside = draft.container(container)
            inside.init = inside.init or metric.startswith("kube_pod_init_")
            earlier = metric.endswith("_last_terminated_reason")
            (inside.last_reasons if earlier else inside.reasons).add(reason)


def read_resources(vector: Vector, scheme: LabelScheme, drafts: Mapping[str, PodDraft]) -> None:
    """Requests and limits."""
    names = ("__name__", "series", *scheme.columns("uid", "container", "resource"))
    for (name, series, uid, container, resource), value in vector.select(*names):
        metric = name or series
        draft = drafts.get(uid)
        if draft is None:
            continue
        inside = draft.container(container)
        inside.init = inside.init or metric.startswith("kube_pod_init_")
        (inside.requests if metric.endswith("_requests") else inside.limits)[resource] = value


def read_labels(vector: Vector, scheme: LabelScheme, drafts: Mapping[str, PodDraft]) -> None:
    """Pod labels."""
    uid_label, prefix = scheme.columns("uid", POD_LABEL_PREFIX)
    for labels, _ in vector:
        draft = drafts.get(labels.get(uid_label, ""))
        if draft is not None:
            draft.labels.update((k.removeprefix(prefix), v) for k, v in labels.items() if k.startswith(prefix))


def read_presence(vector: Vector, scheme: LabelScheme, drafts: Mapping[str, PodDraft]) -> None:
    """Last sights and first terminal sights from the ``presence`` query."""
    for (stat, uid, job, instance), value in vector.select("stat", scheme.name("uid"), "job", "instance"):
        draft = drafts.get(uid)
        if draft is None:
            continue
        if stat == "by":
            draft.seen.setdefault((job, instance), None)
        elif stat == "seen":
            draft.seen[(job, instance)] = value
        elif stat == "ended":
            draft.ended = value
        elif stat == "there":
            draft.there = True


def read_jobs(vector: Vector, scheme: LabelScheme) -> tuple[JobFact, ...]:
    """Jobs from the ``jobs`` query."""
    owners: dict[PodName, tuple[str, str]] = {}
    numbers: dict[PodName, dict[str, float]] = defaultdict(dict)
    names = ("__name__", "series", *scheme.columns("namespace", "job_name", "owner_kind", "owner_name"))
    for (name, series, namespace, job, kind, owner), value in vector.select(*names):
        metric, key = name or series, (namespace, job)
        if metric == "kube_job_owner":
            numbers.setdefault(key, {})
            if kind and kind != "<none>":
                owners[key] = (kind, owner)
        else:
            numbers[key][metric] = max(value, numbers[key].get(metric, value))
    return tuple(
        JobFact(
            namespace=namespace,
            name=job,
            owner_kind=owners.get((namespace, job), (None, None))[0],
            owner_name=owners.get((namespace, job), (None, None))[1],
            succeeded=_verdict(known),
            parallelism=known.get("kube_job_spec_parallelism"),
            started=known.get("kube_job_status_start_time"),
            finished=known.get("kube_job_status_completion_time"),
        )
        for (namespace, job), known in sorted(numbers.items())
    )


def _verdict(known: Mapping[str, float]) -> bool | None:
    if known.get("kube_job_complete"):
        return True
    return False if known.get("kube_job_failed") else None
