"""What a verification takes into account besides the runs of its own workflow: the other workflows, and what is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.harm import MIN_RUNS_LONG_BASELINE
from concertmaster.core.model.policy import Pricing
from concertmaster.core.stats.comparison import CommonFactor


class OtherWorkflows(Protocol):
    """The workflows of the same metrics source that nobody changed. Reading their runs takes long."""

    def common(self, before_after: BeforeAfter, applied: float) -> CommonFactor | None:
        """How their run times moved since ``applied`` (unix seconds), over the span of these runs (``common_factor``)."""

    def own_runs(self, before_after: BeforeAfter, applied: float) -> BeforeAfter:
        """These runs without those near failures that the others share (``without_shared``)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``common``: common factor of other workflows' run times; ``own``: leaves out runs near failures that they share, asked
    only where failures seem to be due to the change; both None where there is nothing to compare with.

    ``silence``: why the absence of runs counts as harm (``harm.silent``). ``timed``: whether durations can be compared yet;
    else only other harm ends a verification.
    """

    pricing: Pricing | None = None
    common: CommonFactor | None = None
    own: Callable[[BeforeAfter], BeforeAfter] | None = None
    silence: str | None = None
    timed: bool = True

    @classmethod
    def of(
        cls,
        others: OtherWorkflows | None,
        runs: BeforeAfter,
        applied: float,
        *,
        pricing: Pricing,
        silence: str | None = None,
        timed: bool = True,
    ) -> Self:
        """Of a change made at ``applied`` (unix seconds): its ``runs`` are compared with those of ``others``."""
        if others is None:
            return cls(pricing, silence=silence, timed=timed)
        common = others.common(runs, applied) if len(runs.after) >= MIN_RUNS_LONG_BASELINE else None
        return cls(pricing, common, lambda seen: others.own_runs(seen, applied), silence, timed)


ALONE = Surroundings()  # nothing is known besides the workflow's own runs
