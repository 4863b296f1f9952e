"""One row of ``right-size``: a request to set, what it is based on, and what it saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.analysis.steps.releases import FollowedLimit, Release
from concertmaster.core.fast_init import fast_init
from concertmaster.core.model import Edit, Interval, SizeItem
from concertmaster.core.model.amounts import STORAGE
from concertmaster.core.rules.earlier_peaks import EarlierPeak
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.rules.set_elsewhere import declared_beside


@dataclass(frozen=True, slots=True)
class RowSaving:
    """Money saved per month, negative when more is requested. ``of_runs``: what it would be if all runs were like this one,
    for each run, and ``times`` when they ended (unix seconds); ``least`` and ``most``: the mean at the largest and smallest
    size as right as the proposed one; ``slowed``: what the pods cost more where all of their nodes are full, as they take
    longer there."""

    likely: float
    least: float
    most: float
    times: Sequence[float]
    of_runs: Sequence[float]
    slowed: float = 0.0


@fast_init
@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request to set, in cores or bytes; ``old`` None: not set. ``peak``: largest use in a run. ``saving``: None when
    nothing is known to compare with; ``freed``: reserved amount-hours saved per run. ``slower``: possible slowdown of the
    step on a full node in runs like those seen, 0 to 1, and ``unseen``: what one that needs more adds. ``clear``: justifies
    a change by itself. ``bound_by``: what limited the value, empty if nothing did; ``first``: what must be raised before it
    is admitted. ``limit``: the limit that moves to another value with it, and ``limit_by`` why. ``avoided``: share of the
    runs (0 to 1) that no longer fail. ``release``: since which the runs count, None where all do. ``earlier``: the peak
    where it is of a run that is not among these. ``followed``: the change of the limit that peaks followed, since which the
    runs count. ``grows``: whether peaks grow. ``one_size``: whether request and limit are one field. ``reserves``: what
    pods reserve less by its row, where that is not what its request is lowered by: beside init containers (None: it is)."""

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
    unseen: float = 0.0
    clear: bool = True
    bound_by: str = ""
    first: str = ""
    limit: float | None = None
    limit_by: str = ""
    avoided: Interval | None = None
    release: Release | None = None
    earlier: EarlierPeak | None = None
    followed: FollowedLimit | None = None
    grows: bool = False
    one_size: bool = False
    reserves: float | None = None

    @property
    def title(self) -> str:
        """Name of the container in tables."""
        return self.unit.title

    @property
    def default(self) -> bool:
        """Whether the present request is a default of the namespace."""
        own = self.unit.step.declared(self.unit.container)
        return self.old is not None and own is not None and getattr(own, f"{self.resource}_request", self.old) is None

    @property
    def declared(self) -> str:
        """`` (1Gi is declared)`` where that is not the request that pods have; empty where it is."""
        return declared_beside(self.unit.container, self.resource)

    @property
    def edited(self) -> bool:
        """Whether the declared request may be of a later edit than the pods."""
        found = self.unit.container.overridden("requests", self.resource)
        return found is not None and found.edited

    @property
    def lowered(self) -> bool:
        """Whether less is requested than before."""
        return self.old is not None and self.new < self.old

    @property
    def less(self) -> float:
        """What a pod reserves less, in cores or bytes; negative where it is more, 0 without a request so far."""
        if self.reserves is not None:
            return self.reserves
        return self.old - self.new if self.old is not None else 0.0

    @property
    def limited(self) -> bool:
        """Whether the limit changes with the request."""
        return self.one_size or any("/limits/" in e.pointer for e in self.edits)


def items(row: RequestRow, saving: Interval | None = None) -> Iterator[SizeItem]:
    """The row as lines of the table: the request, and the limit if it changes with it. ``saving``: of all rows."""
    own = row.saving.likely / saving.likely if row.saving is not None and saving is not None and saving.likely else None
    container = row.unit.container
    limit = {"cpu": container.cpu_limit, "memory": container.memory_limit}.get(row.resource, container.storage_limit)
    tight = row.resource == STORAGE and limit is not None and limit < row.new
    moved = row.new if row.limit is None else row.limit
    fields = [("requests", row.old, row.new), *([("limits", limit, moved)] if row.limited or tight else [])]
    for section, old, new in fields:
        yield SizeItem(
            row.unit.step.step,
            row.unit.container.name,
            f"{section}.{row.resource}",
            amount(row, old) if old is not None else None,
            amount(row, new),
            used(row),
            text.percent(new / row.peak - 1.0 if row.peak > 0 else 0.0),
            own if section == "requests" else None,
        )


def amount(row: RequestRow, value: float | None) -> str:
    """A value as the patch writes it: rounding would display a different one."""
    return "not set" if value is None else text.resource_amount(row.resource, value)


def used(row: RequestRow) -> str:
    return text.cpu(row.peak) if row.resource == "cpu" else text.memory(row.peak)
