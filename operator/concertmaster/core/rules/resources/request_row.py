"""One row of ``right-size``: a request to set, what it is based on, and what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.analysis.steps.releases import Release
from concertmaster.core.model import Edit, Interval
from concertmaster.core.rules.earlier_peaks import EarlierPeak
from concertmaster.core.rules.resources.sizing_units import SizingUnit


@dataclass(frozen=True, slots=True)
class RowSaving:
    """Money saved per month, negative when more is requested. ``of_runs``: what it would be if all runs were like this one,
    for each run, and ``times`` when they ended (unix seconds); ``least`` and ``most``: the mean at the largest and smallest
    size as right as the proposed one."""

    likely: float
    least: float
    most: float
    times: Sequence[float]
    of_runs: Sequence[float]


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request to set, in cores or bytes; ``old`` None: not set. ``peak``: largest use in a run. ``saving``: None when
    nothing is known to compare with; ``freed``: reserved amount-hours saved per run. ``slower``: possible slowdown of
    the step on a full node, 0 to 1. ``clear``: justifies a change by itself. ``bound_by``: what limited the value, empty if
    nothing did; ``first``: what must be raised before it is admitted. ``limit``: the limit that moves to another value with
    it, and ``limit_by`` why. ``avoided``: share of the runs (0 to 1) that no longer fail. ``release``: since which the runs
    count, None where all do. ``earlier``: the peak where it is of a run that is not among these."""

    unit: SizingUnit
    resource: str
    old: float | None
    new: float
    peak: float
    runs: int
    confidence: float
    edits: tuple[Edit, ...] = ()
    saving: RowSaving | None = None
    freed: float = 0.0
    slower: float = 0.0
    clear: bool = True
    bound_by: str = ""
    first: str = ""
    limit: float | None = None
    limit_by: str = ""
    avoided: Interval | None = None
    release: Release | None = None
    earlier: EarlierPeak | None = None

    @property
    def title(self) -> str:
        """Name of the container in tables."""
        return self.unit.title

    @property
    def default(self) -> bool:
        """Whether the present request is a default of the namespace."""
        spec = self.unit.step.spec
        own = next((c for c in spec.sized if c.name == self.unit.container.name), None) if spec is not None else None
        return self.old is not None and own is not None and getattr(own, f"{self.resource}_request", self.old) is None

    @property
    def lowered(self) -> bool:
        """Whether less is requested than before."""
        return self.old is not None and self.new < self.old

    @property
    def limited(self) -> bool:
        """Whether the limit changes with the request."""
        return any("/limits/" in e.pointer for e in self.edits)
