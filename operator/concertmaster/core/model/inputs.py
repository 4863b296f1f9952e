"""User-declared sources of figures per run: input sizes and extra metrics."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from concertmaster.core.model.enums import InputUnit, MetricRole, Per


@dataclass(frozen=True, slots=True)
class InputSource:
    """One source of the input size: exactly one of ``parameter``, ``annotation``, ``env`` and ``json_path``.

    ``step``: the only step it applies to; None: every step without a source of its own.
    """

    unit: InputUnit = InputUnit.BYTES
    step: str | None = None
    parameter: str | None = None
    annotation: str | None = None
    env: str | None = None
    json_path: str | None = None

    def __str__(self) -> str:
        kinds = (
            ("parameter", self.parameter),
            ("annotation", self.annotation),
            ("env", self.env),
            ("jsonPath", self.json_path),
        )
        return next((f"{kind} {name}" for kind, name in kinds if name is not None), "no source")


@dataclass(frozen=True, slots=True)
class ExtraMetric:
    """A number per run (or per step of a run) from a user's query, which contains ``$window``."""

    name: str
    query: str
    per: Per = Per.RUN
    unit: str | None = None
    role: MetricRole | None = None

    @property
    def identity(self) -> str:
        """Distinguishes its values from those of an earlier query with the same name."""
        return f"{self.name}:{crc32(f'{self.per.value} {self.query}'.encode()):08x}"
