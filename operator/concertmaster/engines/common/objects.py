"""The parts common to all Kubernetes objects, whether they define workflows or represent runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.engines.common.manifest import Problems, mapping, text


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
        """The queue of Kueue that admits it, as a declared field of its workflow; empty if none does."""
        return {key: value for key, value in self.labels.items() if key == QUEUE_LABEL and value}

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
