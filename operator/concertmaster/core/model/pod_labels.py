"""Labels that assign pods to a workflow, a run and a step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One requirement of a label selector; ``operator`` is In, NotIn, Exists or DoesNotExist. Requirements are ANDed."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def met_by(self, value: str | None) -> bool:
        """Whether a label with this value (None: no such label) satisfies the requirement as in Kubernetes: NotIn also
        matches a missing label."""
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        return (value is not None) is (self.operator == "Exists")


@dataclass(frozen=True, slots=True)
class PodLabels:
    """Keys of the pod labels with workflow, run, step, attempt and item, and the required ``value`` of the workflow label
    (empty: any). ``preset``: additional semantics of an engine's own labels."""

    workflow: str
    run: str
    step: str | None = None
    attempt: str | None = None
    item: str | None = None
    preset: str | None = None
    value: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys."""
        return tuple(key for key in (self.workflow, self.run, self.step, self.attempt, self.item) if key)
