"""Pod facts from live Pods, in the form that the metrics yield."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.facts import OOM_KILLED
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text, timestamp
from concertmaster.engines.common.objects import mappings

_MAX_CONTAINERS = 2_000  # per pod
_METADATA = ("name", "namespace", "uid", "labels", "creationTimestamp")
_STATUS = ("phase", "reason", "startTime")
_SPEC = ("initContainers", "containers")
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_DECLARED = ("name", "image", "restartPolicy")
_CONDITIONS = ("PodScheduled", "DisruptionTarget")
_CONTAINER = ("name", "image", "restartCount", "state", "lastState", "resources")


def reduced_pod(raw: dict[str, Any]) -> dict[str, Any]:
    """A live Pod reduced to the fields that ``read_pod`` uses, about a tenth of its size. Never raises."""
    ignored = Problems()
    meta, spec, status = (mapping(raw.get(part), part, ignored) for part in ("metadata", "spec", "status"))
    conditions = sequence(status.get("conditions"), "conditions", ignored)
    return {
        "metadata": {k: meta[k] for k in _METADATA if k in meta},
        "spec": {"nodeName": spec.get("nodeName"), **{k: list(_declared(spec, k)) for k in _SPEC}},
        "status": {
            **{k: status[k] for k in _STATUS if k in status},
            **{
                k: [
                    {part: row[part] for part in _CONTAINER if row.get(part)} if isinstance(row, Mapping) else row
                    for row in sequence(status[k], k, ignored)[: _MAX_CONTAINERS + 1]
                ]
                for k in _CONTAINERS
                if k in status
            },
            "conditions": [c for c in conditions if isinstance(c, Mapping) and c.get("type") in _CONDITIONS],
        },
    }


def _declared(spec: Mapping[str, Any], section: str) -> Iterator[dict[str, str]]:
    """Name, image and restartPolicy of the containers in that section of a pod's spec."""
    for row in sequence(spec.get(section), section, Problems())[:_MAX_CONTAINERS]:
        if isinstance(row, Mapping):
            yield {part: str(row[part]) for part in _DECLARED if row.get(part)}


def read_pod(raw: Mapping[str, Any], problems: Problems) -> tuple[PodFact, int | None]:
    """The fact that the metrics would yield for a live Pod, and its first non-zero exit code (0 if all are zero)."""
    meta = mapping(raw.get("metadata"), "metadata", problems)
    spec = mapping(raw.get("spec"), "spec", problems)
    status = mapping(raw.get("status"), "status", problems)
    codes, first_codes = dict[str, int](), dict[str, int]()
    declared = [row for section in _SPEC for row in _declared(spec, section)]
    beside = {row.get("name") for row in declared if row.get("restartPolicy") == "Always"}
    # As kube-state-metrics has it: of several names of one image, the kubelet reports any.
    images = {row["name"]: row["image"] for row in declared if "name" in row and "image" in row}
    before = _containers(status.get("initContainerStatuses"), problems, first_codes, init=True)
    containers = [
        *(replace(c, init=False, sidecar=True) if c.name in beside else c for c in before),
        *_containers(status.get("containerStatuses"), problems, codes, init=False),
    ]
    containers = [replace(c, image=images.get(c.name, c.image)) for c in containers]
    phase = text(status.get("phase"), "phase", problems)
    conditions = [*mappings(status.get("conditions"), "conditions", problems)]
    bound, disrupted = (
        [c for c in conditions if c.get("type") == kind and c.get("status") == "True"] for kind in _CONDITIONS
    )
    scheduled = timestamp(bound[0].get("lastTransitionTime")) if bound else None
    ends = [c.finished for c in containers if c.finished is not None and not c.init and not c.sidecar]
    ended = phase in ("Succeeded", "Failed")
    reason = text(status.get("reason"), "reason", problems)
    if reason is None and ended and disrupted:  # drained or preempted: containers that obey merely end with "Error"
        reason = text(disrupted[0].get("reason"), "reason", problems)
    fact = PodFact(
        namespace=text(meta.get("namespace"), "namespace", problems) or "default",
        pod=text(meta.get("name"), "name", problems) or "",
        uid=text(meta.get("uid"), "uid", problems) or "",
        node=text(spec.get("nodeName"), "nodeName", problems),
        labels={k: str(v) for k, v in mapping(meta.get("labels"), "labels", problems).items()},
        created=timestamp(meta.get("creationTimestamp")),
        scheduled=scheduled,
        started=timestamp(status.get("startTime")),
        finished=max(ends, default=None) if ended else None,
        phase=phase if ended else None,
        reason=reason,
        containers=tuple(containers),
    )
    if not codes:  # it did not get beyond its init containers
        codes = {name: code for name, code in first_codes.items() if code and name not in beside}
    return fact, next((c for c in codes.values() if c), 0 if codes else None)


def _containers(rows: object, problems: Problems, codes: dict[str, int], *, init: bool) -> Iterator[ContainerFact]:
    listed = sequence(rows, "containerStatuses", problems)
    if len(listed) > _MAX_CONTAINERS:
        problems.add(f"a pod has {len(listed)} containers: only the first {_MAX_CONTAINERS} are read")
    for raw in listed[:_MAX_CONTAINERS]:
        row = mapping(raw, "containerStatuses[]", problems)
        state = mapping(row.get("state"), "state", problems)
        done = mapping(state.get("terminated"), "terminated", problems)
        running = mapping(state.get("running"), "running", problems)
        code = done.get("exitCode")
        if isinstance(code, int) and not isinstance(code, bool):
            codes[str(row.get("name"))] = code
        reason = text(done.get("reason"), "reason", problems)
        restarts = row.get("restartCount")
        last = first = done.get("startedAt", running.get("startedAt"))
        earlier: Mapping[str, Any] = {}
        if restarts:  # the status keeps only the previous start: with more restarts the first one is unknown
            before = mapping(row.get("lastState"), "lastState", problems)
            earlier = mapping(before.get("terminated"), "terminated", problems)
            first = earlier.get("startedAt") if restarts == 1 else None
        yield ContainerFact(
            name=text(row.get("name"), "name", problems) or "",
            image=text(row.get("image"), "image", problems),
            init=init,
            started=timestamp(first),
            finished=timestamp(done.get("finishedAt")),
            reason=None if reason == "Completed" else reason,
            restarted_after_oom=timestamp(last or earlier.get("finishedAt"))
            if earlier.get("reason") == OOM_KILLED
            else None,
            **_sizes(row),
        )


def _sizes(status: Mapping[str, Any]) -> dict[str, Any]:
    """Effective requests and limits as reported by the kubelet: an in-place resize changes them after creation."""
    problems = Problems()
    resources = mapping(status.get("resources"), "resources", problems)
    sizes: dict[str, float] = {}
    for section, suffix in (("requests", "request"), ("limits", "limit")):
        amounts = mapping(resources.get(section), section, problems)
        for resource in ("cpu", "memory"):
            amount = quantity(amounts.get(resource))
            if amount is not None:
                sizes[f"{resource}_{suffix}"] = amount
    return sizes
