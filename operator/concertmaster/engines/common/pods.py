"""Live Pods as the metrics would show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text, timestamp

_METADATA = ("name", "namespace", "uid", "labels", "creationTimestamp")
_STATUS = ("phase", "reason", "startTime")
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_CONTAINER = ("name", "image", "restartCount", "state", "lastState")


def reduced_pod(raw: dict[str, Any]) -> dict[str, Any]:
    """A live Pod with what ``read_pod`` looks at: a tenth of it. Never raises for what it contains."""
    ignored = Problems()
    meta, spec, status = (mapping(raw.get(part), part, ignored) for part in ("metadata", "spec", "status"))
    conditions = sequence(status.get("conditions"), "conditions", ignored)
    return {
        "metadata": {k: meta[k] for k in _METADATA if k in meta},
        "spec": {"nodeName": spec.get("nodeName")},
        "status": {
            **{k: status[k] for k in _STATUS if k in status},
            **{
                k: [
                    {part: row[part] for part in _CONTAINER if row.get(part)} if isinstance(row, Mapping) else row
                    for row in sequence(status[k], k, ignored)
                ]
                for k in _CONTAINERS
                if k in status
            },
            "conditions": [c for c in conditions if isinstance(c, Mapping) and c.get("type") == "PodScheduled"],
        },
    }


def read_pod(raw: Mapping[str, Any], problems: Problems) -> tuple[PodFact, int | None]:
    """A live Pod as the metrics would describe it, and the first exit code that is not zero (0 when all are)."""
    meta = mapping(raw.get("metadata"), "metadata", problems)
    spec = mapping(raw.get("spec"), "spec", problems)
    status = mapping(raw.get("status"), "status", problems)
    codes: list[int] = []
    containers = [
        *_containers(status.get("initContainerStatuses"), problems, [], init=True),
        *_containers(status.get("containerStatuses"), problems, codes, init=False),
    ]
    phase = text(status.get("phase"), "phase", problems)
    conditions = [
        mapping(c, "conditions[]", problems) for c in sequence(status.get("conditions"), "conditions", problems)
    ]
    bound = [c for c in conditions if c.get("type") == "PodScheduled" and c.get("status") == "True"]
    scheduled = timestamp(bound[0].get("lastTransitionTime")) if bound else None
    ends = [c.finished for c in containers if c.finished is not None and not c.init]
    ended = phase in ("Succeeded", "Failed")
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
        reason=text(status.get("reason"), "reason", problems),
        containers=tuple(containers),
    )
    return fact, next((c for c in codes if c), 0 if codes else None)


def _containers(rows: object, problems: Problems, codes: list[int], *, init: bool) -> Iterator[ContainerFact]:
    for raw in sequence(rows, "containerStatuses", problems):
        row = mapping(raw, "containerStatuses[]", problems)
        state = mapping(row.get("state"), "state", problems)
        done = mapping(state.get("terminated"), "terminated", problems)
        running = mapping(state.get("running"), "running", problems)
        code = done.get("exitCode")
        if isinstance(code, int) and not isinstance(code, bool):
            codes.append(code)
        reason = text(done.get("reason"), "reason", problems)
        restarts = row.get("restartCount")
        first = done.get("startedAt", running.get("startedAt"))
        if restarts:  # the status keeps one earlier start: of more restarts the first is not known
            earlier = mapping(row.get("lastState"), "lastState", problems)
            first = (
                mapping(earlier.get("terminated"), "terminated", problems).get("startedAt") if restarts == 1 else None
            )
        yield ContainerFact(
            name=text(row.get("name"), "name", problems) or "",
            image=text(row.get("image"), "image", problems),
            init=init,
            started=timestamp(first),
            finished=timestamp(done.get("finishedAt")),
            reason=None if reason == "Completed" else reason,
        )
