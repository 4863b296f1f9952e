"""The parts common to all Kubernetes objects, whether they define workflows or represent runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.engines import PARTIAL_ADMISSION, QUEUE_LABEL
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text


class Named(NamedTuple):
    """An entry of a list: its name and place in the list, where it is for messages, and the entry itself."""

    name: str
    place: int
    where: str
    row: Mapping[str, Any]


def named(rows: object, where: str, what: str, problems: Problems, *, key: str = "name") -> Iterator[Named]:
    """The entries of a list of objects with names, each name once. An entry without a name, and all but the first of a name
    are reported; ``what`` the entries are called."""
    names: set[str] = set()
    for place, raw in enumerate(sequence(rows, where, problems)):
        here = f"{where}[{place}]"
        row = mapping(raw, here, problems)
        name = text(row.get(key), f"{here}.{key}", problems)
        if name is None:
            problems.add(f"{here} has no {key}: it is ignored")
        elif name in names:
            problems.add(f"two {what} are called {name!r}: the first one is used")
        else:
            names.add(name)
            yield Named(name, place, here, row)


def mappings(rows: object, where: str, problems: Problems) -> Iterator[Mapping[str, Any]]:
    """The entries of a list of objects."""
    for raw in sequence(rows, where, problems):
        yield mapping(raw, f"{where}[]", problems)


def objects_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a value, however deeply, itself included."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def texts(values: object, where: str, problems: Problems) -> tuple[str, ...]:
    """The texts of a list, each once."""
    listed = (text(value, where, problems) for value in sequence(values, where, problems))
    return tuple(dict.fromkeys(value for value in listed if value))


@dataclass(frozen=True, slots=True)
class KubeObject:
    """An object split into its parts. ``problems`` collects messages about invalid content."""

    raw: Mapping[str, Any]
    namespace: str
    name: str
    meta: Mapping[str, Any]
    spec: Mapping[str, Any]
    problems: Problems = field(default_factory=Problems)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> KubeObject:
        """Split an object; never raises, whatever it contains."""
        problems = Problems()
        meta = mapping(raw.get("metadata"), "metadata", problems)
        return cls(
            raw,
            text(meta.get("namespace"), "metadata.namespace", problems) or "default",
            text(meta.get("name"), "metadata.name", problems) or "",
            meta,
            mapping(raw.get("spec"), "spec", problems),
            problems,
        )

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status; empty if it has none."""
        return mapping(self.raw.get("status"), "status", self.problems)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, with keys and values as text."""
        return {k: str(v) for k, v in mapping(self.meta.get("labels"), "metadata.labels", self.problems).items()}

    @property
    def queue(self) -> dict[str, str]:
        """The queue of Kueue that admits it, and how few of its pods at a time, as declared fields of its workflow; empty if
        none does."""
        queue = self.labels.get(QUEUE_LABEL)
        if not queue:
            return {}
        least = mapping(self.meta.get("annotations"), "metadata.annotations", self.problems).get(PARTIAL_ADMISSION)
        return {QUEUE_LABEL: queue} | ({PARTIAL_ADMISSION: str(least)} if least else {})

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Possible prefixes of the names of its runs."""
        return (self.name,) if self.name else ()

    def key(self, kind: str) -> WorkflowKey:
        """Its key as a workflow of the given kind."""
        return WorkflowKey(self.namespace, kind, self.name)

    def text_at(self, part: Mapping[str, Any], *path: str) -> str | None:
        """Text at ``path`` below ``part``; None if missing."""
        for key in path[:-1]:
            part = mapping(part.get(key), key, self.problems)
        return text(part.get(path[-1]), path[-1], self.problems)
