"""Reading of Kubernetes objects with untrusted content.

Manifests arrive as plain JSON without guaranteed types: minimal CRDs accept anything. Every function here returns a
usable value and adds a message to a list of problems, so that one invalid object does not stop the cycle for the
others.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from concertmaster.core.model import ContainerSpec
from concertmaster.core.model.amounts import STORAGE, finite, is_gpu
from concertmaster.core.model.scalars.quantity import MAX_LENGTH, rounded
from concertmaster.core.times import parse_duration, parse_time
from concertmaster.engines.common.bounds import MAX_CONTAINERS

Resolve = Callable[[str, str], Mapping[str, Any] | None]
"""``resolve(kind, name)`` returns the object that a definition refers to, in a namespace that the resolver knows; None if
it does not exist. Raises Unreadable if that cannot be determined."""

_MAX_PROBLEMS = 40
_MAX_REMEMBERED = 1_000
_SENTENCE = 500  # characters
_TEXTS = {str}
_MAX_TIME = 253_370_764_800  # the year 9999 in unix seconds
_MAX_EXACT_INTEGER = 2**53  # integers up to here are exact in JSON


class Unreadable(Exception):
    """Raised by a resolver for an object that it cannot read at present, or is not allowed to; the message is a
    sentence."""


class Problems:
    """Messages about one object, deduplicated and limited in number."""

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        """Add ``sentence`` unless it is there already; it is truncated, as names in it may be of any length."""
        if len(self._messages) < _MAX_REMEMBERED:
            self._messages.setdefault(sentence if len(sentence) <= _SENTENCE else f"{sentence[:_SENTENCE]}...")

    def all(self) -> tuple[str, ...]:
        """The first messages in order of addition, and the number of omitted ones."""
        more = len(self._messages) - _MAX_PROBLEMS
        return (
            *list(self._messages)[:_MAX_PROBLEMS],
            *((f"{more} further problems are not listed",) if more > 0 else ()),
        )


def mapping(value: object, where: str, problems: Problems) -> Mapping[str, Any]:
    """``value`` as an object with text keys. A missing value is empty; any other type is empty and adds a problem."""
    if value is None:
        return {}
    if type(value) is dict or isinstance(value, Mapping):  # nearly all are dicts, and asking for a Mapping takes long
        texts = set(map(type, value)) <= _TEXTS or all(isinstance(k, str) for k in value)
        return value if texts else {str(k): v for k, v in value.items()}
    problems.add(f"{where} is {_kind(value)} where an object is expected: it is ignored")
    return {}


def sequence(value: object, where: str, problems: Problems) -> Sequence[Any]:
    """``value`` as a list. A missing value is empty; any other type is empty and adds a problem."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return value
    problems.add(f"{where} is {_kind(value)} where a list is expected: it is ignored")
    return ()


def container_rows(value: object, where: str, problems: Problems) -> Sequence[Any]:
    """``value`` as a list of containers, at most ``MAX_CONTAINERS``: each step of a workflow may run the same pod."""
    rows = sequence(value, where, problems)
    if len(rows) > MAX_CONTAINERS:
        problems.add(f"{where} has {len(rows)} entries: only the first {MAX_CONTAINERS} are considered")
    return rows[:MAX_CONTAINERS]


def text(value: object, where: str, problems: Problems) -> str | None:
    """``value`` as text; None if missing or empty. Numbers and booleans are converted to their JSON text."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value)
    problems.add(f"{where} is {_kind(value)} where text is expected: it is ignored")
    return None


def whole(value: object, where: str, problems: Problems) -> int | None:
    """``value`` as an integer (or its text). None if missing, if only known at run time ("{{...}}"), or if invalid or
    larger than any API server accepts; the latter two add a problem."""
    number = _whole(value, where, problems)
    if number is not None and abs(number) > _MAX_EXACT_INTEGER:
        problems.add(f"{where} is {shown(value)}, which no engine takes: it is ignored")
        return None
    return number


def _whole(value: object, where: str, problems: Problems) -> int | None:
    if value is None or isinstance(value, bool):
        if isinstance(value, bool):
            problems.add(f"{where} is {_kind(value)} where a number is expected: it is ignored")
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        if "{{" in value:
            return None
        try:
            return int(value.strip())
        except ValueError:
            pass
    problems.add(f"{where} is {shown(value)} where a whole number is expected: it is ignored")
    return None


def flag(value: object) -> bool:
    """Whether ``value`` is true; the text "true" counts."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def seconds(value: object, where: str, problems: Problems) -> float | None:
    """A duration in seconds, from a number of seconds or Go notation ("1h30m", "500ms"). None if missing, only known at
    run time, or invalid; the latter adds a problem."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return finite(value)
    if isinstance(value, str) and "{{" in value:
        return None
    if isinstance(value, str):
        written = value.strip()
        duration = finite(float(written)) if re.fullmatch(r"\d+(\.\d+)?", written) else parse_duration(written)
        if duration is not None:
            return duration
    problems.add(f"{where} is {shown(value)} where a duration such as 30m is expected: it is ignored")
    return None


def timestamp(value: object) -> float | None:
    """An API timestamp ("2026-08-01T02:00:00Z") in unix seconds; None if missing, invalid, or no time of a cluster: Go
    writes the year 1 for a time that is not set, and days cannot be added to the last year there is."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = parse_time(value)
    except ValueError:
        return None
    return moment if 0 <= moment < _MAX_TIME else None


def quantity(value: object, where: str, problems: Problems) -> float | None:
    """A container's request or limit in cores or bytes, as its pods have it (see ``rounded``). None if missing, only
    known at run time, or invalid."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if finite(value) is None else _amount(str(value))
    if isinstance(value, str):
        if "{{" in value:
            return None
        stripped = value.strip()
        amount = _amount(stripped) if len(stripped) <= MAX_LENGTH else None
        if amount is not None:
            return amount
    problems.add(f"{where} is {shown(value)}, which is no quantity such as 500m or 2Gi: it is ignored")
    return None


@lru_cache(maxsize=1024)
def _amount(written: str) -> float | None:
    """A quantity in cores or bytes; None if it is none. A few dozen different ones are in all definitions of a cluster."""
    amount = rounded(written)
    return None if amount is None else float(amount)


def shown(value: object) -> str:
    """``value`` for use in a message: short and on one line."""
    written = json.dumps(value, default=str, ensure_ascii=False)
    return written if len(written) <= 60 else f"{written[:57]}..."


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def pointer(*parts: object) -> str:
    """JSON pointer (RFC 6901) from its unescaped parts."""
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)


def container(
    raw: object,
    where: str,
    problems: Problems,
    *,
    at: str | None,
    resources_field: str = "resources",
    defaults: Mapping[str, Any] | None = None,
) -> ContainerSpec:
    """A container as declared.

    ``at`` is the JSON pointer of the container; None if it cannot be patched. ``defaults`` is a container whose image and
    resources apply where this one sets none (Argo's templateDefaults, Tekton's stepTemplate).
    """
    spec = mapping(raw, where, problems)
    here = f"{where}.{resources_field}"
    own = mapping(spec.get(resources_field), here, problems)
    under = defaults or {}
    inherited = mapping(under.get(resources_field), f"default {resources_field}", problems)
    literal: dict[str, dict[str, str | int | float]] = {}
    gpus: dict[str, float] = {}
    values: dict[tuple[str, str], float | None] = {}
    for side in ("requests", "limits"):
        declared = mapping(own.get(side), f"{here}.{side}", problems)
        effective = {**mapping(inherited.get(side), f"default {side}", problems), **declared}
        if declared:
            # Numbers are kept as numbers: the schema of a custom resource preserves them, and JSON Patch tests compare
            # types.
            literal[side] = {
                k: v if isinstance(v, str | int | float) and not isinstance(v, bool) else json.dumps(v, default=str)
                for k, v in declared.items()
            }
        for resource in ("cpu", "memory", STORAGE):
            values[side, resource] = quantity(effective.get(resource), f"{here}.{side}.{resource}", problems)
        for key, value in effective.items():
            if is_gpu(key) and (amount := quantity(value, f"{here}.{side}.{key}", problems)):
                gpus[key] = amount
    # The API server defaults a missing request to the limit; a definition contains the effective value.
    for resource in ("cpu", "memory", STORAGE):
        if values["requests", resource] is None:
            values["requests", resource] = values["limits", resource]
    return ContainerSpec(
        name=text(spec.get("name"), f"{where}.name", problems) or "main",
        image=text(spec.get("image") or under.get("image"), f"{where}.image", problems),
        cpu_request=values["requests", "cpu"],
        cpu_limit=values["limits", "cpu"],
        memory_request=values["requests", "memory"],
        memory_limit=values["limits", "memory"],
        gpu_resource=max(gpus, key=lambda name: (gpus[name], name), default=None),
        gpu_request=sum(gpus.values()) or None,
        storage_request=values["requests", STORAGE],
        storage_limit=values["limits", STORAGE],
        resources_pointer=None if at is None else f"{at}/{resources_field}",
        resources=literal,
        empty_resources=spec.get(resources_field) == {},
    )


def restarts(init_container: object) -> bool:
    """Whether a declared init container keeps running beside the app containers."""
    return isinstance(init_container, Mapping) and init_container.get("restartPolicy") == "Always"


def pod_containers(
    spec: Mapping[str, Any], where: str, problems: Problems, *, at: str | None
) -> tuple[ContainerSpec, ...]:
    """Containers of a pod spec: app containers, then init containers (restartPolicy Always makes one a sidecar)."""
    out = [
        container(raw, f"{where}.containers[{i}]", problems, at=None if at is None else f"{at}/containers/{i}")
        for i, raw in enumerate(container_rows(spec.get("containers"), f"{where}.containers", problems))
    ]
    for i, raw in enumerate(container_rows(spec.get("initContainers"), f"{where}.initContainers", problems)):
        beside = restarts(raw)
        here = None if at is None else f"{at}/initContainers/{i}"
        declared = container(raw, f"{where}.initContainers[{i}]", problems, at=here)
        out.append(replace(declared, sidecar=beside, init=not beside, native=beside))
    return tuple(out)


def fingerprint(parts: Iterable[object]) -> str:
    """Short hash of ``parts`` as canonical JSON, independent of the order of keys. Where a definition gets
    another one from the same objects, ``FINGERPRINT_EDITION`` is counted up."""
    written = json.dumps(list(parts), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()[:12]
