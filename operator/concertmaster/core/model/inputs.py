"""User-declared sources of figures per run: input sizes and extra metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from concertmaster.core.model.enums import InputUnit, MetricRole, Per


@dataclass(frozen=True, slots=True)
class InputSource:
    """One source of the input size: exactly one of ``parameter``, ``annotation``, ``env``, ``json_path`` and ``bytes_read``.

    ``step``: the only step it applies to; None: every step without a source of its own. ``bytes_read``: what the pods of
    the step read from disk and network, a proxy that holds only where nothing else says how large the input is.
    """

    unit: InputUnit = InputUnit.BYTES
    step: str | None = None
    parameter: str | None = None
    annotation: str | None = None
    env: str | None = None
    json_path: str | None = None
    bytes_read: bool = False

    def __str__(self) -> str:
        kinds = (
            ("parameter", self.parameter),
            ("annotation", self.annotation),
            ("env", self.env),
            ("jsonPath", self.json_path),
        )
        return next((f"{kind} {name}" for kind, name in kinds if name is not None), "bytesRead")


def sources_of(sources: Sequence[InputSource], step: str | None) -> Sequence[InputSource]:
    """Those that apply to a step, its own first. Of a run (None) those without a step; without any, its size is the sum of
    its steps'."""
    mine = sorted((s for s in sources if s.step in (None, step)), key=lambda s: s.step is None)
    return sources if step is None and not mine else mine


def by_bytes_read(sources: Sequence[InputSource], metrics: Iterable[ExtraMetric], step: str | None) -> bool:
    """Whether bytes read stand in for the input size of a step (None: of the run). They do not where there is any other
    source: sizes of two kinds are never compared."""
    mine = sources_of(sources, step)
    return bool(mine) and all(s.bytes_read for s in mine) and all(m.role is not MetricRole.INPUT_SIZE for m in metrics)


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
